"""The overfitting experiment: what sharing gives where there are fewer training examples, with and
without dropout and weight decay, and how far methods spread over seeds.

Methods run at the learning rate that the study selected for them on all examples; it is not tuned
anew for a size. Fewer examples are the first of those drawn by the run's seed, so that they lie
within the more; validation and test examples are the same for every size. Δm is in percent over
the single-task run of the same seed, size and regularisation.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mtlstudy.registry import entry
from mtlstudy.study import comparison, plan, results, rows, statistics
from mtlstudy.study.claims import Claim
from mtlstudy.study.format import bracket, number
from mtlstudy.study.tables import Table, Tables, headed, records, show
from mtlstudy.study.words import family, name, word
from mtlstudy.training.config import RunConfig

VERSION = 1
TABLES = ("overfitting",)
METHODS = (plan.BASELINE, plan.HARD, "mmoe+equal", "nash_share+equal")
REGULARISED: Mapping[str, Mapping[str, float]] = {
    "none": {"dropout": 0.0, "weight_decay": 0.0},
    "dropout": {"dropout": 0.3, "weight_decay": 0.0},
    "decay": {"dropout": 0.0, "weight_decay": 1e-3},  # in the gradient, as Adam has it
    "tuned": {},
}
"""Regularisation → fields of a run; "tuned": as the study selected them."""
DECLARED = {"dropout": ("none", "dropout"), "decay": ("none", "decay")}
"""Beside the smallest size less the largest: the two between which Δm of every method is compared,
declared before any run. A gain from sharing that dropout or decay gives too is smaller with it."""
NAMED = ("korean_sentences",)
"""Data sets of few tasks, of which texts speak by name."""
SETTING = ["data", "size", "regularisation"]
MEASURED = ["run_id", "status", "task", "metric", "higher_is_better", *rows.SPLITS, "best"]
SHOWN = "method {} delta_m_ci score sd gap best diverged"
BY = {"size": "examples", "regularisation": "regularisation"}
"""What a table goes through → its column."""


class Part(NamedTuple):
    """What is run on a data set; fields: what differs from the study's runs of it."""

    sizes: tuple[int, ...]
    methods: tuple[str, ...]
    regularised: tuple[str, ...]
    seeds: int
    fields: Mapping[str, Any] = {}


ALL = ("none", "dropout", "decay")
SHORT = {"steps": 100, "evaluations": 5}
PROFILES: Mapping[str, Mapping[str, Part]] = {  # seven seeds: with six Holm's p of three is > 0.05
    "quick": {"yeast": Part((96, 1534), METHODS[:3], ALL, 3, SHORT)},
    "full": {
        "yeast": Part((96, 384, 1534), METHODS, ALL, 7, {"steps": 1000}),
        "korean_sentences": Part((500, 1000, 2000, 4000), METHODS[:2], ("tuned",), 7),
    },
}


def planned(profile: str) -> Iterator[tuple[dict[str, Any], RunConfig]]:
    """Every run, with its columns of the frame, at the values that are selected by now; what reads
    the same examples one after the other."""
    for data, part in PROFILES[profile].items():
        cells = [plan.Cell(data, method, profile) for method in part.methods]
        chosen = {cell.method: results.resolve(cell, range(part.seeds)).reported for cell in cells}
        for seed, size in ((seed, size) for seed in range(part.seeds) for size in part.sizes):
            for how, method in ((how, m) for how in part.regularised for m in part.methods):
                plain = chosen[method][seed]
                options = {**plain.data_options, "train": size}
                c = plain.but(data_options=options, **part.fields, **REGULARISED[how])
                head = {"run_id": c.run_id, "data": data, "method": method, "seed": seed}
                head |= {"size": size, "share": size / max(part.sizes), "regularisation": how}
                yield {**head, "dropout": c.dropout, "decay": c.weight_decay, "lr": c.lr}, c


def compute(profile: str, jobs: int = 1) -> dict[str, pd.DataFrame]:
    """The frame "overfitting", a row a run and task: the run's setting, the task's metric on every
    split, and at which share of the training it was best on validation. What is published is not
    trained again; a data set that is not on this machine is left out."""
    sets = [data for data in PROFILES[profile] if entry("data", data).available()]
    cells = [plan.Cell(data, m, profile) for data in sets for m in PROFILES[profile][data].methods]
    results.ensure_tuned(cells, jobs)
    runs = [(head, c) for head, c in planned(profile) if c.data in sets]
    there = published(profile)
    left = [c for _, c in runs if c.run_id not in set(there["run_id"])]
    results.ensure(left, profile, jobs)
    made = results.joined(there, measured(results.collect(left, profile)))
    return {"overfitting": pd.DataFrame([head for head, _ in runs]).merge(made, on="run_id")}


