"""What the Korean benchmarks say: test values in one frame, the tables of tasks and of sanity.

Where a data set is missing there are no numbers, and the tables say so.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from mtlstudy.study import metrics
from mtlstudy.study import statistics
from mtlstudy.study.format import METRICS, NONE, TASKS, bracket, number
from mtlstudy.study.statistics import Interval
from mtlstudy.study.tables import records
from mtlstudy.study import compare as paired
from mtlstudy.study.korean_settings import METHODS

NAMES = {metrics.BASELINE: "단일 과제", "hard+equal": "하드 공유(균등)", "hard+nash": "하드 공유(내쉬)"}
BASELINES = {
    "majority": "다수 범주", "tfidf": "TF-IDF + 로지스틱 회귀", "cosine": "TF-IDF 코사인", "word": "낱말별 최빈 표지",
}  # fmt: skip
SIMPLE = ("tfidf", "cosine", "word")
"""The baseline of each task that reads the text."""
TESTS = {("korean_tagging", "test"): "카이스트", ("korean_tagging", "gsd"): "GSD"}
DECLARED = {"hard_single": ("hard+equal", metrics.BASELINE), "nash_equal": ("hard+nash", "hard+equal")}
ABSENT = "자료 없음"


def name(method: str) -> str:
    """Korean name of a method or baseline."""
    return NAMES.get(method) or BASELINES.get(method) or method


def task_name(data: str, test: str, task: str) -> str:
    """Korean name of a task, with the test split where there are several."""
    place = TESTS.get((data, test), "")
    return f"{TASKS.get(task, task)} · {place}" if place else TASKS.get(task, task)


def tested(frame: pd.DataFrame, further: pd.DataFrame, baselines: pd.DataFrame) -> pd.DataFrame:
    """Every test value: data, test, task, metric, method (a baseline's name too), seed, value; NaN where a run diverged."""
    keys = ["data", "test", "task", "metric", "method", "seed", "value"]
    if frame.empty:
        return pd.DataFrame(columns=keys)
    parts = [metrics.rows(frame).assign(test="test"), further.assign(method=metrics.method),
             baselines.rename(columns={"baseline": "method"})]  # fmt: skip
    return pd.concat([part[keys] for part in parts if len(part)], ignore_index=True)


def _cells(values: pd.DataFrame, data: str) -> dict[tuple[str, str, str], dict[str, pd.Series]]:
    """(task, test, metric) → method → values by seed; the task's own metric and the customary test first."""
    own = values[values["data"] == data]
    return {(str(task), str(test), str(metric)): {str(m): part.set_index("seed")["value"] for m, part in of.groupby("method")}
            for (test, task, metric), of in own.groupby(["test", "task", "metric"], sort=False)}  # fmt: skip


def _shown(ci: Interval) -> str:
    text = number(ci.mean, 3)
    return f"{text} [{number(ci.low, 3)}, {number(ci.high, 3)}]" if ci.kind in ("range", "bca") else text


def scores(frame: pd.DataFrame, further: pd.DataFrame, data: str) -> pd.DataFrame:
    """Test scores of every task, metric and test split by method as strings: mean and interval over the seeds."""
    rows = [
        {"과제": task_name(data, test, task), "지표": METRICS.get(metric, metric),
         **{name(m): _shown(statistics.interval(by[m])) if m in by else NONE for m in METHODS}}
        for (task, test, metric), by in _cells(tested(frame, further, frame[:0]), data).items()
    ]  # fmt: skip
    return _or_absent(rows, ["과제", "지표", *(name(m) for m in METHODS)])


def against(frame: pd.DataFrame, further: pd.DataFrame, baselines: pd.DataFrame, data: str) -> pd.DataFrame:
    """Single-task models against the baselines, a row a task and test split, raw: task, test, metric, single (an interval),
    majority (mean; NaN where a constant has no score), simple (name), value (mean), difference (single − simple, paired)."""
    rows = []
    for (task, test, metric), by in _cells(tested(frame, further, baselines), data).items():
        simple = next((b for b in SIMPLE if b in by), None)
        if simple and metrics.BASELINE in by:
            difference = (by[metrics.BASELINE] - by[simple]).dropna()
            rows.append({"task": task, "test": test, "metric": metric, "single": statistics.interval(by[metrics.BASELINE]),
                         "majority": by["majority"].mean() if "majority" in by else np.nan, "simple": simple,
                         "value": by[simple].mean(), "difference": statistics.interval(difference)})  # fmt: skip
    return pd.DataFrame(rows, columns=["task", "test", "metric", "single", "majority", "simple", "value", "difference"])


def sanity(frame: pd.DataFrame, further: pd.DataFrame, baselines: pd.DataFrame, data: str) -> pd.DataFrame:
    """`against` as strings under Korean headings."""
    rows = [
        {"과제": task_name(data, r["test"], r["task"]), "지표": METRICS.get(r["metric"], r["metric"]),
         "단일 과제": _shown(r["single"]), "다수 범주": number(r["majority"], 3), "단순 기준선": BASELINES[r["simple"]],
         "기준선 값": number(r["value"], 3), "차이 (%p)": number(100 * r["difference"].mean, sign=True),
         "차이의 구간": bracket(100 * r["difference"].low, 100 * r["difference"].high)}
        for r in records(against(frame, further, baselines, data))
    ]  # fmt: skip
    return _or_absent(rows, ["과제", "지표", "단일 과제", "다수 범주", "단순 기준선", "기준선 값", "차이 (%p)", "차이의 구간"])


def _or_absent(rows: list[dict[str, str]], columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(rows or [dict.fromkeys(columns, NONE) | {columns[0]: ABSENT}], columns=columns)


def missing(lost: pd.DataFrame, data: str) -> list[str]:
    """A sentence for each source of a data set that lacks files: which, how large, how to get it, and what the loader says."""
    home, lines = str(Path.home()), []
    for source, own in lost[lost["data"] == data].groupby("source", sort=False):
        size = number(float(own["megabytes"].iloc[0]), 0)
        lines.append(
            f"없는 자료: {source}의 {', '.join(own['split'])} 분할. 이 자료가 드는 실험은 하지 않았다. "
            f"환경 변수 MTLSTUDY_DATA에 자료가 있는 폴더를 적거나 `mtlstudy data {data}`로 내려받는다(이 출처 약 {size} MB). "
            f"찾아본 곳: “{own['said'].iloc[0].replace(home, '~')}”"
        )
    return lines or ["필요한 자료가 모두 있다."]


def declared(frame: pd.DataFrame) -> pd.DataFrame:
    """The declared comparisons of Δm on each data set, and over both."""
    return paired.declared(frame, DECLARED)
