"""What the comparison of sharing structures says: its tables, and the strings that the texts quote, from its tidy frames."""

import math
from typing import Any

import pandas as pd

from mtlstudy.study import metrics
from mtlstudy.study.format import DATA, METRICS, NONE, SHARINGS, family, number, place
from mtlstudy.registry import entry
from mtlstudy.study.tables import COLUMNS, formatted, records
from mtlstudy.study import compare as paired
from mtlstudy.study.phrases import bounds, pooling

UNDEFINED = "정의되지 않음"
HARD = "hard+equal"
HEADS = COLUMNS | {
    "method": "구조", "metric": "시험 지표", "flops": "FLOPs/표본 (천)", "step_ratio": "단계 시간 비",
    "time_ratio": "학습 시간 비", "search": "탐색 단계 (%)", "total_seconds": "조율 포함 (초)",
}  # fmt: skip
RESULT = ("method", "metric", "delta_m_ci", "delta_m_tasks", "negative_transfer", "negative_certain", "sd", "gap", "seeds",
          "diverged")  # fmt: skip
COST = ("method", "parameters", "reduction", "flops", "step_ratio", "search", "time_ratio", "total_seconds", "lr")
PARTS = {"result": RESULT, "cost": COST}


def aggregate(frame: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """`paired.aggregate`, one row a data set and structure, with what sharing costs:

    metric: mean of the test metric over tasks and seeds, by its name; flops: of one example; step_ratio: median time of a step
    over hard sharing's; search: steps of the search for a structure, in percent of the training steps; time_ratio: a run's time,
    that search included, over hard sharing's (medians over seeds). Ratios of runs on different devices are NaN.
    """
    table = paired.aggregate(frame, summary)
    final = summary[summary["role"] == "final"].assign(
        method=metrics.method, time=summary["seconds"] + summary["search_seconds"],
        search=100 * summary["search_steps"] / summary["steps"],
    )  # fmt: skip
    by = final.groupby(["data", "method"])
    middle, device = by[["ms_per_step", "time"]].median(), by["device"].first().where(by["device"].nunique() == 1)
    test = metrics.rows(frame).groupby(["data", "method", "metric"])["value"].mean()
    rows = []
    for data, method in zip(table["data"], table["method"], strict=True):
        at, hard = (data, method), (data, HARD)
        comparable = device.get(at) == device.get(hard)  # never where one of them is missing or mixed
        ratio = middle.loc[at] / (middle.loc[hard] if comparable else math.nan)
        shown = [f"{METRICS.get(str(m), str(m))} {number(value, 3)}" for m, value in test[data, method].items()]
        rows.append({"metric": ", ".join(shown), "flops": by["flops"].mean()[at], "search": by["search"].mean()[at],
                     "step_ratio": ratio["ms_per_step"], "time_ratio": ratio["time"]})  # fmt: skip
    return table.join(pd.DataFrame(rows, index=table.index))


def shown(row: dict[str, Any]) -> dict[str, str]:
    """One row of `aggregate` as strings."""
    return {
        **formatted(row), "method": family(row["method"]), "metric": row["metric"], "flops": number(row["flops"] / 1e3, 1),
        **{key: number(row[key], 2) for key in ("step_ratio", "time_ratio")},
        "search": number(row["search"], 0) if row["search"] else "없음",
        "sd": NONE if row["method"] == metrics.BASELINE else number(row["sd"], 2),
    }  # fmt: skip


def cells(numbers: pd.DataFrame, refused: pd.DataFrame, data: str, part: str = "result") -> pd.DataFrame:
    """One data set's structures, the refused ones included, as strings under Korean headings: all cells.

    part="result": accuracy, Δm, negative transfer, spread, gap; part="cost": parameters, FLOPs, times, search.
    """
    rows = {row["method"]: shown(row) for row in records(numbers[numbers["data"] == data])}
    for row in records(refused[refused["data"] == data]):
        name = f"{row['sharing']}+equal"
        rows[name] = {**dict.fromkeys(HEADS, NONE), "method": family(name), "delta_m_ci": UNDEFINED, "parameters": UNDEFINED}
    return pd.DataFrame([rows[name] for name in sorted(rows, key=place)])[list(PARTS[part])].rename(columns=HEADS)


def undefined(refused: pd.DataFrame) -> list[str]:
    """A sentence for each family that some data sets' tasks make senseless, with the reason that its refusal gives."""
    lines = []
    for (sharing, reason), own in refused.groupby(["sharing", "reason"], sort=True):
        sets = ", ".join(DATA.get(str(name), str(name)) for name in own["data"])
        lines.append(f"{SHARINGS.get(str(sharing), str(sharing))}: {UNDEFINED} ({sets}). 프로그램이 밝힌 사유: “{reason}”.")
    return lines or ["정의되지 않은 조합: 없음."]


def groups(data: str) -> dict[str, int]:
    """The true group of every task of a data set that knows them; empty elsewhere."""
    kind = entry("data", data)
    known = kind(kind.Options())
    return dict(zip([task.name for task in known.tasks], known.groups(), strict=True)) if hasattr(known, "groups") else {}


RELATED = {"cross_stitch": ("alpha", 1), "sparse": ("overlap", 1), "soft": ("distance", -1)}
"""Families whose learned matrices relate tasks, and whether a larger value means more (1) or less (−1) related."""


def recovered(learned: pd.DataFrame) -> pd.DataFrame:
    """Learned relation between tasks inside and across the true groups, where those are known: data, sharing, kind, inside,
    across (means over pairs, stages and seeds), agree and seeds (in how many seeds the inside is more related)."""
    rows = []
    for data in sorted(set(learned["data"])):
        truth = groups(data)
        for sharing, (kind, sign) in RELATED.items():
            own = learned[(learned["data"] == data) & (learned["sharing"] == sharing) & (learned["kind"] == kind)]
            own = own[own["row"] != own["column"]]
            same = own["row"].map(truth) == own["column"].map(truth)
            if own.empty or not truth or not same.any() or same.all():
                continue
            inside, across = (part.groupby("seed")["value"].mean() for part in (own[same], own[~same]))
            agree = int((sign * (inside - across) > 0).sum())
            rows.append({"data": data, "sharing": sharing, "kind": kind, "inside": inside.mean(), "across": across.mean(),
                         "agree": agree, "seeds": len(inside)})  # fmt: skip
    return pd.DataFrame(rows, columns=["data", "sharing", "kind", "inside", "across", "agree", "seeds"])


KINDS = {"alpha": "혼합 계수 α", "overlap": "마스크 겹침", "distance": "사본 사이의 거리"}


def describe(
    frame: pd.DataFrame, summary: pd.DataFrame, learned: pd.DataFrame, refused: pd.DataFrame, tests: pd.DataFrame,
    best: dict[str, str],
) -> dict[str, Any]:  # fmt: skip
    """{data: {family: {...}, "label", "highest", "lowest", "best_validation"}, "tests" and "verdict": {data or "all": ...},
    "friedman", "limits", "undefined" and "findings": [sentences], "number": {...}}."""
    table, tested = aggregate(frame, summary), paired.tested(tests, family)
    found: dict[str, Any] = {**tested, "number": {"tests": tested["number"]}, **paired.ranked(frame)}
    for data, part in table.groupby("data"):
        ranks = part[part["method"] != metrics.BASELINE].dropna(subset=["delta_m"]).sort_values("delta_m")["method"]
        ends = (ranks.iloc[-1], ranks.iloc[0]) if len(ranks) else ("", "")
        rows = {row["method"].removesuffix("+equal"): row for row in records(part)}
        found["number"][data] = {name: {key: paired.plain(value) for key, value in row.items()} for name, row in rows.items()}
        found[str(data)] = {
            **{name: shown(row) for name, row in rows.items()}, "label": DATA.get(str(data), str(data)),
            "highest": family(ends[0]), "lowest": family(ends[1]), "best_validation": family(best[str(data)]),
        }  # fmt: skip
    found |= {"limits": paired.limits(table, summary), "undefined": undefined(refused)}
    pooled = "all" if "all" in tested["verdict"] else next(iter(best))
    lines = [line for data, part in table.groupby("data") for line in _said(str(data), part, best)]
    lines += [f"검증 자료로 고른 구조(모든 자료): {family(best['all'])}."] if pooled == "all" else []
    lines += [*tested["verdict"].get(pooled, {}).values(), *pooling(tested["verdict"])]
    if best[pooled] == HARD:
        lines.append("검증 자료로 고른 구조가 하드 공유이므로, 미리 정한 비교 가운데 하드 공유 대 단일 과제만 남는다.")
    found["findings"] = [*lines, *_relations(learned), *_masks(learned), *bounds(found["limits"])]
    return found


def _said(data: str, part: pd.DataFrame, best: dict[str, str]) -> list[str]:
    """One data set: both ends of Δm, the choice on validation, on which side the intervals lie, and what is saved."""
    name = DATA.get(data, data)
    left = part[part["method"] != metrics.BASELINE].dropna(subset=["delta_m"]).sort_values("delta_m")
    if left.empty:
        return [f"{name}. 기준 또는 모든 구조의 실행이 발산하여 Δm을 잴 수 없다."]
    ends = [(text, left.iloc[i]) for text, i in (("높은", -1), ("낮은", 0))]
    said = [f"Δm이 가장 {text} 구조: {family(row['method'])} ({number(row['delta_m'], sign=True)} %)" for text, row in ends]
    above, below = left[left["low"] > 0]["method"], left[left["high"] < 0]["method"]
    sides = [f"0보다 {text}인 구조: {', '.join(map(family, m)) or '없음'}" for text, m in (("위", above), ("아래", below))]
    cheap = left.sort_values("parameters", kind="stable").iloc[0]
    return [
        f"{name}. {'; '.join(said)}. 검증 자료로 고른 구조: {family(best[data])}.",
        f"{name}. 구간 전체가 {'; '.join(sides)}. 매개변수가 가장 적은 구조: {family(cheap['method'])} "
        f"(감소율 {number(cheap['reduction'])} %).",
    ]


def _relations(learned: pd.DataFrame) -> list[str]:
    """How far the learned relations follow the true groups."""
    return [
        f"{DATA.get(row['data'], row['data'])}의 은닉 집단과 {SHARINGS[row['sharing']]}의 {KINDS[row['kind']]}: "
        f"같은 집단의 과제 쌍 평균 {number(row['inside'], 3)}, 다른 집단의 쌍 평균 {number(row['across'], 3)}. "
        f"같은 집단을 더 가깝게 둔 시드: {row['seeds']}개 가운데 {row['agree']}개."
        for row in records(recovered(learned))
    ]


def _masks(learned: pd.DataFrame) -> list[str]:
    """What the masks of sparse sharing take besides the parameters."""
    bits = learned[learned["kind"] == "mask_bits"].groupby("data")["value"].mean()
    sizes = [f"{DATA.get(str(data), str(data))} {number(value, 0)}비트" for data, value in bits.items()]
    return [f"희소 공유의 마스크는 매개변수의 수에 들어 있지 않다. 그 크기: {', '.join(sizes)}."] if sizes else []
