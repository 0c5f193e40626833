"""Whether a call can be made at all: tried in a process of its own, within limits."""

import resource
import warnings
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from mtlstudy.bench.timing import once
from mtlstudy.errors import InputError
from mtlstudy.training.modes import synchronize

SECONDS = 60.0
"""What a call may take."""
GIGABYTES = 12.0
"""What the process may allocate on the host."""
START = 300.0
"""Seconds for the imports and for making the call."""
Make = Callable[..., Callable[[], object]]


def tried(make: Make, *arguments: Any, device: str = "cpu", seconds: float = SECONDS) -> str | None:
    """None where `make(*arguments)()` can be called twice within the limits, else why not.

    `make` is a function of a module, since it goes to a fresh process by name. The first call may
    compile; both have `seconds`.
    """
    context = get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_try, args=(there, make, arguments, device), daemon=True)
    process.start()
    there.close()
    slow = (seconds, f"more than {seconds:g} s a call")
    try:
        for limit, reason in ((START, f"not made within {START:g} s"), slow, slow):
            if not here.poll(limit):
                return reason
            if problem := here.recv():
                return str(problem)
        return None
    except EOFError:
        process.join()
        return f"the process ended with exit code {process.exitcode}"
    finally:
        process.kill()
        process.join()


def _try(parent: Connection, make: Make, arguments: tuple[Any, ...], device: str) -> None:
    """Sends "" after each stage that went well, or what went wrong."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    too_much = f"more than {GIGABYTES:g} GB"
    if device == "cpu":  # an accelerator's driver reserves far more than it uses
        most = int(GIGABYTES * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    try:
        call = make(*arguments)
        synchronize(device)
        parent.send("")
        for _ in range(2):
            once(call, device=device)
            parent.send("")
    except MemoryError:
        parent.send(too_much)
    except (InputError, ImportError, ValueError, RuntimeError, ArithmeticError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        memory = "memory" in reason.lower() and "alloc" in reason.lower()
        parent.send(too_much if memory and device == "cpu" else reason)
