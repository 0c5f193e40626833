"""Figures of the benchmarks: each returns a Figure, without rows a panel that says so."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from mtlstudy.study import performance
from mtlstudy.study.benchmarks import part, size
from mtlstudy.study.figures.panels import legend, nothing, panels
from mtlstudy.study.performance import AXES, MODELS, methods, name, problem
from mtlstudy.study.words import word

SOLVERS = ("newton", "newton_warm", "conic", "ccp", "ccp_published", "ccp_ecos", "ccp_compile")
STEPS = (
    *("mean_loss", "nash_sequential", "nash_chunked", "nash_batched", "nash_representation"),
    *("nash_every_5", "official", "torchjd_nash", "torchjd_upgrad"),
)
PEERS = ("torchjd", "nash_mtl", "libmtl")
DRAWN = tuple(dict.fromkeys((*SOLVERS, *STEPS, *PEERS)))
HUES = sns.color_palette("husl", len(DRAWN))
LOOKS = {  # the same in every figure; neighbours far apart in hue
    method: ("osD^v<>phd"[i % 10], HUES[7 * i % len(HUES)]) for i, method in enumerate(DRAWN)
}


def solver(frame: pd.DataFrame) -> Figure:
    """Time of one solve by the number of tasks, log-log, a line a method: medians and quartiles."""
    own = part(frame, "single")
    if own.empty:
        return nothing(word("performance.absent"))
    figure, (ax,) = panels(1, 1, 3.9)
    for method in methods(own):
        line(ax, own, method, "K", "ms", 1e3)
    ax.set(yscale="log", ylabel=word("performance.labels.us"))
    sizes(ax, own["K"], word("performance.axes.K"))
    return legend(figure, [ax])


def steps(frame: pd.DataFrame) -> Figure:
    """A training step by the number of tasks, a column a model: above its time over the limit,
    below the peak of its memory; all axes logarithmic."""
    models = [model for model in MODELS if len(part(frame, model))]
    if not models:
        return nothing(word("performance.absent"))
    figure, axes = panels(2, len(models), 3.0)
    for i, ax in enumerate(axes):
        row, column = divmod(i, len(models))
        own, of = part(frame, models[column]), ("ratio", "memory_mb")[row]
        for method in [m for m in methods(own) if m in (*STEPS, *PEERS)]:
            line(ax, own, method, "K", of)
        ax.set(yscale="log", ylabel="" if column else word(f"performance.labels.{of}"))
        sizes(ax, own["K"], word("performance.axes.K") if row else "")
        plain(ax)
        if row == 0:
            ax.set_title(name(models[column]))
            ax.axhline(1, color="#222222", lw=1, ls="--", zorder=1)
    return legend(figure, axes)


def loop(frame: pd.DataFrame) -> Figure:
    """Where the time of a run goes: a bar a run, its parts in percent."""
    own = performance.shares(frame)
    if own.empty:
        return nothing(word("performance.absent"))
    figure, (ax,) = panels(1, 1, 1.0 + 0.34 * len(own))
    left = np.zeros(len(own))
    for key, tint in zip(own, sns.color_palette("colorblind", len(own.columns)), strict=True):
        values, text = own[key].fillna(0).to_numpy(), word(f"performance.shares.{key}")
        ax.barh(range(len(own)), values, 0.7, left=left, color=tint, label=text, ec="white", lw=0.4)
        left += values
    ax.set_yticks(range(len(own)), [problem(str(run)) for run in own.index])
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set(xlabel=word("performance.labels.share"), xlim=(0, max(100.0, left.max())))
    return legend(figure, [ax], across=7)


def scaling(frame: pd.DataFrame) -> Figure:
    """Time by size, a panel a thing that grows, both axes logarithmic."""
    axes_of = [axis for axis in AXES if part(frame, axis)["ms"].notna().any()]
    if not axes_of:
        return nothing(word("performance.absent"))
    figure, axes = panels(-(-len(axes_of) // 2), 2, 2.6)
    for ax, axis in zip(axes, axes_of, strict=False):
        own = part(frame, axis)
        for method in methods(own):
            line(ax, own, method, size(axis), "ms")
        solves = axis == "solver"
        ax.set(yscale="log", ylabel=word(f"performance.labels.{'solve' if solves else 'step'}"))
        sizes(ax, own[size(axis)], word(f"performance.axes.{axis}"))
        plain(ax)
    for ax in axes[len(axes_of) :]:
        ax.set_axis_off()
    return legend(figure, axes[: len(axes_of)])


def line(ax: Axes, frame: pd.DataFrame, method: str, x: str, y: str, scale: float = 1.0) -> None:
    """A method's medians over x, with the quartiles as bars where there are some."""
    own = frame[(frame["method"] == method) & frame[y].notna()].sort_values(x)
    if own.empty:
        return
    values, bars = scale * own[y].to_numpy(dtype=float), None
    if f"{y}_low" in own:
        quartiles = own[[f"{y}_low", f"{y}_high"]].to_numpy(dtype=float).T
        bars = np.abs(scale * quartiles - values)
    mark, colour = LOOKS.get(method, ("*", "#8A8A1F"))
    look = {"color": colour, "ms": 5, "lw": 1.1, "elinewidth": 0.8, "mec": "white", "mew": 0.4}
    ax.errorbar(own[x].astype(float), values, bars, fmt=f"-{mark}", **look, label=name(method))


def sizes(ax: Axes, values: Iterable[float], text: str) -> None:
    """A logarithmic axis with ticks at the sizes, as far as there is room; large ones in powers of
    ten."""
    found = sorted({float(value) for value in values})
    ax.set(xscale="log", xlabel=text)
    if found[-1] < 10000:
        ticks = found[:1]
        for value in found[1:]:
            if value / ticks[-1] > 1.2 * (found[-1] / found[0]) ** 0.03:
                ticks.append(value)
        ax.set_xticks(ticks, [f"{value:g}" for value in ticks])
        ax.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)


def plain(ax: Axes) -> None:
    """Plain numbers on a logarithmic axis of less than two decades, powers of ten on others."""
    low, high = ax.get_ylim()
    if high < 100 * low:
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        ax.yaxis.set_minor_formatter("{x:g}")
