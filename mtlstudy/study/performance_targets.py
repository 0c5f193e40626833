"""What the study set out to reach in time, and whether the benchmarks say that it did."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pandas as pd

from mtlstudy.study.format import NONE, number
from mtlstudy.study.performance_values import MODES, Frames, Row, name, part, problem, rows, table

CCP = ("ccp", "ccp_published", "ccp_ecos")  # the procedure as written here: its program is compiled once a K
PUBLISHED = ("torchjd", "nash_mtl", "libmtl")  # as published: cvxpy compiles its program anew in every solution
REACHED, MISSED, UNKNOWN = "이룸", "이루지 못함", "재지 않음"
Measured = tuple[float, float, float, str]  # median, quartiles, of what


class Target(NamedTuple):
    """What the study set out to reach: its text, the bound and its unit, how it is measured."""

    text: str
    bound: float
    unit: str
    find: Callable[[Frames], Measured | None]
    least: bool = False

    def verdict(self, found: Measured | None) -> str:
        """Whether the median keeps to the bound; where nothing was measured, so it says."""
        if found is None:
            return UNKNOWN
        return REACHED if (found[0] >= self.bound if self.least else found[0] <= self.bound) else MISSED


def _of(row: Row, of: str, scale: float = 1.0, where: str = "", shift: float = 0.0) -> Measured:
    middle, low, high = (scale * (row[key] - shift) for key in (of, f"{of}_low", f"{of}_high"))
    return middle, low, high, where


def _newton(K: int) -> Callable[[Frames], Measured | None]:
    def find(frames: Frames) -> Measured | None:
        own = rows(part(frames["solver"], "single", method="newton", K=K))
        return _of(own[0], "ms", 1e3, f"K = {K}") if own else None

    return find


def _batch(frames: Frames) -> Measured | None:
    own = rows(part(frames["solver"], "batched", method="newton", K=5))
    row = max(own, key=lambda r: r["batch"], default=None)
    return None if row is None else _of(row, "ms", 1e3, f"K = 5, 행렬 {row['batch']:g}개")


def _over(methods: tuple[str, ...]) -> Callable[[Frames], Measured | None]:
    def find(frames: Frames) -> Measured | None:
        own = part(frames["solver"], "single")
        row = min(rows(own[own["method"].isin(methods)]), key=lambda r: r["ratio"], default=None)
        return None if row is None else _of(row, "ratio", where=f"가장 적은 곳: K = {row['K']:g}, {name(row['method'])}")

    return find


def _step(model: str) -> Callable[[Frames], Measured | None]:
    def find(frames: Frames) -> Measured | None:
        best = [min(own, key=lambda r: r["ratio"]) for _, own in by_K(part(frames["step"], model)) if own]
        row = max(best, key=lambda r: r["ratio"], default=None)
        return None if row is None else _of(row, "ratio", where=f"가장 많은 곳: K = {row['K']:g}, {MODES[row['method']]}")

    return find


def by_K(own: pd.DataFrame) -> Iterator[tuple[float, list[dict[str, Any]]]]:
    """Every K with its rows of the three ways to differentiate."""
    for K, by in own.groupby("K"):
        yield float(str(K)), rows(by[by["method"].isin(MODES)])


def _loop(frames: Frames) -> Measured | None:
    row = max(rows(part(frames["train"], "loop", method="loop_full")), key=lambda r: r["ratio"], default=None)
    return None if row is None else _of(row, "ratio", 100, f"가장 많은 곳: {problem(row['problem'])}", shift=1.0)


def jobs(frames: Frames) -> Measured | None:
    """How many times as fast two jobs at once are as one."""
    for row in rows(part(frames["train"], "jobs", method="jobs_2")):
        return 1 / row["ratio"], 1 / row["ratio_high"], 1 / row["ratio_low"], problem(row["problem"])
    return None


TARGETS = (
    Target("풀이 하나의 시간, K = 2", 30, "µs", _newton(2)),
    Target("풀이 하나의 시간, K = 11", 150, "µs", _newton(11)),
    Target("풀이 하나의 시간, K = 40", 500, "µs", _newton(40)),
    Target("한 묶음으로 풀 때 행렬 하나의 시간", 10, "µs", _batch),
    Target("이 연구가 다시 짠 CCP의 시간 / 뉴턴의 시간", 100, "배", _over(CCP), least=True),
    Target("공개된 코드의 CCP의 시간 / 뉴턴의 시간", 100, "배", _over(PUBLISHED), least=True),
    Target("Transformer의 내쉬 단계 / 한계", 1.10, "배", _step("transformer")),
    Target("MLP의 내쉬 단계 / 한계", 1.3, "배", _step("mlp")),
    Target("학습 루프가 단계에 더하는 시간(full 프로필의 일정)", 10, "%", _loop),
    Target("두 작업을 함께 돌릴 때의 속도(프로세스를 띄운 뒤)", 1.7, "배", jobs, least=True),
)


def targets(frames: Frames) -> pd.DataFrame:
    """Target, measured (median and quartiles), where, and whether it was reached."""
    cells = []
    for target in TARGETS:
        found = target.find(frames)
        digits = 2 if target.bound < 5 else 1
        middle, low, high = (number(x, digits) for x in (found or 3 * (math.nan,))[:3])
        bound = f"{number(target.bound, 2 if target.bound < 5 else 0)} {target.unit} {'이상' if target.least else '이하'}"
        cells.append(
            {"목표": target.text, "기준": bound, "측정": NONE if found is None else f"{middle} {target.unit}",
             "판정": target.verdict(found), "사분위 범위": NONE if NONE in (low, high) else f"{low} ~ {high}",
             "조건": found[3] if found else NONE}
        )  # fmt: skip
    return table(cells)
