"""The Korean benchmarks: hard sharing with equal and with Nash weighting against single-task
models, and these against simple baselines on the same examples.

Every function takes the results of one of them, whose data set has the comparison's name, and where
it needs them the baselines (see `mtlstudy.study.baselines`). Where the files were missing there are
no results, and tables and claims say so.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mtlstudy.study import comparison, metrics, plan, statistics
from mtlstudy.study.claims import Claim
from mtlstudy.study.comparison import names
from mtlstudy.study.format import NONE, bracket, number
from mtlstudy.study.results import Results
from mtlstudy.study.statistics import Interval
from mtlstudy.study.tables import Table, headed
from mtlstudy.study.words import load, name, word

SIMPLE = ("tfidf", "cosine", "encoder", "both", "word")
"""The baselines that read the text."""
CELL = ["test", "task", "metric"]
VALUES = ["data", *CELL, "method", "seed", "value"]
SANITY = "task metric single majority simple simple_value difference_ci"


def task_name(data: str, test: str, task: str) -> str:
    """Korean name of a task, with the test split where the data set has several."""
    where = load("words.ko.yml")["test"].get(data, {}).get(test)
    return f"{name('task', task)} · {where}" if where else name("task", task)


def called(method: str) -> str:
    """Korean name of a method or baseline."""
    return name("method", name("baseline", method))


def measured(results: Results, baselines: pd.DataFrame | None = None) -> pd.DataFrame:
    """Every test value, in its metric's units, with the columns `VALUES`; method: a baseline's name
    too. NaN where a run diverged."""
    if results.metrics.empty:
        return pd.DataFrame(columns=VALUES)
    parts = [metrics.rows(results.metrics).assign(test="test")]
    parts.append(results.further.assign(method=metrics.method))
    if baselines is not None:
        own = baselines[baselines["data"].isin(results.metrics["data"])]
        own = own[own["seed"].isin(results.metrics["seed"])]
        parts.append(own.rename(columns={"baseline": "method"}))
    return pd.concat([part[VALUES] for part in parts if len(part)], ignore_index=True)


def _shown(ci: Interval) -> str:
    ends = f" [{number(ci.low, 3)}, {number(ci.high, 3)}]"
    return number(ci.mean, 3) + (ends if ci.kind in ("range", "signed_rank") else "")


def scores(results: Results) -> pd.DataFrame:
    """Test scores of every task, metric and test split by method: mean and interval over seeds."""
    methods = plan.COMPARISONS[results.comparison].methods
    columns, rows = [word("column.task"), word("column.metric"), *map(called, methods)], []
    for cell, own in measured(results).groupby(CELL, sort=False):
        test, task, metric = map(str, cell)
        by = own.groupby("method")["value"].agg(statistics.interval)
        shown = (_shown(by[method]) if method in by else NONE for method in methods)
        rows.append([task_name(results.comparison, test, task), name("metric", metric), *shown])
    absent = [word("text.absent"), *[NONE] * (len(columns) - 1)]
    return pd.DataFrame(rows or [absent], columns=columns)


def against(results: Results, baselines: pd.DataFrame) -> list[dict[str, Any]]:
    """Single-task models against the baselines, a record a task, test split and baseline that reads
    the text, raw, in the metric's units.

    task, test, metric, single (an interval), majority (mean; NaN where a constant has no score),
    simple (name), value (mean), difference (single − simple, paired, an interval).
    """
    rows = []
    for cell, own in measured(results, baselines).groupby(CELL, sort=False):
        by = own.pivot(index="seed", columns="method", values="value")
        for simple in (b for b in SIMPLE if b in by and plan.BASELINE in by):
            row = {
                **dict(zip(CELL, cell, strict=True)),
                "single": statistics.interval(by[plan.BASELINE]),
                "majority": by["majority"].mean() if "majority" in by else np.nan,
                "simple": simple,
                "value": by[simple].mean(),
                "difference": statistics.interval(by[plan.BASELINE] - by[simple]),
            }
            rows.append(row)
    return rows


def sanity(results: Results, baselines: pd.DataFrame) -> pd.DataFrame:
    """`against` as strings under Korean headings; the differences in percentage points."""
    rows = [
        {
            "task": task_name(results.comparison, row["test"], row["task"]),
            "metric": name("metric", row["metric"]),
            "single": number(row["single"].mean, 3),
            "majority": number(row["majority"], 3),
            "simple": called(row["simple"]),
            "simple_value": number(row["value"], 3),
            "difference_ci": f"{number(100 * ci.mean, sign=True)} "
            + bracket(100 * ci.low, 100 * ci.high),
        }
        for row in against(results, baselines)
        for ci in [row["difference"]]
    ]
    return headed(rows, SANITY.split())


def shown(results: Results, part: str, frame: pd.DataFrame) -> Table:
    """A table of the page of its data set, numbered ``tab-<data>-<profile>-<part>``."""
    data = results.comparison
    caption = word(f"text.caption.{part}", data=name("data_short", data))
    return Table(frame, caption, f"tab-{data.replace('_', '-')}-{results.profile}-{part}")


def missing(results: Results) -> list[Claim]:
    """What is missing: a claim a source that lacks files, or one that all are there."""
    found = []
    for source, own in results.missing.groupby("source", sort=False):
        figures = {
            "source": source,
            "key": results.comparison,
            "splits": ", ".join(own["split"]),
            "megabytes": number(float(own["megabytes"].iloc[0]), 0),
            "said": own["said"].iloc[0].replace(str(Path.home()), "~"),
        }
        found.append(Claim("missing", "file", figures))
    return found or [Claim("missing", "nothing", {})]


def headline(results: Results) -> list[Claim]:
    """The declared verdicts, or that there are no results."""
    if results.metrics.empty:
        return [Claim("missing", "results", {"data": name("data_short", results.comparison)})]
    return comparison.headline(results)


def claims(results: Results, baselines: pd.DataFrame) -> list[Claim]:
    """What the benchmark lets one say, whatever the numbers turn out to be."""
    if results.metrics.empty:
        return headline(results)
    values = measured(results, baselines)
    limits = comparison.limits(results, comparison.aggregate(results))
    return [
        *_sanity(results, baselines),
        *_stuck(values),
        *comparison.verdicts(results, comparison.declared(results)),
        *_gains(results.metrics),
        _conflict(results.runs),
        *_shift(values),
        *comparison.bounds(limits),
    ]


def _sanity(results: Results, baselines: pd.DataFrame) -> list[Claim]:
    """Where the single-task models lose to a simple baseline, and what is known about why."""
    data = results.comparison
    below = [row for row in against(results, baselines) if row["difference"].mean < 0]
    shown = [task_name(data, row["test"], row["task"]) for row in below]
    pairs = zip(shown, below, strict=True)
    certain = names(dict.fromkeys(t for t, row in pairs if row["difference"].high < 0))
    found = [Claim("sanity", "listed", {"below": names(dict.fromkeys(shown)), "certain": certain})]
    if not below:
        return found
    lost = {row["task"] for row in below}
    sizes = baselines[(baselines["data"] == data) & baselines["task"].isin(lost)]["examples"]
    amount = " ~ ".join(dict.fromkeys(number(n, 0) for n in (sizes.min(), sizes.max())))
    steps = number(results.runs["steps"].max(), 0)
    features = plan.Cell(data, plan.BASELINE, results.profile).config.data_options.get("features")
    read = features if features in ("vectors", "encoder") else data
    found.append(Claim("examples", read, {"amount": amount, "steps": steps}))
    simple = {row["simple"] for row in below}
    found += [Claim("reads", one, {}) for one in SIMPLE if one in simple]
    return [*found, _room(results.curves, lost)]


def _room(curves: pd.DataFrame, tasks: set[str]) -> Claim:
    """Whether single-task models of these tasks were still improving, and how far they overfit."""
    own = curves[(metrics.method(curves) == plan.BASELINE) & curves["task"].isin(tasks)]
    by = own.pivot_table(index=["task", "seed", "share"], columns="split", values="value")
    by = by.reset_index().dropna(subset=["validation"])
    best = by.loc[by.groupby(["task", "seed"])["validation"].idxmax()]
    last = int((best["share"] == by["share"].max()).sum())
    gap = number((best["train"] - best["validation"]).mean(), 3)
    return Claim("room", "counted", {"pairs": len(best), "last": last, "gap": gap})


def _stuck(values: pd.DataFrame) -> list[Claim]:
    """Single-task runs that are not better than the most frequent class."""
    own = values[values["test"] == "test"]
    by = own.pivot_table(index=["task", "seed"], columns="method", values="value", sort=False)
    if "majority" not in by or plan.BASELINE not in by:
        return []
    stuck = (by[plan.BASELINE] <= by["majority"]).groupby(level="task", sort=False).sum()
    shown = [word("text.seeds", task=name("task", str(t)), n=n) for t, n in stuck.items() if n]
    return [Claim("stuck", "some" if shown else "nobody", {"tasks": ", ".join(shown)})]


def _gains(frame: pd.DataFrame) -> list[Claim]:
    """Hard sharing's paired gain of every task, on which side of 0 it lies, and where a relative
    gain says nothing because the baseline's value is about 0."""
    by = metrics.gains(frame).groupby(["method", "task"], sort=False)
    gain = by["gain"].agg(statistics.interval)[plan.HARD].rename(lambda t: name("task", t))
    base = by["value"].agg(statistics.interval)[plan.BASELINE].rename(lambda t: name("task", t))
    means = ", ".join(f"{task} {number(ci.mean, sign=True)}" for task, ci in gain.items())
    above = names(str(task) for task, ci in gain.items() if ci.low > 0)
    below = names(str(task) for task, ci in gain.items() if ci.high < 0)
    found = [Claim("gains", "listed", {"means": means, "above": above, "below": below})]
    vague = ", ".join(str(task) for task, ci in base.items() if ci.low <= 0 <= ci.high)
    return [*found, Claim("vague", "some", {"tasks": vague})] if vague else found


def _conflict(runs: pd.DataFrame) -> Claim:
    own = runs[(metrics.method(runs) == plan.HARD) & (runs["role"] == "final")]
    cosine, pairs = number(own["cosine"].mean(), 3), number(100 * own["conflict"].mean())
    return Claim("conflict", "measured", {"cosine": cosine, "pairs": pairs})


def _shift(values: pd.DataFrame) -> list[Claim]:
    """How the scores change from the customary test split to another domain."""
    mean = values.groupby(["test", "task", "method"], sort=False)["value"].mean()
    if "gsd" not in mean.index.get_level_values("test"):
        return []
    change = (100 * (mean["gsd"] - mean["test"])).unstack("method", sort=False)
    methods = [m for m in (*plan.COMPARISONS["korean_tagging"].methods, "word") if m in change]
    lines = [
        f"{name('task', str(task))}: "
        + "; ".join(f"{called(m)} {number(row[m], sign=True)}" for m in methods)
        for task, row in change.iterrows()
    ]
    return [Claim("shift", "gsd", {"changes": ". ".join(lines)})]
