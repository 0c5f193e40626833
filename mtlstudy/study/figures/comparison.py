"""Figures from tidy frames: each function returns a matplotlib Figure, `save` writes it as svg, pdf and png (see style.py)."""

import math
import re
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtlstudy.study import metrics
from mtlstudy.study import statistics
from mtlstudy.errors import InputError
from mtlstudy.study.format import DATA, label
from mtlstudy.study.figures.style import colour, marker, ordered, save, style

__all__ = ["conflict", "delta_m", "learning_curves", "parameters_vs_delta", "save", "style", "weights_over_time"]
WIDTH = 7.0
MANY_TASKS = 6


def _panels(data: Sequence[str], height: float, rows: int = 1, *, sharey: bool = True) -> tuple[Figure, np.ndarray]:
    if not len(data):
        raise InputError("figure: the frame has no rows to draw")
    style()
    figure, axes = plt.subplots(rows, len(data), figsize=(WIDTH, height * rows), squeeze=False, sharey="row" if sharey else False)
    plt.close(figure)  # a notebook shows the returned figure once, not twice
    return figure, axes


def _strip(ax: Axes, values: dict[str, np.ndarray], seeds: int) -> None:
    """One row a method: a point a seed, the mean as a bar, the interval as a line."""
    for y, (method, x) in enumerate(values.items()):
        ci = statistics.interval(x)
        offsets = np.linspace(-0.18, 0.18, len(x)) if len(x) > 1 else np.zeros(len(x))
        ax.plot(x, y + offsets, marker(method), color=colour(method), ms=4.5, mec="white", mew=0.4, zorder=3)
        if math.isfinite(ci.low):
            ax.plot([ci.low, ci.high], [y, y], color=colour(method), lw=2, solid_capstyle="round", zorder=2)
        if math.isfinite(ci.mean):
            ax.plot([ci.mean] * 2, [y - 0.3, y + 0.3], color="#222222", lw=1.4, zorder=4)
        if ci.n < seeds:
            end = np.nanmax(x) if ci.n else 0.0
            ax.annotate(f"발산 {seeds - ci.n}/{seeds}", (end, y), xytext=(6, 0), textcoords="offset points", va="center",
                        fontsize=7.5, color="#aa0000")  # fmt: skip
    ax.set_yticks(range(len(values)), [label(m) for m in values])
    ax.set_ylim(len(values) - 0.4, -0.6)
    ax.margins(x=0.09)
    ax.grid(axis="y", visible=False)


def delta_m(frame: pd.DataFrame, over: str = "metrics") -> Figure:
    """Δm of each method over single-task, per data set: a point a seed, mean and interval; diverged seeds are counted in red."""
    delta = metrics.delta_m(frame, over)
    delta = delta[delta["method"] != metrics.BASELINE]
    names = sorted(set(delta["data"]))
    methods = ordered(sorted(set(delta["method"])))
    figure, axes = _panels(names, 0.6 + 0.34 * len(methods))
    for ax, name in zip(axes[0], names, strict=True):
        part = delta[delta["data"] == name]
        groups = {m: part[part["method"] == m].sort_values("seed")["delta_m"].to_numpy() for m in methods}
        _strip(ax, groups, part["seed"].nunique())
        ax.axvline(0, color="#555555", lw=1, ls="--", zorder=1)
        ax.set(title=DATA.get(name, name), xlabel="Δm (%)  → 좋음")
    return figure


def conflict(summary: pd.DataFrame) -> Figure:
    """Gradient conflict of each method per data set: mean cosine of the task gradients, share of task pairs with a negative one.

    Methods without shared parameters have none and are left out.
    """
    final = summary[(summary["role"] == "final")].assign(method=metrics.method)
    final = final.dropna(subset=["cosine"])
    names, methods = sorted(set(final["data"])), ordered(sorted(set(final["method"])))
    figure, axes = _panels(names, 0.6 + 0.3 * len(methods), rows=2)
    for column, name in enumerate(names):
        part = final[final["data"] == name]
        for row, (key, factor, text) in enumerate([("cosine", 1, "평균 코사인"), ("conflict", 100, "음의 코사인 쌍 (%)")]):
            groups = {m: factor * part[part["method"] == m].sort_values("seed")[key].to_numpy() for m in methods}
            _strip(axes[row][column], groups, 0)
            axes[row][column].set_xlabel(text)
        axes[0][column].axvline(0, color="#555555", lw=1, ls="--", zorder=1)
        axes[0][column].set_title(DATA.get(name, name))
    return figure


