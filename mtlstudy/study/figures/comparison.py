"""Figures of the comparisons of methods: each function returns a matplotlib Figure.

Raises:
    InputError: there is nothing to draw.
"""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtlstudy.errors import InputError
from mtlstudy.study import metrics, plan, statistics
from mtlstudy.study.comparison import named
from mtlstudy.study.figures.panels import grid, legend, panels, strip, tiles
from mtlstudy.study.figures.style import GREY, look
from mtlstudy.study.results import Results
from mtlstudy.study.words import name, word

WEIGHTED = ("hard+equal_norm", "hard+nash")
"""The methods whose weights are drawn."""
MANY_TASKS = 6
NEAR = 0.016
"""Places of equal cost are drawn so far from one another, as a share of their range."""


def _names(results: Results, frame: pd.DataFrame) -> dict[str, str]:
    """The methods of a frame in the order of every table and figure, with their names."""
    methods = sorted(set(frame["method"]), key=plan.place)
    return {method: named(results.comparison)(method) for method in methods}


def _final(results: Results) -> pd.DataFrame:
    return results.runs.query("role == 'final'").assign(method=metrics.method)


def delta_m(results: Results) -> Figure:
    """Δm of each method over single-task, a panel a data set: a point a seed, mean, interval."""
    delta = metrics.delta_m(results.metrics).query("method != @plan.BASELINE")
    sets, names = sorted(set(delta["data"])), _names(results, delta)
    figure, axes = tiles(len(sets), 0.8 + 0.28 * len(names), sharey="row")
    for ax, data in zip(axes, sets, strict=True):
        strip(ax, delta[delta["data"] == data], "delta_m", names)
        ax.axvline(0, color=GREY, lw=1, ls="--", zorder=1)
        ax.set(title=name("data_short", data), xlabel=word("axis.delta_m_better"))
    return figure


def conflict(results: Results) -> Figure:
    """Gradient conflict of each method, a column a data set: mean cosine of the task gradients, and
    share of task pairs with a negative one (%). Methods that share nothing have none."""
    final = _final(results).dropna(subset=["cosine"])
    final["conflict"] *= 100
    sets, names = sorted(set(final["data"])), _names(results, final)
    figure, axes = grid(2, len(sets), 0.6 + 0.3 * len(names), sharey="row")
    for column, data in zip(axes.T, sets, strict=True):
        for ax, key in zip(column, ("cosine", "conflict"), strict=True):
            strip(ax, final[final["data"] == data], key, names)
            ax.set_xlabel(word(f"axis.{key}"))
        column[0].axvline(0, color=GREY, lw=1, ls="--", zorder=1)
        column[0].set_title(name("data_short", data))
    return figure


def cost(results: Results) -> Figure:
    """Δm against parameters (left) and FLOPs of an example (right), single-task models = 1, log
    scale; a row a data set. Methods of equal cost are drawn side by side."""
    final, keys = _final(results), ["data", "method"]
    delta = metrics.delta_m(results.metrics).groupby(keys)["delta_m"].agg(statistics.interval)
    spent = final.groupby(keys)[["parameters", "flops"]].mean()
    sets = sorted(set(final["data"]))
    figure, axes = grid(len(sets), 2, 2.1, sharey="row")
    for row, data in zip(axes, sets, strict=True):
        names = _names(results, final[final["data"] == data])
        for ax, key in zip(row, spent, strict=True):
            ratio = (spent[key][data] / spent[key][data, plan.BASELINE])[list(names)]
            places = 2 ** spread(np.log2(ratio.to_numpy(dtype=float)))
            for x, (method, called) in zip(places, names.items(), strict=True):
                ci, (tint, mark) = delta[data, method], look(method)
                ax.plot([x, x], [ci.low, ci.high], color=tint, lw=1, alpha=0.7)
                edge = {"ms": 6.5, "mec": "white", "mew": 0.5, "label": called}
                ax.plot(x, ci.mean, mark, ls="none", color=tint, **edge)
            ax.axhline(0, color=GREY, lw=1, ls="--", zorder=1)
            ax.set_xscale("log", base=2)
            ax.xaxis.set_major_formatter("{x:.3g}")
            ax.set_title(name("data_short", data))
        row[0].set_ylabel(word("axis.delta_m"))
    for ax, key in zip(axes[-1], spent, strict=True):
        ax.set_xlabel(word(f"axis.{key}"))
    return legend(figure, list(axes.flat), 5)


