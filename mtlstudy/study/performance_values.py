"""What the benchmarks say as tables: from their tidy frames to strings under Korean headings."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from mtlstudy.bench.record import size
from mtlstudy.study.format import DATA, NONE, WEIGHTINGS, number
from mtlstudy.study.solver_values import power

ABSENT = "아직 재지 않았다"
MODES = {"nash_sequential": "차례로", "nash_chunked": "몇 개씩", "nash_batched": "한꺼번에"}  # the simplest first
METHODS = {
    "newton": "뉴턴", "newton_warm": "뉴턴 (이어서)", "one_by_one": "하나씩", "ccp": "CCP", "ccp_published": "CCP (공개 기준)",
    "ccp_ecos": "CCP (공개 기준, ECOS)", "ccp_compile": "CCP (계획을 짜는 첫 호출)", "conic": "원뿔 계획", "limit": "한계",
    "mean_loss": "평균 손실", "equal": "균등 가중", **{method: f"내쉬 ({text})" for method, text in MODES.items()},
    "nash_representation": "내쉬 (표현 수준)", "nash_every_5": "내쉬 (5단계마다)", "nash_bfloat16": "내쉬 (bfloat16)",
    "nash_compiled": "내쉬 (컴파일)", "equal_norm": "동일 노름", "official": "관행의 절차", "torchjd": "TorchJD",
    "torchjd_nash": "TorchJD 내쉬", "torchjd_nash_chunk_1": "TorchJD 내쉬 (하나씩)", "torchjd_upgrad": "TorchJD UPGrad",
    "torchjd_upgrad_chunk_1": "TorchJD UPGrad (하나씩)", "torchjd_autogram_upgrad": "TorchJD UPGrad (그램 행렬만)",
    "nash_mtl": "nash-mtl", "libmtl": "LibMTL", "together": "한꺼번에", "loop_full": "루프, full 프로필의 일정",
    "loop_quick": "루프, quick 프로필의 일정", "jobs_1": "작업 하나", "jobs_2": "작업 둘",
    "jobs_2_started": "작업 둘, 프로세스를 새로 띄움",
}  # fmt: skip
SHARES = {"step": "단계", "draw": "배치 뽑기", "evaluation": "평가", "recording": "기록", "checkpoint": "체크포인트",
          "results": "마지막 측정", "rest": "나머지"}  # fmt: skip
MODELS = ("mlp", "transformer")
PROBLEMS = {"mlp": "MLP", "transformer": "Transformer", **DATA}
AXES = {"K": "과제의 수 K", "parameters": "매개변수의 수", "length": "입력의 길이", "solver": "과제의 수 K (풀이만)"}
Frames = Mapping[str, pd.DataFrame]
Row = Mapping[str, Any]


def name(method: str) -> str:
    """A method's Korean name; one that is not known, such as a peer's, keeps its own."""
    return METHODS.get(method, method)


def problem(text: str) -> str:
    """A model or data set for the eye, with what is said of it behind.

    >>> problem("mlp"), problem("yeast nash")
    ('MLP', 'Yeast · 내쉬')
    """
    first, _, rest = str(text).partition(" ")
    known = PROBLEMS.get(first, first)
    return f"{known} · {WEIGHTINGS.get(rest, rest)}" if rest else known


def part(frame: pd.DataFrame, *parts: str, **of: Any) -> pd.DataFrame:
    """The rows of these parts with these values."""
    kept = frame[frame["part"].isin(parts)]
    for column, value in of.items():
        kept = kept[kept[column] == value]
    return kept


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dictionaries by column name."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def methods(frame: pd.DataFrame) -> list[str]:
    """The methods of a frame: the known ones in the order of `METHODS`, then the others as they come."""
    there = list(dict.fromkeys(frame["method"]))
    return [m for m in METHODS if m in there] + [m for m in there if m not in METHODS]


def spread(row: Row, digits: int = 2, of: str = "ratio", scale: float = 1.0) -> str:
    """A median with its quartiles: ``1.08 [1.05, 1.12]``; – where there is none."""
    middle, low, high = (number(scale * row[key], digits) for key in (of, f"{of}_low", f"{of}_high"))
    return middle if NONE in (middle, low, high) or middle == low == high else f"{middle} [{low}, {high}]"


def table(cells: Iterable[Mapping[str, str]]) -> pd.DataFrame:
    """Rows as a frame of strings; what is not there is –, and that there is no row at all is said."""
    return pd.DataFrame(list(cells) or [{"결과": ABSENT}]).fillna(NONE)


def single(frame: pd.DataFrame) -> pd.DataFrame:
    """Solver: µs a solve of every method by K, and how many times the Newton solver's time that is."""
    own = part(frame, "single")
    cells = []
    for method in methods(own):
        by = own[own["method"] == method].set_index("K")
        times = {f"K = {K:g}": number(1e3 * by["ms"].get(K, math.nan), 1 if K < 9 else 0) for K in sorted(set(own["K"]))}
        ends = dict.fromkeys(number(ratio, 1) for ratio in (by["ratio"].min(), by["ratio"].max()))
        cells.append({"풀이": name(method), **times, "뉴턴에 대한 비": " ~ ".join(ends)})
    return table(cells)


