"""What to choose, by rule from the measured rows, so that it changes when they do.

Differentiation: the fastest mode; of those whose quartiles reach it the one of least memory, then
the simplest. Level: that of representations, which is another game, only where it saves the part
`SAVED` of a step and the quartiles lie apart. update_every: the least U for which a step, a game in
one of U and held weights in the others, costs at most `BUDGET` steps on the mean loss.
"""

import math
from typing import Any, NamedTuple

import pandas as pd

from mtlstudy.study.benchmarks import part
from mtlstudy.study.format import number
from mtlstudy.study.performance import MODELS, MODES, name, table
from mtlstudy.study.tables import records
from mtlstudy.study.words import word

SAVED, BUDGET, EVEN = 0.2, 1.5, 1.01
RULES = {
    "saved": number(100 * SAVED, 0),
    "budget": number(BUDGET),
    "even": number(100 * (EVEN - 1), 0),
}


class Choice(NamedTuple):
    """What the rules choose for a model and K.

    mode and kept: the mode and update_every at the level of parameters, for those who keep to that
    game; level ("parameters", "representation"), every: what is advised; saved: the part of a step
    that representations save; before, after: steps on the mean loss that one costs at the level of
    parameters, and as advised.
    """

    model: str
    K: float
    mode: str
    kept: int
    level: str
    every: int
    saved: float
    before: float
    after: float


def choices(frame: pd.DataFrame) -> list[Choice]:
    """The choice of every model and K that has rows for it."""
    found = []
    for model in MODELS:
        for K, own in part(frame, model).groupby("K"):
            rows = {row["method"]: row for row in records(own)}
            modes = [rows[mode] for mode in MODES if mode in rows]
            if not modes or "mean_loss" not in rows:
                continue
            best, other = mode_of(modes), rows.get("nash_representation")
            level, plain = level_of(best, other), rows["mean_loss"]["ratio"]
            before = best["ratio"] / plain
            kept, after = every_of(before)
            every, saved = kept, math.nan
            if other is not None:
                saved = 1 - other["ratio"] / best["ratio"]
                if level == "representation":
                    every, after = every_of(other["ratio"] / plain)
            chosen = (best["method"], kept, level, every, saved, before, after)
            found.append(Choice(model, float(str(K)), *chosen))
    return found


def mode_of(modes: list[dict[str, Any]]) -> dict[str, Any]:
    """The fastest row; of those whose quartiles reach it the one of least memory (to 1 %), then the
    simplest."""
    first = min(modes, key=lambda row: row["ratio"])
    tied = [row for row in modes if row["ratio_low"] <= first["ratio_high"]]
    least = min(row["memory_mb"] for row in tied)
    return next(row for row in tied if not row["memory_mb"] > EVEN * least)


def level_of(best: dict[str, Any], other: dict[str, Any] | None) -> str:
    """The level for the best row at that of parameters and the row of representations."""
    if other is None or other["ratio"] > (1 - SAVED) * best["ratio"]:
        return "parameters"
    return "representation" if other["ratio_high"] < best["ratio_low"] else "parameters"


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
            "model": name(choice.model),
            "K": f"{choice.K:g}",
            "level": word(f"performance.levels.{choice.level}"),
            "saved": number(100 * choice.saved, 0),
            "every": str(choice.every),
            "mode": f"{name(choice.mode)} ({choice.mode.removeprefix('nash_')})",
            "kept": str(choice.kept),
            "before": number(choice.before, 2),
            "after": number(choice.after, 2),
        }
        for choice in choices(frame)
    )
