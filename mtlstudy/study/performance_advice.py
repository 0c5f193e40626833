"""What to choose, by rule from the measured rows, so that it changes when they do.

Differentiation: the fastest mode; of those whose quartiles reach it the one of least memory, then the simplest. Level: that of
representations, which is another game, only where it saves the part `SAVED` of a step and the quartiles lie apart. update_every:
the least U for which a step, a game in one of U and held weights in the others, costs at most `BUDGET` steps on the mean loss.
"""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import pandas as pd

from mtlstudy.study.format import number
from mtlstudy.study.performance_targets import by_K, jobs
from mtlstudy.study.performance_values import MODELS, MODES, Frames, part, problem, rows, table
from mtlstudy.study.solver_values import power

SAVED, BUDGET, EVEN = 0.2, 1.5, 1.01
LEVELS = {"parameters": "매개변수", "representation": "표현"}
RULES = {"saved": number(100 * SAVED, 0), "budget": number(BUDGET), "even": number(100 * (EVEN - 1), 0)}


class Choice(NamedTuple):
    """What the rules choose for a model and K. mode and kept: the mode and update_every at the level of parameters, for those who
    keep to that game; level ("parameters", "representation"), every: what is advised. saved: the part of a step that
    representations save; before, after: steps on the mean loss that one costs at the level of parameters, and as advised."""

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
        own = part(frame, model)
        for K, modes in by_K(own):
            rest = {str(r["method"]): r for r in rows(own[own["K"] == K])}
            if not modes or "mean_loss" not in rest:
                continue
            best, other, plain = mode_of(modes), rest.get("nash_representation"), rest["mean_loss"]["ratio"]
            level = level_of(best, other)
            before = best["ratio"] / plain
            kept, after = every_of(before)
            every = kept
            if other is not None and level == "representation":
                every, after = every_of(other["ratio"] / plain)
            saved = math.nan if other is None else 1 - other["ratio"] / best["ratio"]
            found.append(Choice(model, K, str(best["method"]), kept, level, every, saved, before, after))
    return found


def mode_of(modes: list[dict[str, Any]]) -> dict[str, Any]:
    """The fastest row; of those whose quartiles reach it the one of least memory (to 1 %), then the simplest."""
    first = min(modes, key=lambda r: r["ratio"])
    tied = [r for r in modes if r["ratio_low"] <= first["ratio_high"]]
    least = min(r["memory_mb"] for r in tied)
    small = [r for r in tied if not r["memory_mb"] > EVEN * least]
    return min(small, key=lambda r: list(MODES).index(r["method"]))


def level_of(best: dict[str, Any], other: dict[str, Any] | None) -> str:
    """The level for the best row at that of parameters and the row of representations."""
    enough = other is not None and other["ratio"] <= (1 - SAVED) * best["ratio"] and other["ratio_high"] < best["ratio_low"]
    return "representation" if enough else "parameters"


def every_of(cost: float) -> tuple[int, float]:
    """The least update_every within the budget for a step that costs so many steps on the mean loss, and what it costs then.

    >>> every_of(1.2), every_of(4.0)
    ((1, 1.2), (6, 1.5))
    """
    every = max(math.ceil((cost - 1) / (BUDGET - 1) - 1e-9), 1)
    return every, 1 + (cost - 1) / every


def advice(frame: pd.DataFrame) -> pd.DataFrame:
    """The choices as strings: a row a model and K."""
    return table(
        {"모형": problem(c.model), "K": f"{c.K:g}", "수준": LEVELS[c.level], "표현이 줄이는 시간 (%)": number(100 * c.saved, 0),
         "update_every": str(c.every), "매개변수 수준: 미분 방식": f"{MODES[c.mode]} ({c.mode.removeprefix('nash_')})",
         "매개변수 수준: update_every": str(c.kept), "매개변수 수준, 매 단계 협상 (배)": number(c.before, 2),
         "권고대로 (배)": number(c.after, 2)}
        for c in choices(frame)
    )  # fmt: skip


def recommendations(frames: Frames) -> list[str]:
    """The advice in sentences."""
    found, lines = choices(frames["step"]), []
    for model in dict.fromkeys(c.model for c in found):
        own = [c for c in found if c.model == model]
        levels = _listed((LEVELS[c.level], c.K) for c in own)
        modes = _listed((MODES[c.mode], c.K) for c in own)
        every, kept = (_listed(("매 단계" if n == 1 else f"{n}단계마다", c.K) for c, n in pairs)
                       for pairs in ([(c, c.every) for c in own], [(c, c.kept) for c in own]))  # fmt: skip
        lines.append(f"{problem(model)}. 수준: {levels}. 협상: {every}.")
        lines.append(f"{problem(model)}에서 매개변수 수준을 지킨다면. 미분 방식: {modes}. 협상: {kept}.")
    return [*lines, *_check(frames["step"]), *_share(frames), *_batches(frames), *_seeds(frames), *_two(frames)] or [
        "잰 것이 없으므로 권하는 것도 없다."
    ]


