"""The book's first chapter: a few small runs side by side, in the metrics' own units and paired by
seed. It shows how the package is used and is no evidence for a method: nothing is tuned."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mtlstudy.study import metrics, plan, results, rows, statistics, words
from mtlstudy.study.claims import Claim
from mtlstudy.study.figures.panels import panels, strip
from mtlstudy.study.format import bracket, number
from mtlstudy.study.tables import records
from mtlstudy.study.words import word
from mtlstudy.training import tune
from mtlstudy.training.build import load
from mtlstudy.training.config import RunConfig


class Compared(NamedTuple):
    """scores: the test metrics, long, with a column ``method``; runs: a row a run."""

    scores: pd.DataFrame
    runs: pd.DataFrame


def about(config: RunConfig) -> pd.DataFrame:
    """Table: the tasks of a data set: kind, metric and its better side, examples of each split."""
    data, splits = load(config)
    parts = (splits.train, splits.validation, splits.test)
    sizes = " / ".join(number(part.sizes()[""], 0) for part in parts)
    table = [
        {
            "task": task.name,
            "kind": word(f"lesson.kinds.{task.kind}"),
            "metric": metric(task.metric, task.higher_is_better),
            "sizes": sizes,
        }
        for task in data.tasks
    ]
    return pd.DataFrame(table).rename(columns=lambda column: word(f"lesson.columns.{column}"))


def metric(name: str, higher_is_better: bool) -> str:
    """A metric's name with the direction that is better."""
    return f"{words.name('metric', name)} ({'↑' if higher_is_better else '↓'})"


def name(method: str) -> str:
    """Sharing and weighting, for whoever meets both for the first time."""
    sharing, _, weighting = method.partition("+")
    shown = words.name("sharing", sharing)
    return shown if method == plan.BASELINE else f"{shown} · {words.name('weighting', weighting)}"


def compared(config: RunConfig, methods: str, seeds: int) -> Compared:
    """The runs of some methods ("hard+equal,hard+nash") on the seeds 0, 1, …; those that were
    trained already are read."""
    configs = []
    for sharing, weighting in (method.split("+") for method in methods.split(",")):
        parts = {"sharing": sharing, "weighting": weighting}
        method = config.but(**parts, sharing_options={}, weighting_options={})
        configs += [method.but(seed=seed) for seed in range(seeds)]
    tune.train(configs, progress=False)
    tables = results.collect(configs, "quick")
    frame = rows.melted_metrics(tables["metrics"], tables["runs"])
    return Compared(metrics.rows(frame), tables["runs"])


def gains(
    found: Compared,
) -> Iterator[tuple[str, str, "pd.Series[float]", statistics.Interval]]:
    """Every method and task: its values by seed, and what it gains over the baseline on the same
    seeds (positive = better), with its interval; NaN for the baseline."""
    for task, own in found.scores.groupby("task", sort=False):
        sign = 1.0 if own["higher_is_better"].iloc[0] else -1.0
        values = own.pivot(index="seed", columns="method", values="value")
        base = values.get(plan.BASELINE, values.iloc[:, 0] * np.nan)
        for method in own["method"].unique():
            gain = sign * (values[method] - (np.nan if method == plan.BASELINE else base))
            yield method, str(task), values[method], statistics.interval(gain)


def table(found: Compared) -> pd.DataFrame:
    """Table: mean ± standard deviation over the seeds of every method and task, and what it gains
    over the baseline with its interval."""
    cells: dict[str, dict[str, str]] = {}
    parameters = found.runs.assign(method=metrics.method).groupby("method")["parameters"].mean()
    kinds = {row["task"]: row for row in records(found.scores)}
    for method, task, values, gain in gains(found):
        row = cells.setdefault(method, {"method": name(method)})
        row["parameters"] = number(parameters[method], 0)
        unit = metric(kinds[task]["metric"], kinds[task]["higher_is_better"])
        sd = f" ± {number(values.std(), 3)}" if len(values) > 1 else ""
        row[f"{task}, {unit}"] = number(values.mean(), 3) + sd
        if found.scores["method"].nunique() > 1:
            shown = f"{number(gain.mean, 4, sign=True)} {bracket(gain.low, gain.high, 4)}"
            base = word("text.baseline")
            row[word("lesson.gain", task=task)] = base if method == plan.BASELINE else shown
    columns = words.load("words.ko.yml")["lesson"]["columns"]
    return pd.DataFrame(cells.values()).rename(columns=lambda column: columns.get(column, column))


def claims(found: Compared) -> list[Claim]:
    """What the intervals allow one to say, a claim a method and task; then for each task how far
    the methods' means lie apart, beside how far the seeds of one method do."""
    said = []
    for method, task, _, gain in gains(found):
        if gain.n:
            side = "up" if gain.low > 0 else "down" if gain.high < 0 else "unclear"
            figures = {"method": name(method), "base": name(plan.BASELINE), "task": task}
            figures |= {"gain": number(gain.mean, 4, sign=True), "seeds": str(gain.n)}
            figures["interval"] = bracket(gain.low, gain.high, 4)
            said.append(Claim("lesson_gain", side, figures))
    for task, own in found.scores.groupby(found.scores["task"].astype(str), sort=False):
        by = own.groupby("method")["value"]
        ends, seeds = by.mean().max() - by.mean().min(), by.std().median()
        figures = {"task": task, "methods": number(ends, 4), "seeds": number(seeds, 4)}
        said.append(Claim("lesson_spread", "counted", figures))
    return said


def figure(found: Compared) -> Figure:
    """The test metric of every method, a panel a task: a point a seed, mean and interval."""
    tasks, methods = found.scores["task"].unique(), found.scores["method"].unique()
    drawn, axes = panels(1, len(tasks), 0.7 + 0.42 * len(methods), sharey=True)
    for ax, (task, own) in zip(axes, found.scores.groupby("task", sort=False), strict=True):
        strip(ax, own, "value", {method: name(method) for method in methods})
        up = bool(own["higher_is_better"].iloc[0])
        ax.set(title=task, xlabel=metric(own["metric"].iloc[0], up))
    return drawn
