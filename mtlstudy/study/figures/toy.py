"""Figures of the toy experiment from its frames: each function returns a matplotlib Figure with a panel a method."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mtlstudy.errors import InputError
from mtlstudy.study.figures.style import style
from mtlstudy.data._toy_problem import front, losses
from mtlstudy.study.toy_values import name, start

WIDTH, COLUMNS = 7.0, 3
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")  # a start each, after Okabe & Ito
EDGE = "#222222"


def _panels(paths: pd.DataFrame, height: float) -> tuple[Figure, dict[str, Axes]]:
    if paths.empty:
        raise InputError("figure: the frame has no paths to draw")
    style()
    methods = list(dict.fromkeys(paths["method"]))
    rows = -(-len(methods) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(WIDTH, height * rows), sharex=True, sharey=True, squeeze=False)
    plt.close(figure)  # a notebook shows the returned figure once, not twice
    for ax in axes.flat[len(methods) :]:
        ax.set_visible(False)
    return figure, dict(zip(methods, axes.flat, strict=False))


def _paths(ax: Axes, paths: pd.DataFrame, ends: pd.DataFrame, x: str, y: str) -> None:
    """A line a start, a circle where it begins, a star where it ends on the front, a cross where it ends off it."""
    for (number, path), colour in zip(paths.groupby("start"), COLOURS, strict=False):
        reached = bool(ends.loc[ends["start"] == number, "on_front"].iloc[0])
        ax.plot(path[x], path[y], color=colour, lw=1.2, zorder=3)
        ax.plot(path[x].iloc[0], path[y].iloc[0], "o", color=colour, ms=5, mec="white", mew=0.6, zorder=4)
        mark, size = ("*", 11) if reached else ("X", 8)
        ax.plot(path[x].iloc[-1], path[y].iloc[-1], mark, color=colour, ms=size, mec=EDGE, mew=0.6, zorder=5, clip_on=False)


def _legend(figure: Figure, ends: pd.DataFrame) -> Figure:
    starts = ends.drop_duplicates("start")
    lines = [
        Line2D([], [], color=colour, marker="o", mec="white", label=start(x1, x2))
        for x1, x2, colour in zip(starts["start_x1"], starts["start_x2"], COLOURS, strict=False)
    ]
    marks = [("-", "", "파레토 전선"), ("", "*", "전선 위의 끝"), ("", "X", "전선 밖의 끝")]
    lines += [Line2D([], [], color=EDGE, ls=ls or "none", marker=m, lw=2.5, ms=8, label=text) for ls, m, text in marks]
    figure.legend(handles=lines, loc="outside lower center", ncols=4)
    return figure


def contours(ends: pd.DataFrame, paths: pd.DataFrame) -> Figure:
    """Paths in the plane of x over the contours of ℓ₁ + ℓ₂, with the Pareto front; a panel a method."""
    figure, panels = _panels(paths, 2.35)
    side = torch.linspace(-10.5, 10.5, 211, dtype=torch.float64)
    total = losses(torch.stack(torch.meshgrid(side, side, indexing="xy"), -1)).sum(-1).numpy()
    edge, levels = front()[0].numpy(), np.linspace(-22, 14, 19)
    for method, ax in panels.items():
        ground = ax.contourf(side, side, total, levels, cmap="Greys", alpha=0.55, extend="both", zorder=1)
        ground.set_rasterized(True)  # as vectors ten times the size
        ax.plot(edge[:, 0], edge[:, 1], color=EDGE, lw=2.5, zorder=2)
        _paths(ax, paths[paths["method"] == method], ends[ends["method"] == method], "x1", "x2")
        ax.set(title=name(method), xlim=(-10.5, 10.5), ylim=(-10.5, 10.5), xticks=(-10, 0, 10), yticks=(-10, 0, 10))
        ax.set(xlabel="$x_1$", ylabel="$x_2$")
        ax.label_outer()
        ax.grid(visible=False)
    return _legend(figure, ends)


def loss_space(ends: pd.DataFrame, paths: pd.DataFrame) -> Figure:
    """Paths in the plane of the two losses, with the Pareto front; a panel a method."""
    figure, panels = _panels(paths, 2.1)
    edge = front()[1].numpy()
    for method, ax in panels.items():
        ax.plot(edge[:, 0], edge[:, 1], color=EDGE, lw=2.5, zorder=2)
        _paths(ax, paths[paths["method"] == method], ends[ends["method"] == method], "l1", "l2")
        ax.set(title=name(method), xlabel=r"$\ell_1$", ylabel=r"$\ell_2$")
        ax.label_outer()
    return _legend(figure, ends)
