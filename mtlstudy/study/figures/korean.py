"""Figures of the Korean benchmarks. Without results each says so, without a number."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mtlstudy.study import metrics, plan
from mtlstudy.study.figures import comparison
from mtlstudy.study.figures.comparison import ACROSS, by_method, grid, lines, strip
from mtlstudy.study.figures.panels import legend, panels
from mtlstudy.study.figures.style import GREY, colour, marker, nothing
from mtlstudy.study.korean import called, measured, task_name
from mtlstudy.study.results import Results
from mtlstudy.study.words import load, name, word

DASHES = {"majority": ":", "tfidf": "--", "word": "--", "cosine": "-."}
CONFUSED = {"korean_sentences": ("hate", "intention"), "korean_tagging": ("upos",)}
"""The tasks of each benchmark whose confusion is drawn."""
NEAR = 0.05


def _tasks(results: Results) -> dict[str, str]:
    """Task → its metric, in order."""
    return dict(zip(results.metrics["task"], results.metrics["metric"], strict=True))


def _panels(n: int, height: float) -> tuple[Figure, list[Axes]]:
    figure, axes = grid(-(-n // ACROSS), min(n, ACROSS), height)
    for ax in axes.flat[n:]:
        ax.set_axis_off()
    return figure, list(axes.flat[:n])


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
    groups = list(values.groupby(["test", "task"], sort=False))
    figure, axes = _panels(len(groups), 1.85)
    seen: dict[str, Line2D] = {}
    for i, (((test, task), part), ax) in enumerate(zip(groups, axes, strict=True)):
        methods = [
            m for m in plan.COMPARISONS[results.comparison].methods if m in set(part["method"])
        ]
        points = by_method(part, methods, "value")
        strip(ax, points, [called(m) if i % ACROSS == 0 else "" for m in methods])
        for baseline, dash in DASHES.items():
            mean = part.loc[part["method"] == baseline, "value"].mean()
            lowest = np.nanmin(np.concatenate(list(points.values())))
            if np.isfinite(mean) and (baseline != "majority" or mean >= lowest - NEAR):
                seen[called(baseline)] = ax.axvline(
                    mean, color="#222222", lw=1.1, ls=dash, zorder=1
                )
        title = task_name(results.comparison, str(test), str(task))
        ax.set(title=title, xlabel=name("metric", metric[str(task)]))
    figure.legend(list(seen.values()), list(seen), loc="outside lower center", ncols=len(seen))
    return figure


def curves(results: Results) -> Figure:
    """Metric along the training by method, a panel a task: on validation (line, with the range over
    the seeds) and on training examples (dotted)."""
    if results.curves.empty:
        return nothing(word("text.absent"))
    frame = results.curves.assign(method=metrics.method)
    frame = frame.assign(x=100 * frame["share"])
    tasks = _tasks(results)
    figure, axes = _panels(len(tasks), 1.9)
    for i, ((task, metric), ax) in enumerate(zip(tasks.items(), axes, strict=True)):
        for method in plan.COMPARISONS[results.comparison].methods:
            own = frame[(frame["task"] == task) & (frame["method"] == method)]
            validation, train = (own[own["split"] == s] for s in ("validation", "train"))
            lines(ax, validation, colour(method), called(method), marker=marker(method), ms=3)
            ax.plot(train.groupby("x")["value"].mean(), color=colour(method), ls=":", lw=1)
        ax.set_title(f"{name('task', task)} ({name('metric', metric)})")
        if i // ACROSS == (len(tasks) - 1) // ACROSS:
            ax.set_xlabel(word("axis.progress"))
    axes[0].plot([], color=GREY, ls=":", lw=1, label=word("text.training"))
    return legend(figure, axes)


def crossed(counts: pd.DataFrame, order: Sequence[str]) -> pd.DataFrame:
    """Counts of one task, true by predicted class, both with all classes that occur, in order."""
    table = counts.pivot_table(index="true", columns="predicted", values="count", aggfunc="sum")
    there = table.index.union(table.columns)
    names = [c for c in order if c in there] or sorted(there)
    return table.reindex(index=names, columns=names).fillna(0)


def confusion(results: Results, method: str = plan.HARD) -> Figure:
    """Predicted shares (%) of each true class, a row, summed over the seeds; a panel for each of
    the tasks in `CONFUSED`."""
    frame, names = results.confusion, load("words.ko.yml")["class"]
    own = frame[metrics.method(frame) == method] if len(frame) else frame
    there = set(own["task"]) if len(own) else set()
    chosen = [task for task in CONFUSED[results.comparison] if task in there]
    tables = {task: crossed(own[own["task"] == task], [*names.get(task, {})]) for task in chosen}
    if not tables:
        return nothing(word("text.absent"))
    sizes = [len(table) for table in tables.values()]
    height = 3.6 if len(tables) > 1 else 1.6 + 0.24 * sizes[0]
    figure, axes = panels(1, len(tables), height, width_ratios=[size + 2 for size in sizes])
    for ax, (task, table) in zip(axes, tables.items(), strict=True):
        total = table.sum(axis=1)
        share = 100 * table.to_numpy() / np.maximum(total.to_numpy()[:, None], 1)
        ax.imshow(share, cmap="Blues", vmin=0, vmax=100, aspect="auto")
        for i, j in zip(*np.nonzero(share >= 0.5), strict=True):
            tint = "white" if share[i, j] > 60 else "#222222"
            text = f"{share[i, j]:.0f}"
            ax.text(j, i, text, ha="center", va="center", fontsize=7, color=tint)
        shown = [str(names.get(task, {}).get(c, c)) for c in table]
        counted = [f"{one} ({n:,.0f})" for one, n in zip(shown, total, strict=True)]
        ax.set_xticks(range(len(shown)), shown, rotation=90 if len(shown) > 4 else 0, fontsize=7.5)
        ax.set_yticks(range(len(shown)), counted, fontsize=7.5)
        ax.set(title=name("task", task), xlabel=word("axis.predicted"), ylabel=word("axis.actual"))
        ax.grid(visible=False)
    return figure


def conflict(results: Results) -> Figure:
    """Gradient conflict of hard sharing; see `comparison.conflict`."""
    return nothing(word("text.absent")) if results.runs.empty else comparison.conflict(results)