def published(profile: str) -> pd.DataFrame:
    """What is published of runs, with the columns `MEASURED`."""
    there = results.published_tables(TABLES, profile)
    return there["overfitting"][MEASURED] if there else pd.DataFrame(columns=MEASURED)


def measured(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The columns `MEASURED` of runs from their tables; best: of the evaluations a tenth of the
    steps apart, NaN where a run diverged."""
    keys = ["run_id", "task"]
    frame = tables["metrics"].merge(tables["runs"][["run_id", "status"]], on="run_id")
    curves = rows.melted(tables["curves"].query("split == 'validation'"), "value")
    curves = curves.merge(frame[[*keys, "higher_is_better"]], on=keys)
    curves["value"] = curves["value"].where(curves["higher_is_better"].astype(bool), -curves.value)
    best = curves.loc[curves.groupby(keys)["value"].idxmax(), [*keys, "share"]]
    frame = frame.merge(best.rename(columns={"share": "best"}), on=keys, how="left")
    frame["best"] = frame["best"].where(frame["status"] != "diverged")
    return frame[MEASURED]


def gains(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with ``gain``, percent over single-task of the same setting and seed; NaN where a
    side diverged; and ``gap``, train less validation in the metric's units, NaN where the training
    examples lack a class."""
    keys = [*SETTING, "seed", "task"]
    single = frame[frame["method"] == plan.BASELINE].set_index(keys)["test"].rename("single")
    table, sign = frame.join(single, on=keys), np.where(frame["higher_is_better"], 1, -1)
    gain = 100 * sign * (table["test"] - table["single"]) / table["single"].abs()
    return table.assign(gain=gain, gap=sign * (table["train"] - table["validation"]))


def by_run(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a run: delta_m (%) and score, the mean test metric, over all its tasks; gap and best
    over those that have one; diverged."""
    by = gains(frame).groupby([*SETTING, "method", "seed"], sort=False)
    whole = by[["gain", "test"]].mean(skipna=False)
    table = whole.join(by[["gap", "best"]].mean())
    table["diverged"] = by["status"].first() == "diverged"
    return table.rename(columns={"gain": "delta_m", "test": "score"}).reset_index()


def tested(frame: pd.DataFrame) -> pd.DataFrame:
    """The declared differences of Δm by method, Holm over the methods: the columns of
    `statistics.compare`, data and factor. Size: the mean over regularisations; dropout and decay:
    over sizes."""
    made = []
    runs = by_run(frame).query("method != @plan.BASELINE")
    for data, own in runs.groupby("data", sort=False):
        ends = {"size": (own["size"].min(), own["size"].max()), **DECLARED}
        for factor, (a, b) in ends.items():
            by = "size" if factor == "size" else "regularisation"
            if a == b or not {a, b} <= set(own[by]):
                continue
            key = own["method"] + "@" + own[by].astype(str)
            means = own.groupby(["seed", key])["delta_m"].mean(skipna=False).unstack()
            pairs = {m: (f"{m}@{a}", f"{m}@{b}") for m in own["method"].unique()}
            made.append(statistics.compare(means, pairs).assign(data=data, factor=factor))
    return pd.concat(made, ignore_index=True)


def level(value: str) -> str:
    """A size or regularisation in words."""
    if value.isdigit():
        return word("overfitting.examples", size=number(int(value), 0))
    return word(f"overfitting.level.{value}") if value else ""


def called(method: str) -> str:
    """A method at a level, ``method@level``, in words."""
    method, _, at = method.partition("@")
    return f"{family(method)} ({level(at)})"


def summary(runs: pd.DataFrame, by: str) -> pd.DataFrame:
    """A row a data set, method and value of `by` (size or regularisation), over the rest, from
    `by_run`: delta_m and its interval, score and its deviation sd over the seeds, gap, best, and
    how many of the runs diverged."""
    keys = ["data", "method", by]
    seeds = runs.groupby([*keys, "seed"], sort=False)
    means = seeds[["delta_m", "score"]].mean(skipna=False).join(seeds[["gap", "best"]].mean())
    of = means.groupby(level=keys, sort=False)
    table = of[["score", "gap", "best"]].mean().assign(sd=of["score"].std())
    ci = of["delta_m"].agg(statistics.interval)
    table = table.assign(delta_m=ci.map(lambda c: c.mean), low=ci.map(lambda c: c.low))
    table = table.assign(high=ci.map(lambda c: c.high))
    lost = runs.groupby(keys, sort=False)["diverged"].agg(["sum", "size"])
    return table.join(lost.set_axis(["diverged", "runs"], axis=1)).reset_index()


def tables(frame: pd.DataFrame) -> Tables:
    """Every data set by method and size, and by method and regularisation where there are several
    of them, then the declared differences, as strings under Korean headings."""
    made = list[Table]()
    for data, runs in by_run(frame).groupby("data", sort=False):
        interval = comparison.intervals([runs["seed"].nunique()])
        for by, column in BY.items():
            if runs[by].nunique() > 1:
                shown = [formatted(row) for row in records(summary(runs, by))]
                figures = {"data": name("data_short", str(data)), "interval": interval}
                caption = word(f"overfitting.caption.{by}", **figures)
                label = f"tab-overfitting-{by}-{str(data).replace('_', '-')}"
                made.append(show(headed(shown, SHOWN.format(column).split()), caption, label))
    shown = [comparison.shown(test, called) for test in records(tested(frame))]
    caption = word("overfitting.caption.tests")
    tests = show(headed(shown, comparison.TESTS.split()), caption, "tab-overfitting-tests")
    return Tables([*made, tests])


def formatted(row: Mapping[str, Any]) -> dict[str, str]:
    """A row of `summary` as strings."""
    change = f"{number(row['delta_m'], sign=True)} {bracket(row['low'], row['high'])}"
    return {
        "method": family(row["method"]),
        "examples": number(row.get("size", np.nan), 0),
        "regularisation": level(str(row.get("regularisation", ""))),
        "delta_m_ci": word("text.baseline") if row["method"] == plan.BASELINE else change,
        **{key: number(row[key], 3) for key in ("score", "sd", "gap")},
        "best": number(100 * row["best"], 0),
        "diverged": f"{row['diverged']}/{row['runs']}",
    }


def judged(frame: pd.DataFrame) -> list[Claim]:
    """What the declared differences let one say."""
    said = []
    for test in records(tested(frame)):
        figures = comparison.shown(test, called) | {"method": family(test["a"].partition("@")[0])}
        figures |= {side: level(test[side].partition("@")[2]) for side in "ab"}
        kind = "overfitting_size" if test["factor"] == "size" else "overfitting_regularised"
        id = f"{kind}.{test['data']}.{test['a'].partition('+')[0]}"
        said.append(Claim(kind, comparison.outcome(test), figures, id))
    return said


def found(frame: pd.DataFrame) -> list[Claim]:
    """Of every data set, from the smallest to the largest size: gap, best time and spread over the
    seeds by method, diverged runs, and of those in `NAMED` the tasks that gain or lose for
    certain."""
    said = list[Claim]()
    for data, runs in by_run(frame).groupby("data", sort=False):
        table = summary(runs, "size").sort_values("size", kind="stable")
        shown = {"data": name("data_short", str(data)), "runs": number(len(runs), 0)}
        shown["diverged"] = number(runs["diverged"].sum(), 0)
        shown |= {"few": number(table["size"].min(), 0), "many": number(table["size"].max(), 0)}
        for key, scale, digits in (("gap", 1, 3), ("best", 100, 0), ("sd", 1, 3)):
            ends = table.groupby("method", sort=False)[key].agg(["first", "last"])
            pairs = ((m, number(scale * a, digits), number(scale * b, digits)) for m, a, b in
                     ends.itertuples())  # fmt: skip
            shown[key] = "; ".join(f"{family(m)} {a} → {b}" for m, a, b in pairs)
        said.append(Claim("overfitting_gap", "counted", shown))
        said.append(Claim("overfitting_spread", "counted", shown))
        if data in NAMED:
            said += certain(frame[frame["data"] == data], shown)
    return said


def certain(frame: pd.DataFrame, shown: Mapping[str, str]) -> Iterator[Claim]:
    """Of every method, at the smallest and the largest size, the tasks whose interval of the gain
    over single-task lies on one side of 0."""
    table, ends = gains(frame), {"few": frame["size"].min(), "many": frame["size"].max()}
    for method in (m for m in METHODS[1:] if m in set(frame["method"])):
        figures = {**shown, "method": family(method)}
        for end, size in ends.items():
            own = table[(table["method"] == method) & (table["size"] == size)]
            seeds = own.groupby(["task", "seed"], sort=False)["gain"].mean(skipna=False)
            tasks = seeds.groupby(level="task", sort=False).agg(statistics.interval)
            sides = {"above": tasks.map(lambda ci: ci.low > 0)}
            sides["below"] = tasks.map(lambda ci: ci.high < 0)
            for side, there in sides.items():
                names = (name("task", str(task)) for task in tasks[there].index)
                figures[f"{end}_{side}"] = comparison.names(names)
        yield Claim("overfitting_tasks", "listed", figures)
