"""Figures of what models learned about sharing: each function returns a matplotlib Figure.

Rows and columns of a map are tasks, subspaces of tasks, stages or experts.

Raises:
    InputError: there is nothing to draw.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from mtlstudy.study.figures.comparison import natural
from mtlstudy.study.figures.panels import grid, lines
from mtlstudy.study.figures.style import DARK, GREY, look
from mtlstudy.study.format import number
from mtlstudy.study.words import family, name, word

READABLE = ((8, 8), (16, 4))
"""Maps of up to so many rows and columns show their numbers."""
WIDE = 18
"""Letters that fit under a map; longer rows of names are turned."""


def mixing(learned: pd.DataFrame, sharing: str = "cross_stitch") -> Figure:
    """Learned α of every stage, mean over seeds, a row a data set: row = the task that receives,
    column = the task that gives.

    For sluice networks (rows and columns are subspaces of the tasks) β, the mixture of the stages,
    stands last. The diagonal is grey, its mean in the title: what is off it would not be seen on
    one scale with it.
    """
    own = learned[learned["sharing"] == sharing]
    beta = own[own["kind"] == "beta"]
    maps = {
        data: {part: _mean(cells) for part, cells in alpha.groupby("part", sort=False)}
        for data, alpha in own[own["kind"] == "alpha"].groupby("data")
    }
    stages = max(map(len, maps.values()), default=0)
    figure, axes = grid(len(maps), stages + bool(len(beta)), 2.3)
    for row, (data, tables) in zip(axes, maps.items(), strict=True):
        short, last = name("data_short", str(data)), len(tables)
        most = max(0.05, *(float(np.nanmax(np.abs(_off(t)), initial=0)) for t in tables.values()))
        for ax, (part, table) in zip(row, tables.items(), strict=False):
            diagonal = number(float(np.diag(table).mean()), 2)
            title = word("text.diagonal", data=short, part=part, mean=diagonal)
            image = _map(ax, _off(table), (-most, most), "PuOr", title)
        if not _readable(table):
            figure.colorbar(image, ax=list(row), pad=0.01, label=word("axis.off_diagonal"))
        if len(beta):
            _map(row[last], _mean(beta[beta["data"] == data]), (-1.0, 1.0), "PuOr", f"{short} · β")
        for ax in row[last + bool(len(beta)) :]:
            ax.set_axis_off()
    return figure


def gates(learned: pd.DataFrame) -> Figure:
    """Mean gates of every task over the experts, a row a data set: MMoE for the smallest seed (its
    experts come in no order, so that there is no mean over seeds), PLE's first stage as a mean."""
    own = learned[learned["kind"] == "gates"]
    sets, experts = sorted(set(own["data"])), {"expert": ""}
    experts |= {key: word(f"text.{key}") for key in ("own", "shared")}
    figure, axes = grid(len(sets), 2, 2.3)
    for row, data in zip(axes, sets, strict=True):
        for ax, sharing in zip(row, ("mmoe", "ple"), strict=True):
            part = own.query("data == @data and sharing == @sharing")
            title = f"{name('data_short', data)} · {family(sharing)}"
            if sharing == "mmoe":
                seed = part["seed"].min()
                part, title = part[part["seed"] == seed], word("text.seed", title=title, seed=seed)
            table = _mean(part)
            for english, korean in experts.items():
                table.columns = table.columns.str.replace(english, korean)
            image = _map(ax, table, (0.0, 1.0), "BuPu", title)
            ax.set_xlabel(word("axis.expert"))
            if not _readable(table):
                figure.colorbar(image, ax=ax, pad=0.02)
    return figure


def relations(learned: pd.DataFrame) -> Figure:
    """How tasks are related, mean over seeds, a row a data set: overlap of the masks of sparse
    sharing (intersection over union), and distance between the trunks of soft sharing (over their
    mean length). The diagonal is grey."""
    kinds = ("overlap", "distance")
    sets = sorted(set(learned[learned["kind"].isin(kinds)]["data"]))
    figure, axes = grid(len(sets), 2, 2.3)
    for row, data in zip(axes, sets, strict=True):
        for ax, kind in zip(row, kinds, strict=True):
            table = _off(_mean(learned.query("data == @data and kind == @kind")))
            if table.empty:
                ax.set_axis_off()
                continue
            limits = float(np.nanmin(table)) - 0.01, float(np.nanmax(table)) + 0.01
            title = f"{name('data_short', data)} · {word(f'text.{kind}')}"
            image = _map(ax, table, limits, "BuPu", title, digits=3)
            if not _readable(table):
                figure.colorbar(image, ax=ax, pad=0.02)
    return figure


