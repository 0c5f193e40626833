"""What the study set out to reach in time, and whether the benchmarks say that it did."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pandas as pd

from mtlstudy.study.benchmarks import Frames, part
from mtlstudy.study.format import NONE, number
from mtlstudy.study.performance import MODELS, MODES, name, problem, table
from mtlstudy.study.tables import records
from mtlstudy.study.words import word

CCP = ("ccp", "ccp_published", "ccp_ecos")  # as written here: its program is compiled once a K
PUBLISHED = ("torchjd", "nash_mtl", "libmtl")  # as published: cvxpy compiles it at every solution


class Target(NamedTuple):
    """A bound set before measuring. key: its words; unit: a word of units; rows: what is measured,
    of which the worst row by `column` counts; to: from the column to the unit; least: whether the
    bound is one from below."""

    key: str
    bound: float
    unit: str
    rows: Callable[[Frames], pd.DataFrame]
    column: str = "ratio"
    to: Callable[[float], float] = float
    least: bool = False

    def measured(self, frames: Frames) -> dict[str, Any] | None:
        """The row that counts, with middle, low and high in the unit; None if not measured."""
        rows = self.rows(frames)
        if rows.empty:
            return None
        of = self.column
        worst = max(records(rows), key=lambda row: self.to(row[of]) * (-1 if self.least else 1))
        low, high = sorted(self.to(worst[f"{of}_{end}"]) for end in ("low", "high"))
        return {**worst, "middle": self.to(worst[of]), "low": low, "high": high}

    def outcome(self, measured: dict[str, Any] | None) -> str:
        """Whether the median keeps to the bound: reached, missed or untested."""
        if measured is None:
            return "untested"
        value = measured["middle"]
        kept = value >= self.bound if self.least else value <= self.bound
        return "reached" if kept else "missed"


def solves(*methods: str, **values: Any) -> Callable[[Frames], pd.DataFrame]:
    """Solutions of one game by these methods."""

    def rows(frames: Frames) -> pd.DataFrame:
        own = part(frames["solver"], "single", **values)
        return own[own["method"].isin(methods)]

    return rows


def batches(frames: Frames) -> pd.DataFrame:
    """The largest batch of games."""
    own = part(frames["solver"], "batched", method="newton", K=5)
    largest: pd.DataFrame = own[own["batch"] == own["batch"].max()]
    return largest


def steps(model: str) -> Callable[[Frames], pd.DataFrame]:
    """At every K the fastest way to differentiate."""

    def rows(frames: Frames) -> pd.DataFrame:
        own = part(frames["step"], model)
        own = own[own["method"].isin(MODES)]
        best: pd.DataFrame = own.loc[own.groupby("K")["ratio"].idxmin().tolist()]
        return best

    return rows


def trained(kind: str, method: str) -> Callable[[Frames], pd.DataFrame]:
    """Rows of the benchmark of whole runs."""
    return lambda frames: part(frames["train"], kind, method=method)


TARGETS = (
    *(
        Target(f"solver_{K}", bound, "us", solves("newton", K=K), "ms", lambda ms: 1e3 * ms)
        for K, bound in ((2, 30), (11, 150), (40, 500))
    ),
    Target("batch", 10, "us", batches, "ms", lambda ms: 1e3 * ms),
    Target("over_ccp", 100, "times", solves(*CCP), least=True),
    Target("over_published", 100, "times", solves(*PUBLISHED), least=True),
    Target("transformer", 1.10, "times", steps("transformer")),
    Target("mlp", 1.3, "times", steps("mlp")),
    Target("loop", 10, "percent", trained("loop", "loop_full"), to=lambda x: 100 * (x - 1)),
    Target("jobs", 1.7, "times", trained("jobs", "jobs_2"), to=lambda x: 1 / x, least=True),
)


def targets(frames: Frames) -> pd.DataFrame:
    """Table: target, bound, measured with quartiles, verdict, and where the worst was."""
    rows = []
    for target in TARGETS:
        found, few = target.measured(frames), target.bound < 5
        unit = word(f"performance.units.{target.unit}")
        bound = number(target.bound, 2 if few else 0)
        cells = dict.fromkeys(("measured", "quartiles", "where"), NONE)
        if found is not None:
            middle, low, high = (
                number(found[k], 2 if few else 1) for k in ("middle", "low", "high")
            )
            cells = {"measured": f"{middle} {unit}", "where": where(found)}
            cells["quartiles"] = NONE if NONE in (low, high) else f"{low} ~ {high}"
        rows.append(
            {
                "target": word(f"performance.targets.{target.key}"),
                "bound": word(
                    f"performance.{'least' if target.least else 'most'}", bound=f"{bound} {unit}"
                ),
                "verdict": word(f"performance.verdicts.{target.outcome(found)}"),
                **cells,
            }
        )
    return table(rows)


def where(row: dict[str, Any]) -> str:
    """Of what a row is: the run, K, size of the batch, method."""
    whole = row["part"] in ("loop", "jobs")
    facts = [problem(row["problem"])] if whole else [f"K = {row['K']:g}"]
    facts += [f"N = {row['batch']:g}"] if row["part"] == "batched" else []
    facts += [name(row["method"])] if row["part"] in ("single", *MODELS) else []
    return ", ".join(facts)
