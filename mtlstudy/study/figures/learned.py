"""Figures of what models learned about sharing, from the frame `sharing_learned`: each function returns a matplotlib Figure."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from mtlstudy.study.figures.comparison import _natural
from mtlstudy.study.format import DATA, family, number
from mtlstudy.study.figures.style import colour
from mtlstudy.study.figures.sharing import grid

READABLE = ((8, 8), (16, 4))  # maps of up to so many rows and columns show their numbers
EXPERTS = (("expert", ""), ("own", "자기"), ("shared", "공유"))


def mixing(learned: pd.DataFrame, sharing: str = "cross_stitch") -> Figure:
    """Learned α of every stage, mean over seeds: row = the task that receives, column = the task that gives; a row a data set.

    For sluice networks (rows and columns are subspaces of the tasks) β, the mixture of the stages, stands last. The diagonal is
    grey, its mean in the title: what is off it would not be seen on one scale with it.
    """
    own = learned[learned["sharing"] == sharing]
    alpha, beta = own[own["kind"] == "alpha"], own[own["kind"] == "beta"]
    names = sorted(set(alpha["data"]))
    parts = {name: list(dict.fromkeys(alpha[alpha["data"] == name]["part"])) for name in names}
    figure, axes = grid(len(names), max(map(len, parts.values()), default=0) + bool(len(beta)), 2.3)
    for row, name in enumerate(names):
        maps = [_mean(alpha[(alpha["data"] == name) & (alpha["part"] == part)]) for part in parts[name]]
        most = max(0.05, *(float(np.nanmax(np.abs(_off(table)), initial=0)) for table in maps))
        for ax, part, table in zip(axes[row], parts[name], maps, strict=False):
            title = f"{DATA.get(name, name)} · {part}\n대각 평균 {number(np.diag(table).mean(), 2)}"
            image = _map(ax, _off(table), (-most, most), "PuOr", title)
        if not _readable(maps[0]):
            figure.colorbar(image, ax=list(axes[row]), pad=0.01, label="α (대각 밖)")
        if len(beta):
            _map(axes[row][len(maps)], _mean(beta[beta["data"] == name]), (-1.0, 1.0), "PuOr", f"{DATA.get(name, name)} · β")
        for ax in axes[row][len(maps) + bool(len(beta)) :]:
            ax.set_axis_off()
    return figure


def gates(learned: pd.DataFrame) -> Figure:
    """Mean gates of every task over the experts, a row a data set: MMoE for the smallest seed (its experts come in no order, so
    that there is no mean over seeds), PLE's first stage as a mean over seeds."""
    own = learned[learned["kind"] == "gates"]
    names = sorted(set(own["data"]))
    figure, axes = grid(len(names), 2, 2.3)
    for row, name in enumerate(names):
        for ax, sharing in zip(axes[row], ("mmoe", "ple"), strict=True):
            part = own[(own["data"] == name) & (own["sharing"] == sharing)]
            title = f"{DATA.get(name, name)} · {family(sharing)}"
            if sharing == "mmoe":
                title, part = f"{title} (시드 {part['seed'].min()})", part[part["seed"] == part["seed"].min()]
            table = _mean(part)
            for word, korean in EXPERTS:
                table.columns = table.columns.str.replace(word, korean)
            image = _map(ax, table, (0.0, 1.0), "BuPu", title)
            ax.set_xlabel("전문가")
            if not _readable(table):
                figure.colorbar(image, ax=ax, pad=0.02)
    return figure


def relations(learned: pd.DataFrame) -> Figure:
    """How tasks stand to one another, mean over seeds, a row a data set: overlap of the masks of sparse sharing (intersection
    over union), and distance between the trunks of soft sharing (over their mean length). The diagonal is grey."""
    kinds = {"overlap": "마스크 겹침", "distance": "사본 거리"}
    names = sorted(set(learned[learned["kind"].isin(list(kinds))]["data"]))
    figure, axes = grid(len(names), 2, 2.3)
    for row, name in enumerate(names):
        for ax, (kind, text) in zip(axes[row], kinds.items(), strict=True):
            table = _off(_mean(learned[(learned["data"] == name) & (learned["kind"] == kind)]))
            if table.empty:
                ax.set_axis_off()
                continue
            limits = float(np.nanmin(table)) - 0.01, float(np.nanmax(table)) + 0.01
            image = _map(ax, table, limits, "BuPu", f"{DATA.get(name, name)} · {text}", digits=3)
            if not _readable(table):
                figure.colorbar(image, ax=ax, pad=0.02)
    return figure


