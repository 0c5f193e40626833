"""How the cost grows: with the number of tasks, the parameters, the length of the input.

Parts, each named after the column that grows: "K" (MLP, width 256), "parameters" (MLP of growing
width, K = 8), "length" (transformer, width 64, depth 2, batch 8, K = 4); ms of a training step, the
ratio to the plain step. "solver": the solver alone by K, the ratio to Newton. A method outside the
package whose call takes more than `SECONDS` is not tried on anything larger: it has a row failed =
1 at the next size, and the notes say why.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from mtlstudy.bench import solver
from mtlstudy.bench.methods import available
from mtlstudy.bench.peers import Peer
from mtlstudy.bench.problems import Problem, make
from mtlstudy.bench.step import measured
from mtlstudy.study import benchmarks

BASELINE = {"K": "mean_loss", "parameters": "mean_loss", "length": "mean_loss", "solver": "newton"}
TASKS = (2, 4, 8, 16, 32, 64, 128)
WIDTHS = (64, 128, 256, 512, 1024)
TOKENS = (8, 16, 32, 64, 128)
SIZES: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "quick": {"K": TASKS, "parameters": WIDTHS, "length": TOKENS, "solver": TASKS},
    "full": {
        "K": TASKS,
        "parameters": (*WIDTHS, 2048),
        "length": (*TOKENS, 256, 512),
        "solver": TASKS,
    },
}
ROUNDS = {"quick": (10, 4.0), "full": (40, 60.0)}
"""Rounds, and seconds that the samples of one size may take."""
SECONDS = 60.0
STEPS = ("mean_loss", "nash_sequential", "nash_batched", "nash_chunked", "nash_representation")
OUTSIDE = {True: ("conic", "ccp_published", "torchjd"), False: ("official", "torchjd_nash")}
"""Methods outside the package: solvers, steps."""


def problem(part: str, size: int, device: str) -> Callable[[], Problem]:
    """The problem of one size, to be made."""
    if part == "K":
        return partial(make, "mlp", size, width=256, device=device)
    if part == "parameters":
        return partial(make, "mlp", 8, width=size, device=device)
    how = {"width": 64, "depth": 2, "batch": 8, "length": size}
    return partial(make, "transformer", 4, **how, device=device)


def run(
    profile: str, device: str = "cpu", peers: Sequence[Peer] = ()
) -> tuple[pd.DataFrame, list[str]]:
    """The whole benchmark, and what was left out or stopped."""
    notes: list[str] = []
    rows = [row for part in SIZES[profile] for row in grown(part, profile, device, peers, notes)]
    return benchmarks.frame(rows), list(dict.fromkeys(notes))


def grown(
    part: str, profile: str, device: str, peers: Sequence[Peer], notes: list[str]
) -> Iterator[dict[str, Any]]:
    """The rows of one part."""
    alone, limits = part == "solver", ROUNDS[profile]
    found: Mapping[str, Any] = (solver.solvers if alone else available)(peers, notes)
    outside = [*OUTSIDE[alone], *(other.method for other in peers)]
    methods = [*(("newton",) if alone else STEPS), *(name for name in outside if name in found)]
    slow: list[str] = []
    for size in SIZES[profile][part]:
        facts: dict[str, Any] = {"problem": "random", "K": size}
        if not alone:
            facts = problem(part, size, device)().facts()
        for name in slow:
            methods.remove(name)
            notes.append(f"{name} stops at {part} = {size}: more than {SECONDS:g} s a call before")
            yield {"part": part, **facts, "method": name, "cases": 1, "failed": 1}
        left = {name: found[name] for name in methods}
        if alone:
            J = np.random.default_rng(size).standard_normal((size, 4 * size))
            rows = list(solver.timed(part, solver.game(J, device), left, limits, device))
        else:
            fresh = problem(part, size, device)
            rows = list(measured(part, fresh, left, limits, BASELINE[part], notes))
        yield from rows
        costly = [row["method"] for row in rows if row["ms"] > 1e3 * SECONDS]
        slow = [name for name in costly if name in outside]
