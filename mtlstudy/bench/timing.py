"""Timing in turns: every method once a round, in an order that rotates.

A ratio to the baseline is taken within a round and summed up by its median over the rounds, so that
the drift of the machine cancels. `interleaved` measures; `summary` is the one place that sums up.
"""

import gc
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mtlstudy.errors import InputError
from mtlstudy.training.modes import synchronize

Call = Callable[[], object]
Clock = Callable[[], float]
LEAST = 3
"""Rounds in which even the slowest method takes part, if there are as many."""
SAMPLE = 2e-2
"""Seconds that a sample lasts at least: a shorter function is called several times."""


@dataclass(frozen=True)
class Fresh:
    """A candidate that is made anew for every sample: `make`, untimed, gives the function to time,
    which is called once."""

    make: Callable[[], Call]


Candidates = Mapping[str, Call | Fresh]


def interleaved(
    candidates: Candidates,
    rounds: int,
    warmup: int = 1,
    seconds: float = math.inf,
    device: str = "cpu",
    parts: Mapping[str, int] | None = None,
    clock: Clock | None = None,
) -> pd.DataFrame:
    """Time the candidates in turns; a row a sample: method, round, seconds (of one call).

    candidates: method → function without arguments, or `Fresh`. warmup: untimed calls of each.
    seconds: what all samples together may take, dealt out equally among the methods; one whose
    share does not last for all rounds takes part in every 2nd, 4th, …, but in `LEAST` rounds in any
    case. device: "cuda" waits for the device around each sample. parts: method → how many of what
    is compared one call does (1 where not given). clock: the wall's if not given; for work of one
    thread on the CPU `time.process_time`, which leaves out what other processes take. Raises
    `InputError` for no candidate or round.
    """
    if not candidates or rounds < 1:
        given = f"candidates = {list(candidates)}, rounds = {rounds}"
        raise InputError(f"{given}: allowed: at least one of each")
    calls, stride = dict.fromkeys(candidates, 1), dict.fromkeys(candidates, 1)
    for name, candidate in candidates.items():
        for _ in range(warmup):
            once(candidate, 1, device, clock)
        if isinstance(candidate, Fresh) and math.isinf(seconds):  # nothing to find out
            continue
        cost = max(once(candidate, 1, device, clock), 1e-9)
        if not isinstance(candidate, Fresh):
            calls[name] = max(round(SAMPLE / cost), 1)
        while -(-rounds // stride[name]) * calls[name] * cost > seconds / len(candidates):
            if -(-rounds // (2 * stride[name])) < LEAST:
                break
            stride[name] *= 2  # so that who takes part in fewer rounds meets all others in them
    names, rows = list(candidates), []
    for i in range(rounds):
        for name in (names[(i + k) % len(names)] for k in range(len(names))):
            if i % stride[name] == 0:
                took = once(candidates[name], calls[name], device, clock)
                took /= (parts or {}).get(name, 1)
                rows.append({"method": name, "round": i, "seconds": took})
    return pd.DataFrame(rows)


def once(
    candidate: Call | Fresh,
    calls: int = 1,
    device: str = "cpu",
    clock: Clock | None = None,
) -> float:
    """Seconds of one call, the mean over `calls`; without the garbage collector, as in timeit."""
    call = candidate.make() if isinstance(candidate, Fresh) else candidate
    now = clock or time.perf_counter
    collecting = gc.isenabled()
    gc.disable()
    try:
        synchronize(device)
        begin = now()
        for _ in range(calls):
            call()
        synchronize(device)
        return (now() - begin) / calls
    finally:
        if collecting:
            gc.enable()


def summary(samples: pd.DataFrame, baseline: str) -> list[dict[str, Any]]:
    """A row a method, in the order of first appearance: ms, ms_low, ms_high (median and quartiles
    of a call), ratio, ratio_low, ratio_high (of the ratios to the baseline in the same round),
    repeats.

    Where a method and the baseline have no round in common, or there is no baseline, the ratio is
    NaN.
    """
    order = list(dict.fromkeys(samples["method"]))
    table = samples.pivot(index="round", columns="method", values="seconds")[order]
    ratios = table.div(table[baseline], axis=0) if baseline in table else table * math.nan
    rows: list[dict[str, Any]] = [{"method": m, "repeats": int(table[m].count())} for m in order]
    for name, values in (("ms", 1e3 * table), ("ratio", ratios)):
        for suffix, q in (("", 0.5), ("_low", 0.25), ("_high", 0.75)):
            for row, value in zip(rows, values.quantile(q), strict=True):
                row[name + suffix] = float(value)
    return rows