def weights_over_time(weights: pd.DataFrame, methods: Sequence[str] = ("hard+equal_norm", "hard+nash")) -> Figure:
    """Task weights over the training steps, relative to the step's median task, median over seeds, log scale; a row a method.

    Relative to the median, not to the mean: one task of vanishing gradient would push all others out of sight. Up to six tasks:
    a line a task with the range over the seeds; more: a map of task by step whose scale ends at 1/16 and 16; arrows on the scale
    say that something lies beyond.
    """
    frame = weights.assign(method=metrics.method)
    there = [m for m in methods if m in set(frame["method"])]
    frame = frame[frame["method"].isin(there)].dropna(subset=["weight"])
    middle = frame.groupby(["data", "method", "seed", "step", "block"])["weight"].transform("median")
    frame = frame.assign(weight=frame["weight"] / middle.where(middle > 0)).dropna(subset=["weight"])
    names = sorted(set(frame["data"]))
    if not there:
        raise InputError(f"weights: none of {', '.join(methods)} was recorded")
    figure, axes = _panels(names, 2.2, rows=len(there), sharey=False)
    for (row, method), (column, name) in ((a, b) for a in enumerate(there) for b in enumerate(names)):
        part, ax = frame[(frame["method"] == method) & (frame["data"] == name)], axes[row][column]
        if part.empty:
            ax.set_axis_off()
            continue
        table = part.groupby(["seed", "step", "task"], sort=False)["weight"].median().reset_index()
        tasks = _natural(table["task"])
        if len(tasks) <= MANY_TASKS:
            _weight_lines(ax, table, tasks)
        else:
            _weight_map(figure, ax, table, tasks)
        ax.set(title=f"{DATA.get(name, name)} · {label(method)}", xlabel="단계")
    return figure


def _natural(tasks: pd.Series) -> list[str]:
    """Task names in natural order: class2 before class10."""
    return sorted(set(tasks), key=lambda task: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", task)])


def _weight_lines(ax: Axes, table: pd.DataFrame, tasks: Sequence[str]) -> None:
    palette = sns.color_palette("colorblind", len(tasks))
    for task, tint, dash in zip(tasks, palette, ["-", "--", "-.", ":", "-", "--"], strict=False):
        own = table[(table["task"] == task) & (table["weight"] > 0)]  # a task out of the game has no place on a log scale
        by = own.groupby("step")["weight"]
        ax.plot(by.median(), color=tint, ls=dash, label=task)
        ax.fill_between(by.median().index, by.min(), by.max(), color=tint, alpha=0.15, lw=0)
    ax.axhline(1, color="#555555", lw=0.8, zorder=1)
    low, high = ax.get_ylim()
    ticks = [2.0**k for k in np.arange(-10, 10.5, 0.5 if high - low < 2 else 1) if max(low, 1e-3) <= 2.0**k <= high]
    ax.set_yscale("log", base=2)
    ax.set_yticks(ticks, [f"{tick:.2g}" for tick in ticks], minor=False)
    ax.minorticks_off()
    ax.set_ylabel("가중치 (중앙값 = 1)")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.26), ncols=min(3, len(tasks)))


