"""Figures of the toy study from its frames: a panel a method, all starts in it."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mtlstudy.data.toy import front, losses
from mtlstudy.study.figures.panels import tiles
from mtlstudy.study.toy import name, start
from mtlstudy.study.words import word

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")  # a start each, Okabe & Ito
EDGE = "#222222"


def contours(ends: pd.DataFrame, paths: pd.DataFrame) -> Figure:
    """Paths in the plane of x over the contours of ℓ₁ + ℓ₂, with the Pareto front."""
    side = torch.linspace(-10.5, 10.5, 211, dtype=torch.float64)
    total = losses(torch.stack(torch.meshgrid(side, side, indexing="xy"), -1)).sum(-1).numpy()
    levels, ticks = np.linspace(-22, 14, 19), (-10, 0, 10)
    figure, axes = drawn(ends, paths, 2.35, ("x1", "x2"), front()[0].numpy())
    for ax in axes:
        ground = ax.contourf(side, side, total, levels, cmap="Greys", alpha=0.55, extend="both")
        ground.set(rasterized=True, zorder=1)  # as vectors ten times the size
        ax.set(xlim=(-10.5, 10.5), ylim=(-10.5, 10.5), xticks=ticks, yticks=ticks)
        ax.set(xlabel="$x_1$", ylabel="$x_2$")
        ax.grid(visible=False)
        ax.label_outer()
    return figure


def loss_space(ends: pd.DataFrame, paths: pd.DataFrame) -> Figure:
    """Paths in the plane of the two losses, with the Pareto front."""
    figure, axes = drawn(ends, paths, 2.1, ("l1", "l2"), front()[1].numpy())
    for ax in axes:
        ax.set(xlabel=r"$\ell_1$", ylabel=r"$\ell_2$")
        ax.label_outer()
    return figure


def drawn(
    ends: pd.DataFrame, paths: pd.DataFrame, height: float, plane: tuple[str, str], edge: np.ndarray
) -> tuple[Figure, list[Axes]]:
    """The panels of all methods with front (n, 2), legend and a line a start: a circle where it
    begins, a star where it ends on the front, a cross where it ends off it. `InputError` where
    there are no paths."""
    x, y = plane
    methods, starts = paths["method"].unique(), ends.drop_duplicates("start").set_index("start")
    figure, axes = tiles(len(methods), height, sharex=True, sharey=True)
    tints = dict(zip(starts.index, COLOURS, strict=False))
    for ax, method in zip(axes, methods, strict=True):
        ax.plot(edge[:, 0], edge[:, 1], color=EDGE, lw=2.5, zorder=2)
        reached = ends[ends["method"] == method].set_index("start")["on_front"]
        for number, path in paths[paths["method"] == method].groupby("start"):
            colour, first, last = tints[number], path.iloc[0], path.iloc[-1]
            ax.plot(path[x], path[y], color=colour, lw=1.2, zorder=3)
            ax.plot(first[x], first[y], "o", color=colour, ms=5, mec="white", mew=0.6, zorder=4)
            mark, size = ("*", 11) if reached[number] else ("X", 8)
            look: dict[str, Any] = {"ms": size, "mec": EDGE, "mew": 0.6, "zorder": 5}
            ax.plot(last[x], last[y], mark, color=colour, **look, clip_on=False)
        ax.set_title(name(method))
    lines = [
        Line2D([], [], color=tints[number], marker="o", mec="white", label=start(*at))
        for number, at in starts[["start_x1", "start_x2"]].iterrows()
    ]
    lines += [
        Line2D([], [], color=EDGE, ls=line, marker=mark, lw=2.5, ms=8, label=word(f"toy.{text}"))
        for line, mark, text in (("-", "", "front"), ("none", "*", "on"), ("none", "X", "off"))
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=4)
    return figure, axes
