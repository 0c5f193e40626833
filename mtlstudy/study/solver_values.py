"""What the solver experiment says: its tables, and the strings that the texts quote, from the tidy frames of `solver`."""

import math
from typing import Any

import numpy as np
import pandas as pd

from mtlstudy.study.format import DATA, NONE, number

FAILED = 1e-3
SOLVED = ("SOLVED", "optimal")
SOLVERS = {"newton": "뉴턴", "conic": "원뿔 계획", "ccp": "CCP", "ccp_published": "CCP (공개 코드)"}
FAMILIES = {
    "random": "무작위", "condition": "나쁜 조건수", "scale": "과제 척도 차이", "conflict": "거의 반대 방향",
    "tiny": "작은 기울기", "mixed": "혼합",
}  # fmt: skip
HEADS = {
    "solver": "풀이", "cases": "사례", "failed": "실패", "failed_percent": "실패 (%)", "silent": "조용한 실패",
    "median": "잔차 중앙값", "worst": "잔차 최댓값", "agreement": "해의 차이 (최대)", "ms": "시간 (ms)", "iterations": "반복",
}  # fmt: skip


def judged(frame: pd.DataFrame) -> pd.DataFrame:
    """With two columns more. failed: a residual above 1e-3, or no weights; silent: failed although the status says solved."""
    failed = ~(frame["residual"] <= FAILED)
    return frame.assign(failed=failed, silent=failed & frame["status"].isin(SOLVED))


def power(value: float) -> str:
    """A small or large number in powers of ten.

    >>> power(3.14e-14), power(1.0), power(0.0)
    ('3.1 × 10⁻¹⁴', '1.0', '0')
    """
    if not math.isfinite(value) or value == 0:
        return "0" if value == 0 else number(value)
    mantissa, exponent = f"{value:.1e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return number(float(mantissa)) + (f" × 10{raised}" if int(exponent) else "")


def _solver(rows: pd.DataFrame) -> dict[str, str]:
    """One solver's cases as strings; the differences to the exact weights over the cases that did not fail."""
    rows = judged(rows)
    n, failed, silent = len(rows), int(rows["failed"].sum()), int(rows["silent"].sum())
    kept = rows[~rows["failed"]]
    return {
        "cases": number(n, 0), "failed": number(failed, 0), "failed_percent": number(100 * failed / n if n else math.nan),
        "silent": number(silent, 0), "silent_percent": number(100 * silent / n if n else math.nan),
        "median": power(rows["residual"].median()), "worst": power(rows["residual"].max()),
        "ms": number(1e3 * rows["seconds"].median(), 2), "iterations": number(rows["iterations"].median(), 0),
        "agreement": power(kept["difference"].max()) if len(kept) else NONE,
        "difference": power(kept["difference"].median()) if len(kept) else NONE,
    }  # fmt: skip


def solvers(frame: pd.DataFrame, part: str = "stress", data: str | None = None) -> pd.DataFrame:
    """One row a solver, as strings under Korean headings. Only cases that all solvers were given count."""
    rows = _common(frame, part, data)
    shown = [{"solver": text, **_solver(rows[rows["solver"] == name])} for name, text in SOLVERS.items()]
    return pd.DataFrame(shown)[list(HEADS)].rename(columns=HEADS)


def families(frame: pd.DataFrame) -> pd.DataFrame:
    """Failures of every solver by family of stress Gramians, as strings "failed/cases"."""
    rows = judged(_common(frame, "stress"))
    shown = []
    for family in dict.fromkeys(rows["family"]):
        own = rows[rows["family"] == family]
        cells = {text: own.loc[own["solver"] == name, "failed"] for name, text in SOLVERS.items()}
        top, low = own["condition"].max(), own["condition"].min()
        shown.append(
            {"행렬의 종류": FAMILIES[family], "조건수": f"{power(low)} ~ {power(top)}",
             **{text: f"{int(cell.sum())}/{len(cell)}" for text, cell in cells.items()}}
        )  # fmt: skip
    return pd.DataFrame(shown)


