"""Figures of the overfitting experiment from its frame: lines over the number of training examples,
a method each. `InputError` where there is nothing to draw."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtlstudy.study import overfitting, plan
from mtlstudy.study.figures.panels import legend, lines, nothing, tiles
from mtlstudy.study.figures.style import GREY, look
from mtlstudy.study.words import family, name, word


def delta_m(frame: pd.DataFrame) -> Figure:
    """Δm over single-task, a panel a data set and regularisation: the mean, and the range over the
    seeds as a band."""
    runs = overfitting.by_run(frame).query("method != @plan.BASELINE")
    return over_sizes(runs, "delta_m", word("axis.delta_m"))


def gap(frame: pd.DataFrame) -> Figure:
    """The generalisation gap, train less validation, likewise; single-task models too."""
    return over_sizes(overfitting.by_run(frame), "gap", word("overfitting.axis.gap"))


def tasks(frame: pd.DataFrame, data: str) -> Figure:
    """Gain of every task of a data set over single-task, a panel a task."""
    table = overfitting.gains(frame).query("data == @data and method != @plan.BASELINE")
    if table.empty:
        return nothing(word("text.absent"))
    panels = {name("task", str(task)): own for task, own in table.groupby("task", sort=False)}
    return drawn(panels, "gain", word("overfitting.axis.gain"))


def over_sizes(runs: pd.DataFrame, column: str, label: str) -> Figure:
    """A panel a data set and regularisation."""
    by = runs.groupby(["data", "regularisation"], sort=False)
    panels = {
        f"{name('data_short', str(data))} · {overfitting.level(str(how))}": own
        for (data, how), own in by
    }
    return drawn(panels, column, label)


def drawn(panels: dict[str, pd.DataFrame], column: str, label: str) -> Figure:
    """A panel under each title, with a line a method; the same scale in panels of one row."""
    figure, axes = tiles(len(panels), 2.1, sharey="row")
    for ax, (title, own) in zip(axes, panels.items(), strict=True):
        for method in sorted(own["method"].unique(), key=plan.place):
            tint, mark = look(method)
            points = own[own["method"] == method].assign(x=own["size"], value=own[column])
            lines(ax, points, tint, family(method), marker=mark, ms=4)
        finish(ax, sorted(own["size"].unique()))
        ax.set_title(title)
    axes[0].set_ylabel(label)
    return legend(figure, axes)


def finish(ax: Axes, sizes: list[int]) -> None:
    """A line at 0, and the sizes on a log scale."""
    ax.axhline(0, color=GREY, lw=1, ls="--", zorder=1)
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
    ax.minorticks_off()
    ax.set_xlabel(word("overfitting.axis.examples"))
