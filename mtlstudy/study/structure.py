"""The structure experiment: NashShare and its controls on truths where the groups are known.

Every arm is a sharing family with its options over one weighting; all are tuned alike and paired by
seed. The first question is whether a judge judges, that is whether the oracle (the true groups)
beats hard sharing at all; then how much of that gap an arm closes, at how many parameters and at
what cost in passes through a trunk, everything included.

Δm is in percent over single-task, by the test loss (mean squared error) of each task. Cost is
counted in passes through a trunk, forward and backward, the search included, and compared with
plain exact sharing: one forward pass a step and a backward pass a task.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from mtlstudy.models.sharing._dynamic import trunk_passes
from mtlstudy.registry import entry
from mtlstudy.study import claims, comparison, results, statistics
from mtlstudy.study.claims import Claim
from mtlstudy.study.format import NONE, bracket, number
from mtlstudy.study.tables import Table, Tables, headed, records, show
from mtlstudy.study.words import name, word
from mtlstudy.training import tune
from mtlstudy.training.build import build
from mtlstudy.training.config import RunConfig
from mtlstudy.training.store import Run
from mtlstudy.training.tune import Budget

VERSION = 3
TABLES = ("structure", "coalitions", "cosines")
SHOWN = "arm delta_m_ci gap_closed ari coalitions size cost selected"
TRUTH = "truth"
"""Stands for the true groups in an arm's options."""


class Arm(NamedTuple):
    """A sharing family, its options, and the weighting.

    after: the arm whose run of the same seed it is made from. how: "retrain": the coalitions found
    there, from new weights; "width": as wide as to have as many parameters; "steps": as many steps
    as to cost as much. It is not tuned itself: it takes over what was selected for the arm it
    retrains, or for the plain arm of its family.
    """

    sharing: str
    options: Mapping[str, Any] = {}
    weighting: str = "equal"
    after: str = ""
    how: Literal["retrain", "width", "steps"] = "retrain"

    @property
    def like(self) -> str:
        """The arm whose selected values it takes over."""
        return self.after if self.how == "retrain" else self.sharing


ARMS: Mapping[str, Arm] = {
    "single_task": Arm("single_task"),
    "hard": Arm("hard"),
    "oracle": Arm("grouped", {"groups": TRUTH}),
    "oracle_entered": Arm("grouped", {"groups": TRUTH, "start": 0.3}),
    "warm_split": Arm("grouped", {"start": 0.4}),
    "nash_share": Arm("nash_share"),
    "permuted": Arm("nash_share", {"signal": "permuted"}),
    "random": Arm("nash_share", {"signal": "random"}),
    "cosine_bipartition": Arm("cosine_bipartition", weighting="equal_norm"),
    "gradient": Arm("nash_share", {"signal": "gradient"}, "equal_norm"),
    "nash_share_equal_norm": Arm("nash_share", weighting="equal_norm"),
    "nash_share_block_nash": Arm("nash_share", weighting="block_nash"),
    "recon": Arm("recon"),
    "tag": Arm("tag"),
    "branched": Arm("branched"),
    "ltb": Arm("ltb"),
    "son_goku": Arm("hard", weighting="son_goku"),
    "retrained": Arm("grouped", after="nash_share"),
    "hard_equal_parameters": Arm("hard", after="nash_share", how="width"),
    "hard_equal_cost": Arm("hard", after="nash_share", how="steps"),
    "single_task_equal_cost": Arm("single_task", after="nash_share", how="steps"),
}
DECLARED: Mapping[str, tuple[str, str]] = {
    "hard": ("nash_share", "hard"),
    "single": ("nash_share", "single_task"),
    "permuted": ("nash_share", "permuted"),
    "oracle": ("nash_share", "oracle"),
    "oracle_entered": ("nash_share", "oracle_entered"),
    "parameters": ("nash_share", "hard_equal_parameters"),
    "cost": ("nash_share", "hard_equal_cost"),
    "retrained": ("retrained", "nash_share"),
    "equal_norm": ("nash_share_equal_norm", "nash_share"),
    "block_nash": ("nash_share_block_nash", "nash_share_equal_norm"),
}
"""The differences that are tested on every judge, declared before any result."""
RUN: Mapping[str, Any] = {"width": 16, "depth": 2, "steps": 2000, "evaluations": 20, "lr": 1e-2}


class Profile(NamedTuple):
    """Judge → its arms, fields of every run, the budget, and the fields that are not tuned."""

    judges: Mapping[str, tuple[str, ...]]
    run: Mapping[str, Any]
    budget: Budget
    fixed: tuple[str, ...] = ()


