"""Figures of the solver experiment from its tidy frame: each function returns a matplotlib Figure."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtlstudy.errors import InputError
from mtlstudy.study.format import DATA
from mtlstudy.study.figures.style import style
from mtlstudy.study.solver_values import FAILED, SOLVERS

MARKS = {"newton": ("#D55E00", "o"), "conic": ("#009E73", "^"), "ccp": ("#0072B2", "s"), "ccp_published": ("#CC79A7", "x")}
FLOOR, CEILING = 1e-17, 1e3
WIDTH = 7.0


def _part(frame: pd.DataFrame, part: str) -> pd.DataFrame:
    rows = frame[frame["part"] == part]
    if rows.empty:
        raise InputError(f"figure: the frame has no {part} rows to draw")
    style()
    mpl.rcParams["mathtext.cal"] = mpl.rcParams["mathtext.rm"]  # or matplotlib looks for a cursive font, and warns
    return rows


def _points(ax: Axes, rows: pd.DataFrame, x: str) -> None:
    """A residual a point; those outside the axis are drawn at its edge."""
    for name, text in reversed(SOLVERS.items()):
        own = rows[(rows["solver"] == name) & rows["residual"].notna()]
        colour, mark = MARKS[name]
        edge, width = (colour, 0.9) if mark == "x" else ("white", 0.3)
        y = own["residual"].clip(FLOOR, CEILING)
        ax.plot(own[x], y, mark, color=colour, ms=4, alpha=0.75, mec=edge, mew=width, label=text)
    ax.axhline(FAILED, color="#555555", lw=1, ls="--", zorder=1)
    ax.set(yscale="log", ylim=(FLOOR / 3, CEILING * 3))


def _legend(figure: Figure, ax: Axes) -> Figure:
    handles, texts = ax.get_legend_handles_labels()
    figure.legend(handles[::-1], texts[::-1], loc="outside lower center", ncols=len(SOLVERS))
    plt.close(figure)  # a notebook shows the returned figure once, not twice
    return figure


def residuals(frame: pd.DataFrame) -> Figure:
    """Residual of every stress case by the condition number of its Gramian, log-log; the dashed line is the bound of failure."""
    rows = _part(frame, "stress")
    figure, ax = plt.subplots(figsize=(WIDTH, 3.6))
    _points(ax, rows, "condition")
    ax.set(xscale="log", xlabel="그램 행렬의 조건수", ylabel="잔차")
    return _legend(figure, ax)


def along(frame: pd.DataFrame) -> Figure:
    """Residual along the recorded training runs, a panel a data set, all seeds; the dashed line is the bound of failure."""
    rows = _part(frame, "recorded")
    names = sorted(set(rows["data"]))
    figure, axes = plt.subplots(1, len(names), figsize=(WIDTH, 3.0), squeeze=False, sharey=True)
    for ax, name in zip(axes[0], names, strict=True):
        _points(ax, rows[rows["data"] == name], "level")
        ax.set(title=DATA.get(name, name), xlabel="학습 중 기록한 순서")
    axes[0][0].set_ylabel("잔차")
    return _legend(figure, axes[0][0])


def times(frame: pd.DataFrame) -> Figure:
    """Seconds a solve by the number of tasks: medians over the stress cases that all solvers were given, bars: the quartiles."""
    rows = _part(frame, "stress")
    rows = rows[rows.groupby("case")["solver"].transform("nunique") == len(SOLVERS)]
    figure, ax = plt.subplots(figsize=(WIDTH, 3.0))
    for i, (name, text) in enumerate(reversed(SOLVERS.items())):
        by = rows[rows["solver"] == name].groupby("K")["seconds"]
        low, middle, high = (1e3 * by.quantile(q) for q in (0.25, 0.5, 0.75))
        colour, mark = MARKS[name]
        bars = [middle - low, high - middle]
        ax.errorbar(middle.index * 1.03 ** (i - 1.5), middle, bars, fmt=f"-{mark}", color=colour, ms=5, lw=1.2, label=text)
    ticks = sorted(set(rows["K"]))
    ax.set(xscale="log", yscale="log", xlabel="과제의 수 K", ylabel="풀이 시간 (ms)")
    ax.set_xticks(ticks, [str(k) for k in ticks])
    ax.minorticks_off()
    return _legend(figure, ax)
