"""The chapter on performance: tables, targets and advice from the benchmarks of some machine.

Times are of one machine and one day, so nothing is timed while the book is built, and all but a few
columns are ratios. What was not measured gives tables that say so, and no claim. What is advised
follows by rule from the measured rows, so that it changes when they do:

- differentiation: the fastest mode; of those whose quartiles reach it the one of least memory (to
  the factor `EVEN`), then the simplest;
- level: that of representations, which is another game, only where it saves the part `SAVED` of a
  step and the quartiles lie apart;
- update_every: the least U for which a step, a game in one of U and held weights in the others,
  costs at most `BUDGET` steps on the mean loss.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import pandas as pd

from mtlstudy.study import words
from mtlstudy.study.benchmarks import Frames, growth, origins, part, size
from mtlstudy.study.claims import Claim
from mtlstudy.study.format import NONE, number, power
from mtlstudy.study.tables import Prose, prose, records
from mtlstudy.study.words import word

MODELS = ("mlp", "transformer")
OWN = ("own_mlp", "own_cnn")  # small models, beside `mtlstudy.backward`
BACKWARD = {"backward": "nash_sequential", "backward_equal": "equal"}  # the same by `Step`
MODES = ("nash_sequential", "nash_chunked", "nash_batched")  # the simplest first
AXES = ("K", "parameters", "length", "solver")
CCP = ("ccp", "ccp_published", "ccp_ecos")  # as written here: its program is compiled once a K
PUBLISHED = ("torchjd", "nash_mtl", "libmtl")  # as published: cvxpy compiles it at every solution
SAVED, BUDGET, EVEN = 0.2, 1.5, 1.01
RULES = {
    "saved": number(100 * SAVED, 0),
    "budget": number(BUDGET),
    "even": number(100 * (EVEN - 1), 0),
}
Row = Mapping[str, Any]


class Target(NamedTuple):
    """A bound set before measuring. key: its words; unit: a word of units; column: what is held to
    it; to: from the column to the unit; least: whether the bound is one from below."""

    key: str
    bound: float
    unit: str = "times"
    column: str = "ratio"
    to: Callable[[float], float] = float
    least: bool = False


MICROSECONDS: dict[str, Any] = {"unit": "us", "column": "ms", "to": lambda ms: 1e3 * ms}
TARGETS = (
    Target("solver_2", 30, **MICROSECONDS),
    Target("solver_11", 150, **MICROSECONDS),
    Target("solver_40", 500, **MICROSECONDS),
    Target("batch", 10, **MICROSECONDS),
    Target("over_ccp", 100, least=True),
    Target("over_published", 100, least=True),
    Target("transformer", 1.10),
    Target("mlp", 1.3),
    Target("backward", 1.05),
    Target("loop", 10, "percent", to=lambda ratio: 100 * (ratio - 1)),
    Target("jobs", 1.7, to=lambda ratio: 1 / ratio, least=True),
)


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


def by_K(frame: pd.DataFrame, model: str, *methods: str, of: str = "ratio") -> "pd.Series[float]":
    """A column of the benchmark "step" or "own" by K: the least of these methods on a model."""
    own = part(frame, model)
    return own[own["method"].isin(methods)].groupby("K")[of].min().dropna()


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
    """A training step of one model: time over the part's baseline by K; at the largest K also ms,
    memory, residual and silent failures."""
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
    rows: dict[str, dict[str, str]] = {}
    for row in records(part(frame, "methods")):
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
    by = own.pivot_table(index="problem", columns="method", values="ratio", sort=False)
    return 100 * by[[key for key in texts()["shares"] if key in by]]


def scaling(frame: pd.DataFrame) -> pd.DataFrame:
    """Growth by part and method: exponent ± standard error, the largest size with its time and
    memory, and where it stopped."""
    exponents = {
        (fit["part"], fit["method"]): f"{number(fit['exponent'], 2)} ± {number(fit['error'], 2)}"
        for fit in records(growth(frame))
    }
    rows = []
    for axis in AXES:
        own = part(frame, axis)
        for method in methods(own):
            by = own[own["method"] == method].sort_values(size(axis))
            stopped, timed = by[by["ms"].isna()], records(by[by["ms"].notna()])
            last = timed[-1] if timed else dict.fromkeys(frame.columns, math.nan)
            rows.append(
                {
                    "axis": word(f"performance.axes.{axis}"),
                    "method": name(method),
                    "exponent": exponents.get((axis, method), NONE),
                    "largest": number(last[size(axis)], 0),
                    "largest_ms": number(last["ms"], 2),
                    "largest_mb": number(last["memory_mb"]),
                    "stopped": number(stopped[size(axis)].min(), 0) if len(stopped) else NONE,
                }
            )
    return table(rows)


def judged(frames: Frames) -> list[dict[str, Any]]:
    """A row a target: its fields, the outcome (reached, missed or untested), and the worst of the
    rows that it is about, with middle, low and high in its unit."""
    alone, train = part(frames["solver"], "single"), frames["train"]
    batch = part(frames["solver"], "batched", method="newton", K=5)
    about = {
        **{f"solver_{K}": part(alone, "single", method="newton", K=K) for K in (2, 11, 40)},
        "batch": batch[batch["batch"] == batch["batch"].max()],
        "over_ccp": alone[alone["method"].isin(CCP)],
        "over_published": alone[alone["method"].isin(PUBLISHED)],
        "loop": part(train, "loop", method="loop_full"),
        "jobs": part(train, "jobs", method="jobs_2"),
    }
    for model in MODELS:  # at every K by the fastest mode
        own = part(frames["step"], model)
        own = own[own["method"].isin(MODES)].sort_values(["K", "ratio"])
        about[model] = own.drop_duplicates("K")
    about["backward"] = part(frames["own"], *OWN, method="backward")
    found = []
    for target in TARGETS:
        rows, of, to = records(about[target.key]), target.column, target.to
        row: dict[str, Any] = {**target._asdict(), "outcome": "untested"}
        if rows:
            values = [to(each[of]) for each in rows]
            worst = (min if target.least else max)(values)
            kept = worst >= target.bound if target.least else worst <= target.bound
            row |= {"outcome": "reached" if kept else "missed", "middle": worst}
            row |= rows[values.index(worst)]
            row["low"], row["high"] = sorted(to(row[f"{of}_{end}"]) for end in ("low", "high"))
        found.append(row)
    return found


def targets(frames: Frames) -> pd.DataFrame:
    """Table: target, bound, measured with quartiles, verdict, and where the worst was."""
    rows = []
    for row in judged(frames):
        few, unit = row["bound"] < 5, word(f"performance.units.{row['unit']}")
        bound = f"{number(row['bound'], 2 if few else 0)} {unit}"
        cells = dict.fromkeys(("measured", "quartiles", "where"), NONE)
        if row["outcome"] != "untested":
            ends = (number(row[key], 2 if few else 1) for key in ("middle", "low", "high"))
            middle, low, high = ends
            cells = {"measured": f"{middle} {unit}", "where": where(row)}
            cells["quartiles"] = NONE if NONE in (low, high) else f"{low} ~ {high}"
        rows.append(
            {
                "target": word(f"performance.targets.{row['key']}"),
                "bound": word(f"performance.{'least' if row['least'] else 'most'}", bound=bound),
                "verdict": word(f"performance.verdicts.{row['outcome']}"),
                **cells,
            }
        )
    return table(rows)


def where(row: Row) -> str:
    """Of what a row is: the run, K, size of the batch, method."""
    whole = row["part"] in ("loop", "jobs")
    facts = [problem(row["problem"])] if whole else [f"K = {row['K']:g}"]
    facts += [f"N = {row['batch']:g}"] if row["part"] == "batched" else []
    facts += [name(row["method"])] if row["part"] in ("single", *MODELS) else []
    facts += [name(row["part"])] if row["part"] in OWN else []
    return ", ".join(facts)


def choices(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """What the rules choose for every model and K that has rows for it.

    mode and kept: the mode and update_every at the level of parameters, for those who keep to that
    game; level ("parameters", "representation"), every: what is advised; saved: the part of a step
    that representations save; before, after: steps on the mean loss that one costs at the level of
    parameters, and as advised.
    """
    found = []
    for model in MODELS:
        for K, own in part(frame, model).groupby("K"):
            rows = {row["method"]: row for row in records(own)}
            modes = [rows[mode] for mode in MODES if mode in rows]
            if not modes or "mean_loss" not in rows:
                continue
            best, other = mode_of(modes), rows.get("nash_representation")
            plain = rows["mean_loss"]["ratio"]
            before = best["ratio"] / plain
            kept, after = every_of(before)
            level, every, saved = "parameters", kept, math.nan
            if other is not None:
                saved = 1 - other["ratio"] / best["ratio"]
                enough = other["ratio"] <= (1 - SAVED) * best["ratio"]
                if enough and other["ratio_high"] < best["ratio_low"]:
                    level, (every, after) = "representation", every_of(other["ratio"] / plain)
            row = {"model": model, "K": K, "mode": best["method"], "kept": kept, "level": level}
            found.append(row | {"every": every, "saved": saved, "before": before, "after": after})
    return found


def mode_of(modes: list[dict[str, Any]]) -> dict[str, Any]:
    """The row of the mode to take, by the rule on differentiation."""
    first = min(modes, key=lambda row: row["ratio"])
    tied = [row for row in modes if row["ratio_low"] <= first["ratio_high"]]
    least = min(row["memory_mb"] for row in tied)
    return next(row for row in tied if not row["memory_mb"] > EVEN * least)


def every_of(cost: float) -> tuple[int, float]:
    """The least update_every within the budget for a step that costs so many steps on the mean
    loss, and what it costs then.

    >>> every_of(1.2), every_of(4.0)
    ((1, 1.2), (6, 1.5))
    """
    every = max(math.ceil((cost - 1) / (BUDGET - 1) - 1e-9), 1)
    return every, 1 + (cost - 1) / every


def advice(frame: pd.DataFrame) -> pd.DataFrame:
    """Table: the choices, a row a model and K."""
    return table(
        {
            "model": name(choice["model"]),
            "K": f"{choice['K']:g}",
            "level": word(f"performance.levels.{choice['level']}"),
            "saved": number(100 * choice["saved"], 0),
            "every": str(choice["every"]),
            "mode": f"{name(choice['mode'])} ({choice['mode'].removeprefix('nash_')})",
            "kept": str(choice["kept"]),
            "before": number(choice["before"], 2),
            "after": number(choice["after"], 2),
        }
        for choice in choices(frame)
    )


def findings(frames: Frames) -> list[Claim]:
    """The targets, the other codes beside the fastest exact step here, memory, and what
    `mtlstudy.backward` costs beside the step; what stands in a column of a table is not said
    again."""
    rows, step = judged(frames), frames["step"]
    missed = [row["key"] for row in rows if row["outcome"] == "missed"]
    counts = {
        outcome: sum(row["outcome"] == outcome for row in rows)
        for outcome in ("reached", "missed", "untested")
    }
    which = "; ".join(word(f"performance.targets.{key}") for key in missed)
    figures = {**counts, "targets": len(TARGETS), "which": which}
    found = [Claim("performance_targets", "some" if missed else "all", figures)]
    for model in MODELS:
        others = [m for m in methods(part(step, model)) if m.startswith(("official", *PUBLISHED))]
        fastest = by_K(step, model, *MODES)
        times = {name(m): by_K(step, model, m) / fastest for m in others}
        found += listed("performance_steps", times, model=name(model))
        memory = [by_K(step, model, f"nash_{m}", of="memory_mb") for m in ("batched", "sequential")]
        found += listed("performance_memory", {"": memory[0] / memory[1]}, 2, model=name(model))
    pairs = [(model, *pair) for model in OWN for pair in BACKWARD.items()]
    own = frames["own"]
    times = {f"{name(m)}: {name(b)}": by_K(own, m, b) / by_K(own, m, s) for m, b, s in pairs}
    return found + listed("performance_backward", times, 2)


def listed(
    kind: str, items: Mapping[str, "pd.Series[float]"], digits: int = 1, **figures: str
) -> list[Claim]:
    """A claim that lists the spans of some values; none where there is nothing to list."""
    spans = {key: span(values, digits) for key, values in items.items() if values.notna().any()}
    text = ", ".join(f"{key} {shown}".strip() for key, shown in spans.items())
    return [Claim(kind, "listed", {**figures, "items": text})] if spans else []


def further(frames: Frames) -> list[Claim]:
    """What follows for update_every, the solver, batches of games, two jobs, and bfloat16."""
    own = part(frames["solver"], "batched", method="newton", K=5).sort_values("batch")
    found = [*predicted(frames["step"]), *solving(frames)]
    if len(own) > 1:
        pays = own.loc[own["ratio_high"] < 1, "batch"]
        ends = [f"{number(1e3 * row['ms'])} µs (N = {row['batch']:g})" for row in records(own)]
        figures = {"least": f"{pays.min():g}" if len(pays) else NONE}
        figures["items"] = f"{ends[0]}, {ends[-1]}"
        found.append(Claim("performance_batches", "up" if len(pays) else "down", figures))
    jobs = part(frames["train"], "jobs").set_index("method")["ratio"]
    if "jobs_2" in jobs:
        two, started = jobs["jobs_2"], jobs.get("jobs_2_started", math.nan)
        figures = {"speed": number(1 / two, 2), "started": number(1 / started, 2)}
        found.append(Claim("performance_jobs", "up" if two < 1 else "down", figures))
    return [*found, bfloat16(frames["step"])]


def predicted(frame: pd.DataFrame) -> list[Claim]:
    """The rule on update_every beside measured steps with a game in every fifth."""
    off = []
    for model in MODELS:
        kinds = ("mean_loss", "nash_sequential", "nash_every_5")
        plain, game, measured = (by_K(frame, model, kind) for kind in kinds)
        off.append(100 * ((plain + (game - plain) / 5) / measured - 1).dropna())
    values = pd.concat(off)
    figures = {"items": span(values, 0, sign=True)}
    return [Claim("performance_every", "listed", figures)] if len(values) else []


def solving(frames: Frames) -> list[Claim]:
    """How much of a step the solver is, at each K that both benchmarks have."""
    solve = part(frames["solver"], "single", method="newton").set_index("K")["ms"]
    step = {model: by_K(frames["step"], model, *MODES, of="ms") for model in MODELS}
    shares = {model: (100 * solve / ms).dropna() for model, ms in step.items()}
    items = [
        f"{name(model)}: " + ", ".join(f"{number(x)} (K = {K:g})" for K, x in share.items())
        for model, share in shares.items()
        if len(share)
    ]
    outcome = "small" if pd.concat(shares).lt(5).all() else "large"
    return [Claim("performance_share", outcome, {"items": "; ".join(items)})] if items else []


def bfloat16(frame: pd.DataFrame) -> Claim:
    """What the forward pass in bfloat16 costs on the processor that was measured."""
    kinds = ("nash_bfloat16", "nash_sequential")
    short, full = (pd.concat({m: by_K(frame, m, kind) for m in MODELS}) for kind in kinds)
    times = (short / full).dropna()
    if times.empty:
        return Claim("performance_bfloat16", "untested", {})
    cpu = origins().get("step", {}).get("cpu", NONE)
    figures = {"times": span(times, 2), "limit": span(short, 2), "cpu": cpu}
    return Claim("performance_bfloat16", "slow" if times.max() >= 1 else "fast", figures)


def missing(frames: Frames, profile: str = "quick") -> Prose:
    """A line a benchmark that was not measured, with the command that measures it, and one a thing
    that a measured one left out, in its own words; one line where nothing is missing."""
    text = texts()
    empty = [name for name, frame in frames.items() if frame.empty]
    lines = [prose(text["missing"], name=name, profile=profile) for name in empty]
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


def joined(lines: list[Prose], between: str) -> Prose:
    """Several sentences as one output."""
    markdown = between.join(line.markdown for line in lines)
    return Prose(markdown, "\n".join(line.plain for line in lines))