CORE = (
    "single_task",
    "hard",
    "oracle",
    "oracle_entered",
    "warm_split",
    "nash_share",
    "permuted",
)
AFTER = tuple(name for name, arm in ARMS.items() if arm.after)
OTHERS = ("cosine_bipartition", "tag", "branched", "son_goku")
"""Published ways to find a structure: within the run, or by a search before it."""
PROFILES: Mapping[str, Profile] = {
    "quick": Profile(
        dict.fromkeys(
            ("two_groups", "one_teacher"),
            ("single_task", "hard", "oracle", "nash_share", "permuted"),
        ),
        {**RUN, "steps": 600, "evaluations": 6},
        Budget(trials=1, tuning_seeds=1, seeds=3),
        ("lr", "dropout"),
    ),
    "full": Profile(
        {
            "two_groups": (*CORE, *OTHERS, *AFTER),
            "one_teacher": (*CORE, *AFTER),
        },
        RUN,
        Budget(trials=8, tuning_seeds=2, seeds=10, dropouts=(0.0, 0.1), extend=2),
    ),
}


def config(judge: str, arm: str, run: Mapping[str, Any] = RUN) -> RunConfig:
    """An arm on a judge, before tuning.

    >>> config("one_teacher", "oracle").sharing_options["groups"]
    [0, 0, 0, 0, 0, 0, 0, 0]
    """
    sharing, options, weighting, *_ = ARMS[arm]
    kind = entry("data", judge)
    given = {
        key: kind(kind.Options()).groups() if value == TRUTH else value
        for key, value in options.items()
    }
    names = {"data": judge, "sharing": sharing, "weighting": weighting}
    return RunConfig(**names, sharing_options=given, **run)


def called(arm: str) -> str:
    """The Korean name of an arm: its own, or else that of its family."""
    own = name("arm", arm)
    return own if own != arm else name("sharing", ARMS[arm].sharing)


def compute(profile: str, jobs: int = 1) -> dict[str, pd.DataFrame]:
    """The frames `TABLES`: a row a judge, arm, seed and task; and of each arm's first seed, where
    its structure changed, a row a decision, stage and task (coalitions), and a row two tasks
    (cosines of their drifts at the last decision). What is published is not trained again."""
    judges, run, budget, _ = PROFILES[profile]
    there, made = published(profile), list[Mapping[str, pd.DataFrame]]()
    for judge, arm in [(judge, arm) for judge, arms in judges.items() for arm in arms]:
        given = {t: rows_of(frame, judge, arm) for t, frame in there.items()}
        current = bool(there) and not given["structure"].empty
        for a in rests_on(arm) if current else ():
            rows = rows_of(there["structure"], judge, a)
            current &= a not in judges[judge] or is_current(rows, config(judge, a, run), budget)
        if not current:
            runs = trained(profile, judge, arm, jobs)
            made_of = [[row for one in runs for row in described(one, run["steps"])]]
            made_of += [list(coalitions(runs[0])), list(cosines(runs[0]))]
            named = zip(TABLES, map(pd.DataFrame, made_of), strict=True)
            given = {t: frame.assign(judge=judge, arm=arm) for t, frame in named}
        made.append(given)
    return {t: results.joined(*(given[t] for given in made)) for t in TABLES}


def trained(profile: str, judge: str, arm: str, jobs: int = 1) -> list[Run]:
    """The reported runs of an arm, by seed; of one after another arm at the values that were
    selected for `Arm.like`."""
    _, run, budget, fixed = PROFILES[profile]
    if not ARMS[arm].after:
        plain = config(judge, arm, run)
        return tune.study(plain, budget, fixed=fixed, progress=False, jobs=jobs).runs
    found, like = (trained(profile, judge, a, jobs) for a in (ARMS[arm].after, ARMS[arm].like))
    pairs = zip(like, found, strict=True)
    return tune.train([resolved(ARMS[arm], *pair) for pair in pairs], progress=False, jobs=jobs)


