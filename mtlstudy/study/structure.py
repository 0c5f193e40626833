"""The structure experiment: NashShare and its controls on truths where the groups are known.

Every arm is a sharing family with its options over one weighting; all are tuned alike and paired by
seed. The first question is whether a judge judges, that is whether the oracle (the true groups)
beats hard sharing at all; then how much of that gap an arm closes, at how many parameters and at
what cost in passes through a trunk, everything included.

Δm is in percent over single-task, by the test loss (mean squared error) of each task.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mtlstudy.models.sharing._dynamic import trunk_passes
from mtlstudy.registry import entry
from mtlstudy.study.claims import Claim
from mtlstudy.study.format import number
from mtlstudy.study.words import name
from mtlstudy.training import tune
from mtlstudy.training.config import RunConfig
from mtlstudy.training.store import Run
from mtlstudy.training.tune import Budget

VERSION = 1
TRUTH = "truth"
"""Stands for the true groups in an arm's options."""


class Arm(NamedTuple):
    """A sharing family, its options, and the weighting."""

    sharing: str
    options: Mapping[str, Any] = {}
    weighting: str = "equal"


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
    "tag": Arm("tag"),
    "branched": Arm("branched"),
}
RUN: Mapping[str, Any] = {"width": 16, "depth": 2, "steps": 2000, "evaluations": 20, "lr": 1e-2}


class Profile(NamedTuple):
    """Judges, arms, fields of every run, the budget, and the fields that are not tuned."""

    judges: tuple[str, ...]
    arms: tuple[str, ...]
    run: Mapping[str, Any]
    budget: Budget
    fixed: tuple[str, ...] = ()


PROFILES: Mapping[str, Profile] = {
    "quick": Profile(
        ("two_groups", "one_teacher"),
        ("single_task", "hard", "oracle", "nash_share", "permuted"),
        {**RUN, "steps": 600, "evaluations": 6},
        Budget(trials=1, tuning_seeds=1, seeds=3),
        ("lr", "dropout"),
    ),
    "full": Profile(
        (
            "two_groups",
            "three_groups",
            "one_teacher",
            "unrelated",
            "lower_shared",
            "capacity",
            "two_groups_apart",
        ),
        tuple(ARMS),
        RUN,
        Budget(trials=8, tuning_seeds=2, seeds=10, dropouts=(0.0, 0.1), extend=2),
    ),
}


def config(judge: str, arm: str, run: Mapping[str, Any] = RUN) -> RunConfig:
    """An arm on a judge, before tuning.

    >>> config("one_teacher", "oracle").sharing_options["groups"]
    [0, 0, 0, 0, 0, 0, 0, 0]
    """
    sharing, options, weighting = ARMS[arm]
    kind = entry("data", judge)
    given = {
        key: kind(kind.Options()).groups() if value == TRUTH else value
        for key, value in options.items()
    }
    names = {"data": judge, "sharing": sharing, "weighting": weighting}
    return RunConfig(**names, sharing_options=given, **run)


def compute(profile: str, jobs: int = 1) -> dict[str, pd.DataFrame]:
    """The frame "structure": a row a judge, arm, seed and task. Runs are kept in the store."""
    judges, arms, run, budget, fixed = PROFILES[profile]
    rows: list[dict[str, Any]] = []
    for judge in judges:
        for arm in arms:
            study = tune.study(
                config(judge, arm, run), budget, fixed=fixed, progress=False, jobs=jobs
            )
            for one in study.runs:
                rows += [{"judge": judge, "arm": arm, **row} for row in described(one)]
    return {"structure": pd.DataFrame(rows)}


def described(run: Run) -> list[dict[str, Any]]:
    """A run's rows: loss of every task, and of the run parameters, the coalitions of its last
    stage, their agreement with the truth, and its passes through a trunk, those of a search
    included."""
    c, summary = run.config, run.record["summary"]
    K, names = len(c.tasks), [task.name for task in c.tasks]
    learned = run.record.get("learned", {})
    decisions, search = learned.get("decisions", []), learned.get("search", {})
    coalitions = decisions[-1]["coalitions"][-1] if decisions else []
    exact = entry("weighting", c.weighting).needs != "losses"
    plain = [{"step": 0, "trunks": K if entry("sharing", c.sharing).independent else 1}]
    forward, backward = trunk_passes(decisions or plain, K, summary["steps"], exact=exact)
    of_run = {
        "seed": c.seed,
        "lr": c.lr,
        "dropout": c.dropout,
        "status": run.status,
        "parameters": summary["parameters"],
        "coalitions": len(coalitions) or None,
        "ari": agreement(coalitions, names, truth(c)) if coalitions else None,
        "forward": forward + search.get("forward", 0),
        "backward": backward + search.get("backward", 0),
    }
    done = run.status == "done"
    test = run.record["results"]["test"] if done else {}
    return [{**of_run, "task": t, "loss": test[t]["loss"] if done else np.nan} for t in names]


def truth(c: RunConfig) -> list[int]:
    """The true group of every task."""
    kind = entry("data", c.data)
    groups: list[int] = kind(kind.Options.parse("data_options", c.data_options)).groups()
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
    columns = ["delta_m", "share", "ari", "coalitions", "forward", "backward"]
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
    return said or [Claim("structure", "untested", {})]