def statuses(frame: pd.DataFrame) -> pd.DataFrame:
    """What the solvers themselves said of the stress cases on which they failed: solver, status, count."""
    rows = judged(_common(frame, "stress"))
    counts = rows[rows["failed"]].groupby(["solver", "status"], as_index=False).size()
    shown = [
        {"풀이": SOLVERS[row["solver"]], "스스로 보고한 상태": row["status"], "실패": number(row["size"], 0)}
        for row in counts.to_dict("records")
    ]
    return pd.DataFrame(shown or [{"풀이": NONE, "스스로 보고한 상태": NONE, "실패": "0"}])


def laws(frame: pd.DataFrame) -> pd.DataFrame:
    """The largest error of the three laws over all stress cases of the exact solver."""
    exact = frame[(frame["part"] == "stress") & (frame["solver"] == "newton")]
    texts = {"norm": "길이: ‖Jᵀa‖² = K", "gain": "이득: ⟨g, d⟩ = 1/a", "scale": "척도: J → SJ 이면 a → S⁻¹a"}
    return pd.DataFrame(
        [{"법칙": text, "가장 큰 상대 오차": power(exact[f"{name}_error"].max())} for name, text in texts.items()]
    )


def trained(frame: pd.DataFrame) -> pd.DataFrame:
    """Models trained with the exact weights and with the procedure's, by data set and task: means, every paired difference."""
    shown = []
    for (data, task), rows in frame.groupby(["data", "task"], sort=False):
        both = rows.pivot(index="seed", columns="weighting", values="value")
        difference = 100 * (both["nash_ccp"] - both["nash"])
        shown.append(
            {"자료": DATA.get(str(data), str(data)), "과제": str(task), "지표": str(rows["metric"].iloc[0]),
             "뉴턴 (%)": number(100 * both["nash"].mean(), 2), "CCP (%)": number(100 * both["nash_ccp"].mean(), 2),
             "뉴턴의 시드 표준편차 (%p)": number(100 * both["nash"].std(), 2),
             "시드별 차이 (%p)": ", ".join(number(d, 2, sign=True) for d in difference)}
        )  # fmt: skip
    return pd.DataFrame(shown)


def _common(frame: pd.DataFrame, part: str, data: str | None = None) -> pd.DataFrame:
    rows = frame[(frame["part"] == part) & (True if data is None else frame["data"].eq(data))]
    return rows[rows.groupby(["data", "case"], dropna=False)["solver"].transform("nunique") == len(SOLVERS)]


def values(frame: pd.DataFrame, models: pd.DataFrame) -> dict[str, Any]:
    """The strings that texts quote: stress, laws, recorded (by data set), trained (by data set), findings."""
    stress = frame[frame["part"] == "stress"]
    exact = stress[stress["solver"] == "newton"]
    bound = np.maximum(1e-10, 10 * np.finfo(float).eps * exact["cosine_condition"])
    common = _common(frame, "stress")
    time = common.groupby("solver")["seconds"].median()
    found: dict[str, Any] = {
        "stress": {
            **{name: _solver(common[common["solver"] == name]) for name in SOLVERS},
            "newton_all": _solver(exact), "over_bound": number(int((exact["residual"] > bound).sum()), 0),
            "K_min": number(exact["K"].min(), 0), "K_max": number(exact["K"].max(), 0),
            "condition_min": power(exact["condition"].min()), "condition_max": power(exact["condition"].max()),
            "scale_max": power(exact["scale"].max()),
            "ccp_slower": number(time["ccp"] / time["newton"]),
            "published_slower": number(time["ccp_published"] / time["newton"]),
        },
        "laws": {name: power(exact[f"{name}_error"].max()) for name in ("norm", "gain", "scale")},
        "recorded": {str(data): _recorded(rows) for data, rows in frame[frame["part"] == "recorded"].groupby("data")},
        "trained": {str(data): _models(rows) for data, rows in models.groupby("data")},
    }  # fmt: skip
    return {**found, "findings": findings(found)}


