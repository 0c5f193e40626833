"""What figures of several panels have in common: grids, rows of seeds, lines with bands, one legend
under all panels, and what stands in a figure's place."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtlstudy.errors import InputError
from mtlstudy.study import statistics
from mtlstudy.study.figures.style import DARK, GREY, RED, look, style
from mtlstudy.study.words import word

WIDTH = 7.0
"""Of every figure, in inches."""
ACROSS = 3
"""Panels a row of `tiles`."""


def panels(down: int, across: int, height: float, **how: Any) -> tuple[Figure, list[Axes]]:
    """An empty figure of down × across panels, `height` inches each; how: of `plt.subplots`."""
    style()
    size = (WIDTH, height * down)
    figure, axes = plt.subplots(down, across, figsize=size, squeeze=False, **how)
    plt.close(figure)  # a notebook shows the returned figure once, not twice
    return figure, list(axes.flat)


def grid(down: int, across: int, height: float, **how: Any) -> tuple[Figure, np.ndarray]:
    """`panels` as an array (down, across). `InputError` where there is nothing to draw."""
    if not down * across:
        raise InputError("figure: the frame has no rows to draw")
    figure, axes = panels(down, across, height, **how)
    return figure, np.array(axes).reshape(down, across)


def tiles(n: int, height: float, **how: Any) -> tuple[Figure, list[Axes]]:
    """n panels, `ACROSS` a row. `InputError` where there is nothing to draw."""
    figure, axes = grid(-(-n // ACROSS), min(n, ACROSS), height, **how)
    for ax in axes.flat[n:]:
        ax.set_axis_off()
    return figure, list(axes.flat[:n])


def legend(figure: Figure, axes: list[Axes], across: int = 4) -> Figure:
    """One legend for all panels under them; the figure itself."""
    handles: dict[str, Artist] = {
        text: handle
        for ax in axes
        for handle, text in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    given, columns = (list(handles.values()), list(handles)), min(across, len(handles))
    figure.legend(*given, loc="outside lower center", ncols=columns)
    return figure


def nothing(text: str) -> Figure:
    """What stands in a figure's place where there is nothing to draw: a line that says why."""
    figure, (ax,) = panels(1, 1, 1.0)
    ax.text(0.5, 0.5, text, ha="center", va="center", fontsize=12, color=GREY)
    ax.set_axis_off()
    return figure


def strip(ax: Axes, frame: pd.DataFrame, column: str, names: Mapping[str, str]) -> None:
    """A row a method, under its name: a point a seed, the mean as a bar, the interval as a line; in
    words how many seeds diverged (NaN), and where a method has no value: the page says why."""
    by_seed = frame.sort_values("seed")
    for y, method in enumerate(names):
        x = by_seed.loc[by_seed["method"] == method, column].to_numpy()
        ci, (tint, mark) = statistics.interval(x), look(method)
        offsets = np.linspace(-0.18, 0.18, len(x)) if len(x) > 1 else np.zeros(len(x))
        ax.plot(x, y + offsets, mark, color=tint, ms=4.5, mec="white", mew=0.4, zorder=3)
        ax.plot([ci.low, ci.high], [y, y], color=tint, lw=2, solid_capstyle="round", zorder=2)
        ax.plot([ci.mean] * 2, [y - 0.3, y + 0.3], color=DARK, lw=1.4, zorder=4)
        if ci.n < len(x) or not len(x):
            lost = word("text.diverged", lost=len(x) - ci.n, seeds=len(x))
            text, at = lost if len(x) else word("text.no_value"), np.nanmax(x) if ci.n else 0.0
            where: dict[str, Any] = {"xytext": (6, 0), "textcoords": "offset points"}
            ax.annotate(text, (at, y), **where, va="center", fontsize=7.5, color=RED)
    ax.set_yticks(range(len(names)), list(names.values()))
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.margins(x=0.09)
    ax.grid(axis="y", visible=False)


def lines(ax: Axes, frame: pd.DataFrame, tint: Any, label: str, **how: Any) -> None:
    """Mean of ``value`` over ``x``, with its range over the seeds as a band."""
    by = frame.groupby("x")["value"]
    ax.plot(by.mean(), color=tint, label=label, **how)
    ax.fill_between(by.mean().index, by.min(), by.max(), color=tint, alpha=0.13, lw=0)
