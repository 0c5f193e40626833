"""The comparisons of weightings and of sharing structures: their tables, claims, cited numbers.

Weightings: single-task models and hard sharing under every weighting. Sharing structures: every
family under equal weighting, so that what is shared is all that differs. A family that makes no
sense over a data set's tasks stands in the tables as undefined, with the reason it gives.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mtlstudy.errors import unknown
from mtlstudy.registry import entry
from mtlstudy.study import claims as said
from mtlstudy.study import compare, plan
from mtlstudy.study.claims import Claim
from mtlstudy.study.compare import aggregate
from mtlstudy.study.format import NONE, number
from mtlstudy.study.results import Results
from mtlstudy.study.tables import Tables, headed, records, show
from mtlstudy.study.words import name, word

PARTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "weightings": {
        "result": (
            *("method", "delta_m_ci", "delta_m_tasks", "mean_rank"),
            *("negative_transfer", "negative_certain", "seeds", "diverged"),
        ),
        "cost": (
            *("method", "parameters", "reduction", "lr", "unsolved"),
            *("gap", "sd", "cosine", "conflict"),
        ),
    },
    "sharings": {
        "result": (
            *("structure", "test_metric", "delta_m_ci", "delta_m_tasks"),
            *("negative_transfer", "negative_certain", "sd", "gap", "seeds", "diverged"),
        ),
        "cost": ("structure", "parameters", "reduction", "flops", "search", "lr"),
    },
}
DIGITS = {
    **{"seeds": 0, "diverged": 0, "parameters": 0, "negative_transfer": 0, "negative_certain": 0},
    **{"reduction": 1, "mean_rank": 2, "sd": 2, "gap": 3, "cosine": 3},
}
"""Column → digits shown of it, where it is shown as it is."""
CITED = (
    *("method", "delta_m", "interval", "delta_m_ci"),
    *("parameters", "reduction", "unsolved", "conflict"),
)
"""What `cited` gives of every method."""
RELATED = {"cross_stitch": ("alpha", 1), "sparse": ("overlap", 1), "soft": ("distance", -1)}
"""Family whose learned matrices relate tasks → their kind, and whether larger means more (1) or
less (−1) related."""


def formatted(row: dict[str, Any], comparison: str) -> dict[str, str]:
    """One row of `aggregate` as strings."""
    base, called = row["method"] == plan.BASELINE, compare.named(comparison)(row["method"])
    delta, interval = compare.delta_shown(row), compare.interval_shown(row)
    scores = (f"{name('metric', m)} {number(value, 3)}" for m, value in row["scores"].items())
    games = f"{number(row['unsolved'], 0)}/{number(row['games'], 0)}"
    return {
        **{key: number(row[key], digits) for key, digits in DIGITS.items()},
        **({key: NONE for key in ("negative_transfer", "negative_certain", "sd")} if base else {}),
        "method": called,
        "structure": called,
        "delta_m": delta,
        "interval": interval,
        "delta_m_ci": delta if base else f"{delta} {interval}",
        "delta_m_tasks": compare.delta_shown(row, "delta_m_tasks"),
        "test_metric": ", ".join(scores),
        "unsolved": games if row["games"] > 0 else NONE,
        "conflict": number(100 * row["conflict"], 0),
        "flops": number(row["flops"] / 1e3),
        "search": number(row["search"], 0) if row["search"] else word("text.none"),
        "lr": str(row["lr"]),
    }


def cells(
    results: Results, data: str, part: str = "result", table: pd.DataFrame | None = None
) -> pd.DataFrame:
    """One data set's methods as strings under Korean headings: all cells, refused families too.

    part="result": Δm (both definitions), intervals, negative transfer, seeds, diverged runs;
    part="cost": parameters, FLOPs, learning rate, and what else a method costs. table: that of
    `aggregate`, where it is at hand.
    """
    parts = PARTS[results.comparison]
    if part not in parts:
        raise unknown("part", part, parts)
    table = aggregate(results) if table is None else table
    if data not in set(table["data"]):
        raise unknown("data", data, set(table["data"]))
    own = records(table[table["data"] == data])
    rows = {row["method"]: formatted(row, results.comparison) for row in own}
    refused = results.refused[results.refused["data"] == data]
    for method in (f"{sharing}+equal" for sharing in refused["sharing"]):
        called, mark = compare.named(results.comparison)(method), word("text.undefined")
        shown = {"structure": called, "method": called, "delta_m_ci": mark, "parameters": mark}
        rows[method] = {**dict.fromkeys(parts[part], NONE), **shown}
    return headed([rows[method] for method in sorted(rows, key=plan.place)], parts[part])


def tables(results: Results) -> Tables:
    """Every data set's tables, numbered ``tab-<comparison>-<part>-<data>``."""
    kind, table = results.comparison, aggregate(results)
    interval = compare.limits(table, results.runs)["interval"]
    return Tables(
        show(
            cells(results, data, part, table),
            word(f"text.caption.{kind}.{part}", data=name("data_short", data), interval=interval),
            f"tab-{kind}-{part}-{data.replace('_', '-')}",
        )
        for data in sorted(set(results.metrics["data"]))
        for part in PARTS[kind]
    )