def _listed(pairs: Iterable[tuple[str, float]]) -> str:
    """Choices with the K that they are for: ``차례로(K = 2, 4), 한꺼번에(K = 8)``."""
    by: dict[str, list[str]] = {}
    for text, K in pairs:
        by.setdefault(text, []).append(f"{K:g}")
    return ", ".join(f"{text}(K = {', '.join(K)})" for text, K in by.items())


def _check(frame: pd.DataFrame) -> list[str]:
    """The rule on update_every beside the measured steps with a game in every fifth."""
    off = []
    for model in MODELS:
        by = part(frame, model).pivot_table(index="K", columns="method", values="ratio")
        if {"mean_loss", "nash_sequential", "nash_every_5"} <= set(by):
            predicted = by["mean_loss"] + (by["nash_sequential"] - by["mean_loss"]) / 5
            off += list(100 * (predicted / by["nash_every_5"] - 1).dropna())
    if not off:
        return []
    ends = " ~ ".join(dict.fromkeys(number(x, 0, sign=True) for x in (min(off), max(off))))
    return [f"update_every의 예측을 5단계마다 협상한 단계로 확인하면, 측정한 시간에 대한 예측의 차이: {ends} %."]


def _share(frames: Frames) -> list[str]:
    """How much of a step the solver is, at each K that both benchmarks have."""
    solve = part(frames["solver"], "single", method="newton").set_index("K")["ms"]
    said, most = [], 0.0
    for model in MODELS:
        times = {K: min(r["ms"] for r in own) for K, own in by_K(part(frames["step"], model)) if own and K in solve}
        share = {K: 100 * solve[K] / ms for K, ms in times.items()}
        most = max([most, *share.values()])
        said += [f"{problem(model)}: {', '.join(f'{number(x)} (K = {K:g})' for K, x in share.items())}"] if share else []
    if not said:
        return []
    rest = "풀이를 더 줄여도 단계는 거의 빨라지지 않는다" if most < 5 else "풀이도 단계의 비용에서 무시할 수 없는 부분이다"
    return [f"풀이가 내쉬 단계에서 차지하는 몫(%). {'; '.join(said)}. {rest}."]


def _batches(frames: Frames) -> list[str]:
    own = part(frames["solver"], "batched", method="newton", K=5).sort_values("batch")
    if len(own) < 2:
        return []
    pays = own[own["ratio_high"] < 1]["batch"]
    when = f"행렬의 수가 {pays.min():g} 이상이면 한 묶음으로 푼다" if len(pays) else "한 묶음으로 풀어서 얻는 것이 없다"
    first, last = rows(own)[0], rows(own)[-1]
    facts = ", ".join(f"{number(1e3 * r['ms'])} µs (N = {r['batch']:g})" for r in (first, last))
    return [f"여러 행렬의 풀이: {when} (행렬 하나의 시간: {facts})."]


def _seeds(frames: Frames) -> list[str]:
    lines = []
    for run, own in part(frames["train"], "seeds", method="together").groupby("problem", sort=False):
        pays = own[(own["ratio_high"] < 1) & (own["batch"] > 1)]["batch"]
        most = own["residual"].max()
        same = "가중치의 비트까지 같다" if most == 0 else f"가중치의 비트는 같지 않다(최대 차이: {power(most)})"
        when = f"시드의 수가 {pays.min():g} 이상이면 빨라진다" if len(pays) else "빨라지지 않는다"
        kept = "" if most == 0 else " 한 실행의 결과가 함께 돈 시드에 따라 달라지므로 학습 루프에는 넣지 않는다."
        lines.append(f"여러 시드를 한꺼번에 학습하는 시제품, {problem(str(run))}: {when}. 하나씩 한 학습과 {same}.{kept}")
    return lines


def _two(frames: Frames) -> list[str]:
    found = jobs(frames)
    if found is None:
        return []
    way = "한 연구의 실행들은 둘씩 함께 돌린다(jobs = 2)" if found[1] > 1 else "한 연구의 실행들은 하나씩 돌린다"
    return [f"{way}. 속도의 비: {number(found[0], 2)}."]
