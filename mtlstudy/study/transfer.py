"""Negative transfer: where sharing hurts, which tasks help which, and whether it can be foretold.

Three parts, each a frame of `TABLES`. Positive is better everywhere.

- relatedness: on tasks of one teacher, of which a share ρ is common, hard sharing over single-task
  by ρ, number of examples and width: Δm (%) by test loss; nothing is tuned.
- transfer: on real data i ← j is the test metric of task i, trained by hard sharing with task j
  alone, relative (%) to i's own single-task model, each at the values that the published study
  selected for its method; i ← i is i trained by itself at the values of hard sharing. What the
  partner does is the difference of the two (`net`), since values and checkpoints differ besides.
- affinity: what is to foretell `net`; see `mtlstudy.study.affinity`.

Source: Standley, Zamir, Chen, Guibas, Malik & Savarese, *Which Tasks Should Be Learned Together in
Multi-task Learning?*, ICML 2020, arXiv 1905.07553 (training of every two tasks).
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations, product
from typing import Any, Literal, NamedTuple

import pandas as pd

from mtlstudy.study import plan, results, statistics
from mtlstudy.study.affinity import HALVES, affinities, foretold
from mtlstudy.study.claims import Claim
from mtlstudy.study.comparison import names
from mtlstudy.study.format import NONE, bracket, number
from mtlstudy.study.plan import Cell
from mtlstudy.study.statistics import ALPHA, Interval
from mtlstudy.study.tables import Tables, records, show
from mtlstudy.study.words import name, word
from mtlstudy.training import tune
from mtlstudy.training.config import RunConfig
from mtlstudy.training.store import Run

VERSION = 1
TABLES = ("relatedness", "transfer", "affinity")
CELL = ["train", "width", "rho"]
RUN: Mapping[str, Any] = {"data": "one_teacher", "lr": 1e-2, "evaluations": 20, "depth": 2}
K = 4
"""Tasks of one teacher."""
DECLARED: Mapping[str, str] = {
    "alone": "i ← j against i's single-task model",
    "net": "i ← j against i ← i",
    "asymmetry": "net of i ← j against net of j ← i, of the two in the order of the data set",
}
"""The questions asked of every two tasks, a family of tests each, declared before any result."""


class Real(NamedTuple):
    """Tasks of a data set (all for none), seeds of the pairs, and of every predictor."""

    tasks: tuple[str, ...]
    seeds: int
    looks: int


class Profile(NamedTuple):
    """The grid on known truths with its steps and seeds; the real data."""

    rho: tuple[float, ...]
    train: tuple[int, ...]
    widths: tuple[int, ...]
    steps: int
    seeds: int
    real: Mapping[str, Real]


FOUR = ("class1", "class2", "class3", "class4")
PROFILES: Mapping[str, Profile] = {
    "quick": Profile((0.0, 1.0), (50, 400), (4, 32), 200, 3, {"yeast": Real(FOUR, 3, 1)}),
    "full": Profile(
        (0.0, 0.25, 0.5, 0.75, 1.0),
        (100, 1000),
        (4, 16, 64),
        600,
        11,  # the fewest of which the smallest p, times 30 cells, lies below 0.05
        {"korean_sentences": Real((), 10, 3), "yeast": Real((), 3, 3)},
    ),
}


def compute(profile: str, jobs: int = 1) -> dict[str, pd.DataFrame]:
    """The frames `TABLES`; runs are kept in the store, and the single-task ones taken from what is
    published. relatedness: a row a cell of the grid and seed; transfer: a row a target, partner and
    seed; affinity: a row a predictor, target, partner and seed."""
    own, made = PROFILES[profile], dict[str, list[dict[str, Any]]]()
    made["relatedness"] = list(relatedness(own, jobs))
    made["transfer"] = [row for data in own.real for row in pairs(data, profile, jobs)]
    made["affinity"] = [row for data in own.real for row in affinities(looks(data, profile), jobs)]
    return {table: pd.DataFrame(rows) for table, rows in made.items()}


def relatedness(own: Profile, jobs: int) -> Iterator[dict[str, Any]]:
    """Δm (%) of hard sharing by test loss, a row a cell and seed."""
    configs = [
        RunConfig(**RUN, data_options=data, seed=s, steps=own.steps, width=w, sharing=family)
        for rho, n, s in product(own.rho, own.train, range(own.seeds))
        for data in [{"tasks": K, "rho": rho, "train": n}]
        for w, family in product(own.widths, ("hard", "single_task"))
    ]
    runs = tune.train(configs, progress=False, jobs=jobs)
    for hard, single in zip(runs[::2], runs[1::2], strict=True):
        c, now, base = hard.config, tested_on(hard, "loss"), tested_on(single, "loss")
        cell = {"train": c.data_options["train"], "width": c.width, "rho": c.data_options["rho"]}
        delta = sum(100 * (base[t] - now[t]) / base[t] for t in base) / K
        yield {**cell, "seed": c.seed, "delta_m": delta}


def tested_on(run: Run, measure: Literal["loss", "metric"]) -> dict[str, float]:
    """Task → loss or metric on test; NaN for a run that diverged."""
    test = run.record["results"]["test"] if run.status == "done" else {}
    values = {task: measured[measure] for task, measured in test.items()}
    return {task.name: values.get(task.name, float("nan")) for task in run.config.tasks}


def chosen(data: str, profile: str, method: str) -> list[RunConfig]:
    """The reported runs of a method of the published study, by seed."""
    cell = Cell(data, method, profile)
    results.ensure_tuned([cell])
    return results.resolve(cell).reported


def tasks_of(data: str, profile: str, c: RunConfig) -> list[str]:
    """The tasks that are paired."""
    return list(PROFILES[profile].real[data].tasks) or [task.name for task in c.tasks]


def looks(data: str, profile: str) -> list[RunConfig]:
    """The runs of hard sharing, of all tasks that are paired, whose affinities are measured."""
    hard = chosen(data, profile, plan.HARD)
    own = tasks_of(data, profile, hard[0])
    return [c.but(only=own) for c in hard[: PROFILES[profile].real[data].looks]]


def pairs(data: str, profile: str, jobs: int) -> Iterator[dict[str, Any]]:
    """A row a target, partner and seed: the metric's value, and that of the single-task model."""
    seeds = PROFILES[profile].real[data].seeds
    hard, single = (chosen(data, profile, m)[:seeds] for m in (plan.HARD, plan.BASELINE))
    results.ensure(single, profile, jobs)
    alone = results.collect(single, profile)["metrics"].set_index(["seed", "task"])["test"]
    own = tasks_of(data, profile, hard[0])
    groups = [*([t] for t in own), *map(list, combinations(own, 2))]
    runs = tune.train([c.but(only=g) for c in hard for g in groups], progress=False, jobs=jobs)
    better = {task.name: task.higher_is_better for task in hard[0].tasks}
    for run in runs:
        for target, value in tested_on(run, "metric").items():
            partner = next((t for t in run.config.only if t != target), target)
            at = {"data": data, "target": target, "partner": partner, "seed": run.config.seed}
            base = float(alone.loc[(run.config.seed, target)])
            sign = 100 if better[target] else -100
            gain = sign * (value - base) / abs(base)
            yield {**at, "value": value, "alone": base, "gain": gain}