def resolved(arm: Arm, like: Run, found: Run) -> RunConfig:
    """The configuration of an arm that comes after the run `found`."""
    c, (row, *_) = like.config, described(found)
    if arm.how == "retrain":
        decisions = found.record.get("learned", {}).get("decisions", [])
        members = decisions[-1]["coalitions"][-1] if decisions else [row["task"]]
        group = {task: i for i, coalition in enumerate(members) for task in coalition}
        options = {"groups": [group.get(task.name, 0) for task in c.tasks]}
        options["shared"] = c.sharing_options["shared"]
        return c.but(sharing=arm.sharing, sharing_options=options)
    if arm.how == "steps":
        share = sum(passes(found)) / sum(passes(like))
        return c.but(steps=max(round(c.steps * share), c.evaluations))
    return c.but(width=nearest_width(c, row["parameters"]))


def nearest_width(c: RunConfig, parameters: int) -> int:
    """The width at which a configuration has most nearly so many parameters."""

    @cache
    def count(width: int) -> int:
        return build(c.but(width=width)).model.parameter_count()

    top = c.width
    while count(top) < parameters:
        top *= 2
    widths = range(1, top + 1)
    i = bisect_left(widths, parameters, key=count)
    return min(widths[max(i - 1, 0) : i + 1], key=lambda width: abs(count(width) - parameters))


def published(profile: str) -> dict[str, pd.DataFrame]:
    """The published frames; {} where there are none, or older ones."""
    return results.published_tables(TABLES, profile)


def rows_of(frame: pd.DataFrame, judge: str, arm: str) -> pd.DataFrame:
    """The rows of an arm on a judge."""
    return frame[(frame["judge"] == judge) & (frame["arm"] == arm)]


def rests_on(arm: str) -> list[str]:
    """The arms whose runs tell whether an arm's published rows are those of today: itself, or where
    its configurations are made from runs, that arm and the plain ones of its family."""
    own = ARMS[arm]
    if not own.after:
        return [arm]
    family = [a for a, one in ARMS.items() if one.sharing == own.sharing and not one.after]
    return [own.after, *family]


def is_current(rows: pd.DataFrame, plain: RunConfig, budget: Budget) -> bool:
    """Whether published rows of an arm are of the runs that would be made today, at the values that
    were selected then."""
    runs = rows.drop_duplicates("run_id")
    made = zip(runs["seed"], runs["lr"], runs["dropout"], runs["run_id"], strict=True)
    same = [plain.but(seed=s, lr=lr, dropout=d).run_id == run_id for s, lr, d, run_id in made]
    return all(same) and sorted(runs["seed"]) == list(range(budget.seeds))


def described(run: Run, steps: int = 0) -> list[dict[str, Any]]:
    """A run's rows: loss of every task, and of the run parameters, the coalitions of its last
    stage, their agreement with the truth, and its passes through a trunk, those of a search
    included; steps: of the plain run that the cost is compared with, its own if not given."""
    c, summary = run.config, run.record["summary"]
    K, names = len(c.tasks), [task.name for task in c.tasks]
    decisions = run.record.get("learned", {}).get("decisions", [])
    coalitions = decisions[-1]["coalitions"][-1] if decisions else []
    forward, backward = passes(run)
    of_run = {
        "run_id": run.path.name,
        "seed": c.seed,
        "lr": c.lr,
        "dropout": c.dropout,
        "status": run.status,
        "steps": summary["steps"],
        "parameters": summary["parameters"],
        "coalitions": len(coalitions) or None,
        "ari": agreement(coalitions, names, truth(c)) if coalitions else None,
        "forward": forward,
        "backward": backward,
        "cost": (forward + backward) / ((steps or summary["steps"]) * (1 + K)),
    }
    done = run.status == "done"
    test = run.record["results"]["test"] if done else {}
    return [{**of_run, "task": t, "loss": test[t]["loss"] if done else np.nan} for t in names]


def passes(run: Run) -> tuple[float, float]:
    """A run's forward and backward passes through a trunk, those of a search included."""
    c, steps = run.config, run.record["summary"]["steps"]
    K, learned = len(c.tasks), run.record.get("learned", {})
    trunks = float(K if entry("sharing", c.sharing).independent else 1)
    search = learned.get("search", {"forward": 0, "backward": 0})
    if c.sharing == "recon" and learned:  # a trunk a task from the first stage that is split on
        searched, stages = run.record["summary"]["search_steps"], learned["stages"]
        shared = min([stages.index(stage) for stage in learned["specific"]], default=len(stages))
        trunks = (shared + K * (len(stages) - shared)) / len(stages)
        search = {"forward": 2 * searched, "backward": (1 + K) * searched}  # every Gramian beside
    exact = entry("weighting", c.weighting).needs != "losses"
    decisions = learned.get("decisions") or [{"step": 0, "trunks": trunks}]
    forward, backward = trunk_passes(decisions, K, steps, exact=exact)
    held = 1 - 1 / c.weighting_options.get("update_every", 1)  # steps by weights of before
    backward += held * (forward - backward)
    return forward + search["forward"], backward + search["backward"]