def spectra(learned: pd.DataFrame) -> Figure:
    """Singular values of the weights stacked over tasks, as shares of the largest (trace norm,
    tensor factorisation), and the conflict scores of the stages (Recon); a row a data set. Lines
    are means over seeds, bands their range, points seeds."""
    kinds = ["singular_values", "scores"]
    sets = sorted(set(learned[learned["kind"].isin(kinds)]["data"]))
    figure, axes = grid(len(sets), 3, 2.1)
    for row, data in zip(axes, sets, strict=True):
        short = name("data_short", data)
        for ax, sharing in zip(row, ("trace_norm", "tensor_factorised"), strict=False):
            where = "data == @data and sharing == @sharing and kind == 'singular_values'"
            _spectrum(ax, learned.query(where))
            ax.set(title=f"{short} · {family(sharing)}", xlabel=word("axis.singular_value"))
        row[0].set_ylabel(word("axis.largest"))
        _scores(row[2], learned.query("data == @data and sharing == 'recon'"))
        title = f"{short} · {family('recon')}"
        row[2].set(title=title, ylabel=word("axis.conflict_score"))
    return figure


def _spectrum(ax: Axes, own: pd.DataFrame) -> None:
    weights = own.assign(x=own["column"].astype(int)).groupby("row", sort=False)
    palette = sns.color_palette("colorblind", weights.ngroups)
    for (weight, part), tint in zip(weights, palette, strict=True):
        lines(ax, part, tint, str(weight), marker="o", ms=3)
    ax.axhline(1, color=GREY, lw=0.8, ls="--", zorder=1)
    ax.set_ylim(0, 1.08)
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True, nbins=7))
    if 0 < weights.ngroups <= 6:
        ax.legend(loc="lower left", fontsize=6)


def _scores(ax: Axes, own: pd.DataFrame) -> None:
    scores, seeds = own[own["kind"] == "scores"], max(own["seed"].nunique(), 1)
    stages = scores["row"].unique()
    chosen = own[own["kind"] == "specific"].groupby("row")["seed"].nunique()
    for x, stage in enumerate(stages):
        y = scores[scores["row"] == stage]["value"]
        ax.bar(x, y.mean(), width=0.6, color=look("recon+equal")[0], alpha=0.55)
        ax.plot(np.full(len(y), x), y, "o", color=DARK, ms=3)
        above: dict[str, Any] = {"xytext": (0, 4), "textcoords": "offset points", "ha": "center"}
        ax.annotate(f"{chosen.get(stage, 0)}/{seeds}", (x, y.max()), **above, fontsize=7)
    ax.set_xticks(range(len(stages)), stages, fontsize=7)
    ax.margins(y=0.18)
    ax.set_ylim(0, None)


def _mean(cells: pd.DataFrame) -> pd.DataFrame:
    """The mean over seeds as a matrix: rows in natural order, and columns too where they are the
    same names."""
    rows, columns = natural(cells["row"]), list(cells["column"].unique())
    columns = rows if set(columns) == set(rows) else columns
    table = cells.pivot_table(index="row", columns="column", values="value", aggfunc="mean")
    return table.reindex(index=rows, columns=columns)


def _off(table: pd.DataFrame) -> pd.DataFrame:
    """A square matrix without its diagonal."""
    return table.mask(np.eye(*table.shape, dtype=bool))


def _readable(table: pd.DataFrame) -> bool:
    return any(table.shape[0] <= rows and table.shape[1] <= columns for rows, columns in READABLE)


def _map(
    ax: Axes, table: pd.DataFrame, ends: tuple[float, float], cmap: str, title: str, digits: int = 2
) -> AxesImage:
    """A matrix as colours, with its numbers where it is small; what is missing is grey."""
    cells, shades = table.to_numpy(dtype=float), mpl.colormaps[cmap].with_extremes(bad="#cccccc")
    how: dict[str, Any] = {"aspect": "auto", "interpolation": "nearest"}
    image = ax.imshow(cells, cmap=shades, vmin=ends[0], vmax=ends[1], **how)
    for axis, names in ((ax.yaxis, table.index), (ax.xaxis, table.columns)):
        at, shown = _owners(list(map(str, names)))
        axis.set_ticks(at, shown, fontsize=7 if len(shown) <= READABLE[0][0] else 5)
    if len(shown) * max(map(len, shown)) > WIDE:
        ax.tick_params(axis="x", labelrotation=90)
    size = 6 if len(cells) <= READABLE[0][0] else 5
    for (y, x), value in np.ndenumerate(cells) if _readable(table) else ():
        if np.isfinite(value):
            dark = np.dot(shades(image.norm(value))[:3], (0.299, 0.587, 0.114)) < 0.5
            tint = "white" if dark else "black"
            text = number(value, digits)
            ax.text(x, y, text, ha="center", va="center", fontsize=size, color=tint)
    ax.grid(visible=False)
    ax.set_title(title, fontsize=8)
    return image


def _owners(names: Sequence[str]) -> tuple[list[float], list[str]]:
    """Ticks: a name each, subspaces of one task ("a 1", "a 2") together in their middle."""
    owners = pd.Series(names).str.replace(r"(?<=.) \d+$", "", regex=True)
    middles = pd.Series(owners.index).groupby(owners, sort=False).mean()
    return middles.tolist(), middles.index.tolist()
