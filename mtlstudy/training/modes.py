"""Which way to take the task gradients, chosen by measurement once at the start of a run.

Sequential, chunked and batched differentiation give the same J to rounding and differ in time and
memory by model, K and machine; so they are timed on the run's own first batch. What was chosen, and
why, stands in the run's record.
"""

import os
import time
from collections.abc import Callable
from itertools import accumulate
from statistics import median
from typing import Any

import torch

from mtlstudy.data.base import Split
from mtlstudy.errors import InputError
from mtlstudy.gradients import Mode, task_gradients
from mtlstudy.training.config import RunConfig
from mtlstudy.training.sampling import Sampler
from mtlstudy.training.step import Step

ROUNDS = 5
MARGIN = 0.95  # another mode than the sequential one must take less than this part of its time


def settle(config: RunConfig, step: Step, sampler: Sampler) -> dict[str, Any]:
    """How a run takes its task gradients: as configured, or measured on its first batch, which is
    drawn again afterwards."""
    if config.mode != "auto" or config.sharded or step.weighting.needs == "losses":
        return {"mode": "sequential" if config.mode == "auto" else config.mode}
    before = sampler.state_dict()
    chosen = choose(step, sampler.draw(), config.memory_mb)
    sampler.load_state_dict(before)
    return chosen


def choose(step: Step, batch: Split, memory_mb: float | None = None) -> dict[str, Any]:
    """The fastest mode whose peak stays within `memory_mb`: {"mode", "ms": {…}, "mb": {…}}.

    Nothing that a run depends on is changed. Sequential where the tasks have no common
    representation or the trunk is compiled. Raises `InputError` where no mode fits the memory.
    """
    step.model.train()
    with torch.random.fork_rng():
        _, z, to_z, _ = step.head_gradients(batch)
    only = step.compile or any(rep is not z[0] for rep in z)
    modes: list[Mode] = ["sequential"] if only else ["sequential", "chunked", "batched"]
    if "chunked" in modes and step.chunk >= len(z):
        modes.remove("chunked")

    def take(mode: Mode) -> None:
        task_gradients(z, to_z, step.shared, mode, keep_graph=True, chunk=step.chunk)

    mb = {mode: peak(lambda mode=mode: take(mode), step.device) for mode in modes}  # type: ignore[misc]
    seconds: dict[Mode, list[float]] = {mode: [] for mode in modes}
    for _ in range(ROUNDS):
        for mode in modes:
            synchronize(step.device)
            begin = time.perf_counter()
            take(mode)
            synchronize(step.device)
            seconds[mode].append(time.perf_counter() - begin)
    ms = {mode: 1e3 * median(seconds[mode]) for mode in modes}
    within = [mode for mode in modes if memory_mb is None or mb[mode] <= memory_mb]
    if not within:
        least = f"the task gradients take {min(mb.values()):.0f} MB at least"
        raise InputError(f"memory_mb = {memory_mb:g}: {least}")
    best = min(within, key=lambda mode: ms[mode] * (MARGIN if mode == within[0] else 1))
    return {"mode": best, "ms": ms, "mb": mb}


def synchronize(device: torch.device | str) -> None:
    """Until an accelerator has done what it was asked for."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def peak(work: Callable[[], object], device: torch.device) -> float:
    """MB of tensors at the peak of work(): of the GPU's allocator, or on the CPU of the allocations
    that the profiler sees."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        torch.cuda.synchronize(device)
        return float(torch.cuda.max_memory_allocated(device) - before) / 1e6
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # the profiler lists what it does not find
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        work()
    assert profile.profiler is not None and profile.profiler.kineto_results is not None
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    sizes = (event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))
    return float(max(accumulate(sizes), default=0)) / 1e6
