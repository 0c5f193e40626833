"""A training step: this package's beside torchjd, the customary procedure and peers, on the same
model, batch and optimiser.

Parts "mlp" and "transformer" (see `problems`), K = 2, 4, 8, 11; ms of one step, on a CPU of the
processor's time, the ratio to `limit`: one forward and K backward passes through the trunk, and
nothing else. memory_mb: the peak of a step beyond model, gradients and optimiser, with what is kept
for the next one. After the timed steps each method goes on for `CHECKED` more, untimed: residual is
the worst of the weights that it used on the Gramian of the step (of the representations for
nash_representation), failed counts those above `FAILED` and silent the failed ones that it did not
report.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd

from mtlstudy.bench import timing
from mtlstudy.bench.methods import PARTS, Answer, Method, available, exact, made
from mtlstudy.bench.peers import Peer
from mtlstudy.bench.problems import Problem, make
from mtlstudy.nash.reference import FAILED, residual
from mtlstudy.study import benchmarks
from mtlstudy.training.modes import peak

BASELINE = {"mlp": "limit", "transformer": "limit"}
SIZES = (2, 4, 8, 11)
ROUNDS = {"quick": (10, 10.0), "full": (60, 200.0)}
"""Rounds, and seconds that the samples of one model and K may take."""
CHECKED = 3


def run(
    profile: str, device: str = "cpu", peers: Sequence[Peer] = ()
) -> tuple[pd.DataFrame, list[str]]:
    """The whole benchmark, and what was left out."""
    notes: list[str] = []
    methods = available(peers, notes)
    rows: list[dict[str, Any]] = []
    for part in BASELINE:
        for K in SIZES:
            fresh = partial(make, part, K, device=device)
            rows += measured(part, fresh, methods, ROUNDS[profile], BASELINE[part], notes)
    return benchmarks.frame(rows), list(dict.fromkeys(notes))


def measured(
    part: str,
    fresh: Callable[[], Problem],
    methods: Mapping[str, Method],
    limits: tuple[int, float],
    baseline: str,
    notes: list[str],
) -> Iterator[dict[str, Any]]:
    """A row a method: timed in turns, then memory, then the weights of some more steps. limits:
    rounds and seconds."""
    facts, device = fresh().facts(), fresh().device
    calls = made(methods, fresh, part, notes)
    candidates: timing.Candidates = {name: call for name, (call, _) in calls.items()}
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    how: dict[str, Any] = {"warmup": 0, "device": device.type, "parts": PARTS, "clock": clock}
    samples = timing.interleaved(candidates, limits[0], seconds=limits[1], **how)
    for row in timing.summary(samples, baseline):
        call, problem = calls[row["method"]]
        getattr(call, "forget", lambda: None)()  # what is kept between steps counts as well
        memory = peak(call, device)
        yield {"part": part, **facts, **row, "memory_mb": memory, **checked(call, problem)}


def checked(call: timing.Call, problem: Problem) -> dict[str, Any]:
    """residual, cases, failed and silent over `CHECKED` further calls; nothing for a method without
    bargaining weights."""
    errors, silent = [], 0
    if not isinstance(call(), Answer):
        return {}
    for _ in range(CHECKED):
        M = exact(problem)
        answer = call()
        assert isinstance(answer, Answer)
        M = M if answer.M is None else answer.M
        errors.append(residual(*(x.double().cpu().numpy() for x in (M, answer.weights))))
        silent += not errors[-1] <= FAILED and answer.solved is not False
    failed = sum(not e <= FAILED for e in errors)
    return {"residual": max(errors), "cases": len(errors), "failed": failed, "silent": silent}
