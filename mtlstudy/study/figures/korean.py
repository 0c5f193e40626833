"""Figures of the Korean benchmarks. Without results each says so, without a number."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mtlstudy.study import metrics, plan
from mtlstudy.study.figures import comparison
from mtlstudy.study.figures.panels import ACROSS, legend, lines, nothing, panels, strip, tiles
from mtlstudy.study.figures.style import DARK, GREY, literal, look
from mtlstudy.study.korean import called, measured, task_name
from mtlstudy.study.results import Results
from mtlstudy.study.words import load, name, word

DASHES = {"majority": ":", "tfidf": "--", "word": "--", "cosine": "--"}
DASHES |= {"encoder": "-.", "both": "-"}
CONFUSED = {"korean_sentences": ("hate", "intention"), "korean_tagging": ("upos",)}
"""The tasks of each benchmark whose confusion is drawn."""
NEAR = 0.05
"""The most frequent class is drawn where a model comes as low as this above it."""


def _tasks(results: Results) -> dict[str, str]:
    """Task → its metric, in order."""
    return dict(zip(results.metrics["task"], results.metrics["metric"], strict=True))


def scores(results: Results, baselines: pd.DataFrame) -> Figure:
    """Test score of every task, a panel a task and test split: a point a seed, mean, interval;
    baselines as lines.

    The most frequent class only where a model comes as low as that: elsewhere it would push all
    points to one side.
    """
    if results.metrics.empty:
        return nothing(word("text.absent"))
    metric, values = _tasks(results), measured(results, baselines)
    values = values[values["metric"] == values["task"].map(metric)]
    groups = values.groupby(["test", "task"], sort=False)
    figure, axes = tiles(len(groups), 1.85)
    seen: dict[str, Line2D] = {}
    for i, (((test, task), part), ax) in enumerate(zip(groups, axes, strict=True)):
        models = part[part["method"].isin(plan.COMPARISONS[results.comparison].methods)]
        names = {m: "" if i % ACROSS else called(m) for m in models["method"].unique()}
        strip(ax, models, "value", names)
        means = part.groupby("method")["value"].mean()
        for baseline, dash in DASHES.items():
            mean, lowest = means.get(baseline, np.nan), models["value"].min()
            if np.isfinite(mean) and (baseline != "majority" or mean >= lowest - NEAR):
                line = ax.axvline(mean, color=DARK, lw=1.1, ls=dash, zorder=1)
                seen[called(baseline)] = line
        title = task_name(results.comparison, str(test), str(task))
        ax.set(title=title, xlabel=name("metric", metric[str(task)]))
    figure.legend(list(seen.values()), list(seen), loc="outside lower center", ncols=len(seen))
    return figure


def curves(results: Results) -> Figure:
    """Metric along the training by method, a panel a task: on validation (line, with the range over
    the seeds) and on training examples (dotted)."""
    if results.curves.empty:
        return nothing(word("text.absent"))
    frame = results.curves.assign(method=metrics.method, x=100 * results.curves["share"])
    tasks = _tasks(results)
    figure, axes = tiles(len(tasks), 1.9)
    for (task, metric), ax in zip(tasks.items(), axes, strict=True):
        for method in plan.COMPARISONS[results.comparison].methods:
            own, (tint, mark) = frame.query("task == @task and method == @method"), look(method)
            validation, train = (own[own["split"] == s] for s in ("validation", "train"))
            lines(ax, validation, tint, called(method), marker=mark, ms=3)
            ax.plot(train.groupby("x")["value"].mean(), color=tint, ls=":", lw=1)
        ax.set_title(f"{name('task', task)} ({name('metric', metric)})")
    for ax in axes[(len(tasks) - 1) // ACROSS * ACROSS :]:  # the lowest row
        ax.set_xlabel(word("axis.progress"))
    axes[0].plot([], color=GREY, ls=":", lw=1, label=word("text.training"))
    return legend(figure, axes)


def crossed(counts: pd.DataFrame, order: Sequence[str]) -> pd.DataFrame:
    """Counts of one task, true by predicted class, both with all classes that occur, in order."""
    table = counts.pivot_table(index="true", columns="predicted", values="count", aggfunc="sum")
    there = table.index.union(table.columns)
    names = [c for c in order if c in there] or sorted(there)
    return table.reindex(index=names, columns=names).fillna(0)


def confusion(results: Results) -> Figure:
    """Predicted shares (%) of each true class, a row, summed over the seeds of plain hard sharing;
    a panel for each of the tasks in `CONFUSED`."""
    if results.confusion.empty:
        return nothing(word("text.absent"))
    frame, names = results.confusion, load("words.ko.yml")["class"]
    tables = {
        task: crossed(own, list(names.get(task, {})))
        for task in CONFUSED[results.comparison]
        if len(own := frame[frame["task"] == task])
    }
    sizes = [len(table) for table in tables.values()]
    height = 3.6 if len(tables) > 1 else 1.6 + 0.24 * sizes[0]
    figure, axes = panels(1, len(tables), height, width_ratios=[size + 2 for size in sizes])
    for ax, (task, table) in zip(axes, tables.items(), strict=True):
        total = table.sum(axis=1)
        share = 100 * table.to_numpy() / np.maximum(total.to_numpy()[:, None], 1)
        ax.imshow(share, cmap="Blues", vmin=0, vmax=100, aspect="auto")
        for i, j in zip(*np.nonzero(share >= 0.5), strict=True):
            tint, text = "white" if share[i, j] > 60 else DARK, f"{share[i, j]:.0f}"
            ax.text(j, i, text, ha="center", va="center", fontsize=7, color=tint)
        shown = [literal(names.get(task, {}).get(c, c)) for c in table]
        counted = [f"{one} ({n:,.0f})" for one, n in zip(shown, total, strict=True)]
        ax.set_xticks(range(len(shown)), shown, rotation=90 if len(shown) > 4 else 0, fontsize=7.5)
        ax.set_yticks(range(len(shown)), counted, fontsize=7.5)
        ax.set(title=name("task", task), xlabel=word("axis.predicted"), ylabel=word("axis.actual"))
        ax.grid(visible=False)
    return figure


def conflict(results: Results) -> Figure:
    """Gradient conflict of hard sharing; see `comparison.conflict`."""
    return nothing(word("text.absent")) if results.runs.empty else comparison.conflict(results)
