"""What the benchmarks let one say, and what they let one advise beside the table of choices."""

import pandas as pd

from mtlstudy.study.benchmarks import Frames, origins, part
from mtlstudy.study.claims import Claim
from mtlstudy.study.format import NONE, number
from mtlstudy.study.performance import MODELS, MODES, methods, name, span
from mtlstudy.study.performance_targets import TARGETS
from mtlstudy.study.words import word

OTHERS = ("official", "torchjd", "nash_mtl", "libmtl")
NAN = float("nan")


def claims(frames: Frames) -> list[Claim]:
    """Findings, then advice."""
    return [*findings(frames), *advice(frames)]


def findings(frames: Frames) -> list[Claim]:
    """The targets, the other codes beside the fastest exact step here, and memory; what stands in a
    column of a table is not said again. What was not measured gives no claim."""
    outcomes = {target.key: target.outcome(target.measured(frames)) for target in TARGETS}
    missed = [
        word(f"performance.targets.{key}") for key, one in outcomes.items() if one == "missed"
    ]
    counts = {one: list(outcomes.values()).count(one) for one in ("reached", "missed", "untested")}
    figures = {**counts, "targets": len(TARGETS), "which": "; ".join(missed)}
    found = [Claim("performance_targets", "some" if missed else "all", figures)]
    for model in MODELS:
        own = part(frames["step"], model)
        by = own.pivot_table(index="K", columns="method", values="ratio")
        fastest = by[[m for m in MODES if m in by]].min(axis=1)
        others = [m for m in methods(own) if m.startswith(OTHERS)] if fastest.notna().any() else []
        times = [f"{name(m)} {span((by[m] / fastest).dropna())}" for m in others]
        found += listed("performance_steps", times, model=name(model))
        memory = own.pivot_table(index="K", columns="method", values="memory_mb")
        if {"nash_sequential", "nash_batched"} <= set(memory):
            times = [span((memory["nash_batched"] / memory["nash_sequential"]).dropna(), 2)]
            found += listed("performance_memory", times, model=name(model))
    return found


def listed(kind: str, items: list[str], **figures: object) -> list[Claim]:
    """A claim that lists something; none where there is nothing to list."""
    return [Claim(kind, "listed", {**figures, "items": ", ".join(items)})] if items else []


def advice(frames: Frames) -> list[Claim]:
    """What follows for update_every, the solver, batches of games, two jobs, and bfloat16."""
    own = part(frames["solver"], "batched", method="newton", K=5).sort_values("batch")
    found = [*predicted(frames["step"]), *solving(frames)]
    if len(own) > 1:
        pays = own.loc[own["ratio_high"] < 1, "batch"]
        ends = [
            f"{number(1e3 * own['ms'].iloc[i])} µs (N = {own['batch'].iloc[i]:g})" for i in (0, -1)
        ]
        figures = {"least": f"{pays.min():g}" if len(pays) else NONE, "items": ", ".join(ends)}
        found.append(Claim("performance_batches", "up" if len(pays) else "down", figures))
    jobs = part(frames["train"], "jobs").set_index("method")["ratio"]
    if "jobs_2" in jobs:
        speed, started = (number(1 / jobs.get(key, NAN), 2) for key in ("jobs_2", "jobs_2_started"))
        outcome = "up" if jobs["jobs_2"] < 1 else "down"
        found.append(Claim("performance_jobs", outcome, {"speed": speed, "started": started}))
    return [*found, bfloat16(frames["step"])]


def predicted(frame: pd.DataFrame) -> list[Claim]:
    """The rule on update_every beside measured steps with a game in every fifth."""
    off = pd.Series(dtype=float)
    for model in MODELS:
        by = part(frame, model).pivot_table(index="K", columns="method", values="ratio")
        if {"mean_loss", "nash_sequential", "nash_every_5"} <= set(by):
            rule = by["mean_loss"] + (by["nash_sequential"] - by["mean_loss"]) / 5
            off = pd.concat([off, 100 * (rule / by["nash_every_5"] - 1).dropna()])
    return listed("performance_every", [span(off, 0, sign=True)] if len(off) else [])


def solving(frames: Frames) -> list[Claim]:
    """How much of a step the solver is, at each K that both benchmarks have."""
    solve = part(frames["solver"], "single", method="newton").set_index("K")["ms"]
    items: list[str] = []
    most = 0.0
    for model in MODELS:
        own = part(frames["step"], model)
        step = own[own["method"].isin(MODES)].groupby("K")["ms"].min()
        share = (100 * solve / step).dropna()
        if len(share):
            each = ", ".join(f"{number(x)} (K = {K:g})" for K, x in share.items())
            items, most = [*items, f"{name(model)}: {each}"], max(most, share.max())
    outcome = "small" if most < 5 else "large"
    return [Claim("performance_share", outcome, {"items": "; ".join(items)})] if items else []


def bfloat16(frame: pd.DataFrame) -> Claim:
    """What the forward pass in bfloat16 costs on the processor that was measured."""
    by = part(frame, *MODELS).pivot_table(index=["part", "K"], columns="method", values="ratio")
    if not {"nash_bfloat16", "nash_sequential"} <= set(by):
        return Claim("performance_bfloat16", "untested", {})
    times = (by["nash_bfloat16"] / by["nash_sequential"]).dropna()
    cpu = origins().get("step", {}).get("cpu", NONE)
    figures = {"times": span(times, 2), "limit": span(by["nash_bfloat16"].dropna(), 2), "cpu": cpu}
    return Claim("performance_bfloat16", "slow" if times.max() >= 1 else "fast", figures)
