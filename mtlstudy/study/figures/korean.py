"""Figures of the Korean benchmarks, from their tidy frames. Without results, each is a panel that says so, without a number."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mtlstudy.study.figures import comparison as figures
from mtlstudy.study import metrics
from mtlstudy.study.figures.comparison import WIDTH, _strip
from mtlstudy.study.format import CLASSES, METRICS, TASKS
from mtlstudy.study.figures.style import colour, marker, nothing, style
from mtlstudy.study.korean_settings import METHODS, config
from mtlstudy.study.korean_values import ABSENT, BASELINES, NAMES, task_name, tested

ACROSS = 3
LINES = {"majority": ":", "tfidf": "--", "word": "--", "cosine": "-."}
NEAR = 0.05


def _grid(n: int, height: float, across: int = ACROSS, *, share: bool = False) -> tuple[Figure, list[Axes]]:
    """n panels, so many in a row, each `height` inches high."""
    style()
    rows, columns = -(-n // across), min(n, across)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, 0.3 + height * rows), squeeze=False, sharey=share)
    plt.close(figure)  # a notebook shows the returned figure once, not twice
    for ax in axes.flat[n:]:
        ax.set_axis_off()
    return figure, list(axes.flat[:n])


def scores(frame: pd.DataFrame, further: pd.DataFrame, baselines: pd.DataFrame) -> Figure:
    """Test score of every task by method, a panel a task and test split: a point a seed, mean, interval; baselines as lines.

    The most frequent class only where a model comes as low as that: elsewhere it would push all points to one side.
    """
    if frame.empty:
        return nothing(ABSENT)
    values, data = tested(frame, further, baselines), str(frame["data"].iloc[0])
    own = dict(zip(frame["task"], frame["metric"], strict=True))
    values = values[values["metric"] == values["task"].map(own)]
    groups = list(values.groupby(["test", "task"], sort=False))
    figure, axes = _grid(len(groups), 1.75)
    seen: dict[str, Line2D] = {}
    for i, (((test, task), part), ax) in enumerate(zip(groups, axes, strict=True)):
        methods = [m for m in METHODS if m in set(part["method"])]
        points = {m: part[part["method"] == m].sort_values("seed")["value"].to_numpy() for m in methods}
        _strip(ax, points, 0)
        ax.set_yticks(range(len(methods)), [NAMES[m] for m in methods] if i % ACROSS == 0 else [""] * len(methods))
        for baseline, dash in LINES.items():
            mean = part.loc[part["method"] == baseline, "value"].mean()
            far = baseline == "majority" and mean < np.nanmin(np.concatenate(list(points.values()))) - NEAR
            if np.isfinite(mean) and not far:
                seen[BASELINES[baseline]] = ax.axvline(mean, color="#222222", lw=1.1, ls=dash, zorder=1)
        ax.set(title=task_name(data, str(test), str(task)), xlabel=METRICS[own[task]])
    figure.legend(list(seen.values()), list(seen), loc="outside lower center", ncols=len(seen))
    return figure


def curves(frame: pd.DataFrame) -> Figure:
    """Metric over the steps by method, a panel a task: on validation (line, with the range over seeds) and training (dotted)."""
    if frame.empty:
        return nothing(ABSENT)
    frame = frame.assign(method=metrics.method)
    tasks = config(str(frame["data"].iloc[0]), METHODS[0], "quick").tasks
    figure, axes = _grid(len(tasks), 1.9)
    for i, (task, ax) in enumerate(zip(tasks, axes, strict=True)):
        for method in METHODS:
            part = frame[(frame["task"] == task.name) & (frame["method"] == method)]
            by = part[part["split"] == "validation"].groupby("step")["value"]
            ax.plot(by.mean(), color=colour(method), marker=marker(method), ms=3, label=NAMES[method])
            ax.fill_between(by.mean().index, by.min(), by.max(), color=colour(method), alpha=0.12, lw=0)
            ax.plot(part[part["split"] == "train"].groupby("step")["value"].mean(), color=colour(method), ls=":", lw=1)
        ax.set_title(f"{TASKS.get(task.name, task.name)} ({METRICS[task.metric]})")
        if i // ACROSS == (len(tasks) - 1) // ACROSS:
            ax.set_xlabel("단계")
    handles, texts = axes[0].get_legend_handles_labels()
    dotted = Line2D([], [], color="#555555", ls=":", lw=1)
    figure.legend([*handles, dotted], [*texts, "학습 자료"], loc="outside lower center", ncols=4)
    return figure


def confusion(frame: pd.DataFrame, tasks: str, method: str = "hard+equal") -> Figure:
    """Predicted shares (%) of each true class, a row, summed over the seeds; a panel for each task of a list "hate,intention"."""
    own = frame[metrics.method(frame) == method] if len(frame) else frame
    tables = {task: crossed(own[own["task"] == task]) for task in tasks.split(",") if task in set(own["task"])}
    if not tables:
        return nothing(ABSENT)
    style()
    sizes = [len(table) for table in tables.values()]
    height = 3.6 if len(tables) > 1 else 1.6 + 0.24 * sizes[0]
    ratios = [size + 2 for size in sizes]
    figure, axes = plt.subplots(1, len(tables), figsize=(WIDTH, height), squeeze=False, width_ratios=ratios)
    plt.close(figure)
    for ax, (task, table) in zip(axes[0], tables.items(), strict=True):
        total = table.sum(axis=1)
        share = 100 * table.to_numpy() / np.maximum(total.to_numpy()[:, None], 1)
        ax.imshow(share, cmap="Blues", vmin=0, vmax=100, aspect="auto")
        for i, j in zip(*np.nonzero(share >= 0.5), strict=True):
            tint = "white" if share[i, j] > 60 else "#222222"
            ax.text(j, i, f"{share[i, j]:.0f}", ha="center", va="center", fontsize=7, color=tint)
        names = [CLASSES.get(task, {}).get(str(c), str(c)) for c in table]
        ax.set_xticks(range(len(names)), names, rotation=90 if len(names) > 4 else 0, fontsize=7.5)
        ax.set_yticks(range(len(names)), [f"{n} ({c:,.0f})" for n, c in zip(names, total, strict=True)], fontsize=7.5)
        ax.set(title=TASKS.get(task, task), xlabel="예측", ylabel="정답 (수)")
        ax.grid(visible=False)
    return figure


def crossed(own: pd.DataFrame) -> pd.DataFrame:
    """Counts of one task, true class by predicted class, both with all classes that occur, in order."""
    table = own.pivot_table(index="true", columns="predicted", values="count", aggfunc="sum")
    there = table.index.union(table.columns)
    order = [c for c in CLASSES.get(str(own["task"].iloc[0]), {}) if c in there] or sorted(there)
    return table.reindex(index=order, columns=order).fillna(0)


def conflict(runs: pd.DataFrame) -> Figure:
    """Gradient conflict of hard sharing (see `mtlstudy.figures.conflict`)."""
    return nothing(ABSENT) if runs.empty else figures.conflict(runs)