def spread(x: np.ndarray) -> np.ndarray:
    """Places of x (n,) of which equal ones stand `NEAR` of their range apart, so that all are seen;
    the order and the middle of equal ones are kept."""
    least, order = NEAR * float(np.nanmax(x) - np.nanmin(x)), np.argsort(x, kind="stable")
    far = np.diff(x[order]) >= 1e-9 + 0.2 * least
    place = x.copy()
    for equal in np.split(order, np.flatnonzero(far) + 1):
        place[equal] += least * (np.arange(len(equal)) - (len(equal) - 1) / 2)
    return place


def weights(results: Results) -> Figure:
    """Task weights along the training, relative to the step's median task, on a log scale; a row
    for each of `WEIGHTED`. Up to six tasks: a line a task, the median over the seeds with their
    range; more: a map of task by step whose scale ends at 1/16 and 16 (arrows say that something
    lies beyond).

    Raises:
        InputError: none of the methods has recorded weights.
    """
    frame = results.weights.assign(method=metrics.method, x=100 * results.weights["share"])
    frame = frame[frame["method"].isin(WEIGHTED)]
    if frame.empty:
        raise InputError(f"weights: none of {', '.join(WEIGHTED)} was recorded")
    sets, names = sorted(set(frame["data"])), _names(results, frame)
    figure, axes = panels(len(names), len(sets), 2.2)
    for ax, (method, data) in zip(axes, [(m, d) for m in names for d in sets], strict=True):
        part = frame.query("method == @method and data == @data")
        tasks = natural(part["task"])
        if not tasks:
            ax.set_axis_off()
        elif len(tasks) <= MANY_TASKS:
            _weight_lines(ax, part, tasks)
        else:
            _weight_map(figure, ax, part, tasks)
        title = f"{name('data_short', data)} · {names[method]}"
        ax.set(title=title, xlabel=word("axis.progress"))
    return figure


def natural(names: Iterable[str]) -> list[str]:
    """Each name once, in natural order: class2 before class10."""
    parts = {name: re.split(r"(\d+)", name) for name in names}
    return sorted(parts, key=lambda n: [int(p) if p.isdigit() else p for p in parts[n]])


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
    ax.set_yticks(ticks, [f"{tick:.2g}" for tick in ticks])
    ax.minorticks_off()
    ax.set_ylabel(word("axis.weight"))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.26), ncols=min(3, len(tasks)))


def _weight_map(figure: Figure, ax: Axes, frame: pd.DataFrame, tasks: Sequence[str]) -> None:
    table = frame.pivot_table(index="task", columns="x", values="weight", aggfunc="median")
    table = table.loc[list(tasks)]
    logs = np.log2(table.where(table > 0).to_numpy())  # a task out of the game is left white
    widest = float(np.nanmax(np.abs(logs)))
    most = float(np.clip(widest, 1.0, 4.0))
    x, y = table.columns.to_numpy(), np.arange(len(tasks))
    how: dict[str, Any] = {"cmap": "PuOr", "shading": "nearest", "rasterized": True}
    image = ax.pcolormesh(x, y, logs, vmin=-most, vmax=most, **how)
    extend = "both" if widest > most else "neither"
    bar = figure.colorbar(image, ax=ax, pad=0.02, extend=extend, label=word("axis.weight"))
    ticks = range(-math.floor(most), math.floor(most) + 1)
    bar.set_ticks(list(ticks), labels=[f"{2.0**tick:g}" for tick in ticks])
    ax.set_yticks(y, list(tasks), fontsize=6)
    ax.invert_yaxis()
    ax.grid(visible=False)
    ax.set_ylabel(word("axis.task"))
