"""The house style of all figures: Korean font, colours, files.

Noto Sans KR comes from the package pylopdf-fonts-ko; the palette is colour-blind safe (after Okabe
& Ito); a glyph that the font lacks is an error, lest text vanish; files carry no dates, so that a
rerun gives the same bytes.
"""

import warnings
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

import matplotlib as mpl
import seaborn as sns
from matplotlib import font_manager
from matplotlib.figure import Figure

from mtlstudy.training.store import build_folder

FONT = "pylopdf_fonts_ko/NotoSansKR-Regular.otf"
GREY, RED, DARK = "#555555", "#aa0000", "#222222"
LOOKS = {  # family, or weighting of hard sharing → colour, marker
    "single_task": ("#777777", "o"),
    "equal": ("#0072B2", "D"),
    "scale_invariant": ("#56B4E9", "s"),
    "uncertainty": ("#009E73", "^"),
    "static": ("#E69F00", "v"),
    "equal_norm": ("#CC79A7", "P"),
    "nash": ("#D55E00", "X"),
    "block_nash": ("#7B2D52", "<"),
    "partial": ("#33A0C0", "s"),
    "soft": ("#117733", "^"),
    "trace_norm": ("#2CA089", "v"),
    "tensor_factorised": ("#8A8A1F", "P"),
    "cross_stitch": ("#332288", "X"),
    "sluice": ("#AA4499", "<"),
    "hierarchical": ("#222222", "*"),
    "sparse": ("#B8860B", "p"),
    "mmoe": ("#EE7733", ">"),
    "ple": ("#C22F2F", "h"),
    "recon": ("#882255", "d"),
    "nash_share": ("#AA3377", "H"),
}


@cache
def _font() -> str:
    path = str(distribution("pylopdf-fonts-ko").locate_file(FONT))
    font_manager.fontManager.addfont(path)
    return font_manager.FontProperties(fname=path).get_name()


def style() -> None:
    """Set the house style (idempotent; whatever makes or saves a figure calls it)."""
    font, rc = _font(), mpl.rc
    rc("font", family=[font], size=9)
    rc("axes", titlesize=10, titleweight="normal", labelsize=9, unicode_minus=True)
    rc("axes", grid=True, axisbelow=True)
    rc("axes.spines", top=False, right=False)
    rc("grid", color="#dddddd", linewidth=0.6)
    rc("figure", facecolor="white", dpi=110)
    rc("figure.constrained_layout", use=True)
    rc("savefig", dpi=200)
    rc("legend", frameon=False, fontsize=8)
    rc("lines", linewidth=1.4)
    rc("mathtext", fontset="custom", rm=font, it=font, bf=font, cal=font)
    rc("svg", hashsalt="mtlstudy")
    warnings.filterwarnings("error", message=r"Glyph .* missing from")


def literal(text: object) -> str:
    """A label from data as it stands: no mathematics between two dollars."""
    return str(text).replace("$", r"\$")


def save(figure: Figure, stem: str | Path) -> list[Path]:
    """Write ``stem``.svg, .pdf and .png, without dates in them; the folder is made.

    Raises:
        UserWarning: the font lacks a glyph of the figure (made an error, lest text vanish).
    """
    style()
    stem = Path(stem)
    stem.parent.mkdir(parents=True, exist_ok=True)
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}
    paths = {kind: stem.with_name(f"{stem.name}.{kind}") for kind in undated}
    for kind, path in paths.items():
        figure.savefig(path, metadata=undated[kind], bbox_inches="tight")
    return list(paths.values())


def keep(figure: Figure, profile: str, name: str) -> list[Path]:
    """`save` a figure for paper and README, under the folder of what is built."""
    return save(figure, build_folder() / "results" / profile / "figures" / name)


def look(method: str) -> tuple[str, str]:
    """Colour and marker, the same in every figure; of a method without its own by its name."""
    sharing, _, weighting = method.partition("+")
    own = weighting if sharing == "hard" else sharing if weighting == "equal" else method
    palette = sns.color_palette("colorblind", 10).as_hex()
    return LOOKS.get(own) or (str(palette[sum(map(ord, method)) % len(palette)]), "o")
