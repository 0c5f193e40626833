"""The benchmarks of some machine as tidy frames: read where they were measured or published.

`mtlstudy bench` writes them (see `mtlstudy.bench`); nothing is timed here. One schema for all:
`part` says what is compared, `method` by what; ms of a step, a call or a matrix, `ratio` to the
part's baseline, each with its quartiles; residual of M a = 1/a; cases, failed, silent as counted
there. What does not apply is empty; a benchmark that was not measured is an empty frame.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import linregress

from mtlstudy import files
from mtlstudy.errors import InputError, unknown
from mtlstudy.study.words import BOOK
from mtlstudy.training import store

BENCHES = ("solver", "step", "own", "train", "scale")
COLUMNS = (
    *("part", "problem", "method", "K", "parameters", "length", "batch"),
    *("ms", "ms_low", "ms_high", "ratio", "ratio_low", "ratio_high"),
    *("memory_mb", "residual", "cases", "failed", "silent", "repeats"),
)
COUNTS = ("K", "parameters", "length", "batch", "cases", "failed", "silent", "repeats")
PUBLISHED = BOOK / "results" / "bench"
Frames = Mapping[str, pd.DataFrame]


def folder() -> Path:
    """Where benchmarks that are measured here lie."""
    return store.build_folder() / "bench"


def source(name: str) -> Path:
    """The csv of a benchmark: the one measured here, else the published one, there or not.

    Raises:
        InputError: an unknown benchmark, with the nearest spelling.
    """
    if name not in BENCHES:
        raise unknown("benchmark", name, BENCHES)
    measured = folder() / f"{name}.csv"
    return measured if measured.exists() else PUBLISHED / f"{name}.csv"


def frame(rows: Iterable[Mapping[Any, Any]]) -> pd.DataFrame:
    """Rows in the schema, what they lack left empty. `InputError` names a column outside it.

    >>> frame([{"part": "single", "K": 2}])[["part", "K", "ratio"]].to_dict("records")
    [{'part': 'single', 'K': 2, 'ratio': nan}]
    """
    table = pd.DataFrame(list(rows))
    strange = [column for column in table.columns if column not in COLUMNS]
    if strange:
        raise InputError(f"columns {strange}: allowed: {', '.join(COLUMNS)}")
    return table.reindex(columns=list(COLUMNS)).astype(dict.fromkeys(COUNTS, "Int64"))


def built(name: str) -> dict[str, str]:
    """The csv and json of a benchmark that was measured here, by file name; none where it was not,
    or one was damaged and is set aside."""
    return _files(name, folder(), partial(files.healed, files.result))


def _files(name: str, place: Path, read: Callable[[Path], str | None]) -> dict[str, str]:
    texts = {f"{name}.{kind}": read(place / f"{name}.{kind}") for kind in ("csv", "json")}
    whole = {file: text for file, text in texts.items() if text is not None}
    return whole if len(whole) == len(texts) else {}


def _texts() -> dict[str, str]:
    """The files of every benchmark, measured here or published."""
    texts = dict[str, str]()
    for name in BENCHES:
        texts |= built(name) or _files(name, PUBLISHED, files.result)
    return texts


def frames() -> dict[str, pd.DataFrame]:
    """Every benchmark by name."""
    texts = _texts()
    return {
        name: pd.read_csv(StringIO(texts[f"{name}.csv"])) if f"{name}.csv" in texts else frame([])
        for name in BENCHES
    }


def origins() -> dict[str, dict[str, Any]]:
    """The provenance of every benchmark that was measured, by name."""
    texts = _texts()
    return {n: json.loads(texts[f"{n}.json"]) for n in BENCHES if f"{n}.json" in texts}


def part(frame: pd.DataFrame, *parts: str, **values: Any) -> pd.DataFrame:
    """The rows of these parts with these values."""
    keep = frame["part"].isin(parts)
    for column, value in values.items():
        keep &= frame[column] == value
    return frame[keep]


def size(part: str) -> str:
    """The column of what grows in a part of the benchmark "scale"."""
    return "K" if part == "solver" else part


def growth(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a part and method of "scale": exponent, the slope of log ms over log size in the upper
    half of the sizes (three at least), its standard error, and how many sizes those are.

    Methods with fewer than three sizes have no row.
    """
    rows = []
    timed = frame[frame["ms"].notna()]
    for (part, method), own in timed.groupby(["part", "method"], sort=False):
        column = size(str(part))
        upper = own.sort_values(column).tail(max(-(-len(own) // 2), 3))
        if len(upper) >= 3:
            fit = linregress(np.log(upper[column].astype(float)), np.log(upper["ms"]))
            rows.append((part, method, fit.slope, fit.stderr, len(upper)))
    return pd.DataFrame(rows, columns=["part", "method", "exponent", "error", "sizes"])


def step_ratios(frames: Frames) -> pd.DataFrame:
    """Time of a training step over that of hard+equal on the same data: data, method, ratio.

    From the part "methods" of the benchmark "train"; no rows where it was not measured.
    """
    rows = part(frames["train"], "methods")[["problem", "method", "ratio"]]
    return rows.rename(columns={"problem": "data"}).reset_index(drop=True)
