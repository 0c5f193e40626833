"""The house style of all figures: Korean font, colours, files.

Noto Sans KR comes from the package pylopdf-fonts-ko; the palette is colour-blind safe (after Okabe & Ito); a glyph that the font
lacks is an error, lest text vanish; files carry no dates, so that a rerun gives the same bytes.
"""

import warnings
from collections.abc import Sequence
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib import font_manager
from matplotlib.figure import Figure

FONT = "pylopdf_fonts_ko/NotoSansKR-Regular.otf"
METHODS = ("single_task+equal", "hard+equal", "hard+scale_invariant", "hard+uncertainty", "hard+static", "hard+equal_norm",
           "hard+nash", "hard+block_nash", "partial+equal", "soft+equal", "trace_norm+equal", "tensor_factorised+equal",
           "cross_stitch+equal", "sluice+equal", "hierarchical+equal", "sparse+equal", "mmoe+equal", "ple+equal",
           "recon+equal")  # fmt: skip
MARKERS = "oDs^vPX<" + "s^vPX<*p>hd"  # weightings and sharing structures are never in one figure, but for the first two
COLOURS = ("#777777", "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#CC79A7", "#D55E00", "#7B2D52",
           "#33A0C0", "#117733", "#2CA089", "#8A8A1F", "#332288", "#AA4499", "#222222", "#B8860B", "#EE7733", "#C22F2F",
           "#882255")  # fmt: skip


@cache
def _font() -> str:
    path = str(distribution("pylopdf-fonts-ko").locate_file(FONT))
    font_manager.fontManager.addfont(path)
    return font_manager.FontProperties(fname=path).get_name()


def style() -> None:
    """Set the house style (idempotent; every figure function calls it)."""
    mpl.rcParams.update({
        "font.family": [_font()], "font.size": 9, "axes.titlesize": 10, "axes.titleweight": "normal", "axes.labelsize": 9,
        "axes.unicode_minus": True, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
        "grid.color": "#dddddd", "grid.linewidth": 0.6, "axes.axisbelow": True, "figure.facecolor": "white",
        "figure.dpi": 110, "savefig.dpi": 200, "legend.frameon": False, "legend.fontsize": 8, "lines.linewidth": 1.4,
        "mathtext.fontset": "custom", "mathtext.rm": _font(),
        "mathtext.cal": _font(), "mathtext.it": _font(), "mathtext.bf": _font(),
        "svg.hashsalt": "mtlstudy", "figure.constrained_layout.use": True,
    })  # fmt: skip
    warnings.filterwarnings("error", message=r"Glyph .* missing from")


def save(figure: Figure, stem: str | Path) -> list[Path]:
    """Write ``stem``.svg, .pdf and .png, without dates in them; the folder is made.

    Raises:
        UserWarning: the font lacks a glyph of the figure (made an error, lest text vanish).
    """
    stem = Path(stem)
    stem.parent.mkdir(parents=True, exist_ok=True)
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}
    paths = []
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=r"Glyph .* missing from")
        for kind, metadata in undated.items():
            paths.append(stem.with_name(f"{stem.name}.{kind}"))
            figure.savefig(paths[-1], metadata=metadata, bbox_inches="tight")
    return paths


def colour(method: str) -> str:
    """The fixed colour of a method, the same in every figure."""
    if method in METHODS:
        return COLOURS[METHODS.index(method)]
    palette = sns.color_palette("colorblind", 10).as_hex()
    return str(palette[sum(map(ord, method)) % len(palette)])


def marker(method: str) -> str:
    """The fixed marker of a method."""
    return MARKERS[METHODS.index(method)] if method in METHODS else "o"


def ordered(methods: Sequence[str]) -> list[str]:
    """Methods in the order of every figure; unknown ones last, by name."""
    known = [m for m in METHODS if m in methods]
    return known + sorted(set(methods) - set(known))


def nothing(text: str, width: float = 7.0) -> Figure:
    """What stands in a figure's place where there is nothing to draw: a line that says why."""
    style()
    figure, ax = plt.subplots(figsize=(width, 1.0))
    plt.close(figure)
    ax.text(0.5, 0.5, text, ha="center", va="center", fontsize=12, color="#555555")
    ax.set_axis_off()
    return figure
