"""The chapter on performance: the benchmarks as tables of strings under Korean headings.

Times are of one machine and one day, so nothing is timed while the book is built, and all but a few
columns are ratios. A benchmark that was not measured gives tables that say so.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from mtlstudy.study import words
from mtlstudy.study.benchmarks import Frames, frames, growth, origins, part, size, step_ratios
from mtlstudy.study.format import NONE, number, power
from mtlstudy.study.tables import Prose, prose, records
from mtlstudy.study.words import word

__all__ = ["Frames", "frames", "step_ratios"]
MODELS = ("mlp", "transformer")
MODES = ("nash_sequential", "nash_chunked", "nash_batched")  # the simplest first
AXES = ("K", "parameters", "length", "solver")
Row = Mapping[str, Any]


def name(method: str) -> str:
    """What a method is called; one without words, such as a peer's, keeps its own name."""
    if "+" in method:
        return words.label(method) if method.startswith("hard+") else words.family(method)
    return words.name("performance", method)


def problem(text: str) -> str:
    """A model or data set, with the weighting behind it: ``yeast nash``."""
    first, _, rest = text.partition(" ")
    shown = words.name("performance", words.name("data_short", first))
    weighting = words.name("weighting", rest)
    return f"{shown} · {weighting}" if weighting != rest else shown


def texts() -> dict[str, Any]:
    """The words of this chapter."""
    found: dict[str, Any] = words.load("words.ko.yml")["performance"]
    return found


def methods(frame: pd.DataFrame) -> list[str]:
    """The methods of a frame: those with words in their order, then the others as they come."""
    known, found = list(texts()), frame["method"].unique()
    return sorted(found, key=lambda m: known.index(m) if m in known else len(known))


def spread(row: Row, of: str = "ratio") -> str:
    """A median with its quartiles: ``1.08 [1.05, 1.12]``; – where there is none."""
    middle, low, high = (number(row[key], 2) for key in (of, f"{of}_low", f"{of}_high"))
    bare = NONE in (middle, low, high) or middle == low == high
    return middle if bare else f"{middle} [{low}, {high}]"


def span(values: "pd.Series[float]", digits: int = 1, sign: bool = False) -> str:
    """Smallest and largest of some values, one of them where they are alike."""
    ends = (number(x, digits, sign=sign) for x in (values.min(), values.max()))
    return " ~ ".join(dict.fromkeys(ends))


def table(rows: Iterable[Mapping[str, str]]) -> pd.DataFrame:
    """Rows under their headings (a key without words stands for itself); where there is no row, one
    that says so."""
    columns = texts()["columns"]
    shown = pd.DataFrame(list(rows) or [{"result": word("performance.absent")}]).fillna(NONE)
    return shown.rename(columns=lambda key: columns.get(key, key))


def single(frame: pd.DataFrame) -> pd.DataFrame:
    """Solver: µs a solve of every method by K, and its ratios to the Newton solver."""
    own, rows = part(frame, "single"), []
    for method in methods(own):
        by = own[own["method"] == method].set_index("K")
        us = {K: number(1e3 * by["ms"].get(K, math.nan), 1 if K < 9 else 0) for K in own["K"]}
        times = {f"K = {K:g}": us[K] for K in sorted(us)}
        rows.append({"solver": name(method), **times, "over_newton": span(by["ratio"])})
    return table(rows)


def batched(frame: pd.DataFrame) -> pd.DataFrame:
    """Solver: µs a matrix where N of them are solved at once, and one by one."""
    rows = []
    for (K, method), by in part(frame, "batched").groupby(["K", "method"], sort=False):
        ms = by.sort_values("batch").set_index("batch")["ms"]
        times = {f"N = {N:g}": number(1e3 * value, 1) for N, value in ms.items()}
        shown = word("performance.at_once") if method == "newton" else name(str(method))
        rows.append({"solver": shown, "K": f"{K:g}", **times})
    return table(rows)


def stress(frame: pd.DataFrame) -> pd.DataFrame:
    """Solver: failures over the stress Gramians by method, and the largest residual."""
    own = part(frame, "stress").set_index("method", drop=False)
    return table(
        {
            "solver": name(row["method"]),
            **{key: number(row[key], 0) for key in ("cases", "failed", "silent")},
            "worst": power(row["residual"]),
        }
        for row in records(own.loc[methods(own)])
    )


