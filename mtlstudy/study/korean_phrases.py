"""What the Korean benchmarks let one say: sentences that follow from their numbers, whatever they turn out to be."""

from typing import Any

import numpy as np
import pandas as pd

from mtlstudy.study import metrics
from mtlstudy.study import statistics
from mtlstudy.study.format import DATA, TASKS, number
from mtlstudy.study.tables import records
from mtlstudy.study import compare as paired
from mtlstudy.study.korean_settings import METHODS
from mtlstudy.study.korean_values import ABSENT, SIMPLE, against, declared, missing, name, task_name, tested
from mtlstudy.study.phrases import bounds

READS = {
    "tfidf": "TF-IDF는 문자 조각의 가중치를 세어서 얻으므로 볼록한 분류기만 학습하면 된다.",
    "cosine": "유사도의 기준선은 두 문장의 문자 조각이 겹치는 정도를 바로 재지만, 신경망은 두 문장을 이은 한 줄에서 "
    "그것을 스스로 배워야 한다.",
    "word": "낱말별 최빈 표지는 학습에서 본 낱말을 그대로 외우지만, 신경망은 드문 낱말을 끝 글자로만 읽는다.",
}


def describe(
    frame: pd.DataFrame, runs: pd.DataFrame, curves: pd.DataFrame, further: pd.DataFrame, baselines: pd.DataFrame,
    lost: pd.DataFrame, data: str,
) -> dict[str, Any]:  # fmt: skip
    """One data set's {"label", "findings": [sentences], "missing": [sentences], "number": {task: {…}}}."""
    found: dict[str, Any] = {"label": DATA.get(data, data), "missing": missing(lost, data)}
    own, runs = frame[frame["data"] == data], runs[runs["data"] == data]
    if own.empty:
        return {**found, "findings": [f"{found['label']}: {ABSENT}. 이 자료의 결과는 이 판에 없다."], "number": {}}
    table = against(frame, further, baselines, data)
    verdicts = paired.tested(declared(own), name)["verdict"].get(data, {}).values()
    values = tested(frame, further, baselines)
    lines = [
        *_sanity(table, runs, curves[curves["data"] == data], baselines, data),
        *_stuck(values, data),
        *verdicts,
        *_sides(own),
    ]
    lines += [*_conflict(runs), *_shift(values, data)]
    lines += bounds(paired.limits(paired.aggregate(own, runs), runs))
    numbers = {f"{r['task']} {r['test']}": {"single": paired.plain(r["single"].mean), r["simple"]: paired.plain(r["value"]),
               "difference": paired.plain(r["difference"].mean)} for r in records(table)}  # fmt: skip
    return {**found, "findings": lines, "number": numbers}


def _sanity(table: pd.DataFrame, runs: pd.DataFrame, curves: pd.DataFrame, baselines: pd.DataFrame, data: str) -> list[str]:
    """Where the neural single-task model loses to a simple baseline, and what is known about why."""
    below = [r for r in records(table) if r["difference"].mean < 0]
    certain = [r for r in below if r["difference"].high < 0]
    listed = [", ".join(task_name(data, r["test"], r["task"]) for r in part) or "없음" for part in (below, certain)]
    lines = [
        f"단일 과제 신경망의 평균이 단순 기준선보다 낮은 과제: {listed[0]}. "
        f"그중 짝지은 차이의 구간 전체가 0 아래인 과제: {listed[1]}."
    ]
    if not below:
        return lines
    tasks = sorted({r["task"] for r in below})
    size = baselines.loc[(baselines["data"] == data) & baselines["task"].isin(tasks), "examples"]
    amount = " ~ ".join(dict.fromkeys(number(n, 0) for n in (size.min(), size.max())))
    unit = "문장" if data == "korean_tagging" else "과제마다 예"
    lines.append(
        f"그 과제들에서 신경망은 무작위로 초기화한 임베딩과 합성곱을 {unit} {amount}개, "
        f"{number(runs['steps'].max(), 0)}단계로 배운다. "
        + " ".join(READS[simple] for simple in SIMPLE if any(r["simple"] == simple for r in below))
    )
    single = curves[(metrics.method(curves) == metrics.BASELINE) & curves["task"].isin(tasks)]
    by = single.pivot_table(index=["task", "seed", "step"], columns="split", values="value").reset_index()
    by = by.dropna(subset=["validation"])
    best = by.loc[by.groupby(["task", "seed"])["validation"].idxmax()]
    last, gap = int((best["step"] == by["step"].max()).sum()), (best["train"] - best["validation"]).mean()
    lines.append(
        f"검증 지표가 마지막 평가에서 가장 높았던 (과제, 시드) 쌍: {len(best)}개 가운데 {last}개. "
        "마지막에 가장 높은 쌍은 학습을 더 하면 나아질 여지가 있다. "
        f"검증 지표가 가장 높은 때 학습 지표와 검증 지표의 차이는 평균 {number(gap, 3)}이며, "
        "이 차이가 클수록 예의 수가 한계라는 뜻이다."
    )
    return lines


