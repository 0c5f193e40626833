"""Figures of the comparisons of methods: each function returns a matplotlib Figure.

Panels that several figures have are functions of an `Axes`: `strip`, `lines`.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtlstudy.errors import InputError
from mtlstudy.study import compare, metrics, plan, statistics
from mtlstudy.study.figures.panels import legend, panels
from mtlstudy.study.figures.style import GREY, RED, Look, colour, marker, ordered
from mtlstudy.study.results import Results
from mtlstudy.study.words import name, word

ACROSS = 3
MANY_TASKS = 6
NEAR = 0.016
"""Places of equal cost are drawn so far from one another, as a share of the largest."""


def grid(
    down: int, across: int, height: float, *, sharey: bool = False
) -> tuple[Figure, np.ndarray]:
    """An empty figure with its axes (down, across). `InputError` where there is nothing to draw."""
    if not down * across:
        raise InputError("figure: the frame has no rows to draw")
    figure, axes = panels(down, across, height, sharey="row" if sharey else False)
    return figure, np.array(axes).reshape(down, across)


def strip(ax: Axes, values: Mapping[str, np.ndarray], names: Sequence[str]) -> None:
    """A row a method: a point a seed, the mean as a bar, the interval as a line; in words how many
    seeds diverged (NaN), and where a method has none because it is undefined."""
    for y, (method, x) in enumerate(values.items()):
        ci, tint = statistics.interval(x), colour(method)
        offsets = np.linspace(-0.18, 0.18, len(x)) if len(x) > 1 else np.zeros(len(x))
        ax.plot(x, y + offsets, marker(method), color=tint, ms=4.5, mec="white", mew=0.4, zorder=3)
        if math.isfinite(ci.low):
            low_high, ys = [ci.low, ci.high], [y, y]
            ax.plot(low_high, ys, color=tint, lw=2, solid_capstyle="round", zorder=2)
        if math.isfinite(ci.mean):
            ax.plot([ci.mean] * 2, [y - 0.3, y + 0.3], color="#222222", lw=1.4, zorder=4)
        if ci.n < len(x) or not len(x):
            lost = word("text.diverged", lost=len(x) - ci.n, seeds=len(x))
            text = lost if len(x) else word("text.undefined")
            look: Look = {"xytext": (6, 0), "textcoords": "offset points", "va": "center"}
            at = (np.nanmax(x) if ci.n else 0.0, y)
            ax.annotate(text, at, fontsize=7.5, color=RED, **look)
    ax.set_yticks(range(len(values)), names)
    ax.set_ylim(len(values) - 0.4, -0.6)
    ax.margins(x=0.09)
    ax.grid(axis="y", visible=False)


def lines(ax: Axes, frame: pd.DataFrame, tint: Any, label: str, **look: Any) -> None:
    """Mean of ``value`` over ``x``, with its range over the seeds as a band."""
    by = frame.groupby("x")["value"]
    ax.plot(by.mean(), color=tint, label=label, **look)
    ax.fill_between(by.mean().index, by.min(), by.max(), color=tint, alpha=0.13, lw=0)


def by_method(frame: pd.DataFrame, methods: Iterable[str], column: str) -> dict[str, np.ndarray]:
    """The values of a column by method, in the order of the seeds."""
    sorted_rows = frame.sort_values("seed")
    return {m: sorted_rows[sorted_rows["method"] == m][column].to_numpy() for m in methods}


def delta_m(results: Results) -> Figure:
    """Δm of each method over single-task, a panel a data set: a point a seed, mean, interval."""
    delta = metrics.delta_m(results.metrics)
    delta = delta[delta["method"] != plan.BASELINE]
    sets, methods = sorted(set(delta["data"])), ordered(delta["method"])
    down, across = -(-len(sets) // ACROSS), min(ACROSS, len(sets))
    figure, axes = grid(down, across, 0.8 + 0.28 * len(methods), sharey=True)
    names = [compare.named(results.comparison)(method) for method in methods]
    for ax, data in zip(axes.flat, sets, strict=False):
        strip(ax, by_method(delta[delta["data"] == data], methods, "delta_m"), names)
        ax.axvline(0, color=GREY, lw=1, ls="--", zorder=1)
        ax.set(title=name("data_short", data), xlabel=word("axis.delta_m_better"))
    for ax in axes.flat[len(sets) :]:
        ax.set_axis_off()
    return figure


def conflict(results: Results) -> Figure:
    """Gradient conflict of each method, a column a data set: mean cosine of the task gradients, and
    share of task pairs with a negative one. Methods that share nothing have none."""
    runs = results.runs
    final = runs[runs["role"] == "final"].assign(method=metrics.method).dropna(subset=["cosine"])
    final["conflict"] *= 100
    sets, methods = sorted(set(final["data"])), ordered(final["method"])
    figure, axes = grid(2, len(sets), 0.6 + 0.3 * len(methods), sharey=True)
    names = [compare.named(results.comparison)(method) for method in methods]
    for column, data in zip(axes.T, sets, strict=True):
        for ax, key in zip(column, ("cosine", "conflict"), strict=True):
            strip(ax, by_method(final[final["data"] == data], methods, key), names)
            ax.set_xlabel(word(f"axis.{key}"))
        column[0].axvline(0, color=GREY, lw=1, ls="--", zorder=1)
        column[0].set_title(name("data_short", data))
    return figure


def cost(results: Results) -> Figure:
    """Δm against parameters (left) and FLOPs of an example (right), single-task models = 1, log
    scale; a row a data set. Methods of equal cost are drawn side by side."""
    runs, keys = results.runs, ["data", "method"]
    final = runs[runs["role"] == "final"].assign(method=metrics.method)
    delta = metrics.delta_m(results.metrics).groupby(keys)["delta_m"].agg(statistics.interval)
    spent = final.groupby(keys)[["parameters", "flops"]].mean()
    sets = sorted(set(final["data"]))
    figure, axes = grid(len(sets), 2, 2.1, sharey=True)
    called = compare.named(results.comparison)
    for row, data in zip(axes, sets, strict=True):
        methods = ordered(spent.loc[data].index)
        for ax, key in zip(row, spent, strict=True):
            ratio = spent[key][data] / spent[key][data, plan.BASELINE]
            x = np.log2(ratio[methods].to_numpy(dtype=float))
            for at, method in zip(2 ** (spread(x - x.min()) + x.min()), methods, strict=True):
                ci, look = delta[data, method], {"color": colour(method), "label": called(method)}
                ax.plot([at, at], [ci.low, ci.high], color=look["color"], lw=1, alpha=0.7)
                edge = {"ms": 6.5, "mec": "white", "mew": 0.5}
                ax.plot(at, ci.mean, marker(method), ls="none", **edge, **look)
            ax.axhline(0, color=GREY, lw=1, ls="--", zorder=1)
            ax.set_xscale("log", base=2)
            ax.xaxis.set_major_formatter("{x:.3g}")
            ax.set_title(name("data_short", data))
        row[0].set_ylabel(word("axis.delta_m"))
    for ax, key in zip(axes[-1], spent, strict=True):
        ax.set_xlabel(word(f"axis.{key}"))
    return legend(figure, list(axes.flat), 5)


def spread(x: np.ndarray) -> np.ndarray:
    """Places `NEAR` of the largest apart, so that methods of equal cost are all seen; the order and
    the middle of equal ones are kept."""
    least, place = NEAR * float(np.nanmax(x)), x.astype(float).copy()
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


def weights(results: Results, methods: Sequence[str] = ("hard+equal_norm", "hard+nash")) -> Figure:
    """Task weights along the training, relative to the step's median task, on a log scale; a row a
    method. Up to six tasks: a line a task, the median over the seeds with their range; more: a map
    of task by step whose scale ends at 1/16 and 16 (arrows say that something lies beyond).

    Raises:
        InputError: none of the methods has recorded weights.
    """
    frame = results.weights.assign(method=metrics.method)
    frame = frame.assign(x=100 * frame["share"])
    there = [method for method in methods if method in set(frame["method"])]
    if not there:
        raise InputError(f"weights: none of {', '.join(methods)} was recorded")
    frame = frame[frame["method"].isin(there)]
    sets, called = sorted(set(frame["data"])), compare.named(results.comparison)
    figure, axes = grid(len(there), len(sets), 2.2)
    for row, method in zip(axes, there, strict=True):
        for ax, data in zip(row, sets, strict=True):
            part = frame[(frame["method"] == method) & (frame["data"] == data)]
            tasks = natural(part["task"])
            if not tasks:
                ax.set_axis_off()
            elif len(tasks) <= MANY_TASKS:
                _weight_lines(ax, part, tasks)
            else:
                _weight_map(figure, ax, part, tasks)
            title = f"{name('data_short', data)} · {called(method)}"
            ax.set(title=title, xlabel=word("axis.progress"))
    return figure


def natural(names: Iterable[str]) -> list[str]:
    """Names in natural order: class2 before class10."""

    def key(text: str) -> list[int | str]:
        return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]

    return sorted(set(names), key=key)


def _weight_lines(ax: Axes, frame: pd.DataFrame, tasks: Sequence[str]) -> None:
    palette, dashes = sns.color_palette("colorblind", len(tasks)), ["-", "--", "-.", ":", "-", "--"]
    for task, tint, dash in zip(tasks, palette, dashes, strict=False):
        own = frame[(frame["task"] == task) & (frame["weight"] > 0)]  # a log scale has no 0
        by = own.groupby("x")["weight"]
        ax.plot(by.median(), color=tint, ls=dash, label=task)
        ax.fill_between(by.median().index, by.min(), by.max(), color=tint, alpha=0.15, lw=0)
    ax.axhline(1, color=GREY, lw=0.8, zorder=1)
    low, high = ax.get_ylim()
    powers = 2.0 ** np.arange(-10, 10.5, 0.5 if high - low < 2 else 1)
    ticks = [tick for tick in powers if max(low, 1e-3) <= tick <= high]
    ax.set_yscale("log", base=2)
    ax.set_yticks(ticks, [f"{tick:.2g}" for tick in ticks], minor=False)
    ax.minorticks_off()
    ax.set_ylabel(word("axis.weight"))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.26), ncols=min(3, len(tasks)))


def _weight_map(figure: Figure, ax: Axes, frame: pd.DataFrame, tasks: Sequence[str]) -> None:
    table = frame.pivot_table(index="task", columns="x", values="weight", aggfunc="median")
    weight = table.loc[list(tasks)].to_numpy(dtype=float)
    blank = np.full(weight.shape, np.nan)  # a task out of the game is left white
    logs = np.log2(weight, out=blank, where=weight > 0)
    widest = float(np.nanmax(np.abs(logs)))
    most = float(np.clip(widest, 1.0, 4.0))
    x, y = table.columns.to_numpy(dtype=float), np.arange(len(tasks))
    look: Look = {"cmap": "PuOr", "shading": "nearest", "rasterized": True}
    image = ax.pcolormesh(x, y, logs, vmin=-most, vmax=most, **look)
    extend = "both" if widest > most else "neither"
    bar = figure.colorbar(image, ax=ax, pad=0.02, extend=extend)
    ticks = np.arange(-math.floor(most), math.floor(most) + 1)
    bar.set_ticks(ticks.tolist(), labels=[f"{2.0**t:g}" for t in ticks])
    bar.set_label(word("axis.weight"))
    ax.set_yticks(range(len(tasks)), list(tasks), fontsize=6)
    ax.invert_yaxis()
    ax.grid(visible=False)
    ax.set_ylabel(word("axis.task"))