def step(frame: pd.DataFrame, model: str) -> pd.DataFrame:
    """A training step of one model: time over the limit by K; at the largest K also ms, memory,
    residual and silent failures."""
    own, rows = part(frame, model), []
    for method in methods(own):
        by = records(own[own["method"] == method].sort_values("K"))
        whole = by[-1]["K"] == own["K"].max()
        last = by[-1] if whole else dict.fromkeys(frame.columns, math.nan)
        rows.append(
            {
                "method": name(method),
                **{f"K = {row['K']:g}": spread(row) for row in by},
                **{key: number(last[key]) for key in ("ms", "memory_mb")},
                "residual": power(last["residual"]),
                "silent": number(last["silent"], 0),
            }
        )
    return table(rows)


def ratios(frame: pd.DataFrame) -> pd.DataFrame:
    """A training step of every method of the study over hard+equal, a column a data set."""
    own = part(frame, "methods")
    rows: dict[str, dict[str, str]] = {}
    for row in records(own):
        cells = rows.setdefault(row["method"], {"method": name(row["method"])})
        cells[problem(row["problem"])] = spread(row)
    return table(rows.values())


def loop(frame: pd.DataFrame) -> pd.DataFrame:
    """The training loop: ms of a bare step, and how many times that it takes for a step."""
    rows = []
    for run, by in part(frame, "loop").groupby("problem", sort=False):
        ms = by.loc[by["method"] == "step", "ms"].max()
        times = {name(row["method"]): spread(row) for row in records(by[by["method"] != "step"])}
        rows.append({"run": problem(str(run)), "bare": number(ms, 2), **times})
    return table(rows)


def shares(frame: pd.DataFrame) -> pd.DataFrame:
    """Where the time of a run goes, in percent: raw numbers, a row a run, a column a part."""
    own = part(frame, "shares")
    own = own[own["method"] != "run"]
    by = own.pivot_table(index="problem", columns="method", values="ratio", sort=False)
    return 100 * by[[key for key in texts()["shares"] if key in by]]


def scaling(frame: pd.DataFrame) -> pd.DataFrame:
    """Growth by part and method: exponent ± standard error, the largest size with its time and
    memory, and where it stopped."""
    exponents = {(row["part"], row["method"]): row for row in records(growth(frame))}
    rows = []
    for axis in AXES:
        own = part(frame, axis)
        for method in methods(own):
            by = own[own["method"] == method].sort_values(size(axis))
            stopped, timed = by[by["ms"].isna()], records(by[by["ms"].notna()])
            last = timed[-1] if timed else dict.fromkeys(frame.columns, math.nan)
            fit = exponents.get((axis, method))
            rows.append(
                {
                    "axis": word(f"performance.axes.{axis}"),
                    "method": name(method),
                    "exponent": NONE if fit is None else exponent(fit),
                    "largest": number(last[size(axis)], 0),
                    "largest_ms": number(last["ms"], 2),
                    "largest_mb": number(last["memory_mb"]),
                    "stopped": number(stopped[size(axis)].min(), 0) if len(stopped) else NONE,
                }
            )
    return table(rows)


def exponent(fit: Row) -> str:
    """A row of `growth` for the eye."""
    return f"{number(fit['exponent'], 2)} ± {number(fit['error'], 2)}"


def missing(frames: Frames, profile: str = "quick") -> Prose:
    """A line a benchmark that was not measured, with the command that measures it, and one a thing
    that a measured one left out, in its own words; one line where nothing is missing."""
    text = texts()
    lines = [
        prose(text["missing"], name=name, profile=profile)
        for name, frame in frames.items()
        if frame.empty
    ]
    for name, origin in origins().items():
        lines += [prose(text["left_out"], name=name, note=note) for note in origin["notes"]]
    return joined(lines or [prose(text["complete"])], "\n")


def stamp() -> Prose:
    """The provenance of the chapter, a benchmark a line: each may be of another day and machine."""
    lines = []
    for name, origin in origins().items():
        others = {**origin["packages"], **origin["peers"]}
        shown = ", ".join(f"{key} {value}" for key, value in others.items()) or NONE
        older = {"processor": origin.get("cpu", NONE), "isa": NONE}
        lines.append(prose(texts()["stamp"], **{**older, **origin, "name": name, "others": shown}))
    return joined(lines or [prose(texts()["no_stamp"])], "\n\n")


def joined(lines: Iterable[Prose], between: str) -> Prose:
    """Several sentences as one output."""
    given = list(lines)
    markdown = between.join(line.markdown for line in given)
    return Prose(markdown, "\n".join(line.plain for line in given))
