"""Figures of the comparison of sharing structures, from its tidy frames: each function returns a matplotlib Figure."""

import math

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mtlstudy.study import metrics
from mtlstudy.study import statistics
from mtlstudy.errors import InputError
from mtlstudy.study.figures.comparison import WIDTH, _apart, _strip
from mtlstudy.study.format import DATA, family
from mtlstudy.study.figures.style import colour, marker, ordered, style
from mtlstudy.study.sharing_values import UNDEFINED

ACROSS = 3


def grid(rows: int, columns: int, height: float, *, share: bool = False) -> tuple[Figure, np.ndarray]:
    """A figure of panels, each `height` inches high; share: one y-axis a row."""
    if not rows * columns:
        raise InputError("figure: the frame has no rows to draw")
    style()
    size = (WIDTH, 0.3 + height * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, sharey="row" if share else False)
    plt.close(figure)  # a notebook shows the returned figure once, not twice
    return figure, axes


def delta_m(frame: pd.DataFrame) -> Figure:
    """Δm of each structure over single-task, a panel a data set: a point a seed, mean, interval; in words what is undefined."""
    delta = metrics.delta_m(frame)
    delta = delta[delta["method"] != metrics.BASELINE]
    names, methods = sorted(set(delta["data"])), ordered(sorted(set(delta["method"])))
    across = min(ACROSS, len(names))
    figure, axes = grid(math.ceil(len(names) / ACROSS), across, 0.6 + 0.27 * len(methods), share=True)
    for ax, name in zip(axes.flat, names, strict=False):
        part = delta[delta["data"] == name]
        found = {m: part[part["method"] == m].sort_values("seed")["delta_m"].to_numpy() for m in methods}
        _strip(ax, found, 0)
        for y, x in enumerate(found.values()):
            lost = int(np.isnan(x).sum())
            if lost or not len(x):
                end = float(np.nanmax(x)) if lost < len(x) else 0.0
                ax.annotate(f"발산 {lost}/{len(x)}" if lost else UNDEFINED, (end, y), xytext=(6, 0), textcoords="offset points",
                            va="center", fontsize=7.5, color="#aa0000")  # fmt: skip
        ax.set_yticks(range(len(methods)), [family(m) for m in methods])
        ax.axvline(0, color="#555555", lw=1, ls="--", zorder=1)
        ax.set(title=DATA.get(name, name), xlabel="Δm (%)  → 좋음")
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    return figure


def cost(frame: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """Δm against parameters (left) and FLOPs of an example (right), single-task models = 1, log scale; a row a data set.

    Structures of equal cost are drawn side by side.
    """
    final = summary[summary["role"] == "final"].assign(method=metrics.method)
    ci = metrics.delta_m(frame).groupby(["data", "method"])["delta_m"].agg(statistics.interval)
    spent = final.groupby(["data", "method"])[["parameters", "flops"]].mean()
    names, methods = sorted(set(final["data"])), ordered(sorted(set(final["method"])))
    figure, axes = grid(len(names), 2, 2.1, share=True)
    seen: dict[str, mpl.artist.Artist] = {}
    for (row, name), (column, key) in ((a, b) for a in enumerate(names) for b in enumerate(spent)):
        ax, base = axes[row][column], spent[key][name, metrics.BASELINE]
        there = [m for m in methods if (name, m) in spent.index and (name, m) in ci.index]
        x_log = np.log2([spent[key][name, m] / base for m in there])
        for x, method in zip(2 ** (_apart(x_log - x_log.min()) + x_log.min()), there, strict=True):
            at = ci[name, method]
            ax.plot([x, x], [at.low, at.high], color=colour(method), lw=1, alpha=0.7)
            (seen[method],) = ax.plot(x, at.mean, marker(method), color=colour(method), ms=6.5, mec="white", mew=0.5, ls="none")
        ax.axhline(0, color="#555555", lw=1, ls="--", zorder=1)
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter("{x:.3g}")
        ax.set_title(DATA.get(name, name))
        if row == len(names) - 1:
            ax.set_xlabel(("매개변수", "FLOPs")[column] + " (단일 과제 = 1, 로그 눈금)")
        if column == 0:
            ax.set_ylabel("Δm (%)")
    shown = [m for m in methods if m in seen]
    figure.legend([seen[m] for m in shown], [family(m) for m in shown], loc="outside lower center", ncols=5)
    return figure
