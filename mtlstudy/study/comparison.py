"""The comparisons of methods, paired by seed: their numbers, the tests that were declared in
advance, tables, and what all of them let one say.

What is compared stands in `mtlstudy.study.plan`, the sentences in book/claims.ko.yml. Weightings:
single-task models and hard sharing under every weighting. Sharing structures: every family under
equal weighting, so that what is shared is all that differs; a family that makes no sense over a
data set's tasks stands in the tables as undefined, with the reason it gives. The Korean benchmarks
are tested here, too; their own tables and claims are in `mtlstudy.study.korean`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import pandas as pd

from mtlstudy.registry import entry
from mtlstudy.study import claims as said
from mtlstudy.study import metrics, plan, statistics, words
from mtlstudy.study.claims import Claim
from mtlstudy.study.format import NONE, bracket, number
from mtlstudy.study.results import Results
from mtlstudy.study.tables import Tables, headed, records, show
from mtlstudy.study.words import name, word

PARTS = {
    "weightings": {
        "result": (
            "method delta_m_ci delta_m_tasks mean_rank negative_transfer negative_certain seeds"
            " diverged"
        ),
        "cost": "method parameters reduction lr unsolved gap sd cosine conflict",
    },
    "sharings": {
        "result": (
            "structure test_metric delta_m_ci delta_m_tasks negative_transfer negative_certain sd"
            " gap seeds diverged"
        ),
        "cost": "structure parameters reduction flops search lr",
    },
    "structures": {
        "result": "structure test_metric delta_m_ci negative_transfer reduction lr seeds diverged",
    },
}
"""Comparison → the tables of a data set → their columns."""
DIGITS = {
    **{"seeds": 0, "diverged": 0, "parameters": 0, "negative_transfer": 0, "negative_certain": 0},
    **{"reduction": 1, "mean_rank": 2, "sd": 2, "gap": 3, "cosine": 3},
}
"""Column → digits shown of it, where it is shown as it is."""
CITED = "method delta_m interval delta_m_ci parameters reduction unsolved conflict"
TESTS = "data comparison pairs difference interval effect p p_holm detectable"
RELATED = {"cross_stitch": ("alpha", 1), "sparse": ("overlap", 1), "soft": ("distance", -1)}
"""Family whose learned matrices relate tasks → their kind, and whether larger means more (1) or
less (−1) related."""


def named(comparison: str) -> Callable[[str], str]:
    """How a comparison calls its methods: by what differs between them."""
    by = {"weightings": words.label, "sharings": words.family, "structures": words.family}
    return by.get(comparison, partial(name, "method"))


def names(values: Iterable[str]) -> str:
    """Names in a row; the word for none where there is none."""
    return ", ".join(values) or word("text.none")


def aggregate(results: Results) -> pd.DataFrame:
    """One row a data set and method, raw numbers: every cell of the comparison tables.

    seeds: runs that were made; left: those that enter Δm (neither they nor their baseline
    diverged); delta_m, its interval (low, high) and sd over the seeds, delta_m_tasks, the shares
    negative_transfer and negative_certain of (task, seed) pairs, reduction (parameters saved
    against the baseline): all in percent; scores: metric → mean test value over tasks and seeds;
    gap: in the metrics' units; search: steps of the search for a structure, in percent of the
    training steps; flops: of one example's forward pass; conflict: a share in 0 … 1.
    """
    frame, keys = results.metrics, ["data", "method"]
    final = results.runs.query("role == 'final'").assign(method=metrics.method)
    final["search"] = 100 * final["search_steps"] / final["steps"]
    final["diverged"] = (final["status"] == "diverged").astype(int)
    by, delta = final.groupby(keys), metrics.delta_m(frame).groupby(keys)["delta_m"]
    intervals = {at: asdict(statistics.interval(values)) for at, values in delta}
    negative = metrics.negative_transfer(frame).set_index(keys)
    of_seeds = metrics.rows(frame).groupby([*keys, "metric", "seed"])["value"].mean(skipna=False)
    means = of_seeds.groupby(level=[*keys, "metric"]).mean().groupby(level=keys)
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
    base = table[table["method"] == plan.BASELINE].set_index("data")["parameters"]
    pairs = zip(table["parameters"], table["data"].map(base), strict=True)
    table["reduction"] = [metrics.reduction(*pair) for pair in pairs]
    table["place"] = table["method"].map(plan.place)
    ordered: pd.DataFrame = table.sort_values(["data", "place"], ignore_index=True)
    new = {"n": "left", "mean": "delta_m", "negative_rate": "negative_transfer"}
    return ordered.drop(columns="place").rename(columns=new)


def best(frame: pd.DataFrame, pattern: str, data: str = "all") -> str:
    """The method of a pattern ("hard+*") best in mean Δm on **validation**, over all data sets or
    on one; never the baseline.

    A method with a diverged run, or without runs on one of the data sets, is not chosen unless all
    are so; "" where none has a value.
    """
    delta = metrics.delta_m(frame, split="validation")
    fits = delta["method"].map(lambda m: m != plan.BASELINE and fnmatchcase(m, pattern))
    delta = delta[fits & (data == "all" or delta["data"] == data)]
    by = delta.groupby("method")
    everywhere = by["data"].nunique() == delta["data"].nunique()
    whole = by["delta_m"].mean(skipna=False)[everywhere].dropna()
    means = whole if len(whole) else by["delta_m"].mean().dropna()
    return str(means.idxmax()) if len(means) else ""


def declared(results: Results) -> pd.DataFrame:
    """The plan's comparisons of Δm over all data sets (``data`` = "all") and on each of them; Holm
    within each of these families. The columns of `statistics.compare` (differences and interval in
    percentage points), and ``data``.

    A comparison one of whose methods was not run on the data, that would be of a method with
    itself, or that is there already under another name, is left out.
    """
    frame, pairs = results.metrics, plan.COMPARISONS[results.comparison].declared
    delta = metrics.delta_m(frame)
    sets, found = sorted(set(delta["data"])), []
    for data in ["all", *sets] if len(sets) > 1 else sets:
        part = delta if data == "all" else delta[delta["data"] == data]
        scores = part.pivot(index=["data", "seed"], columns="method", values="delta_m")
        chosen: dict[tuple[str, str], str] = {}
        for comparison, (a, b) in pairs.items():
            a = best(frame, a, data) if "*" in a else a
            if a != b and {a, b} <= set(scores):
                chosen.setdefault((a, b), comparison)
        tested = statistics.compare(scores, {key: pair for pair, key in chosen.items()})
        found.append(tested.assign(data=data))
    return pd.concat(found, ignore_index=True)


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
    found = []
    for row in records(declared):
        cited = f"verdict.{row['data']}.{row['comparison']}"
        figures = shown(row, named(results.comparison))
        found.append(Claim("verdict", outcome(row), figures, cited))
    return found


def headline(results: Results) -> list[Claim]:
    """The verdicts over all data sets, or on the one there is: what a page says first."""
    found = declared(results)
    return verdicts(results, found[found["data"] == found["data"].iloc[0]]) if len(found) else []


def shown(row: Mapping[str, Any], called: Callable[[str], str]) -> dict[str, Any]:
    """A row of `declared` as strings, with the number of pairs. called: the names of methods."""
    a, b = (called(row[side]) for side in "ab")
    return {
        **{"a": a, "b": b, "comparison": f"{a} − {b}"},
        **{"n": row["n"], "pairs": number(row["n"], 0), "data": name("data_short", row["data"])},
        **{key: number(row[key], 3) for key in ("p", "p_holm", "smallest_p")},
        "difference": number(row["difference"], sign=True),
        "interval": bracket(row["low"], row["high"]),
        "detectable": number(row["detectable"]),
        "effect": number(row["effect"], 2),
    }


def differences(results: Results) -> pd.DataFrame:
    """`declared` as strings under Korean headings; without results, one row that says so."""
    rows = [] if results.metrics.empty else records(declared(results))
    called = named(results.comparison)
    return headed([shown(row, called) for row in rows], TESTS.split())


def at_edge(runs: pd.DataFrame) -> int:
    """(data, method) pairs whose chosen learning rate is the smallest or largest candidate."""
    edges = 0
    for _, own in runs.assign(method=metrics.method).groupby(["data", "method"]):
        tried, chosen = own[own["role"] == "tune"]["lr"], own[own["role"] == "final"]["lr"]
        edges += bool(len(tried) and chosen.isin([tried.min(), tried.max()]).any())
    return edges


def intervals(seeds: Iterable[int]) -> str:
    """What the intervals of data sets with so many seeds each are."""
    whole = {statistics.attainable_level(n) >= 0.95 for n in seeds}
    kind = "mixed" if len(whole) > 1 else "signed_rank" if True in whole else "range"
    return word(f"text.interval.{kind}")


def limits(results: Results, table: pd.DataFrame) -> dict[str, str]:
    """What bounds all that can be said: seeds of the data set with the fewest, what the intervals
    are, smallest p, diverged runs, unsolved games, learning rates at an edge of the candidates.
    table: that of `aggregate`."""
    of_data = table.groupby("data")["seeds"].max()
    seeds, bargained = int(of_data.min()), table[table["method"].str.contains("nash")]
    level = min(0.95, statistics.attainable_level(seeds))
    return {
        "interval": intervals(of_data),
        "seeds": str(seeds),
        "level": number(100 * level, 0),
        "smallest_p": number(statistics.smallest_p(seeds), 3),
        "diverged": str(table["diverged"].sum()),
        "unsolved": number(bargained["unsolved"].sum(), 0),
        "games": number(bargained["games"].sum(), 0),
        "runs": number(table["seeds"].sum(), 0),
        "edge": str(at_edge(results.runs)),
        "cells": str(len(table)),
    }


def bounds(limits: dict[str, str]) -> list[Claim]:
    """What `limits` lets one say."""
    edge = [] if limits["edge"] == "0" else [Claim("edge", "some", limits)]
    return [Claim("interval", "reached", limits), *edge, Claim("runs", "counted", limits)]


def formatted(row: dict[str, Any], comparison: str) -> dict[str, str]:
    """One row of `aggregate` as strings; a mean without all its seeds says so: ``+1.2 (2/3)``."""
    called, interval = named(comparison)(row["method"]), bracket(row["low"], row["high"])
    count = f" ({row['left']}/{row['seeds']})" if row["left"] < row["seeds"] else ""
    delta, tasks = (number(row[key], sign=True) + count for key in ("delta_m", "delta_m_tasks"))
    scores = (f"{name('metric', m)} {number(value, 3)}" for m, value in row["scores"].items())
    games = f"{number(row['unsolved'], 0)}/{number(row['games'], 0)}"
    strings = {key: number(row[key], digits) for key, digits in DIGITS.items()} | {
        "method": called,
        "structure": called,
        "delta_m": delta,
        "interval": interval,
        "delta_m_ci": f"{delta} {interval}",
        "delta_m_tasks": tasks,
        "test_metric": ", ".join(scores),
        "unsolved": games if row["games"] > 0 else NONE,
        "conflict": number(100 * row["conflict"], 0),
        "flops": number(row["flops"] / 1e3),
        "search": number(row["search"], 0) if row["search"] else word("text.none"),
        "lr": row["lr"],
    }
    if row["method"] == plan.BASELINE:
        strings |= dict.fromkeys(("delta_m", "delta_m_ci", "delta_m_tasks"), word("text.baseline"))
        strings |= dict.fromkeys(("interval", "negative_transfer", "negative_certain", "sd"), NONE)
    return strings


def tables(results: Results) -> Tables:
    """Every data set's tables, numbered ``tab-<comparison>-<part>-<data>``: all cells as strings
    under Korean headings, refused families too.

    result: Δm (both definitions), intervals, negative transfer, seeds, diverged runs; cost:
    parameters, FLOPs, learning rate, and what else a method costs.
    """
    kind, table, mark = results.comparison, aggregate(results), word("text.undefined")
    made = []
    for data, own in table.groupby("data"):
        interval = intervals([own["seeds"].max()])
        rows = {row["method"]: formatted(row, kind) for row in records(own)}
        for sharing in results.refused.query("data == @data")["sharing"]:
            called = named(kind)(f"{sharing}+equal")
            shown = {"method": called, "structure": called, "delta_m_ci": mark, "parameters": mark}
            rows[f"{sharing}+equal"] = shown
        shown_data = name("data_short", str(data))
        for part, columns in PARTS[kind].items():
            empty = dict.fromkeys(columns.split(), NONE)
            lines = [empty | rows[method] for method in sorted(rows, key=plan.place)]
            caption = word(f"text.caption.{kind}.{part}", data=shown_data, interval=interval)
            label = f"tab-{kind}-{part}-{str(data).replace('_', '-')}"
            made.append(show(headed(lines, columns.split()), caption, label))
    return Tables(made)


def undefined(results: Results) -> list[Claim]:
    """What is not in the tables: families that are refused, methods of which no candidate has a
    score, metrics that are undefined, cells that are not computed yet, data sets whose files are
    missing."""
    found = []
    for (sharing, reason), own in results.refused.groupby(["sharing", "reason"]):
        sets = names(name("data_short", data) for data in own["data"])
        figures = {"sharing": name("sharing", str(sharing)), "data": sets, "reason": reason}
        found.append(Claim("undefined", "refused", figures))
    for (data, method), own in results.runs.assign(method=metrics.method).groupby(
        ["data", "method"]
    ):
        if not (own["role"] == "final").any():
            figures = {"method": words.label(str(method)), "data": name("data_short", str(data))}
            found.append(Claim("undefined", "failed", figures))
    lost = metrics.undefined(results.metrics) if len(results.metrics) else results.metrics
    for (data, task, metric), own in lost.groupby(["data", "task", "metric"]):
        figures = {"data": name("data_short", str(data)), "task": name("task", str(task))}
        figures |= {"metric": name("metric", str(metric)), "runs": number(len(own), 0)}
        found.append(Claim("undefined", "metric", figures))
    for data, own in results.left.groupby("data", sort=False):
        called = names(map(words.label, own["method"]))
        found.append(
            Claim("undefined", "left", {"data": name("data_short", str(data)), "left": called})
        )
    found = found or [Claim("undefined", "nothing", {})]
    for key in results.missing["data"].unique():
        found.append(Claim("missing", "left_out", {"data": name("data_short", key), "key": key}))
    return found


def claims(results: Results) -> list[Claim]:
    """What the comparison lets one say, whatever the numbers turn out to be."""
    table, tested = aggregate(results), declared(results)
    sets, structures = sorted(set(table["data"])), results.comparison == "sharings"
    pooled = "all" if len(sets) > 1 else sets[0]
    chosen = best(results.metrics, "*+equal", pooled)
    judged = verdicts(results, tested[tested["data"] == pooled])
    found = [claim for data in sets for claim in _data(results, table[table["data"] == data])]
    if structures and pooled == "all":
        found.append(Claim("selected", "pooled", {"best": words.family(chosen)}))
    found += judged
    if pooled == "all":
        found.append(Claim("pooling", "pooled", {"sets": len(sets)}))
    for claim in judged:
        if claim.id.endswith(".nash_equal_norm"):
            certain = claim.outcome in ("up", "down")
            found.append(Claim("control", claim.outcome if certain else "unclear", {}))
    if structures and chosen == plan.HARD:
        found.append(Claim("hard_best", "hard", {}))
    bounded = limits(results, table)
    found += [*relations(results.learned), *_masks(results.learned), *bounds(bounded)]
    return found if bounded["games"] == "0" else [*found, Claim("games", "counted", bounded)]


def _data(results: Results, part: pd.DataFrame) -> list[Claim]:
    """One data set: both ends of Δm, the choice on validation, the sides of the intervals."""
    kind, called, data = results.comparison, named(results.comparison), part["data"].iloc[0]
    shown = {"data": name("data_short", data)}
    left = part[part["method"] != plan.BASELINE].dropna(subset=["delta_m"])
    if left.empty:
        return [Claim(kind, "diverged", shown)]
    ranked = records(left.sort_values("delta_m"))
    pattern = plan.COMPARISONS[kind].declared["best_single"][0]
    ends = shown | {"best": called(best(results.metrics, pattern, data))}
    for end, row in (("highest", ranked[-1]), ("lowest", ranked[0])):
        strings = formatted(row, kind)
        ends |= {end: strings["method"], f"{end}_delta": strings["delta_m"]}
        ends[f"{end}_interval"] = strings["interval"]
    found = [Claim(kind, "ranked", ends)]
    if kind == "sharings":
        cheapest = min(ranked, key=lambda row: row["parameters"])
        sides = {
            "above": names(called(row["method"]) for row in ranked if row["low"] > 0),
            "below": names(called(row["method"]) for row in ranked if row["high"] < 0),
            "cheapest": called(cheapest["method"]),
            "reduction": number(cheapest["reduction"]),
        }
        found.append(Claim("sides", "listed", shown | sides))
    return found


def relations(learned: pd.DataFrame) -> list[Claim]:
    """How far learned relations between tasks follow their true groups, where those are known: a
    claim a data set and family.

    inside, across: means over the pairs of tasks of one group and of two, over stages and seeds, in
    the units of the kind; agree: in how many of the seeds tasks of one group are more related.
    """
    found = []
    for data, of_data in learned.groupby("data"):
        data_set = entry("data", str(data))
        known = data_set(data_set.Options())
        if not hasattr(known, "groups"):
            continue
        truth = dict(zip([task.name for task in known.tasks], known.groups(), strict=True))
        for sharing, (kind, sign) in RELATED.items():
            own = of_data.query("sharing == @sharing and kind == @kind and row != column")
            same = own["row"].map(truth) == own["column"].map(truth)
            by = own["value"].groupby([own["seed"], same]).mean().unstack()
            if len(by.columns) == 2:  # tasks of one group, and of two
                agree = sign * (by[True] - by[False]) > 0
                figures = {
                    "data": name("data_short", str(data)),
                    "sharing": name("sharing", sharing),
                    "inside": number(by[True].mean(), 3),
                    "across": number(by[False].mean(), 3),
                    "agree": number(agree.sum(), 0),
                    "seeds": number(len(by), 0),
                }
                found.append(Claim("relation", kind, figures))
    return found


def _masks(learned: pd.DataFrame) -> list[Claim]:
    """What the masks of sparse sharing take besides the parameters."""
    bits = learned[learned["kind"] == "mask_bits"].groupby("data")["value"].mean()
    sizes = [
        word("text.bits", data=name("data_short", str(data)), bits=number(value, 0))
        for data, value in bits.items()
    ]
    return [Claim("masks", "counted", {"sizes": ", ".join(sizes)})] if sizes else []


def _friedman(frame: pd.DataFrame) -> list[Claim]:
    """Whether methods differ in mean Δm over the data sets (Friedman, Nemenyi).

    Nothing where fewer than two data sets or three methods have a value.
    """
    means = metrics.delta_m(frame).groupby(["data", "method"])["delta_m"].mean()
    scores = means.unstack("method").dropna(axis=1)
    if len(scores) < 2 or len(scores.columns) < 3:
        return []
    test = statistics.friedman(scores)
    least = number(test.critical_difference, 2)
    figures = {"p": number(test.p, 3), "least": least, "data_sets": test.data_sets}
    return [Claim("friedman", "few" if test.warning else "enough", figures)]


def cited(results: Results) -> dict[str, Any]:
    """What chapters and the paper quote, as strings.

    {data: {method: {method, delta_m, interval, delta_m_ci, parameters, reduction, unsolved,
    conflict}, label, highest, lowest}, tests: {data or "all": {comparison: {outcome, difference,
    p_holm, effect, n, smallest_p, a, b}}}, verdict: the same with sentences, friedman: {few},
    limits, findings: [sentences]}
    """
    table, found = aggregate(results), dict[str, Any]()
    for data, part in table.groupby("data"):
        ranked = _data(results, part)[0].figures
        own: dict[str, Any] = {"label": ranked["data"]}
        own |= {end: ranked.get(end, NONE) for end in ("highest", "lowest")}
        for row in records(part):
            shown = formatted(row, results.comparison)
            own[row["method"]] = {key: shown[key] for key in CITED.split()}
        found[str(data)] = own
    judged, tests = verdicts(results, declared(results)), dict[str, Any]()
    for claim in judged:
        _, at, comparison = claim.id.split(".")
        tests.setdefault(at, {})[comparison] = {"outcome": claim.outcome, **claim.figures}
    return {
        **found,
        **said.cited(judged),
        "tests": tests,
        "friedman": {"few": " ".join(said.sentences(_friedman(results.metrics)))},
        "limits": limits(results, table),
        "findings": said.sentences(claims(results)),
    }