def coalitions(run: Run) -> Iterator[dict[str, Any]]:
    """Every decision of a run: which coalition a task is in at a stage, from a step on; at the top
    stage with the value of the coalition, where one was bargained for."""
    for decision in run.record.get("learned", {}).get("decisions", []):
        top = len(decision["coalitions"]) - 1
        values = {top: decision.get("values", [[]])[-1]}
        for stage, found in enumerate(decision["coalitions"]):
            of_stage = dict(enumerate(values.get(stage, [])))
            for i, members in enumerate(found):
                at = {"step": decision["step"], "phase": decision["phase"], "stage": stage}
                value = of_stage.get(i, np.nan)
                row = {"seed": run.config.seed, **at, "coalition": i, "value": value}
                yield from ({**row, "task": task} for task in members)


def cosines(run: Run) -> Iterator[dict[str, Any]]:
    """The cosines of two tasks by which the last coalitions of a run formed, of the lowest stage
    with a game."""
    decisions = run.record.get("learned", {}).get("decisions", [])
    found = [decision["cosines"][0] for decision in decisions if decision.get("cosines")]
    names = sorted(task.name for task in run.config.tasks)  # as the model has them
    for s, row in enumerate(found[-1] if found else []):
        for t, value in enumerate(row):
            yield {"seed": run.config.seed, "row": names[s], "column": names[t], "value": value}


def truth(c: RunConfig) -> list[int]:
    """The true group of every task."""
    groups: list[int] = c.data_set().groups()
    return groups


def agreement(coalitions: list[list[str]], names: list[str], groups: list[int]) -> float:
    """Adjusted Rand index of coalitions and true groups.

    >>> agreement([["a", "c"], ["b"]], ["a", "b", "c"], [0, 1, 0])
    1.0
    """
    from sklearn.metrics import adjusted_rand_score  # here: importing this module must stay cheap

    number = {task: i for i, coalition in enumerate(coalitions) for task in coalition}
    return float(adjusted_rand_score(groups, [number[name] for name in names]))


