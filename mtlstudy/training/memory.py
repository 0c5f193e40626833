"""How much memory a piece of work takes at its peak, beside what was there before."""

import os
from collections.abc import Callable
from itertools import accumulate

import torch


def peak(work: Callable[[], object], device: torch.device) -> float:
    """MB of tensors at the peak of work(): of the GPU's allocator, or on the CPU of the allocations that the profiler sees."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        torch.cuda.synchronize(device)
        return float(torch.cuda.max_memory_allocated(device) - before) / 1e6
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # the profiler says otherwise what it does not find
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        work()
    assert profile.profiler is not None and profile.profiler.kineto_results is not None
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    steps = (event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))
    return float(max(accumulate(steps), default=0)) / 1e6
