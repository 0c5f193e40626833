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
PROBLEMS: Mapping[str, Callable[[int, str], Problem]] = {  # by size and device
    "K": lambda n, device: make("mlp", n, device, width=256),
    "parameters": lambda n, device: make("mlp", 8, device, width=n),
    "length": lambda n, device: make(
        "transformer", 4, device, length=n, width=64, depth=2, batch=8
    ),
}
QUICK = {
    "K": TASKS,
    "parameters": (64, 128, 256, 512, 1024),
    "length": (8, 16, 32, 64, 128),
    "solver": TASKS,
}
LARGER = {"parameters": (*QUICK["parameters"], 2048), "length": (*QUICK["length"], 256, 512)}
SIZES = {"quick": QUICK, "full": QUICK | LARGER}
ROUNDS = {"quick": (10, 4.0), "full": (40, 60.0)}
"""Rounds, and seconds that the samples of one size may take."""
SECONDS = 60.0
STEPS = ("mean_loss", "nash_sequential", "nash_batched", "nash_chunked", "nash_representation")
OUTSIDE = {True: ("conic", "ccp_published", "torchjd"), False: ("official", "torchjd_nash")}
"""Methods outside the package: solvers, steps."""


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
        timed: Callable[[Mapping[str, Any]], Iterator[dict[str, Any]]]
        if alone:
            facts: dict[str, Any] = {"problem": "random", "K": size}
            J = np.random.default_rng(size).standard_normal((size, 4 * size))
            posed = solver.game(J, device)
            timed = partial(solver.timed, part, posed, limits=limits, device=device)
        else:
            fresh = partial(PROBLEMS[part], size, device)
            facts, baseline = fresh().facts(), BASELINE[part]
            timed = partial(measured, part, fresh, limits=limits, baseline=baseline, notes=notes)
        for name in slow:
            methods.remove(name)
            notes.append(f"{name} stops at {part} = {size}: more than {SECONDS:g} s a call before")
            yield {"part": part, **facts, "method": name, "cases": 1, "failed": 1}
        rows = list(timed({name: found[name] for name in methods}))
        yield from rows
        costly = [row["method"] for row in rows if row["ms"] > 1e3 * SECONDS]
        slow = [name for name in costly if name in outside]