def undefined(results: Results) -> list[Claim]:
    """What is not in the tables: families that are refused, data sets whose files are missing."""
    found = []
    for (sharing, reason), own in results.refused.groupby(["sharing", "reason"], sort=True):
        sets = ", ".join(name("data_short", data) for data in own["data"])
        figures = {"sharing": name("sharing", str(sharing)), "data": sets, "reason": reason}
        found.append(Claim("undefined", "refused", figures))
    absent = [
        Claim("missing", "left_out", {"data": name("data_short", key), "key": key})
        for key in dict.fromkeys(results.missing["data"])
    ]
    return [*(found or [Claim("undefined", "nothing", {})]), *absent]


def claims(results: Results, table: pd.DataFrame | None = None) -> list[Claim]:
    """What the comparison lets one say, whatever the numbers turn out to be. table: that of
    `aggregate`, where it is at hand."""
    table = aggregate(results) if table is None else table
    frame, declared = results.metrics, compare.declared(results)
    sets = sorted(set(table["data"]))
    pooled = "all" if len(sets) > 1 else sets[0]
    found = [claim for data in sets for claim in _data(results, table[table["data"] == data])]
    chosen = compare.best(frame, "*+equal", None if pooled == "all" else pooled)
    if results.comparison == "sharings" and pooled == "all":
        called = compare.named(results.comparison)
        found.append(Claim("selected", "pooled", {"best": called(chosen)}))
    found += compare.verdicts(results, declared[declared["data"] == pooled])
    if pooled == "all":
        found.append(Claim("pooling", "pooled", {"sets": len(sets)}))
    for row in records(declared[declared["data"] == pooled]):
        if row["comparison"] == "nash_equal_norm":
            outcome = compare.outcome(row)
            found.append(Claim("control", outcome if outcome in ("up", "down") else "unclear", {}))
    if results.comparison == "sharings" and chosen == plan.HARD:
        found.append(Claim("hard_best", "hard", {}))
    limits = compare.limits(table, results.runs)
    found += [*_relations(results.learned), *_masks(results.learned), *compare.bounds(limits)]
    if limits["games"] != "0":
        found.append(Claim("games", "counted", limits))
    return found


def _data(results: Results, part: pd.DataFrame) -> list[Claim]:
    """One data set: both ends of Δm, the choice on validation, the sides of the intervals."""
    kind, called, data = results.comparison, compare.named(results.comparison), part["data"].iloc[0]
    shown = {"data": name("data_short", data)}
    left = part[part["method"] != plan.BASELINE].dropna(subset=["delta_m"]).sort_values("delta_m")
    if left.empty:
        return [Claim(kind, "diverged", shown)]
    pattern = plan.COMPARISONS[kind].declared["best_single"][0]
    ends = shown | {"best": called(compare.best(results.metrics, pattern, data))}
    for end, i in (("highest", -1), ("lowest", 0)):
        row = records(left)[i]
        ends[end] = called(row["method"])
        ends[f"{end}_delta"] = compare.delta_shown(row)
        ends[f"{end}_interval"] = compare.interval_shown(row)
    found = [Claim(kind, "ranked", ends)]
    if kind == "sharings":
        cheapest = records(left.sort_values("parameters", kind="stable"))[0]
        sides = {
            "above": compare.names(map(called, left[left["low"] > 0]["method"])),
            "below": compare.names(map(called, left[left["high"] < 0]["method"])),
            "cheapest": called(cheapest["method"]),
            "reduction": number(cheapest["reduction"]),
        }
        found.append(Claim("sides", "listed", shown | sides))
    return found