def batched(frame: pd.DataFrame) -> pd.DataFrame:
    """Solver: µs a matrix where N of them are solved at once, and one by one."""
    cells = []
    for (K, method), by in part(frame, "batched").groupby(["K", "method"], sort=False):
        times = {f"N = {row['batch']:g}": number(1e3 * row["ms"], 1) for row in rows(by.sort_values("batch"))}
        cells.append({"풀이": "뉴턴, 한 묶음" if method == "newton" else name(str(method)), "K": f"{K:g}", **times})
    return table(cells)


def stress(frame: pd.DataFrame) -> pd.DataFrame:
    """Solver: failures over the stress Gramians by method, and the largest residual."""
    own = part(frame, "stress").set_index("method", drop=False)
    return table(
        {"풀이": name(r["method"]), "사례": number(r["cases"], 0), "실패": number(r["failed"], 0),
         "조용한 실패": number(r["silent"], 0), "잔차의 최댓값": power(r["residual"])}
        for r in rows(own.loc[methods(own)])
    )  # fmt: skip


def step(frame: pd.DataFrame, model: str) -> pd.DataFrame:
    """A training step of one model: its time over the limit by K with quartiles; at the largest K also ms, memory, residual."""
    own = part(frame, model)
    cells = []
    for method in methods(own):
        by = rows(own[own["method"] == method].sort_values("K"))
        last = by[-1] if by[-1]["K"] == own["K"].max() else dict.fromkeys(frame.columns, math.nan)
        cells.append(
            {"방법": name(method), **{f"K = {r['K']:g}": spread(r) for r in by}, "ms": number(last["ms"], 1),
             "메모리 (MB)": number(last["memory_mb"], 1), "잔차": power(last["residual"]),
             "조용한 실패": number(last["silent"], 0)}
        )  # fmt: skip
    return table(cells)


def loop(frame: pd.DataFrame) -> pd.DataFrame:
    """The training loop: ms of a bare step, and how many times that the loop takes for a step."""
    cells = []
    for run, by in part(frame, "loop").groupby("problem", sort=False):
        rest = by[by["method"] != "step"]
        bare = rows(by[by["method"] == "step"])
        times = {f"{name(row['method'])}": spread(row) for row in rows(rest)}
        cells.append({"학습": problem(str(run)), "단계만 (ms)": number(bare[0]["ms"], 2) if bare else NONE, **times})
    return table(cells)


def shares(frame: pd.DataFrame) -> pd.DataFrame:
    """Where the time of a run goes, in percent of it: a row a run, a column a part of `SHARES`."""
    own = part(frame, "shares")
    by = own[own["method"] != "run"].pivot_table(index="problem", columns="method", values="ratio", sort=False)
    return 100 * by[[name for name in SHARES if name in by]]


def together(frame: pd.DataFrame) -> pd.DataFrame:
    """Jobs and seeds at once: time over one after the other, with quartiles; of seeds also the largest difference of a weight."""
    own = part(frame, "jobs", "seeds")
    cells = []
    for row in rows(own[own["method"].isin(["jobs_2", "jobs_2_started", "together"])]):
        what = name(row["method"]) if row["part"] == "jobs" else f"시드 {row['batch']:g}개"
        cells.append({"학습": problem(row["problem"]), "함께 돌리는 것": what, "하나씩 돌린 시간에 대한 비": spread(row),
                      "가중치의 최대 차이": power(row["residual"]), "반복": number(row["repeats"], 0)})  # fmt: skip
    return table(cells)


def grown(frame: pd.DataFrame) -> dict[tuple[str, str], tuple[float, float]]:
    """(part, method) of `scale` → the exponent of its growth and the standard error; see `bench.scale.growth`."""
    from mtlstudy.bench.scale import growth  # that module rests on an experiment, so it is imported when it is asked for

    return {(r["part"], r["method"]): (r["exponent"], r["error"]) for r in rows(growth(frame))}


def scaling(frame: pd.DataFrame) -> pd.DataFrame:
    """Growth by part and method: exponent ± standard error, the largest size with its time and memory, where it stopped."""
    exponents, cells = grown(frame), []
    for own, text in AXES.items():
        rest = part(frame, own)
        for method in methods(rest):
            by = rest[rest["method"] == method].sort_values(size(own))
            stopped, timed = by[by["ms"].isna()], rows(by[by["ms"].notna()])
            last = timed[-1] if timed else dict.fromkeys(frame.columns, math.nan)
            slope, error = exponents.get((own, method), (math.nan, math.nan))
            exponent = NONE if math.isnan(error) else f"{number(slope, 2)} ± {number(error, 2)}"
            cells.append(
                {"늘린 것": text, "방법": name(method), "지수": exponent, "가장 큰 크기": number(last[size(own)], 0),
                 "그때의 ms": number(last["ms"], 2), "그때의 메모리 (MB)": number(last["memory_mb"], 1),
                 "멈춘 크기": number(stopped[size(own)].min(), 0) if len(stopped) else NONE}
            )  # fmt: skip
    return table(cells)