def _weight_map(figure: Figure, ax: Axes, table: pd.DataFrame, tasks: Sequence[str]) -> None:
    middle = table.pivot_table(index="task", columns="step", values="weight", aggfunc="median").loc[list(tasks)]
    steps = middle.columns.to_numpy(dtype=float)
    positive = middle.to_numpy(dtype=float)
    grid = np.log2(positive, out=np.full(positive.shape, np.nan), where=positive > 0)  # a task out of the game is left white
    widest = float(np.nanmax(np.abs(grid)))
    most = float(np.clip(widest, 1.0, 4.0))
    image = ax.pcolormesh(steps, np.arange(len(tasks)), grid, cmap="PuOr", vmin=-most, vmax=most, shading="nearest",
                          rasterized=True)  # fmt: skip
    bar = figure.colorbar(image, ax=ax, pad=0.02, extend="both" if widest > most else "neither")
    ticks = np.arange(-math.floor(most), math.floor(most) + 1)
    bar.set_ticks(ticks.tolist(), labels=[f"{2.0**t:g}" for t in ticks])
    bar.set_label("가중치 (중앙값 = 1)")
    ax.set_yticks(range(len(tasks)), list(tasks), fontsize=6)
    ax.invert_yaxis()
    ax.grid(visible=False)
    ax.set_ylabel("과제")


def parameters_vs_delta(frame: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """Δm against what a method costs: parameters (share of K single-task models) above, time a step below; a column a data set.

    Methods of equal cost are drawn side by side.
    """
    final = summary[summary["role"] == "final"].assign(method=metrics.method)
    ci = metrics.delta_m(frame).groupby(["data", "method"])["delta_m"].agg(statistics.interval)
    cost = final.groupby(["data", "method"])[["parameters", "ms_per_step"]].mean()
    names, methods = sorted(set(final["data"])), ordered(sorted(set(final["method"])))
    figure, axes = _panels(names, 2.3, rows=2)
    for (row, key), (column, name) in ((a, b) for a in enumerate(cost) for b in enumerate(names)):
        ax = axes[row][column]
        base = cost[key].get((name, metrics.BASELINE), math.nan)
        shown = [m for m in methods if (name, m) in cost.index and (name, m) in ci.index]
        place = _apart(np.array([cost[key][name, m] / base for m in shown]))
        for x, method in zip(place, shown, strict=True):
            at = ci[name, method]
            ax.plot([x, x], [at.low, at.high], color=colour(method), lw=1, alpha=0.7)
            ax.plot(x, at.mean, marker(method), color=colour(method), ms=6, mec="white", mew=0.5, label=label(method), ls="none")
        ax.axhline(0, color="#555555", lw=1, ls="--", zorder=1)
        ax.set(xlabel=("매개변수", "단계당 시간")[row] + " (단일 과제 = 1)")
        ax.set_xlim(0, None)
        if column == 0:
            ax.set_ylabel("Δm (%)")
        if row == 0:
            ax.set_title(DATA.get(name, name))
    handles, texts = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=4)
    return figure


def learning_curves(curves: pd.DataFrame, split: str = "validation") -> Figure:
    """Metric over the steps, mean over tasks, for each method: the line is the mean over seeds, the band their range."""
    frame = curves[curves["split"] == split].assign(method=metrics.method)
    names, methods = sorted(set(frame["data"])), ordered(sorted(set(frame["method"])))
    figure, axes = _panels(names, 2.6, sharey=False)
    for ax, name in zip(axes[0], names, strict=True):
        part = frame[frame["data"] == name]
        for method in (m for m in methods if m in set(part["method"])):
            run = part[part["method"] == method].groupby(["seed", "step"])["value"].mean()
            by = run.groupby(level="step")
            ax.plot(by.mean(), color=colour(method), label=label(method), marker=marker(method), ms=3)
            ax.fill_between(by.mean().index, by.min(), by.max(), color=colour(method), alpha=0.1, lw=0)
        ax.set(title=DATA.get(name, name), xlabel="단계")
    axes[0][0].set_ylabel("지표, 과제 평균")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _apart(x: np.ndarray) -> np.ndarray:
    """Places about 1.6 % of the largest value apart, so that methods of equal cost are all seen; the order is kept."""
    least, place = 0.016 * float(np.nanmax(x)), x.astype(float).copy()
    order = np.argsort(x, kind="stable")
    group = [order[:1]]
    for i in order[1:]:
        if x[i] - x[group[-1][-1]] < 1e-9 + 0.2 * least:
            group[-1] = np.append(group[-1], i)
        else:
            group.append(np.array([i]))
    for members in group:
        place[members] += least * (np.arange(len(members)) - (len(members) - 1) / 2)
    return place
