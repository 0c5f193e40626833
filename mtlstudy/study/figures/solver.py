"""Figures of the solver study from its tidy frame: each function returns a matplotlib Figure."""

from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtlstudy.nash.reference import FAILED
from mtlstudy.study.figures.panels import legend, panels
from mtlstudy.study.solver import SOLVERS, common
from mtlstudy.study.words import name, word

MARKS = {
    "newton": ("#D55E00", "o"),
    "conic": ("#009E73", "^"),
    "ccp": ("#0072B2", "s"),
    "ccp_published": ("#CC79A7", "x"),
}
FLOOR, CEILING = 1e-17, 1e3


def residuals(frame: pd.DataFrame) -> Figure:
    """Residual of every stress case by the condition number of its Gramian, log-log; the dashed
    line is the bound of failure."""
    figure, (ax,) = panels(1, 1, 3.6)
    scatter(ax, frame[frame["part"] == "stress"], "condition")
    ax.set(xscale="log", xlabel=word("solver.axes.condition"), ylabel=word("solver.axes.residual"))
    return legend(figure, [ax])


def along(frame: pd.DataFrame) -> Figure:
    """Residual along the recorded training runs, a panel a data set, all seeds."""
    rows = frame[frame["part"] == "recorded"]
    sets = sorted(set(rows["data"]))
    figure, axes = panels(1, len(sets), 3.0, sharey=True)
    for ax, data in zip(axes, sets, strict=True):
        scatter(ax, rows[rows["data"] == data], "level")
        ax.set(title=name("data_short", data), xlabel=word("solver.axes.recorded"))
    axes[0].set_ylabel(word("solver.axes.residual"))
    return legend(figure, axes)


def times(frame: pd.DataFrame) -> Figure:
    """Time of a solve over Newton's on the same case by the number of tasks: medians over the
    stress cases that all solvers were given, bars: the quartiles."""
    rows = common(frame, "stress")
    figure, (ax,) = panels(1, 1, 3.0)
    for i, solver in enumerate(SOLVERS):
        by = rows[rows["solver"] == solver].groupby("K")["time"]
        low, middle, high = (by.quantile(q) for q in (0.25, 0.5, 0.75))
        colour, mark = MARKS[solver]
        x, bars = middle.index * 1.03 ** (1.5 - i), [middle - low, high - middle]
        look: dict[str, Any] = {
            "color": colour,
            "ms": 5,
            "lw": 1.2,
            "label": name("solver", solver),
        }
        ax.errorbar(x, middle, bars, fmt=f"-{mark}", **look)
    ticks = sorted(set(rows["K"]))
    ax.set(xscale="log", yscale="log")
    ax.set(xlabel=word("solver.axes.K"), ylabel=word("solver.axes.time"))
    ax.set_xticks(ticks, [str(k) for k in ticks])
    ax.minorticks_off()
    return legend(figure, [ax])


def scatter(ax: Axes, rows: pd.DataFrame, x: str) -> None:
    """A residual a point, Newton's on top; those outside the axis are drawn at its edge."""
    mpl.rcParams["mathtext.cal"] = mpl.rcParams["mathtext.rm"]  # or it looks for a cursive font
    for i, solver in enumerate(SOLVERS):
        own = rows[(rows["solver"] == solver) & rows["residual"].notna()]
        colour, mark = MARKS[solver]
        edge, width = (colour, 0.9) if mark == "x" else ("white", 0.3)
        look: dict[str, Any] = {"color": colour, "ms": 4, "alpha": 0.75, "mec": edge, "mew": width}
        y = own["residual"].clip(FLOOR, CEILING)
        ax.plot(own[x], y, mark, **look, label=name("solver", solver), zorder=3 - i / 10)
    ax.axhline(FAILED, color="#555555", lw=1, ls="--", zorder=1)
    ax.set(yscale="log", ylim=(FLOOR / 3, CEILING * 3))