def groups(data: str) -> dict[str, int]:
    """The true group of every task of a data set that knows them; empty elsewhere."""
    kind = entry("data", data)
    known = kind(kind.Options())
    if not hasattr(known, "groups"):
        return {}
    return dict(zip([task.name for task in known.tasks], known.groups(), strict=True))


def recovered(learned: pd.DataFrame) -> pd.DataFrame:
    """Learned relation between tasks inside and across the true groups, where those are known.

    data, sharing, kind, inside, across (means over pairs, stages and seeds), seeds, and agree: in
    how many seeds tasks of one group are more related.
    """
    rows = []
    for data in sorted(set(learned["data"])):
        truth = groups(data)
        for sharing, (kind, sign) in RELATED.items():
            keep = (learned["sharing"] == sharing) & (learned["kind"] == kind)
            own = learned[keep & (learned["data"] == data) & (learned["row"] != learned["column"])]
            same = own["row"].map(truth) == own["column"].map(truth)
            if own.empty or not truth or not same.any() or same.all():
                continue
            inside, across = (
                part.groupby("seed")["value"].mean() for part in (own[same], own[~same])
            )
            means, agree = (inside.mean(), across.mean()), (sign * (inside - across) > 0).sum()
            rows.append((data, sharing, kind, *means, int(agree), len(inside)))
    columns = ["data", "sharing", "kind", "inside", "across", "agree", "seeds"]
    return pd.DataFrame(rows, columns=columns)


def _relations(learned: pd.DataFrame) -> list[Claim]:
    """How far the learned relations follow the true groups."""
    found = []
    for row in records(recovered(learned)):
        figures = {key: number(row[key], 3) for key in ("inside", "across")}
        figures |= {key: number(row[key], 0) for key in ("agree", "seeds")}
        figures |= {"data": name("data_short", row["data"])}
        figures |= {"sharing": name("sharing", row["sharing"])}
        found.append(Claim("relation", row["kind"], figures))
    return found


def _masks(learned: pd.DataFrame) -> list[Claim]:
    """What the masks of sparse sharing take besides the parameters."""
    bits = learned[learned["kind"] == "mask_bits"].groupby("data")["value"].mean()
    sizes = [
        word("text.bits", data=name("data_short", str(data)), bits=number(value, 0))
        for data, value in bits.items()
    ]
    return [Claim("masks", "counted", {"sizes": ", ".join(sizes)})] if sizes else []


def cited(results: Results) -> dict[str, Any]:
    """What chapters and the paper quote, as strings.

    {data: {method: {method, delta_m, interval, delta_m_ci, parameters, reduction, unsolved,
    conflict}, label, highest, lowest}, tests: {data or "all": {comparison: {outcome, difference,
    p_holm, effect, n, smallest_p, a, b}}}, verdict: the same with sentences, friedman: {few},
    limits, findings: [sentences]}
    """
    table = aggregate(results)
    found: dict[str, Any] = {}
    for data, part in table.groupby("data"):
        ranked = part[part["method"] != plan.BASELINE].dropna(subset=["delta_m"])
        ranks = [
            compare.named(results.comparison)(m) for m in ranked.sort_values("delta_m")["method"]
        ]
        own: dict[str, Any] = {"label": name("data_short", str(data))}
        own |= (
            {"highest": ranks[-1], "lowest": ranks[0]}
            if ranks
            else {"highest": NONE, "lowest": NONE}
        )
        for row in records(part):
            strings = formatted(row, results.comparison)
            own[row["method"]] = {key: strings[key] for key in CITED}
        found[str(data)] = own
    verdicts = compare.verdicts(results, compare.declared(results))
    tests: dict[str, Any] = {}
    for claim in verdicts:
        _, data, test = claim.id.split(".")
        tests.setdefault(data, {})[test] = {"outcome": claim.outcome, **claim.figures}
    over_sets = said.sentences(compare.friedman(results.metrics))
    return {
        **found,
        **said.cited(verdicts),
        "tests": tests,
        "friedman": {"few": " ".join(over_sets)},
        "limits": compare.limits(table, results.runs),
        "findings": said.sentences(claims(results, table)),
    }
