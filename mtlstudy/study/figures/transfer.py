"""Figures of the transfer experiment from its frames. `InputError` where there is nothing to
draw."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from mtlstudy.study import affinity as foretelling
from mtlstudy.study import transfer
from mtlstudy.study.figures.panels import grid, tiles
from mtlstudy.study.figures.style import DARK, GREY, LOOKS
from mtlstudy.study.format import number
from mtlstudy.study.statistics import ALPHA
from mtlstudy.study.words import name, word

MOST = 100.0
FEW = 8
"""Rows up to which a matrix has its numbers written in it."""


def relatedness(frame: pd.DataFrame) -> Figure:
    """Mean Δm of hard sharing by relatedness and width, a panel a number of examples; with a
    star what is significant after Holm. Colours end at `MOST` percent."""
    cells = transfer.cells(frame)
    figure, axes = tiles(cells["train"].nunique(), 2.4, sharey=True)
    limit = min(float(cells["difference"].abs().max()), MOST)
    for ax, (train, own) in zip(axes, cells.groupby("train"), strict=True):
        values = own.pivot(index="width", columns="rho", values="difference")
        sure = own.pivot(index="width", columns="rho", values="p_holm") < ALPHA
        image = drawn(ax, values, limit)
        written(ax, values, limit, sure)
        ax.set_title(word("transfer.axis.train", train=train))
        ax.set_xlabel(word("transfer.axis.rho"))
    axes[0].set_ylabel(word("transfer.axis.width"))
    figure.colorbar(image, ax=axes, label=word("transfer.axis.delta_m"), extend="both")
    return figure


def matrix(frame: pd.DataFrame) -> Figure:
    """Mean gain of every task (row) trained with every other (column) over its single-task model; a
    panel a data set. The diagonal is the task by itself, at the values of hard sharing."""
    sets = list(frame["data"].unique())
    figure, axes = grid(1, len(sets), 3.3)
    for ax, data in zip(axes.flat, sets, strict=True):
        own = frame[frame["data"] == data]
        order = list(own["target"].unique())
        values = own.pivot_table(index="target", columns="partner", values="gain")
        values = values.loc[order, order].rename(index=task, columns=task)
        limit = float(values.abs().max(axis=None))
        image = drawn(ax, values, limit)
        if len(values) <= FEW:
            written(ax, values, limit)
        size = 8 if len(values) <= FEW else 6.5
        ax.tick_params(axis="x", labelrotation=90, labelsize=size)
        ax.tick_params(axis="y", labelsize=size)
        ax.set(title=name("data_short", data), xlabel=word("transfer.axis.partner"))
        figure.colorbar(image, ax=ax, label=word("transfer.axis.gain"), shrink=0.7)
    axes[0, 0].set_ylabel(word("transfer.axis.target"))
    return figure


def task(key: str) -> str:
    """A task's name, or its number where it has no other.

    >>> task("class12")
    '12'
    """
    return name("task", key).removeprefix("class")


def drawn(ax: Axes, values: pd.DataFrame, limit: float) -> AxesImage:
    """A matrix with 0 in the middle of the colours, and its labels."""
    norm = Normalize(-(limit or 1), limit or 1)
    image = ax.imshow(values.to_numpy(), cmap="RdBu", norm=norm, aspect="auto")
    labels = ([f"{v:g}" if isinstance(v, float) else str(v) for v in k] for k in axes_of(values))
    for set_ticks, at in zip((ax.set_yticks, ax.set_xticks), labels, strict=True):
        set_ticks(range(len(at)), at)
    ax.grid(visible=False)
    return image


def axes_of(values: pd.DataFrame) -> tuple[list[object], list[object]]:
    """What rows and columns are called."""
    return list(values.index), list(values.columns)


def written(ax: Axes, values: pd.DataFrame, limit: float, sure: pd.DataFrame | None = None) -> None:
    """The numbers in their places, light on dark."""
    for (i, j), value in np.ndenumerate(values.to_numpy()):
        star = "*" if sure is not None and sure.to_numpy()[i, j] else ""
        tint = "white" if abs(value) > 0.6 * limit else DARK
        text = number(float(value), sign=True) + star
        ax.text(j, i, text, ha="center", va="center", fontsize=7.5, color=tint)


def scatter(frame: pd.DataFrame, affinity: pd.DataFrame) -> Figure:
    """What a predictor says of a task's partners (across) and what they turned out to do (%p, up),
    each less its mean over the partners. A row of panels a data set, a point a pair."""
    keys = ["data", "target", "partner"]
    measured = transfer.net(frame).groupby(keys)["net"].mean()
    found = affinity.groupby(["predictor", *keys], sort=False)["value"].mean().reset_index()
    found = found.join(measured, on=keys)
    means = found.groupby(["predictor", "data", "target"])[["value", "net"]].transform("mean")
    found[["value", "net"]] -= means
    sets, predictors = list(found["data"].unique()), [*foretelling.PREDICTORS, "labels"]
    figure, axes = grid(len(sets), len(predictors), 2.1, sharey="row")
    for (row, column), ax in np.ndenumerate(axes):
        here = (found["data"] == sets[row]) & (found["predictor"] == predictors[column])
        own = found[here]
        if row == 0:
            ax.set_title(word(f"transfer.predictor.{predictors[column]}"), fontsize=8)
        if column == 0:
            ax.set_ylabel(name("data_short", sets[row]))
        if own.empty:
            where = {"transform": ax.transAxes, "ha": "center", "va": "center"}
            ax.text(0.5, 0.5, word("text.undefined"), color=GREY, **where)
            ax.set_xticks([])
            continue
        ax.axhline(0, color=GREY, lw=0.8, ls="--", zorder=1)
        ax.plot(own["value"], own["net"], "o", color=LOOKS["equal"][0], ms=3, alpha=0.6)
        ax.locator_params(axis="x", nbins=3)
    figure.supxlabel(word("transfer.axis.predictor"), fontsize=9)
    figure.supylabel(word("transfer.axis.net"), fontsize=9)
    return figure
