"""Comparisons that are paired by seed: every cell of their tables, the tests that were declared in
advance, and what all of them let one say.

What is declared stands in `mtlstudy.study.plan`; the sentences stand in book/claims.ko.yml.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import pandas as pd

from mtlstudy.study import metrics, plan, statistics, tables, words
from mtlstudy.study.claims import Claim
from mtlstudy.study.format import NONE, bracket, number
from mtlstudy.study.results import Results

TESTS = (
    *("data", "comparison", "pairs", "difference", "interval"),
    *("effect", "p", "p_holm", "smallest_p"),
)


def named(comparison: str) -> Callable[[str], str]:
    """How a comparison calls its methods: by what differs between them."""
    by = {"weightings": words.label, "sharings": words.family}
    return by.get(comparison, partial(words.name, "method"))


def aggregate(results: Results) -> pd.DataFrame:
    """One row a data set and method, raw numbers: every cell of the comparison tables.

    seeds: runs that were made; left: those that enter Δm (neither they nor their baseline
    diverged); scores: metric → mean test value over tasks and seeds; search: steps of the search
    for a structure, in percent of the training steps; flops: of one example's forward pass.
    """
    frame, runs, keys = results.metrics, results.runs, ["data", "method"]
    final = runs[runs["role"] == "final"].assign(method=metrics.method)
    final["search"] = 100 * final["search_steps"] / final["steps"]
    final["diverged"] = (final["status"] == "diverged").astype(int)
    by, delta = final.groupby(keys), metrics.delta_m(frame).groupby(keys)["delta_m"]
    intervals = {at: asdict(statistics.interval(values)) for at, values in delta}
    negative = metrics.negative_transfer(frame, statistics.bounds).set_index(keys)
    means = metrics.rows(frame).groupby([*keys, "metric"])["value"].mean().groupby(level=keys)
    scores = {at: own.droplevel([0, 1]).to_dict() for at, own in means}
    parts: list[Any] = [
        by.size().rename("seeds"),
        pd.DataFrame.from_dict(intervals, orient="index"),
        delta.std().rename("sd"),
        metrics.delta_m(frame, "tasks").groupby(keys)["delta_m"].mean().rename("delta_m_tasks"),
        metrics.mean_rank(frame).set_index(keys),
        negative.add_prefix("negative_"),
        metrics.generalisation_gap(frame).groupby(keys)["gap"].mean(),
        pd.Series(scores, name="scores"),
        by[["parameters", "flops", "search", "cosine", "conflict"]].mean(),
        by[["games", "unsolved", "diverged"]].sum(),
        by["lr"].agg(lambda lr: ", ".join(f"{one:g}" for one in sorted(set(lr)))),
    ]
    table = pd.concat(parts, axis=1).rename_axis(keys).reset_index()
    table = table.rename(
        columns={"n": "left", "mean": "delta_m", "negative_rate": "negative_transfer"}
    )
    base = table["data"].map(
        table[table["method"] == plan.BASELINE].set_index("data")["parameters"]
    )
    saved = [metrics.reduction(*pair) for pair in zip(table["parameters"], base, strict=True)]
    order = sorted(table.index, key=lambda i: (table["data"][i], plan.place(table["method"][i])))
    ordered: pd.DataFrame = table.assign(reduction=saved).loc[order].reset_index(drop=True)
    return ordered


def best(frame: pd.DataFrame, pattern: str, data: str | None = None) -> str:
    """The method of a pattern ("hard+*") best in mean Δm on **validation**, over all data sets or
    on one; never the baseline.

    A method with a diverged run, or without runs on one of the data sets, is not chosen unless all
    are so; "" where none has a value.
    """
    delta = metrics.delta_m(frame, split="validation")
    fits = delta["method"].map(lambda m: m != plan.BASELINE and fnmatchcase(m, pattern))
    delta = delta[fits & (delta["data"].eq(data) if data else True)]
    by = delta.groupby("method")
    everywhere = by["data"].nunique() == delta["data"].nunique()
    whole = by["delta_m"].mean(skipna=False)[everywhere].dropna()
    means = whole if len(whole) else by["delta_m"].mean().dropna()
    return str(means.idxmax()) if len(means) else ""


def declared(results: Results) -> pd.DataFrame:
    """The plan's comparisons of Δm over all data sets (``data`` = "all") and on each of them; Holm
    within each of these families. The columns of `statistics.compare`, and ``data``.

    A comparison one of whose methods was not run on the data, that would be of a method with
    itself, or that is there already under another name, is left out.
    """
    frame, pairs = results.metrics, plan.COMPARISONS[results.comparison].declared
    delta = metrics.delta_m(frame)
    found = []
    for data in [None, *sorted(set(delta["data"]))]:
        part = delta if data is None else delta[delta["data"] == data]
        if data is None and delta["data"].nunique() < 2:
            continue
        scores = part.pivot(index=["data", "seed"], columns="method", values="delta_m")
        chosen: dict[tuple[str, str], str] = {}
        for name, (a, b) in pairs.items():
            a = best(frame, a, data) if "*" in a else a
            if a != b and {a, b} <= set(scores):
                chosen.setdefault((a, b), name)
        tested = statistics.compare(scores, {name: pair for pair, name in chosen.items()})
        found.append(tested.assign(data=data or "all"))
    return pd.concat(found, ignore_index=True)


def differences(results: Results) -> pd.DataFrame:
    """`declared` as strings under Korean headings; without results, one row that says so."""
    name = named(results.comparison)
    rows = [
        {
            "data": words.name("data_short", row["data"]),
            "comparison": f"{name(row['a'])} − {name(row['b'])}",
            "pairs": number(row["n"], 0),
            "difference": number(row["difference"], sign=True),
            "interval": bracket(row["low"], row["high"]),
            "effect": number(row["effect"], 2),
            **{key: number(row[key], 3) for key in ("p", "p_holm", "smallest_p")},
        }
        for row in ([] if results.metrics.empty else tables.records(declared(results)))
    ]
    return tables.headed(rows, TESTS)


def friedman(frame: pd.DataFrame) -> list[Claim]:
    """Whether methods differ in mean Δm over the data sets (Friedman, Nemenyi).

    Nothing where fewer than two data sets or three methods have a value.
    """
    delta = metrics.delta_m(frame)
    scores = delta.groupby(["data", "method"])["delta_m"].mean().unstack("method")
    sets, methods = scores.dropna(axis=1).shape
    if sets < 2 or methods < 3:
        return []
    test = statistics.friedman(scores)
    least = number(test.critical_difference, 2)
    figures = {"p": number(test.p, 3), "least": least, "data_sets": test.data_sets}
    return [Claim("friedman", "few" if test.warning else "enough", figures)]


def at_edge(runs: pd.DataFrame) -> int:
    """(data, method) pairs whose chosen learning rate is the smallest or largest candidate."""
    edges = 0
    for _, own in runs.assign(method=metrics.method).groupby(["data", "method"]):
        tried, chosen = own[own["role"] == "tune"]["lr"], own[own["role"] == "final"]["lr"]
        edges += bool(len(tried) and chosen.isin([tried.min(), tried.max()]).any())
    return edges


def outcome(test: dict[str, Any]) -> str:
    """What interval and Holm's p of a declared comparison allow one to say.

    up, down: significant; above, below: the interval is on one side of 0, but the test is not
    significant; unclear; untested: no pair of seeds is left.
    """
    if test["n"] == 0:
        return "untested"
    higher = test["difference"] > 0
    if test["p_holm"] < statistics.ALPHA:
        return "up" if higher else "down"
    if test["low"] > 0 or test["high"] < 0:
        return "above" if higher else "below"
    return "unclear"


def verdicts(results: Results, declared: pd.DataFrame) -> list[Claim]:
    """A claim on each declared comparison, named ``verdict.<data or all>.<comparison>``."""
    name = named(results.comparison)
    found = []
    for row in tables.records(declared):
        figures = {side: name(row[side]) for side in ("a", "b")} | {"n": row["n"]}
        figures |= {key: number(row[key], 3) for key in ("p_holm", "smallest_p")}
        figures |= {"difference": number(row["difference"], sign=True)}
        figures |= {"effect": number(row["effect"], 2)}
        cited = f"verdict.{row['data']}.{row['comparison']}"
        found.append(Claim("verdict", outcome(row), figures, cited))
    return found


def limits(table: pd.DataFrame, runs: pd.DataFrame) -> dict[str, str]:
    """What bounds all that can be said: seeds, what the intervals are, smallest p, diverged runs,
    unsolved games, learning rates at an edge of the candidates. table: that of `aggregate`."""
    seeds, bargained = int(table["seeds"].max()), table[table["method"].str.contains("nash")]
    level = min(0.95, statistics.attainable_level(seeds))
    return {
        "interval": words.word(f"text.interval.{'range' if level < 0.95 else 'bca'}"),
        "seeds": str(seeds),
        "level": number(100 * level, 0),
        "smallest_p": number(statistics.smallest_p(seeds), 3),
        "diverged": str(int(table["diverged"].sum())),
        "unsolved": number(bargained["unsolved"].sum(), 0),
        "games": number(bargained["games"].sum(), 0),
        "runs": number(table["seeds"].sum(), 0),
        "edge": str(at_edge(runs)),
        "cells": str(len(table)),
    }


def bounds(limits: dict[str, str]) -> list[Claim]:
    """What `limits` lets one say."""
    found = [Claim("interval", "reached", limits)]
    if limits["edge"] != "0":
        found.append(Claim("edge", "some", limits))
    return [*found, Claim("runs", "counted", limits)]


def names(values: Iterable[str]) -> str:
    """Names in a row; the word for none where there is none."""
    return ", ".join(values) or words.word("text.none")


def delta_shown(row: dict[str, Any], key: str = "delta_m") -> str:
    """Δm of a row of `aggregate`; a mean without all its seeds says so: ``+1.2 (2/3)``."""
    if row["method"] == plan.BASELINE:
        return words.word("text.baseline")
    count = f" ({row['left']}/{row['seeds']})" if row["left"] < row["seeds"] else ""
    return number(row[key], sign=True) + count


def interval_shown(row: dict[str, Any]) -> str:
    """The interval of Δm of a row of `aggregate`."""
    return NONE if row["method"] == plan.BASELINE else bracket(row["low"], row["high"])
