"""The first comparison: single-task models and hard sharing under every weighting, paired by seed.

Declared in advance (one family for Holm): Nash against equal weighting, Nash against the control equal_norm, and the hard method
that is best **on validation** against single-task. Over all data sets the pairs are (data set, seed); on one they are the seeds.
"""

import math
from typing import Any

import pandas as pd

from .. import frames, metrics, statistics
from ..config import RunConfig
from ..errors import unknown
from ..labels import DATA, NONE, label, number
from ..tables import formatted, records
from ..tuning import study
from .phrases import findings, verdict

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
    *(f"weighting.{name}" for name in WEIGHTINGS),
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


def select(frame: pd.DataFrame, data: str = "", seeds: str = "") -> pd.DataFrame:
    """The rows of some data sets and reported seeds, as a notebook's parameters name them: "multi_mnist,yeast", "0,1,2" or "0-2".

    Tuning runs, where the frame has them, stay.

    Raises:
        InputError: a name or seed that the results do not hold.
    """
    for column, wanted in (("data", _listed(data)), ("seed", _listed(seeds))):
        there = set(frame[column].astype(str))
        for value in wanted:
            if value not in there:
                raise unknown(column, value, there)
        if wanted:
            tuning = frame["role"].eq("tune") if column == "seed" and "role" in frame else False
            frame = frame[frame[column].astype(str).isin(wanted) | tuning]
    return frame


def _listed(text: str) -> list[str]:
    found: list[str] = []
    for item in (part.strip() for part in str(text).split(",")):
        low, dash, high = item.partition("-")
        span = dash and low.isdigit() and high.isdigit()
        found += [str(i) for i in range(int(low), int(high) + 1)] if span else [item] if item else []
    return found


