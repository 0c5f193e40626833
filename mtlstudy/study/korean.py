"""The Korean benchmarks: hard sharing with equal and with Nash weighting against single-task
models, and these against simple baselines on the same examples.

Every function takes the results of one of them, whose data set has the comparison's name, and where
it needs them the baselines (see `mtlstudy.study.baselines`). Where the files were missing there are
no results, and tables and claims say so.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from mtlstudy.study import compare, metrics, plan, statistics
from mtlstudy.study.claims import Claim
from mtlstudy.study.format import NONE, bracket, number
from mtlstudy.study.results import Results
from mtlstudy.study.statistics import Interval
from mtlstudy.study.tables import Table, headed, records
from mtlstudy.study.words import load, name, word

SIMPLE = ("tfidf", "cosine", "word")
"""The baseline of each task that reads the text."""


def task_name(data: str, test: str, task: str) -> str:
    """Korean name of a task, with the test split where the data set has several."""
    where = load("words.ko.yml")["test"].get(data, {}).get(test)
    return f"{name('task', task)} · {where}" if where else name("task", task)


def called(method: str) -> str:
    """Korean name of a method or baseline."""
    return name("method", name("baseline", method))


def measured(results: Results, baselines: pd.DataFrame | None = None) -> pd.DataFrame:
    """Every test value: data, test, task, metric, method (a baseline's name too), seed, value.

    NaN where a run diverged.
    """
    keys = ["data", "test", "task", "metric", "method", "seed", "value"]
    if results.metrics.empty:
        return pd.DataFrame(columns=keys)
    parts = [metrics.rows(results.metrics).assign(test="test")]
    parts.append(results.further.assign(method=metrics.method))
    if baselines is not None:
        own = baselines[baselines["data"].isin(results.metrics["data"])]
        own = own[own["seed"].isin(results.metrics["seed"])]
        parts.append(own.rename(columns={"baseline": "method"}))
    return pd.concat([part[keys] for part in parts if len(part)], ignore_index=True)


def _cells(values: pd.DataFrame) -> dict[tuple[str, str, str], dict[str, pd.Series]]:
    """(test, task, metric) → method → values by seed; a task's metrics stand together, those on
    the customary test first."""
    order = {task: i for i, task in enumerate(dict.fromkeys(values["task"]))}
    groups = {
        (str(test), str(task), str(metric)): {
            str(method): part.set_index("seed")["value"] for method, part in own.groupby("method")
        }
        for (test, task, metric), own in values.groupby(["test", "task", "metric"], sort=False)
    }
    return dict(sorted(groups.items(), key=lambda item: (item[0][0] != "test", order[item[0][1]])))


def _shown(ci: Interval) -> str:
    text = number(ci.mean, 3)
    ends = f" [{number(ci.low, 3)}, {number(ci.high, 3)}]"
    return text + ends if ci.kind in ("range", "bca") else text


def scores(results: Results) -> pd.DataFrame:
    """Test scores of every task, metric and test split by method: mean and interval over seeds."""
    methods = plan.COMPARISONS[results.comparison].methods
    data, absent = results.comparison, word("text.absent")
    rows = [
        {
            word("column.task"): task_name(data, test, task),
            word("column.metric"): name("metric", metric),
            **{called(m): _shown(statistics.interval(by[m])) if m in by else NONE for m in methods},
        }
        for (test, task, metric), by in _cells(measured(results)).items()
    ]
    columns = [word("column.task"), word("column.metric"), *map(called, methods)]
    return pd.DataFrame(rows or [dict.fromkeys(columns, NONE) | {columns[0]: absent}])


def against(results: Results, baselines: pd.DataFrame) -> pd.DataFrame:
    """Single-task models against the baselines, a row a task and test split, raw.

    task, test, metric, single (an interval), majority (mean; NaN where a constant has no score),
    simple (name), value (mean), difference (single − simple, paired, an interval).
    """
    rows = []
    for (test, task, metric), by in _cells(measured(results, baselines)).items():
        simple = next((b for b in SIMPLE if b in by), None)
        if simple and plan.BASELINE in by:
            single = by[plan.BASELINE]
            rows.append(
                {
                    "task": task,
                    "test": test,
                    "metric": metric,
                    "single": statistics.interval(single),
                    "majority": by["majority"].mean() if "majority" in by else np.nan,
                    "simple": simple,
                    "value": by[simple].mean(),
                    "difference": statistics.interval((single - by[simple]).dropna()),
                }
            )
    columns = "task test metric single majority simple value difference"
    return pd.DataFrame(rows, columns=columns.split())


def sanity(results: Results, baselines: pd.DataFrame) -> pd.DataFrame:
    """`against` as strings under Korean headings."""
    rows = [
        {
            "task": task_name(results.comparison, row["test"], row["task"]),
            "metric": name("metric", row["metric"]),
            "single": _shown(row["single"]),
            "majority": number(row["majority"], 3),
            "simple": called(row["simple"]),
            "simple_value": number(row["value"], 3),
            "difference": number(100 * row["difference"].mean, sign=True),
            "difference_interval": bracket(
                100 * row["difference"].low, 100 * row["difference"].high
            ),
        }
        for row in records(against(results, baselines))
    ]
    columns = "task metric single majority simple simple_value difference difference_interval"
    return headed(rows, columns.split())


def shown(results: Results, part: str, frame: pd.DataFrame) -> Table:
    """A table of the page of its data set, numbered ``tab-<data>-<part>``."""
    data = results.comparison
    caption = word(f"text.caption.{part}", data=name("data_short", data))
    return Table(frame, caption, f"tab-{data.replace('_', '-')}-{part}")


def missing(results: Results) -> list[Claim]:
    """What is missing: a claim a source that lacks files, or one that all are there."""
    home, found = str(Path.home()), []
    for source, own in results.missing.groupby("source", sort=False):
        figures = {
            "source": source,
            "splits": ", ".join(own["split"]),
            "key": results.comparison,
            "megabytes": number(float(own["megabytes"].iloc[0]), 0),
            "said": own["said"].iloc[0].replace(home, "~"),
        }
        found.append(Claim("missing", "file", figures))
    return found or [Claim("missing", "nothing", {})]


def claims(results: Results, baselines: pd.DataFrame) -> list[Claim]:
    """What the benchmark lets one say, whatever the numbers turn out to be."""
    data = results.comparison
    if results.metrics.empty:
        return [Claim("missing", "results", {"data": name("data_short", data)})]
    values = measured(results, baselines)
    found = [*_sanity(results, baselines), *_stuck(values)]
    found += compare.verdicts(results, compare.declared(results))
    found += [*_gains(results.metrics), *_conflict(results.runs), *_shift(values)]
    return found + compare.bounds(compare.limits(compare.aggregate(results), results.runs))


def _sanity(results: Results, baselines: pd.DataFrame) -> list[Claim]:
    """Where the single-task models lose to a simple baseline, and what is known about why."""
    data, rows = results.comparison, records(against(results, baselines))
    below = [row for row in rows if row["difference"].mean < 0]
    certain = [row for row in below if row["difference"].high < 0]

    def tasks(some: list[dict[str, str]]) -> str:
        return compare.names(task_name(data, row["test"], row["task"]) for row in some)

    found = [Claim("sanity", "listed", {"below": tasks(below), "certain": tasks(certain)})]
    if not below:
        return found
    lost = {row["task"] for row in below}
    sizes = baselines[(baselines["data"] == data) & baselines["task"].isin(lost)]["examples"]
    amount = " ~ ".join(dict.fromkeys(number(n, 0) for n in (sizes.min(), sizes.max())))
    steps = number(results.runs["steps"].max(), 0)
    found.append(Claim("examples", data, {"amount": amount, "steps": steps}))
    simple = {row["simple"] for row in below}
    found += [Claim("reads", one, {}) for one in SIMPLE if one in simple]
    return [*found, *_room(results.curves, lost)]


def _room(curves: pd.DataFrame, tasks: set[str]) -> list[Claim]:
    """Whether single-task models of these tasks were still improving, and how far they overfit."""
    own = curves[(metrics.method(curves) == plan.BASELINE) & curves["task"].isin(tasks)]
    by = own.pivot_table(index=["task", "seed", "share"], columns="split", values="value")
    by = by.reset_index().dropna(subset=["validation"])
    best = by.loc[by.groupby(["task", "seed"])["validation"].idxmax()]
    last = int((best["share"] == by["share"].max()).sum())
    gap = number((best["train"] - best["validation"]).mean(), 3)
    return [Claim("room", "counted", {"pairs": len(best), "last": last, "gap": gap})]


def _stuck(values: pd.DataFrame) -> list[Claim]:
    """Single-task runs that are not better than the most frequent class."""
    own = values[values["test"] == "test"]
    by = own.pivot_table(index=["task", "seed"], columns="method", values="value", sort=False)
    if "majority" not in by or plan.BASELINE not in by:
        return []
    stuck = (by[plan.BASELINE] <= by["majority"]).groupby(level="task", sort=False).sum()
    shown = [word("text.seeds", task=name("task", str(t)), n=n) for t, n in stuck.items() if n]
    if not shown:
        return [Claim("stuck", "nobody", {})]
    return [Claim("stuck", "some", {"tasks": ", ".join(shown)})]


def _gains(frame: pd.DataFrame) -> list[Claim]:
    """Hard sharing's paired gain of every task, on which side of 0 it lies, and where a relative
    gain says nothing because the baseline's value is about 0."""
    gain = metrics.gains(frame)
    hard, single = (gain[gain["method"] == method] for method in (plan.HARD, plan.BASELINE))
    by = hard.groupby("task", sort=False)["gain"].agg(statistics.interval)
    base = single.groupby("task", sort=False)["value"].agg(statistics.interval)
    shown = {task: name("task", str(task)) for task in by.index}
    means = ", ".join(f"{shown[task]} {number(ci.mean, sign=True)}" for task, ci in by.items())
    sides = {
        "above": compare.names(shown[task] for task, ci in by.items() if ci.low > 0),
        "below": compare.names(shown[task] for task, ci in by.items() if ci.high < 0),
    }
    found = [Claim("gains", "listed", {"means": means, **sides})]
    vague = [shown[task] for task, ci in base.items() if ci.low <= 0 <= ci.high]
    return [*found, Claim("vague", "some", {"tasks": ", ".join(vague)})] if vague else found


def _conflict(runs: pd.DataFrame) -> list[Claim]:
    own = runs[(metrics.method(runs) == plan.HARD) & (runs["role"] == "final")]
    pairs = number(100 * own["conflict"].mean())
    return [
        Claim("conflict", "measured", {"cosine": number(own["cosine"].mean(), 3), "pairs": pairs})
    ]


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
