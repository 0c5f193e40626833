"""What the toy experiment says: its tables, and the strings that the texts quote, from the frame of end points."""

from typing import Any

import pandas as pd

from mtlstudy.study.format import label, number
from mtlstudy.nash.newton import Status
from mtlstudy.data._toy_problem import SCALE, TOLERANCE, front

LABELS = {"pcgrad": "PCGrad", "cagrad": "CAGrad", "mgda": "MGDA"}


def name(method: str) -> str:
    """The shown name of a weighting: Korean where the study has one.

    >>> name("nash"), name("cagrad")
    ('내쉬', 'CAGrad')
    """
    return LABELS.get(method) or label(f"hard+{method}")


def point(*coordinates: float, digits: int = 2) -> str:
    """A point for the eye.

    >>> point(9.0, -1.0, digits=1)
    '(9.0, −1.0)'
    """
    return f"({', '.join(number(value, digits) for value in coordinates)})"


def start(x1: float, x2: float) -> str:
    """A starting point in as few digits as it has.

    >>> start(-8.5, 9.0)
    '(−8.5, 9)'
    """
    return f"({x1:g}, {x2:g})".replace("-", "−")


def summary(ends: pd.DataFrame) -> pd.DataFrame:
    """One row a method, raw: starts, on_front, spread (%: the part of the front's width in x₁ that its ends on it span),
    worst gap (%), missed (the starts that did not arrive), games, unsolved, solved_every."""
    width = float(front()[0][:, 0].max() - front()[0][:, 0].min())
    rows = []
    for method, own in ends.groupby("method", sort=False):
        there = own[own["on_front"]]
        missed = own[~own["on_front"]]
        span = float(there["x1"].max() - there["x1"].min()) if len(there) else float("nan")
        rows.append(
            {"method": method, "starts": len(own), "on_front": len(there), "spread": 100 * span / width,
             "worst": 100 * own["gap"].max(), "missed": ", ".join(map(start, missed["start_x1"], missed["start_x2"])),
             **{key: int(own[key].sum()) for key in ("games", "unsolved", "pareto_stationary")},
             "solved_every": int(own["solved_every"].max()), "steps": int(own["steps"].max())}
        )  # fmt: skip
    return pd.DataFrame(rows)


def methods(ends: pd.DataFrame) -> pd.DataFrame:
    """`summary` as strings under Korean headings."""
    return pd.DataFrame(
        {
            "방법": name(row["method"]),
            "전선 도달": f"{row['on_front']}/{row['starts']}",
            "이르지 못한 출발점": row["missed"] or "없음",
            "전선 위의 폭 (%)": number(row["spread"]),
            "가장 먼 끝점 (%)": number(row["worst"]),
            "단계": number(row["steps"], 0),
            "가중치 계산 간격": number(row["solved_every"], 0),
            "미해결/게임": f"{number(row['unsolved'], 0)}/{number(row['games'], 0)}",
        }
        for row in summary(ends).to_dict("records")
    )


def points(ends: pd.DataFrame) -> pd.DataFrame:
    """One row a start, one column a method: (ℓ₁, ℓ₂) where the path ended; * marks an end off the front."""
    shown: dict[str, dict[str, str]] = {}
    for row in ends.to_dict("records"):
        end = point(row["l1"], row["l2"]) + ("" if row["on_front"] else " *")
        shown.setdefault(start(row["start_x1"], row["start_x2"]), {})[name(row["method"])] = end
    return pd.DataFrame({"출발점": place, **own} for place, own in shown.items())


def values(ends: pd.DataFrame, paths: pd.DataFrame | None = None) -> dict[str, Any]:
    """Everything the texts cite, as strings: {method: {...}, "problem": {...}, "findings": [...]}."""
    found: dict[str, Any] = {}
    rows = {str(row["method"]): {str(key): value for key, value in row.items()} for row in summary(ends).to_dict("records")}
    for method, row in rows.items():
        own = ends[ends["method"] == method]
        found[method] = {
            "label": name(method), **{key: number(row[key], 0) for key in ("starts", "on_front", "games", "unsolved")},
            "spread": number(row["spread"]), "worst": number(row["worst"]), "missed": row["missed"] or "없음",
            "solved_every": number(row["solved_every"], 0), "ends": list(map(point, own["l1"], own["l2"])),
        }  # fmt: skip
    edge = front()[0]
    held = [f"{name(method)} {row['solved_every']}단계마다" for method, row in rows.items() if row["solved_every"] > 1]
    found["problem"] = {
        "steps": number(ends["steps"].max(), 0), "lr": f"{ends['lr'].max():g}", "starts": number(ends["start"].nunique(), 0),
        "scale": f"{SCALE:g}", "tolerance": number(100 * TOLERANCE, 0), "x2": number(float(edge[:, 1].mean()), 2),
        "x1_low": number(float(edge[:, 0].min()), 0), "x1_high": number(float(edge[:, 0].max()), 0),
        "held": ", ".join(held) or "없음 (모든 방법이 매 단계 계산)",
    }  # fmt: skip
    return found | {"findings": findings(rows)}


def findings(rows: dict[str, dict[str, Any]]) -> list[str]:
    """What `summary` lets one say, as Korean sentences that follow from its numbers, whatever they turn out to be."""
    lines = [_arrived(rows["nash"]), *(_arrived(row) for method, row in rows.items() if method != "nash")]
    nash, control = rows["nash"], rows["equal_norm"]
    lines.append(
        "내쉬 협상이 전선에 이른 출발점이 대조군인 동일 노름보다 많다."
        if nash["on_front"] > control["on_front"]
        else "대조군인 동일 노름도 내쉬 협상에 못지않게 전선에 이른다. 과제가 둘이면 두 방법의 갱신 방향이 같으므로, 이 문제는 "
        "내쉬 협상 고유의 이점을 보이는 근거가 되지 못한다. 여기서 드러나는 것은 기울기의 크기를 맞추는 효과이다."
    )
    lines.append(
        f"정확한 내쉬 풀이의 게임: {number(nash['games'], 0)}번, 풀리지 않은 것: {number(nash['unsolved'], 0)}번, 그중 "
        f"파레토 정상 상태로 보고된 것({Status.PARETO_STATIONARY.name}): {number(nash['pareto_stationary'], 0)}번."
    )
    return lines


def _arrived(row: dict[str, Any]) -> str:
    head = f"{name(row['method'])}: 출발점 {row['starts']}개 가운데 전선에 이른 것 {row['on_front']}개"
    parts = [f"전선 위 끝점들의 폭 {number(row['spread'])} %"] if row["on_front"] > 1 else []
    parts += [f"이르지 못한 출발점 {row['missed']}"] if row["missed"] else []
    return ", ".join([head, *parts]) + "."