def spectra(learned: pd.DataFrame) -> Figure:
    """Singular values of the weights stacked over tasks, as shares of the largest (trace norm, tensor factorisation), and the
    conflict scores of the stages (Recon); a row a data set. Lines are means over seeds, bands their range, points seeds."""
    names = sorted(set(learned[learned["kind"].isin(["singular_values", "scores"])]["data"]))
    figure, axes = grid(len(names), 3, 2.1)
    for row, name in enumerate(names):
        part = learned[learned["data"] == name]
        for ax, sharing in zip(axes[row], ("trace_norm", "tensor_factorised"), strict=False):
            _spectrum(ax, part[(part["sharing"] == sharing) & (part["kind"] == "singular_values")])
            ax.set(title=f"{DATA.get(name, name)} · {family(sharing)}", xlabel="특이값의 순서")
        axes[row][0].set_ylabel("가장 큰 값 = 1")
        _scores(axes[row][2], part[part["sharing"] == "recon"])
        axes[row][2].set(title=f"{DATA.get(name, name)} · {family('recon')}", ylabel="충돌 점수")
    return figure


def _spectrum(ax: Axes, own: pd.DataFrame) -> None:
    weights = own.assign(column=own["column"].astype(int)).groupby("row", sort=False)
    for (weight, part), tint in zip(weights, sns.color_palette("colorblind", weights.ngroups), strict=True):
        by = part.groupby("column")["value"]
        ax.plot(by.mean(), color=tint, marker="o", ms=3, label=str(weight))
        ax.fill_between(by.mean().index, by.min(), by.max(), color=tint, alpha=0.15, lw=0)
    ax.axhline(1, color="#555555", lw=0.8, ls="--", zorder=1)
    ax.set_ylim(0, 1.08)
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True, nbins=7))
    if 0 < weights.ngroups <= 6:
        ax.legend(loc="lower left", fontsize=6)


def _scores(ax: Axes, own: pd.DataFrame) -> None:
    scores, seeds = own[own["kind"] == "scores"], max(own["seed"].nunique(), 1)
    stages = list(dict.fromkeys(scores["row"]))
    chosen = own[own["kind"] == "specific"].groupby("row")["seed"].nunique()
    for x, stage in enumerate(stages):
        y = scores[scores["row"] == stage]["value"]
        ax.bar(x, y.mean(), width=0.6, color=colour("recon+equal"), alpha=0.55)
        ax.plot(np.full(len(y), x), y, "o", color="#222222", ms=3)
        ax.annotate(f"{chosen.get(stage, 0)}/{seeds}", (x, y.max()), xytext=(0, 4), textcoords="offset points", ha="center",
                    fontsize=7)  # fmt: skip
    ax.set_xticks(range(len(stages)), stages)
    ax.margins(y=0.18)
    ax.set_ylim(0, None)


def _mean(cells: pd.DataFrame) -> pd.DataFrame:
    """The mean over seeds as a matrix, rows and columns in natural order."""
    order = {axis: _natural(cells[axis]) if axis == "row" else list(dict.fromkeys(cells[axis])) for axis in ("row", "column")}
    order["column"] = order["row"] if set(order["column"]) == set(order["row"]) else order["column"]
    table = cells.pivot_table(index="row", columns="column", values="value", aggfunc="mean")
    return table.reindex(index=order["row"], columns=order["column"])


def _off(table: pd.DataFrame) -> pd.DataFrame:
    """A square matrix without its diagonal."""
    return table.mask(np.eye(*table.shape, dtype=bool))


def _readable(table: pd.DataFrame) -> bool:
    return any(table.shape[0] <= rows and table.shape[1] <= columns for rows, columns in READABLE)


def _map(ax: Axes, table: pd.DataFrame, limits: tuple[float, float], cmap: str, title: str, digits: int = 2) -> AxesImage:
    """A matrix as colours, with its numbers where it is small; what is missing is grey."""
    cells, shades = table.to_numpy(dtype=float), mpl.colormaps[cmap].with_extremes(bad="#cccccc")
    image = ax.imshow(cells, cmap=shades, vmin=limits[0], vmax=limits[1], aspect="auto", interpolation="nearest")
    for axis, names in ((ax.yaxis, table.index), (ax.xaxis, table.columns)):
        at, shown = _owners([str(name) for name in names])
        axis.set_ticks(at, shown, fontsize=7 if len(shown) <= READABLE[0][0] else 5)
    if len(table.columns) > 3 and max(map(len, map(str, table.columns))) > 3:
        ax.tick_params(axis="x", labelrotation=90)
    if _readable(table):
        for (y, x), value in np.ndenumerate(cells):
            if np.isfinite(value):
                dark = np.dot(shades(image.norm(value))[:3], (0.299, 0.587, 0.114)) < 0.5
                ax.text(x, y, number(value, digits), ha="center", va="center", fontsize=6 if len(cells) <= READABLE[0][0] else 5,
                        color="white" if dark else "black")  # fmt: skip
    ax.grid(visible=False)
    ax.set_title(title, fontsize=8)
    return image


def _owners(names: Sequence[str]) -> tuple[list[float], list[str]]:
    """Ticks: a name each, subspaces of one task together in their middle."""
    owner = [name.rsplit(" ", 1)[0] if name.rsplit(" ", 1)[-1].isdigit() else name for name in names]
    shown = list(dict.fromkeys(owner))
    return [float(np.mean([i for i, one in enumerate(owner) if one == name])) for name in shown], shown
