"""What the comparisons that are paired by seed have in common: all cells of the table, the declared tests, what texts quote."""

import math
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import pandas as pd

from mtlstudy.study import metrics
from mtlstudy.study import statistics
from mtlstudy.errors import unknown
from mtlstudy.study.format import label, number, place
from mtlstudy.study.tables import records
from mtlstudy.study.phrases import verdict

Pairs = Mapping[str, tuple[str, str]]
"""The comparisons declared in advance, a − b; a pattern such as "hard+*" is the method of it that is best on validation."""


def select(frame: pd.DataFrame, data: str = "", seeds: str = "") -> pd.DataFrame:
    """The rows of some data sets and reported seeds, as a notebook's parameters name them: "multi_mnist,yeast", "0,1,2" or "0-2".

    Tuning runs, where the frame has them, stay; a frame without seeds is not narrowed to some.

    Raises:
        InputError: a name or seed that the results do not hold.
    """
    for column, wanted in (("data", _listed(data)), ("seed", _listed(seeds) if "seed" in frame else [])):
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
    spent = summary["seconds"] + summary.get("search_seconds", 0.0)
    found = []
    there = {(str(data), str(method)): own for (data, method), own in final.groupby(keys)}
    for at in sorted(there, key=lambda at: (at[0], place(at[1]))):
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
            "total_seconds": spent[(summary["data"] == data) & (metrics.method(summary) == method)].sum(),
            "games": float(own["games"].sum()),
            "diverged": int((own["status"] == "diverged").sum()), "unsolved": float(own["unsolved"].sum()),
            "lr": ", ".join(f"{lr:g}" for lr in sorted(set(own["lr"]))),
        })  # fmt: skip
    return pd.DataFrame(found)


def best(frame: pd.DataFrame, pattern: str, data: str | None = None) -> str:
    """The method of a pattern ("hard+*"; never the baseline) best in mean Δm on **validation**, over all data sets or on one.

    A method with a diverged run, or without runs on one of the data sets, is not chosen unless all are so; "" where none has a
    value.
    """
    delta = metrics.delta_m(frame, split="validation")
    fits = delta["method"].map(lambda method: method != metrics.BASELINE and fnmatchcase(method, pattern))
    delta = delta[fits & (delta["data"].eq(data) if data else True)]
    by = delta.groupby("method")
    everywhere = by["data"].nunique() == delta["data"].nunique()
    whole = by["delta_m"].mean(skipna=False)[everywhere].dropna()
    means = whole if len(whole) else by["delta_m"].mean().dropna()
    return str(means.idxmax()) if len(means) else ""


def declared(frame: pd.DataFrame, pairs: Pairs) -> pd.DataFrame:
    """The declared comparisons of Δm over all data sets (``data`` = "all") and on each; Holm within each of these families.

    A comparison one of whose methods was not run on the data, that would be of a method with itself, or that is there already
    under another name, is left out.
    """
    delta = metrics.delta_m(frame)
    found = []
    for data in [None, *sorted(set(delta["data"]))]:
        part = delta if data is None else delta[delta["data"] == data]
        if part.empty or (data is None and delta["data"].nunique() < 2):
            continue
        scores = part.pivot(index=["data", "seed"], columns="method", values="delta_m")
        named = {name: (best(frame, a, data) if "*" in a else a, b) for name, (a, b) in pairs.items()}
        first = {pair: name for name, pair in reversed(named.items())}
        kept = {name: (a, b) for name, (a, b) in named.items() if a != b and {a, b} <= set(scores) and first[a, b] == name}
        found.append(statistics.compare(scores, kept).assign(data=data or "all"))
    return pd.concat(found, ignore_index=True)


def friedman(frame: pd.DataFrame) -> statistics.Friedman | None:
    """Friedman and Nemenyi of the mean Δm over data sets; its ``warning`` is set while there are fewer than 8.

    None where fewer than two data sets or three methods have a value.
    """
    scores = metrics.delta_m(frame).groupby(["data", "method"])["delta_m"].mean().unstack("method")
    sets, methods = scores.dropna(axis=1).shape
    return statistics.friedman(scores) if sets > 1 and methods > 2 else None


def at_edge(summary: pd.DataFrame) -> int:
    """(data, method) pairs whose chosen learning rate is the smallest or largest candidate: perhaps not tuned to the end."""
    edges = 0
    for _, own in summary.assign(method=metrics.method).groupby(["data", "method"]):
        tried, chosen = own.loc[own["role"] == "tune", "lr"], own.loc[own["role"] == "final", "lr"]
        edges += bool(len(tried) and chosen.isin([tried.min(), tried.max()]).any())
    return edges


def tested(tests: pd.DataFrame, name: Callable[[str], str] = label) -> dict[str, Any]:
    """What texts quote of `declared`: "tests", "verdict" and raw "number", each {data or "all": {comparison: ...}}."""
    found: dict[str, Any] = {"tests": {}, "verdict": {}, "number": {}}
    for row in records(tests):
        data, comparison = row["data"], row["comparison"]
        shown = {"difference": number(row["difference"], sign=True), "p": number(row["p"], 3), "p_holm": number(row["p_holm"], 3),
                 "effect": number(row["effect"], 2), "n": str(row["n"]), "smallest_p": number(row["smallest_p"], 3),
                 "a": name(row["a"]), "b": name(row["b"])}  # fmt: skip
        found["tests"].setdefault(data, {})[comparison] = shown
        found["verdict"].setdefault(data, {})[comparison] = verdict(row, name)
        found["number"].setdefault(data, {})[comparison] = {k: plain(v) for k, v in row.items()}
    return found


def ranked(frame: pd.DataFrame) -> dict[str, Any]:
    """What texts quote of `friedman`: {"friedman": {...}}, or nothing where there is none."""
    rank = friedman(frame)
    if rank is None:
        return {}
    few = f"자료가 {rank.data_sets}개뿐이어서 검정력이 낮다." if rank.warning else ""
    return {"friedman": {"p": number(rank.p, 3), "statistic": number(rank.statistic, 2), "data_sets": str(rank.data_sets),
                         "critical_difference": number(rank.critical_difference, 2), "few": few}}  # fmt: skip


def limits(table: pd.DataFrame, summary: pd.DataFrame) -> dict[str, str]:
    """What bounds all that can be said: seeds, what the intervals are, smallest p, diverged runs, unsolved games, edges."""
    seeds, bargained = int(table["seeds"].max()), table[table["method"].str.contains("nash")]
    few = statistics.attainable_level(seeds) < 0.95
    return {"interval": "짝지은 시드의 최솟값과 최댓값" if few else "짝지은 시드의 BCa 부트스트랩 95 % 구간",
            "seeds": str(seeds), "level": number(100 * min(0.95, statistics.attainable_level(seeds)), 0),
            "smallest_p": number(statistics.smallest_p(seeds), 3), "diverged": str(int(table["diverged"].sum())),
            "unsolved": number(bargained["unsolved"].sum(), 0), "games": number(bargained["games"].sum(), 0),
            "runs": number(table["seeds"].sum(), 0), "edge": str(at_edge(summary)), "cells": str(len(table))}  # fmt: skip


def plain(value: Any) -> Any:
    """A JSON number, None for NaN."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