def _recorded(rows: pd.DataFrame) -> dict[str, Any]:
    exact = rows[rows["solver"] == "newton"]
    common = _common(rows, "recorded")
    return {
        "cases": number(len(exact), 0), "unsolvable": number(int((exact["status"] != "SOLVED").sum()), 0),
        "K": number(exact["K"].max(), 0), "condition_max": power(exact["condition"].max()),
        "scale_max": power(exact["scale"].max()),
        **{name: _solver(common[common["solver"] == name]) for name in SOLVERS},
    }  # fmt: skip


def _models(rows: pd.DataFrame) -> dict[str, Any]:
    both = rows.pivot(index=["seed", "task"], columns="weighting", values="value")
    difference = 100 * (both["nash_ccp"] - both["nash"])
    by_run = rows.drop_duplicates(["weighting", "seed"]).groupby("weighting")
    return {
        "pairs": number(int(difference.notna().sum()), 0), "seeds": number(rows["seed"].nunique(), 0),
        "mean": number(difference.mean(), 2, sign=True), "largest": number(difference.abs().max(), 2),
        "identical": bool((difference == 0).all()),
        **{str(name): {"games": number(runs["games"].sum(), 0), "unsolved": number(runs["unsolved"].sum(), 0),
                  "ms_per_step": number(runs["ms_per_step"].mean()),
                  "diverged": number(int((runs["status"] != "done").sum()), 0)} for name, runs in by_run},
    }  # fmt: skip


def findings(found: dict[str, Any]) -> list[str]:
    """The findings as Korean sentences that follow from the values, whatever they turn out to be."""
    stress, newton = found["stress"], found["stress"]["newton_all"]
    lines = [
        f"합성 행렬 {newton['cases']}개에서 뉴턴 풀이의 실패: {newton['failed']}개, 잔차의 최댓값: {newton['worst']}. "
        f"정직한 한계 max(10⁻¹⁰, 10 ε κ(C))를 넘은 사례: {stress['over_bound']}개.",
        f"네 풀이를 모두 적용한 {stress['ccp']['cases']}개에서 실패한 비율: CCP "
        f"{stress['ccp']['failed_percent']} %, 공개 코드의 시작점과 정지 기준을 쓴 CCP "
        f"{stress['ccp_published']['failed_percent']} %, 원뿔 계획 {stress['conic']['failed_percent']} %.",
        f"그중 풀이기가 스스로는 풀렸다고 보고한 조용한 실패: CCP {stress['ccp']['silent']}개, 공개 코드의 기준 "
        f"{stress['ccp_published']['silent']}개, 뉴턴 {stress['newton']['silent']}개.",
        f"시간 중앙값: 뉴턴 {stress['newton']['ms']} ms, CCP {stress['ccp']['ms']} ms ({stress['ccp_slower']}배), "
        f"원뿔 계획 {stress['conic']['ms']} ms. 계획을 다시 짜는 시간은 넣지 않았으므로 CCP에 유리한 비교이다.",
    ]
    for data, own in found["recorded"].items():
        lines.append(
            f"{DATA.get(data, data)}의 학습에서 기록한 행렬 {own['cases']}개 가운데 해가 없는 것: {own['unsolvable']}개. "
            f"나머지에서의 실패: CCP {own['ccp']['failed']}개, 공개 코드의 기준 {own['ccp_published']['failed']}개, 뉴턴 "
            f"{own['newton']['failed']}개."
        )
    for data, own in found["trained"].items():
        said = (
            "모든 시드와 과제에서 시험 성능이 같다"
            if own["identical"]
            else f"시험 성능의 평균 차이(CCP − 뉴턴): {own['mean']} %p, 절댓값의 최대: {own['largest']} %p, "
            f"(시드, 과제)의 짝: {own['pairs']}개"
        )
        ccp, nash = own["nash_ccp"], own["nash"]
        lines.append(
            f"{DATA.get(data, data)}에서 CCP로 학습한 모형과 정확한 해로 학습한 모형을 비교하면, {said}. "
            f"풀지 못한 게임. CCP(잔차가 10⁻³을 넘음): {ccp['unsolved']}/{ccp['games']}, "
            f"뉴턴(해가 없다고 스스로 알림): {nash['unsolved']}/{nash['games']}."
        )
    return lines