def aggregate(frame: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """One row a data set and method, raw numbers: every cell of the comparison table.

    ``seeds``: runs that were made, ``left``: those that enter Δm (neither they nor their baseline diverged).
    """
    final = summary[summary["role"] == "final"].assign(method=metrics.method)
    delta, tasks = metrics.delta_m(frame), metrics.delta_m(frame, "tasks")
    keys = ["data", "method"]
    rank = metrics.mean_rank(frame).set_index(keys)["mean_rank"]
    negative = metrics.negative_transfer(frame, statistics.bounds).set_index(keys)
    gap = metrics.generalisation_gap(frame).groupby(keys)["gap"].mean()
    parameters = final.groupby(keys)["parameters"].mean()
    found = []
    there = {(str(data), str(method)): own for (data, method), own in final.groupby(keys)}
    for at in sorted(there, key=_order):
        data, method = at
        own = there[at]
        values = delta[(delta["data"] == data) & (delta["method"] == method)]["delta_m"]
        ci = statistics.interval(values)
        found.append({
            "data": data, "method": method, "seeds": len(own), "left": ci.n, "delta_m": ci.mean, "low": ci.low, "high": ci.high,
            "level": ci.level, "kind": ci.kind, "sd": float(values.std(ddof=1)), "mean_rank": rank.get(at, math.nan),
            "delta_m_tasks": tasks[(tasks["data"] == data) & (tasks["method"] == method)]["delta_m"].mean(),
            "negative_transfer": negative["rate"].get(at, math.nan), "negative_certain": negative["certain"].get(at, math.nan),
            "gap": gap.get(at, math.nan), "parameters": parameters[at],
            "reduction": metrics.reduction(parameters[at], parameters[data, metrics.BASELINE]),
            **{name: own[name].mean() for name in ("ms_per_step", "seconds", "cosine", "conflict")},
            "total_seconds": summary[(summary["data"] == data) & (metrics.method(summary) == method)]["seconds"].sum(),
            "games": float(own["games"].sum()),
            "diverged": int((own["status"] == "diverged").sum()), "unsolved": float(own["unsolved"].sum()),
            "lr": ", ".join(f"{lr:g}" for lr in sorted(set(own["lr"]))),
        })  # fmt: skip
    return pd.DataFrame(found)


def _order(at: tuple[str, str]) -> tuple[str, int, str]:
    data, method = at
    return data, ORDER.index(method) if method in ORDER else len(ORDER), method


def best_hard(frame: pd.DataFrame, data: str | None = None) -> str:
    """The hard-sharing method with the best mean Δm on **validation** (over the data sets, or on one).

    A method with a diverged run is not chosen unless all have one; "" where none has a value.
    """
    delta = metrics.delta_m(frame, split="validation")
    delta = delta[delta["method"].str.startswith("hard+") & (delta["data"].eq(data) if data else True)]
    whole = delta.groupby("method")["delta_m"].mean(skipna=False).dropna()
    means = whole if len(whole) else delta.groupby("method")["delta_m"].mean()
    means = means.dropna()
    return str(means.idxmax()) if len(means) else ""


def declared(frame: pd.DataFrame) -> pd.DataFrame:
    """The declared comparisons of Δm over all data sets (``data`` = "all") and on each; Holm within each of these families.

    A comparison one of whose methods was not run on the data is left out.
    """
    delta = metrics.delta_m(frame)
    found = []
    for data in [None, *sorted(set(delta["data"]))]:
        part = delta if data is None else delta[delta["data"] == data]
        if part.empty or (data is None and delta["data"].nunique() < 2):
            continue
        scores = part.pivot(index=["data", "seed"], columns="method", values="delta_m")
        best = best_hard(frame, data)
        pairs = {name: (best if a == BEST else a, b) for name, (a, b) in DECLARED.items()}
        pairs = {name: pair for name, pair in pairs.items() if set(pair) <= set(scores)}
        found.append(statistics.compare(scores, pairs).assign(data=data or "all"))
    return pd.concat(found, ignore_index=True)


def friedman(frame: pd.DataFrame) -> statistics.Friedman | None:
    """Friedman and Nemenyi of the mean Δm over data sets; its ``warning`` is set while there are fewer than 8.

    None where fewer than two data sets or three methods have a value.
    """
    scores = metrics.delta_m(frame).groupby(["data", "method"])["delta_m"].mean().unstack("method")
    sets, methods = scores.dropna(axis=1).shape
    return statistics.friedman(scores) if sets > 1 and methods > 2 else None


def values(
    frame: pd.DataFrame, summary: pd.DataFrame, weights: pd.DataFrame | None = None, curves: pd.DataFrame | None = None
) -> dict[str, Any]:
    """Everything the texts cite, as strings, with the raw numbers beside it under "number".

    {data: {method: {...}, "label", "highest", "lowest", "best_validation", "weight_ratio"}, "tests" and "verdict":
    {data or "all": {comparison: ...}}, "friedman", "limits", "findings": [sentences], "number": {...}}.
    """
    table, tested = aggregate(frame, summary), declared(frame)
    found: dict[str, Any] = {"number": {"tests": {}}, "tests": {}, "verdict": {}}
    for row in records(table):
        found.setdefault(row["data"], {})[row["method"]] = formatted(row)
        found["number"].setdefault(row["data"], {})[row["method"]] = {k: _plain(v) for k, v in row.items()}
    for data, part in table.groupby("data"):
        ranks = part[part["method"] != metrics.BASELINE].dropna(subset=["delta_m"]).sort_values("delta_m")["method"]
        found[str(data)] |= {"label": DATA.get(str(data), str(data)), "best_validation": label(best_hard(frame, str(data))),
                             "highest": label(ranks.iloc[-1]) if len(ranks) else NONE,
                             "lowest": label(ranks.iloc[0]) if len(ranks) else NONE}  # fmt: skip
        if weights is not None:
            found[str(data)]["weight_ratio"] = {m: number(r, 1) for m, r in weight_ratios(weights, str(data)).items()}
    for row in records(tested):
        data, name = row["data"], row["comparison"]
        shown = {"difference": number(row["difference"], sign=True), "p": number(row["p"], 3), "p_holm": number(row["p_holm"], 3),
                 "effect": number(row["effect"], 2), "n": str(row["n"]), "smallest_p": number(row["smallest_p"], 3),
                 "a": label(row["a"]), "b": label(row["b"])}  # fmt: skip
        found["tests"].setdefault(data, {})[name] = shown
        found["verdict"].setdefault(data, {})[name] = verdict(row)
        found["number"]["tests"].setdefault(data, {})[name] = {k: _plain(v) for k, v in row.items()}
    rank = friedman(frame)
    if rank is not None:
        found["friedman"] = {"p": number(rank.p, 3), "statistic": number(rank.statistic, 2), "data_sets": str(rank.data_sets),
                             "critical_difference": number(rank.critical_difference, 2),
                             "few": f"자료가 {rank.data_sets}개뿐이어서 검정력이 낮다." if rank.warning else ""}  # fmt: skip
    seeds = int(table["seeds"].max())
    bargained = table[table["method"].str.contains("nash")]
    few = statistics.attainable_level(seeds) < 0.95
    found["limits"] = {"interval": "짝지은 시드의 최솟값과 최댓값" if few else "짝지은 시드의 BCa 부트스트랩 95 % 구간",
                       "seeds": str(seeds), "level": number(100 * min(0.95, statistics.attainable_level(seeds)), 0),
                       "smallest_p": number(statistics.smallest_p(seeds), 3), "diverged": str(int(table["diverged"].sum())),
                       "unsolved": number(bargained["unsolved"].sum(), 0), "games": number(bargained["games"].sum(), 0),
                       "runs": number(table["seeds"].sum(), 0), "edge": str(at_edge(summary)),
                       "cells": str(len(table))}  # fmt: skip
    found["findings"] = findings(found)
    return found


def at_edge(summary: pd.DataFrame) -> int:
    """(data, method) pairs whose chosen learning rate is the smallest or largest candidate: perhaps not tuned to the end."""
    edges = 0
    for _, own in summary.assign(method=metrics.method).groupby(["data", "method"]):
        tried, chosen = own.loc[own["role"] == "tune", "lr"], own.loc[own["role"] == "final", "lr"]
        edges += bool(len(tried) and chosen.isin([tried.min(), tried.max()]).any())
    return edges


def weight_ratios(weights: pd.DataFrame, data: str) -> dict[str, float]:
    """Largest over smallest task weight of a step, by method: the median over recorded steps, blocks and seeds."""
    part = weights[weights["data"] == data].assign(method=metrics.method)
    by = part.groupby(["method", "seed", "step", "block"])["weight"]
    ratio = by.max() / by.min().where(by.min() > 0)
    return {str(method): float(r) for method, r in ratio.groupby("method").median().items()}


def _plain(value: Any) -> Any:
    """A JSON number, None for NaN."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
