"""Figures of the benchmarks from their tidy frames: each returns a matplotlib Figure, without results a panel that says so."""

from collections.abc import Iterable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from mtlstudy.bench.record import size
from mtlstudy.study.figures.style import nothing, style
from mtlstudy.study.performance_values import ABSENT, AXES, METHODS, MODELS, SHARES, grown, methods, name, part, problem
from mtlstudy.study.performance_values import shares as shares_of

WIDTH = 7.0
MARKERS = "osD^v<>phd"
COLOURS = {
    "newton": "#D55E00", "newton_warm": "#E69F00", "conic": "#009E73", "ccp": "#0072B2", "ccp_published": "#CC79A7",
    "ccp_ecos": "#332288", "ccp_compile": "#56B4E9", "torchjd": "#8A8A1F", "mean_loss": "#777777", "limit": "#222222",
    "nash_sequential": "#D55E00", "nash_chunked": "#E69F00", "nash_batched": "#882255", "nash_representation": "#009E73",
    "nash_every_5": "#56B4E9", "official": "#0072B2", "torchjd_nash": "#8A8A1F", "torchjd_upgrad": "#CC79A7",
}  # fmt: skip
STEPS = ("mean_loss", "nash_sequential", "nash_chunked", "nash_batched", "nash_representation", "nash_every_5", "official",
         "torchjd_nash", "torchjd_upgrad", "nash_mtl", "libmtl")  # fmt: skip


def solver(frame: pd.DataFrame) -> Figure:
    """Time of one solve by the number of tasks, log-log, a line a method: medians, bars: the quartiles."""
    own = part(frame, "single")
    if own.empty:
        return nothing(ABSENT)
    figure, (ax,) = _panels(1, 1, 3.9)
    for method in methods(own):
        _line(ax, own, method, "K", "ms", 1e3)
    ax.set(yscale="log", ylabel="풀이 시간 (µs)")
    _sizes(ax, own["K"], "과제의 수 K")
    return _legend(figure, [ax])


def steps(frame: pd.DataFrame) -> Figure:
    """A training step by the number of tasks, a column a model: above its time over the limit with quartiles, below the peak
    of its memory; all axes logarithmic."""
    models = [model for model in MODELS if len(part(frame, model))]
    if not models:
        return nothing(ABSENT)
    figure, axes = _panels(2, len(models), 3.0)
    for i, (of, text) in enumerate((("ratio", "시간 (한계 = 1)"), ("memory_mb", "최대 메모리 (MB)"))):
        for ax, model in zip(axes[i * len(models) :], models, strict=False):
            own = part(frame, model)
            for method in [m for m in methods(own) if m in STEPS]:
                _line(ax, own, method, "K", of)
            ax.set(title="" if i else problem(model), yscale="log", ylabel="" if model != models[0] else text)
            _sizes(ax, own["K"], "과제의 수 K" if i else "")
            _plain(ax)
            if of == "ratio":
                ax.axhline(1, color="#222222", lw=1, ls="--", zorder=1)
    return _legend(figure, axes)


def loop(frame: pd.DataFrame) -> Figure:
    """Where the time of a run goes: a bar a run, its parts in percent."""
    own = shares_of(frame)
    if own.empty:
        return nothing(ABSENT)
    figure, (ax,) = _panels(1, 1, 1.0 + 0.34 * len(own))
    left = np.zeros(len(own))
    for part_of, tint in zip(own, sns.color_palette("colorblind", len(own.columns)), strict=True):
        values = own[part_of].fillna(0).to_numpy()
        ax.barh(range(len(own)), values, 0.7, left=left, color=tint, label=SHARES[str(part_of)], edgecolor="white", lw=0.4)
        left += values
    ax.set_yticks(range(len(own)), [problem(str(run)) for run in own.index])
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set(xlabel="학습 시간에서 차지하는 몫 (%)", xlim=(0, max(100.0, left.max())))
    return _legend(figure, [ax], across=7)


def scaling(frame: pd.DataFrame) -> Figure:
    """Time by size, a panel a thing that grows, both axes logarithmic; under each panel its lines with the fitted exponents and
    their standard errors."""
    there = [own for own in AXES if part(frame, own)["ms"].notna().any()]
    if not there:
        return nothing(ABSENT)
    figure, axes = _panels(-(-len(there) // 2), 2, 3.5)
    exponents = grown(frame)
    for ax, own in zip(axes, there, strict=False):
        rest = part(frame, own)
        for method in methods(rest):
            slope, error = exponents.get((own, method), (np.nan, np.nan))
            told = "" if np.isnan(slope) else f"  {slope:.2f} ± {error:.2f}".replace("-", "−")
            _line(ax, rest, method, size(own), "ms", label=name(method) + told)
        ax.set(yscale="log", ylabel="한 번의 풀이 (ms)" if own == "solver" else "한 단계 (ms)")
        _sizes(ax, rest[size(own)], AXES[own])
        _plain(ax)
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=1, fontsize=7)
    for ax in axes[len(there) :]:
        ax.set_axis_off()
    return figure


def _panels(down: int, across: int, height: float) -> tuple[Figure, list[Axes]]:
    style()
    figure, axes = plt.subplots(down, across, figsize=(WIDTH, height * down), squeeze=False)
    plt.close(figure)  # a notebook shows the returned figure once, not twice
    return figure, list(axes.flat)


def _line(ax: Axes, frame: pd.DataFrame, method: str, x: str, y: str, scale: float = 1.0, label: str = "") -> None:
    """A method's medians over x, with the quartiles as bars where there are some; the same look in every figure."""
    own = frame[(frame["method"] == method) & frame[y].notna()].sort_values(x)
    if own.empty:
        return
    values, bars = scale * own[y].to_numpy(dtype=float), None
    if f"{y}_low" in own:
        bars = np.abs(scale * own[[f"{y}_low", f"{y}_high"]].to_numpy(dtype=float).T - values)
    place = [*METHODS, *sorted(set(frame["method"]) - set(METHODS))].index(method)
    palette = sns.color_palette("husl", 12).as_hex()
    colour = COLOURS.get(method, palette[place % len(palette)])
    ax.errorbar(own[x].astype(float), values, bars, fmt="-" + MARKERS[place % len(MARKERS)], color=colour, ms=5, lw=1.1,
                elinewidth=0.8, mec="white", mew=0.4, label=label or name(method))  # fmt: skip


def _sizes(ax: Axes, sizes: Iterable[float], text: str) -> None:
    """A logarithmic axis with ticks at the sizes themselves, as far as there is room; large ones in powers of ten."""
    found = sorted({float(value) for value in sizes})
    ax.set(xscale="log", xlabel=text)
    if found[-1] < 10000:
        kept = [found[0]]
        for value in found[1:]:
            if value / kept[-1] > 1.2 * (found[-1] / found[0]) ** 0.03:
                kept.append(value)
        ax.set_xticks(kept, [f"{value:g}" for value in kept])
        ax.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)


def _plain(ax: Axes) -> None:
    """Numbers as they are on a logarithmic axis of less than two decades, powers of ten on a longer one."""
    low, high = ax.get_ylim()
    if high < 100 * low:
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        ax.yaxis.set_minor_formatter("{x:g}")


def _legend(figure: Figure, axes: list[Axes], across: int = 4) -> Figure:
    """One legend for all panels under them, in the order of `METHODS`."""
    found = {text: handle for ax in axes for handle, text in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(list(found.values()), list(found), loc="outside lower center", ncols=min(across, len(found)))
    return figure
