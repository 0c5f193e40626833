"""How the cost grows: with the number of tasks, the parameters, the length of the input.

Parts, each named after the column that grows: "K" (MLP, width 256), "parameters" (MLP of growing
width, K = 8), "length" (transformer, width 64, depth 2, batch 8, K = 4); ms of a training step, the
ratio to the plain step. "solver": the solver alone by K, the ratio to Newton. A method outside the
package that comes to its limit (see `probe`) has a row failed = 1 there and is not tried on
anything larger; the notes say why.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mtlstudy.bench import solver, timing
from mtlstudy.bench.methods import available
from mtlstudy.bench.peers import Peer, peer
from mtlstudy.bench.probe import tried
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
    for size in SIZES[profile][part]:
        facts: dict[str, Any] = {"problem": "random", "K": size}
        if not alone:
            facts = problem(part, size, device)().facts()
        for name in [name for name in methods if name in outside]:
            paths = [other.path for other in peers]
            reason = tried(one_call, name, size, part, device, paths, device=device)
            if reason is not None:
                methods.remove(name)
                notes.append(f"{name} stops at {part} = {size}: {reason}")
                yield {"part": part, **facts, "method": name, "cases": 1, "failed": 1}
        left = {name: found[name] for name in methods}
        if alone:
            yield from solver.timed(part, posed(size, device), left, limits, device)
        else:
            fresh = problem(part, size, device)
            yield from measured(part, fresh, left, limits, BASELINE[part], notes)


def posed(K: int, device: str = "cpu") -> solver.Game:
    """The game of K tasks that is solved."""
    return solver.game(np.random.default_rng(K).standard_normal((K, 4 * K)), device)


def one_call(name: str, size: int, part: str, device: str, paths: list[Path]) -> timing.Call:
    """A call of one method, to be tried in a process of its own."""
    peers = [peer(path) for path in paths]
    if part == "solver":
        return partial(solver.solvers(peers, [])[name], posed(size, device))
    return available(peers, [])[name](problem(part, size, device)())