def cells(frame: pd.DataFrame) -> pd.DataFrame:
    """Hard sharing against single-task in every cell of the grid, Holm over all: the columns of
    `statistics.compare`, and train, width, rho."""
    scores = frame.pivot(index="seed", columns=CELL, values="delta_m")
    keys = list(scores)
    columns = list(map(str, keys))
    scores.columns = pd.Index(columns)
    found = statistics.compare(scores.assign(none=0.0), {key: (key, "none") for key in columns})
    return found.join(pd.DataFrame(keys, columns=CELL))


def net(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of pairs with ``net``: gain of i ← j less that of i ← i of the same seed (%p)."""
    keys = ["data", "target", "seed"]
    own = frame[frame["target"] == frame["partner"]].set_index(keys)["gain"].rename("own")
    two = frame[frame["target"] != frame["partner"]].join(own, on=keys)
    return two.assign(net=two["gain"] - two["own"])


def tested(frame: pd.DataFrame) -> pd.DataFrame:
    """The declared questions on every data set, Holm within each: the columns of
    `statistics.compare`, and data, question, target, partner."""
    made = []
    for data, own in net(frame).groupby("data", sort=False):
        for question in DECLARED:
            by = own.pivot(index="seed", columns=["target", "partner"])
            scores = by["gain" if question == "alone" else "net"]
            asked = list(scores)
            order = list(dict.fromkeys(own["target"]))
            if question == "asymmetry":
                asked = [(i, j) for i, j in asked if order.index(i) < order.index(j)]
            columns = {f"{i}←{j}": scores[i, j] for i, j in scores}
            table = pd.DataFrame({**columns, "none": 0.0})
            other = {(i, j): f"{j}←{i}" if question == "asymmetry" else "none" for i, j in asked}
            family = {f"{i}←{j}": (f"{i}←{j}", other[i, j]) for i, j in asked}
            about = {"data": data, "question": question}
            at = pd.DataFrame(asked, columns=["target", "partner"])
            made.append(statistics.compare(table, family).join(at).assign(**about))
    return pd.concat(made, ignore_index=True)


def called(row: Mapping[str, Any]) -> str:
    """A pair in words.

    >>> called({"target": "class1", "partner": "class2"})
    'class1 ← class2'
    """
    return " ← ".join(name("task", row[side]) for side in ("target", "partner"))


def ended(row: Mapping[str, Any], digits: int = 1) -> str:
    """A mean with its interval."""
    low, high = row["low"], row["high"]
    return f"{number(row['difference'], digits, sign=True)} {bracket(low, high, digits)}"


def counted(found: pd.DataFrame) -> dict[str, Any]:
    """Of a family of tests: how many there are, how many intervals lie above and below 0, how many
    of these are significant after Holm, the seeds, and the smallest p that Holm could leave."""
    sure, n = found["p_holm"] < ALPHA, len(found)
    up, down = found["difference"] > 0, found["difference"] < 0
    counts = {"tests": n, "up": int((sure & up).sum()), "down": int((sure & down).sum())}
    counts |= {"above": int((found["low"] > 0).sum()), "below": int((found["high"] < 0).sum())}
    return {**counts, "n": int(found["n"].max()), "least": min(n * found["smallest_p"].min(), 1.0)}


def tables(frames: Mapping[str, pd.DataFrame]) -> Tables:
    """The counts of every family of tests, each target's partners, the predictors; as strings."""
    frame, tests = frames["transfer"], tested(frames["transfer"])
    predictors = foretold(net(frame), frames["affinity"])
    parts = {
        "families": (families(tests), "data question tests up down above below n least"),
        "partners": (partners(frame, tests), "data target own average best worst"),
        "predictors": (
            [foreseen(row) for row in records(predictors)],
            "data predictor targets correlation p_holm chosen mean hindsight",
        ),
    }
    made = []
    for part, (rows, columns) in parts.items():
        named = {column: word(f"transfer.columns.{column}") for column in columns.split()}
        shown = pd.DataFrame(rows)[list(named)].rename(columns=named)
        made.append(show(shown, word(f"transfer.caption.{part}"), f"tab-transfer-{part}"))
    return Tables(made)


def families(tests: pd.DataFrame) -> list[dict[str, str]]:
    """A row a data set and question: how many tests, and how they came out."""
    rows = []
    for (data, question), own in tests.groupby(["data", "question"], sort=False):
        counts = {key: number(n, 3 if key == "least" else 0) for key, n in counted(own).items()}
        asked = word(f"transfer.question.{question}")
        rows.append({"data": name("data_short", str(data)), "question": asked, **counts})
    return rows


def partners(frame: pd.DataFrame, tests: pd.DataFrame) -> list[dict[str, str]]:
    """A row a target: by itself at the same values, and its partners on average, best and worst."""
    alone, rows = frame[frame["target"] == frame["partner"]], []
    two = tests[tests["question"] == "net"].sort_values("difference", kind="stable")
    for (data, target), own in alone.groupby(["data", "target"], sort=False):
        at = statistics.interval(own["gain"])
        by = records(two[(two["data"] == data) & (two["target"] == target)])
        average = sum(row["difference"] for row in by) / len(by)
        ends = {
            side: f"{name('task', row['partner'])} {ended(row)}"
            for side, row in (("worst", by[0]), ("best", by[-1]))
        }
        about = {"data": name("data_short", str(data)), "target": name("task", str(target))}
        about["own"] = f"{number(at.mean, sign=True)} {bracket(at.low, at.high)}"
        rows.append({**about, "average": number(average, sign=True), **ends})
    return rows


def foreseen(row: Mapping[str, Any]) -> dict[str, str]:
    """A row of `foretold` as strings."""
    ci: Interval = row["ci"]
    return {
        "data": name("data_short", row["data"]),
        "predictor": word(f"transfer.predictor.{row['predictor']}"),
        "targets": number(ci.n, 0),
        "correlation": f"{number(ci.mean, 2, sign=True)} {bracket(ci.low, ci.high, 2)}",
        "p_holm": NONE if row["halves"] else number(row["p_holm"], 3),
        **{key: number(row[key], 2, sign=True) for key in ("chosen", "mean", "hindsight")},
    }


def scale(frames: Mapping[str, pd.DataFrame]) -> list[str]:
    """How much each part is made of, in words."""
    grid = frames["relatedness"]
    runs = {"cells": len(grid[CELL].drop_duplicates()), "seeds": grid["seed"].nunique()}
    said = [word("transfer.scale.relatedness", tasks=K, lr=f"{RUN['lr']:g}", **runs)]
    for data, own in frames["transfer"].groupby("data", sort=False):
        looked = frames["affinity"].query("data == @data")
        figures = {"tasks": own["target"].nunique(), "looks": looked["seed"].nunique()}
        figures |= {"seeds": own["seed"].nunique(), "pairs": len(net(own)) // own["seed"].nunique()}
        data_name = name("data_short", str(data))
        said.append(word("transfer.scale.transfer", data=data_name, **figures))
    return said


def found(frames: Mapping[str, pd.DataFrame]) -> list[Claim]:
    """What came out: where sharing hurts, which pairs do, whether anything foretells it."""
    return [*known(frames["relatedness"]), *measured(frames["transfer"]), *said(frames)]


def known(frame: pd.DataFrame) -> Iterator[Claim]:
    """Where hard sharing is worse than single-task on known truths."""
    found = cells(frame)
    sure = found[found["p_holm"] < ALPHA]
    figures = counted(found) | {"worse": names(map(place, records(sure[sure["difference"] < 0])))}
    ends = found.sort_values("difference").iloc[[0, -1]]
    for side, row in zip(("lowest", "highest"), records(ends), strict=True):
        figures[side] = f"{place(row)} {ended(row)} %"
    outcome = "mixed" if figures["down"] else "nowhere"
    yield Claim("transfer_known", "few" if figures["least"] > ALPHA else outcome, figures)


def paper(found: Iterable[Claim]) -> Iterator[Claim]:
    """What the paper says of what was found: known truths in one sentence, and the pairs of each
    data set."""
    for claim in found:
        kind = claim.kind.removeprefix("transfer_")
        if kind in ("known", "alone"):
            outcome = "few" if claim.outcome == "few" else "counted"
            yield Claim(f"paper_{kind}", outcome, claim.figures, claim.id or f"paper.{kind}")


def place(row: Mapping[str, Any]) -> str:
    """A cell of the grid in words."""
    return word("transfer.cell", **{key: f"{row[key]:g}" for key in CELL})


def measured(frame: pd.DataFrame) -> Iterator[Claim]:
    """How the questions are answered on every data set."""
    for (data, question), own in tested(frame).groupby(["data", "question"], sort=False):
        figures = counted(own) | {"data": name("data_short", str(data))}
        figures["least"] = number(figures["least"], 3)
        sure = own[own["p_holm"] < ALPHA]
        for side, rows in (("ups", sure["difference"] > 0), ("downs", sure["difference"] < 0)):
            figures[side] = names(map(called, records(sure[rows])))
        possible = counted(own)["least"] < ALPHA
        outcome = "tested" if possible else "few"
        yield Claim(f"transfer_{question}", outcome, figures, f"paper.{question}.{data}")


def said(frames: Mapping[str, pd.DataFrame]) -> Iterator[Claim]:
    """What foretells the net gain on every data set, plainly where nothing does."""
    for data, own in foretold(net(frames["transfer"]), frames["affinity"]).groupby(
        "data", sort=False
    ):
        rows = {row["predictor"]: row for row in records(own)}
        noise: Interval = rows.pop(HALVES)["ci"]
        sure = [k for k, row in rows.items() if row["p_holm"] < ALPHA and row["ci"].mean > 0]
        figures = {"data": name("data_short", str(data)), "tried": listed(rows)}
        figures |= {"sure": listed(sure), "n": number(noise.n, 0)}
        figures["noise"] = f"{number(noise.mean, 2, sign=True)} " + bracket(
            noise.low, noise.high, 2
        )
        possible = statistics.smallest_p(noise.n) * len(rows) < ALPHA
        outcome = "some" if sure else "nothing" if possible else "few"
        yield Claim("transfer_predictor", outcome, figures)


def listed(predictors: Iterable[str]) -> str:
    """Predictors in words."""
    return names(word(f"transfer.predictor.{one}") for one in predictors)
