"""The first comparison: single-task models and hard sharing under every weighting, paired by seed.

Declared in advance (one family for Holm): Nash against equal weighting, Nash against the control equal_norm, and the hard method
that is best **on validation** against single-task. Over all data sets the pairs are (data set, seed); on one they are the seeds.
"""

from typing import Any

import pandas as pd

from mtlstudy.study import frames
from mtlstudy.study import metrics
from mtlstudy.training.config import RunConfig, module_of
from mtlstudy.study.format import DATA, NONE, label, number
from mtlstudy.study.tables import formatted, records
from mtlstudy.training.tune import study
from mtlstudy.study import compare as paired
from mtlstudy.study.compare import aggregate, at_edge, best, friedman, limits, plain, ranked, select
from mtlstudy.study.phrases import findings

__all__ = ["aggregate", "at_edge", "best_hard", "declared", "friedman", "run", "select", "studies", "values", "weight_ratios"]

BEST = "hard+*"
DECLARED = {
    "nash_equal": ("hard+nash", "hard+equal"),
    "nash_equal_norm": ("hard+nash", "hard+equal_norm"),
    "best_single": (BEST, metrics.BASELINE),
}
WEIGHTINGS = ("equal", "scale_invariant", "uncertainty", "static", "equal_norm", "nash", "block_nash")
ORDER = (metrics.BASELINE, *(f"hard+{weighting}" for weighting in WEIGHTINGS))
DATA_SETS = ("multi_mnist", "yeast")
SOURCES = (
    "tuning", "frames", *(f"data.{name}" for name in DATA_SETS), "sharing.single_task", "sharing.hard",
    *sorted({module_of("weighting", name) for name in WEIGHTINGS}),
)  # fmt: skip


def studies(profile: str) -> list[str]:
    """Names of the studies whose records the results rest on."""
    return [f"{data}.{method.replace('+', '.')}.{profile}" for data in DATA_SETS for method in ORDER]


def run(profile: str) -> dict[str, pd.DataFrame]:
    """Every study of the comparison (finished runs are read, missing ones trained), as four tidy frames:

    comparison: the metrics of the reported runs; comparison_runs: one row a run, tuning included; comparison_weights and
    comparison_curves: weights and metrics over the steps. A diverged run stays in them, without values.
    """
    for data in DATA_SETS:
        for method in ORDER:
            sharing, weighting = method.split("+")
            study(RunConfig(data=data, sharing=sharing, weighting=weighting, profile=profile))
    metric = frames.load(profile)
    found = {
        "comparison": metric[metric["role"] == "final"],
        "comparison_runs": frames.summary(profile),
        "comparison_weights": frames.weights(profile),
        "comparison_curves": frames.learning_curves(profile),
    }
    return {name: frame[frame["data"].isin(DATA_SETS) & metrics.method(frame).isin(ORDER)] for name, frame in found.items()}


def best_hard(frame: pd.DataFrame, data: str | None = None) -> str:
    """The hard-sharing method with the best mean Δm on **validation** (over the data sets, or on one); see `paired.best`."""
    return best(frame, BEST, data)


def declared(frame: pd.DataFrame) -> pd.DataFrame:
    """The declared comparisons of Δm (see `paired.declared`)."""
    return paired.declared(frame, DECLARED)


def values(
    frame: pd.DataFrame, summary: pd.DataFrame, weights: pd.DataFrame | None = None, curves: pd.DataFrame | None = None
) -> dict[str, Any]:
    """Everything the texts cite, as strings, with the raw numbers beside it under "number".

    {data: {method: {...}, "label", "highest", "lowest", "best_validation", "weight_ratio"}, "tests" and "verdict":
    {data or "all": {comparison: ...}}, "friedman", "limits", "findings": [sentences], "number": {...}}.
    """
    table, tested = aggregate(frame, summary), paired.tested(declared(frame))
    found: dict[str, Any] = {**tested, "number": {"tests": tested["number"]}, **ranked(frame)}
    for row in records(table):
        found.setdefault(row["data"], {})[row["method"]] = formatted(row)
        found["number"].setdefault(row["data"], {})[row["method"]] = {k: plain(v) for k, v in row.items()}
    for data, part in table.groupby("data"):
        ranks = part[part["method"] != metrics.BASELINE].dropna(subset=["delta_m"]).sort_values("delta_m")["method"]
        found[str(data)] |= {"label": DATA.get(str(data), str(data)), "best_validation": label(best_hard(frame, str(data))),
                             "highest": label(ranks.iloc[-1]) if len(ranks) else NONE,
                             "lowest": label(ranks.iloc[0]) if len(ranks) else NONE}  # fmt: skip
        if weights is not None:
            found[str(data)]["weight_ratio"] = {m: number(r, 1) for m, r in weight_ratios(weights, str(data)).items()}
    found["limits"] = limits(table, summary)
    found["findings"] = findings(found)
    return found


def weight_ratios(weights: pd.DataFrame, data: str) -> dict[str, float]:
    """Largest over smallest task weight of a step, by method: the median over recorded steps, blocks and seeds."""
    part = weights[weights["data"] == data].assign(method=metrics.method)
    by = part.groupby(["method", "seed", "step", "block"])["weight"]
    ratio = by.max() / by.min().where(by.min() > 0)
    return {str(method): float(r) for method, r in ratio.groupby("method").median().items()}