def _stuck(values: pd.DataFrame, data: str) -> list[str]:
    """Single-task runs that are not better than the most frequent class."""
    values = values[(values["data"] == data) & (values["test"] == "test")]
    by = values.pivot_table(index=["task", "seed"], columns="method", values="value", sort=False)
    if "majority" not in by or metrics.BASELINE not in by:
        return []
    stuck = (by[metrics.BASELINE] <= by["majority"]).groupby(level="task", sort=False).sum()
    said = [f"{TASKS.get(str(task), str(task))}(시드 {n}개)" for task, n in stuck.items() if n]
    why = " 학습률은 모든 과제에 공통으로 하나를 고르므로 어떤 과제에는 맞지 않을 수 있다." if said else ""
    return [f"시험에서 다수 범주를 넘지 못한 단일 과제 모형: {', '.join(said) or '없음'}.{why}"]


def _sides(own: pd.DataFrame) -> list[str]:
    """Hard sharing's paired gain of every task, on which side of 0 it lies, and where a relative gain says nothing."""
    gain = metrics.gains(own)
    by = gain[gain["method"] == "hard+equal"].groupby("task", sort=False)["gain"].agg(statistics.interval)
    single = gain[gain["method"] == metrics.BASELINE].groupby("task", sort=False)["value"].agg(statistics.interval)
    name_of = {str(task): TASKS.get(str(task), str(task)) for task in by.index}
    means = ", ".join(f"{name_of[str(task)]} {number(ci.mean, sign=True)}" for task, ci in by.items())
    above = ", ".join(name_of[str(task)] for task, ci in by.items() if ci.low > 0)
    below = ", ".join(name_of[str(task)] for task, ci in by.items() if ci.high < 0)
    vague = ", ".join(name_of[str(task)] for task, ci in single.items() if ci.low <= 0 <= ci.high)
    lines = [
        f"하드 공유(균등)의 과제별 상대 이득(%): {means}. "
        f"구간 전체가 0 위인 과제: {above or '없음'}; 0 아래인 과제: {below or '없음'}."
    ]
    if vague:
        lines.append(
            f"단일 과제 점수의 구간이 0을 포함하는 과제: {vague}. 그 상대 이득은 0에 가까운 값으로 나눈 것이어서 크기에 "
            "뜻이 없고, 이 자료의 Δm은 그 과제에 좌우된다. 결론은 과제별 점수에서 읽어야 한다."
        )
    return lines


def _conflict(runs: pd.DataFrame) -> list[str]:
    own = runs[(metrics.method(runs) == "hard+equal") & (runs["role"] == "final")]
    return [f"하드 공유(균등)에서 과제 기울기의 평균 코사인: {number(own['cosine'].mean(), 3)}, 코사인이 음수인 과제 쌍: "
            f"{number(100 * own['conflict'].mean())} %."]  # fmt: skip


def _shift(values: pd.DataFrame, data: str) -> list[str]:
    """How the scores change from the customary test split to another domain."""
    mean = values[values["data"] == data].groupby(["test", "task", "method"], sort=False)["value"].mean()
    if "gsd" not in mean.index.get_level_values("test"):
        return []
    change = 100 * (mean["gsd"] - mean["test"])
    tasks = list(dict.fromkeys(change.index.get_level_values("task")))
    said = [
        f"{TASKS.get(task, task)}: "
        + "; ".join(f"{name(m)} {number(change.get((task, m), np.nan), sign=True)}" for m in (*METHODS, "word"))
        for task in tasks
    ]
    return [
        f"시험을 카이스트에서 GSD로 옮길 때 정확도의 변화(%p). {'. '.join(said)}. "
        "두 말뭉치는 주석 관례도 달라서 이 변화가 모두 도메인의 차이인 것은 아니다."
    ]