def gains(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a judge, arm and seed: Δm (%), the share of the single-task models' parameters, and
    what else is known of the run."""
    keys = ["judge", "seed", "task"]
    single = frame[frame["arm"] == "single_task"].set_index(keys)
    base = single.loc[pd.MultiIndex.from_frame(frame[keys])]
    loss, baseline = frame["loss"].to_numpy(), base["loss"].to_numpy()
    gain = 100 * (baseline - loss) / baseline
    share = frame["parameters"].to_numpy() / base["parameters"].to_numpy()
    table = frame.assign(delta_m=gain, share=share)
    columns = ["delta_m", "share", "ari", "coalitions", "cost"]
    return table.groupby(["judge", "arm", "seed"], sort=False)[columns].mean().reset_index()


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a judge and arm: means over the seeds, and the share (%) of the gap between hard
    sharing and the oracle that an arm closes; NaN where the judge has no gap."""
    table = gains(frame).drop(columns="seed")
    means = table.groupby(["judge", "arm"], sort=False).mean().reset_index()
    by_arm = means.pivot(index="judge", columns="arm", values="delta_m")
    hard, oracle = (means["judge"].map(by_arm[arm]) for arm in ("hard", "oracle"))
    gap = (oracle - hard).where(oracle - hard > 1)
    return means.assign(gap_closed=100 * (means["delta_m"] - hard) / gap)


def tested(frame: pd.DataFrame) -> pd.DataFrame:
    """The declared differences of Δm on every judge, Holm within it: the columns of
    `statistics.compare` and ``judge``."""
    made = []
    for judge, own in gains(frame).groupby("judge", sort=False):
        scores = own.pivot(index="seed", columns="arm", values="delta_m")
        pairs = {key: pair for key, pair in DECLARED.items() if {*pair} <= {*scores}}
        made.append(statistics.compare(scores, pairs).assign(judge=judge))
    return pd.concat(made, ignore_index=True)


def tables(frame: pd.DataFrame) -> Tables:
    """Every judge's arms, and the declared differences, as strings under Korean headings."""
    by_arm, means, made = gains(frame), summary(frame), list[Table]()
    for judge, own in means.groupby("judge", sort=False):
        rows = [formatted(row, by_arm[by_arm["judge"] == judge], frame) for row in records(own)]
        caption = word("structure.caption.arms", judge=name("data_short", str(judge)))
        label = f"tab-structure-{str(judge).replace('_', '-')}"
        made.append(show(headed(rows, SHOWN.split()), caption, label))
    rows = [pair(row) for row in records(tested(frame))]
    caption = word("structure.caption.tests")
    return Tables(
        [*made, show(headed(rows, comparison.TESTS.split()), caption, "tab-structure-tests")]
    )


def formatted(row: Mapping[str, Any], by_arm: pd.DataFrame, frame: pd.DataFrame) -> dict[str, str]:
    """An arm on a judge as strings. row: of `summary`; by_arm: that judge's of `gains`."""
    delta = by_arm[by_arm["arm"] == row["arm"]]["delta_m"]
    interval = statistics.interval(delta)
    runs = frame[(frame["judge"] == row["judge"]) & (frame["arm"] == row["arm"])]
    change = f"{number(row['delta_m'], sign=True)} {bracket(interval.low, interval.high)}"
    rates, dropouts = (
        ", ".join(f"{value:g}" for value in sorted(set(runs[key]))) for key in ("lr", "dropout")
    )
    return {
        "arm": called(row["arm"]),
        "delta_m_ci": word("text.baseline") if row["arm"] == "single_task" else change,
        "gap_closed": NONE if row["arm"] == "single_task" else number(row["gap_closed"], 0),
        "ari": number(row["ari"], 2),
        "coalitions": number(row["coalitions"]),
        "size": number(100 * row["share"], 0),
        "cost": number(row["cost"], 2),
        "selected": f"{rates}; {dropouts}",
    }


def pair(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `tested` as strings."""
    return comparison.shown({**row, "data": row["judge"]}, called)


def judged(frame: pd.DataFrame) -> list[Claim]:
    """What the declared differences let one say, ``structure.<judge>.<comparison>``."""
    said = []
    for row in records(tested(frame)):
        figures = pair(row)
        figures["a"] = f"{figures['data']}, {figures['a']}"
        cited = f"structure.{row['judge']}.{row['comparison']}"
        said.append(Claim("verdict", comparison.outcome(row), figures, cited))
    return said


def cited(frame: pd.DataFrame) -> dict[str, Any]:
    """What chapters and the paper quote, as strings.

    {judges: {judge: {label, arms: {arm: `formatted`}, tests: {comparison: `pair`}}}, findings:
    sentences, seeds}
    """
    by_arm, means, tests = gains(frame), summary(frame), tested(frame)
    judges = {}
    for judge, own in means.groupby("judge", sort=False):
        rows = by_arm[by_arm["judge"] == judge]
        judges[str(judge)] = {
            "label": name("data_short", str(judge)),
            "arms": {row["arm"]: formatted(row, rows, frame) for row in records(own)},
            "tests": {
                row["comparison"]: pair(row) for row in records(tests.query("judge == @judge"))
            },
        }
    seeds = sorted({int(seed) for seed in frame["seed"]})
    return {"judges": judges, "findings": claims.sentences(found(frame)), "seeds": seeds}


def found(frame: pd.DataFrame) -> list[Claim]:
    """What came out on each judge: whether it judges, and how far NashShare comes."""
    table = summary(frame).set_index(["judge", "arm"])
    said = list[Claim]()
    for judge in table.index.unique("judge"):
        by_arm, own = table.loc[judge], table.loc[(judge, "nash_share")]
        arms = ("hard", "oracle", "nash_share", "permuted")
        figures = {arm: number(by_arm.loc[arm, "delta_m"], sign=True) for arm in arms}
        figures |= {"judge": name("data_short", judge), "closed": number(own["gap_closed"], 0)}
        gap = by_arm.loc["oracle", "delta_m"] - by_arm.loc["hard", "delta_m"]
        figures |= {"gap": number(gap), "ari": number(own["ari"], 2)}
        figures["share"] = number(own["share"], 2)
        said.append(Claim("structure", "no_gap" if np.isnan(own["gap_closed"]) else "gap", figures))
        if others := [arm for arm in OTHERS if arm in by_arm.index]:
            rows = (f"{called(a)} {number(by_arm.loc[a, 'delta_m'], sign=True)}" for a in others)
            figures["others"] = ", ".join(rows)
            said.append(Claim("structure_others", "listed", figures))
    return said or [Claim("structure", "untested", {})]
