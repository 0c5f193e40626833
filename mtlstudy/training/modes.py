"""Which way to take the task gradients, chosen by measurement once at the start of a run.

Sequential, chunked and batched differentiation give the same J to rounding and differ in time and memory by model, K and
machine; so they are timed on the run's own first batch. What was chosen, and why, stands in the run's record.
"""

import time
from statistics import median
from typing import Any

import torch

from mtlstudy.training.clock import wait
from mtlstudy.training.config import RunConfig
from mtlstudy.data.base import Split
from mtlstudy.errors import InputError
from mtlstudy.gradients import Mode, task_gradients
from mtlstudy.training.memory import peak
from mtlstudy.training.sampling import Sampler
from mtlstudy.training.step import Step

ROUNDS = 5
MARGIN = 0.95  # another mode than the sequential one must take less than this part of its time


def settle(config: RunConfig, step: Step, sampler: Sampler) -> dict[str, Any]:
    """How a run takes its task gradients: as configured, or measured on its first batch, which is drawn again afterwards. Of
    several processes the first one decides."""
    if config.mode != "auto" or config.sharded or step.weighting.needs == "losses":
        return {"mode": "sequential" if config.mode == "auto" else config.mode}
    before = sampler.state_dict()
    found = choose(step, sampler.draw(), config.memory_mb)
    sampler.load_state_dict(before)
    modes = sorted(found["ms"])
    place = step.team.collect(torch.tensor(modes.index(found["mode"]), device=step.device))[0]
    return {**found, "mode": modes[int(place)]}


def choose(step: Step, batch: Split, memory_mb: float | None = None) -> dict[str, Any]:
    """The fastest mode whose peak stays within `memory_mb`: {"mode", "ms": {mode: …}, "mb": {mode: …}}.

    Nothing that a run depends on is changed. Sequential where the tasks have no common representation or the trunk is compiled.
    Raises `InputError` where no mode stays within the memory.
    """
    step.model.train()
    with torch.random.fork_rng():
        pulled = step.pull(step.divided(batch)[0])
    alone = step.compile or any(rep is not pulled.z[0] for rep in pulled.z)
    modes: list[Mode] = ["sequential"] if alone else ["sequential", "chunked", "batched"]
    if "chunked" in modes and step.chunk >= len(pulled.z):
        modes.remove("chunked")

    def take(mode: Mode) -> None:
        task_gradients(pulled.z, pulled.to_z, step.shared, mode, keep_graph=True, chunk=step.chunk)

    mb = {mode: peak(lambda mode=mode: take(mode), step.device) for mode in modes}  # type: ignore[misc]
    seconds: dict[Mode, list[float]] = {mode: [] for mode in modes}
    for _ in range(ROUNDS):
        for mode in modes:
            wait(step.device)
            begin = time.perf_counter()
            take(mode)
            wait(step.device)
            seconds[mode].append(time.perf_counter() - begin)
    ms = {mode: 1e3 * median(seconds[mode]) for mode in modes}
    within = [mode for mode in modes if memory_mb is None or mb[mode] <= memory_mb]
    if not within:
        raise InputError(f"memory_mb = {memory_mb:g}: the task gradients take {min(mb.values()):.0f} MB at least")
    best = min(within, key=lambda mode: ms[mode] * (MARGIN if mode == within[0] else 1))
    return {"mode": best, "ms": ms, "mb": mb}
