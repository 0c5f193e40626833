"""What the benchmarks let one say, as sentences that follow from their numbers, whatever they turn out to be."""

import pandas as pd

from mtlstudy.study.format import number
from mtlstudy.study.performance_advice import recommendations
from mtlstudy.study.performance_targets import MISSED, REACHED, TARGETS, UNKNOWN
from mtlstudy.study.performance_values import MODELS, MODES, SHARES, Frames, methods, name, part, problem, shares


def findings(frames: Frames) -> list[str]:
    """What was found, a sentence or two a benchmark."""
    found = {target: target.verdict(target.find(frames)) for target in TARGETS}
    counts = ", ".join(f"{text} {sum(v == text for v in found.values())}개" for text in (REACHED, MISSED, UNKNOWN))
    missed = "; ".join(target.text for target, verdict in found.items() if verdict == MISSED)
    lines = [f"목표 {len(found)}개: {counts}. 이루지 못한 목표: {missed or '없음'}."]
    return [*lines, *_solvers(frames["solver"]), *_others(frames["step"]), *_memory(frames["step"]), *_costs(frames["train"])]


def _span(values: pd.Series, digits: int = 1) -> str:
    return " ~ ".join(dict.fromkeys(number(x, digits) for x in (values.min(), values.max())))


def _solvers(frame: pd.DataFrame) -> list[str]:
    own, hard = part(frame, "single"), part(frame, "stress").set_index("method")
    times = [f"{name(m)} {_span(own[own['method'] == m]['ratio'])}배" for m in methods(own) if m != "newton"]
    lines = [f"풀이 하나의 시간을 뉴턴의 시간으로 나눈 비(K의 범위에서). {', '.join(times)}."] if times else []
    failed = [f"{name(str(m))} {r['failed']:g}/{r['cases']:g} (조용한 실패 {number(r['silent'], 0)})" for m, r in hard.iterrows()]
    return [*lines, *([f"어려운 합성 행렬에서의 실패/사례. {', '.join(failed)}."] if failed else [])]


def _others(frame: pd.DataFrame) -> list[str]:
    """Steps of the other codes over the fastest exact step here, at the same K."""
    lines = []
    for model in MODELS:
        own = part(frame, model).pivot_table(index="K", columns="method", values="ratio", sort=False)
        ours = [m for m in MODES if m in own]
        others = [m for m in methods(part(frame, model)) if m.startswith(("official", "torchjd", "nash_mtl", "libmtl"))]
        if ours and others:
            times = [f"{name(m)} {_span((own[m] / own[ours].min(axis=1)).dropna())}배" for m in others]
            lines.append(f"{problem(model)}에서 가장 빠른 내쉬 단계에 대한 시간의 비(K의 범위에서). {', '.join(times)}.")
    silent = frame[frame["part"].isin(MODELS) & (frame["silent"] > 0)]
    if len(silent):
        counts = ", ".join(f"{name(str(m))} {n:g}번" for m, n in silent.groupby("method", sort=False)["silent"].sum().items())
        lines.append(f"잰 단계에서 조용히 실패한 협상. {counts}.")
    return lines


def _memory(frame: pd.DataFrame) -> list[str]:
    lines = []
    for model in MODELS:
        own = part(frame, model).pivot_table(index="K", columns="method", values="memory_mb")
        if {"nash_sequential", "nash_batched"} <= set(own):
            times = own["nash_batched"] / own["nash_sequential"]
            lines.append(
                f"{problem(model)}에서 한꺼번에 미분할 때의 메모리는 차례로 미분할 때의 {_span(times.dropna(), 2)}배이다."
            )
    return lines


def _costs(frame: pd.DataFrame) -> list[str]:
    lines, own = [], shares(frame)
    for run, row in own.iterrows():
        rest = row.drop(["step"], errors="ignore").dropna()
        most = f"{SHARES[str(rest.idxmax())]} ({number(rest.max())} %)"
        lines.append(f"{problem(str(run))}의 학습에서 단계 다음으로 시간이 많이 드는 것: {most}.")
    return lines


def values(frames: Frames) -> dict[str, list[str]]:
    """The sentences of the chapter: "findings" and "advice"."""
    return {"findings": findings(frames), "advice": recommendations(frames)}
