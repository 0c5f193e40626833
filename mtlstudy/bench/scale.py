"""How the cost grows: with the number of tasks, with the parameters, with the length of the input.

Parts, each named after the column that grows: "K" (MLP, width 256), "parameters" (MLP of growing width, K = 8), "length"
(transformer, width 64, depth 2, batch 8, K = 4); ms of a training step, the ratio to the plain step. "solver": the solver alone
by K, the ratio to Newton. A method outside the package that comes to its limit (60 s a call, 12 GB) has a row failed = 1 there
and is not tried on anything larger; the notes say why. `growth` is the exponent of the growth.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import linregress

from mtlstudy.bench import record
from mtlstudy.bench import solver
from mtlstudy.bench import timing
from mtlstudy.bench.methods import available
from mtlstudy.bench.peers import Peer, peer
from mtlstudy.bench.probe import tried
from mtlstudy.bench.problems import make
from mtlstudy.bench.step import measured

BASELINE = {"K": "mean_loss", "parameters": "mean_loss", "length": "mean_loss", "solver": "newton"}
SIZES: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "quick": {
        "K": (2, 4, 8, 16, 32, 64, 128),
        "parameters": (64, 128, 256, 512, 1024),
        "length": (8, 16, 32, 64, 128),
        "solver": (2, 4, 8, 16, 32, 64, 128),
    },
    "full": {
        "K": (2, 4, 8, 16, 32, 64, 128),
        "parameters": (64, 128, 256, 512, 1024, 2048),
        "length": (8, 16, 32, 64, 128, 256, 512),
        "solver": (2, 4, 8, 16, 32, 64, 128),
    },
}
"""Sizes of each part: tasks, the width of the MLP, tokens."""
ROUNDS = {"quick": (10, 4.0), "full": (40, 60.0)}
"""Rounds, and seconds that the samples of one size may take."""
METHODS = ("mean_loss", "nash_sequential", "nash_batched", "nash_chunked", "nash_representation")
OUTSIDE = ("official", "torchjd_nash")
SOLVERS = ("newton", "conic", "ccp_published", "torchjd")


def problem(part: str, size: int, device: str) -> Any:
    """The problem of one size, to be made."""
    if part == "K":
        return partial(make, "mlp", size, width=256, device=device)
    if part == "parameters":
        return partial(make, "mlp", 8, width=size, device=device)
    return partial(make, "transformer", 4, width=64, depth=2, batch=8, length=size, device=device)


def run(profile: str, device: str = "cpu", peers: Sequence[Peer] = ()) -> tuple[pd.DataFrame, list[str]]:
    """The whole benchmark: a frame of `record.COLUMNS`, and what was left out or stopped."""
    notes: list[str] = []
    rows = [row for part in SIZES[profile] for row in _part(part, profile, device, peers, notes)]
    return record.frame(rows), list(dict.fromkeys(notes))


def _part(part: str, profile: str, device: str, peers: Sequence[Peer], notes: list[str]) -> Iterator[dict[str, Any]]:
    rounds, seconds = ROUNDS[profile]
    alone = part == "solver"
    found: Mapping[str, Any] = solver.solvers(peers, notes) if alone else available(peers, notes)
    ours = ("newton",) if alone else METHODS
    methods = [
        *ours,
        *(name for name in (*(SOLVERS[1:] if alone else OUTSIDE), *(other.method for other in peers)) if name in found),
    ]
    for size in SIZES[profile][part]:
        facts: dict[str, Any] = {"problem": "random", "K": size} if alone else problem(part, size, device)().facts()
        for name in [name for name in methods if name not in ours]:
            reason = tried(_solver if alone else _step, name, size, part, device, [other.path for other in peers], device=device)
            if reason is not None:
                methods.remove(name)
                notes.append(f"{name} stops at {part} = {size}: {reason}")
                yield {"part": part, **facts, "method": name, "cases": 1, "failed": 1}
        own = {name: found[name] for name in methods}
        if alone:
            yield from solver.timed(part, posed(size, device), own, rounds, seconds, device, "newton")
        else:
            yield from measured(part, problem(part, size, device), own, rounds, seconds, BASELINE[part], notes)


def posed(K: int, device: str = "cpu") -> solver.Game:
    """The game of K tasks that is solved."""
    return solver.game(np.random.default_rng(K).standard_normal((K, 4 * K)), device)


def _step(name: str, size: int, part: str, device: str, peers: list[Path]) -> timing.Call:
    return available([peer(path) for path in peers], [])[name](problem(part, size, device)())


def _solver(name: str, size: int, part: str, device: str, peers: list[Path]) -> timing.Call:
    return partial(solver.solvers([peer(path) for path in peers], [])[name], posed(size, device))


def growth(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a part and method: exponent, the slope of log ms over log size in the upper half of the sizes (three at least), and
    its standard error; sizes, how many those are. Methods with fewer than three sizes have no row."""
    rows = []
    for (part, method), own in frame[frame["ms"].notna()].groupby(["part", "method"], sort=False):
        column = record.size(str(part))
        upper = own.sort_values(column).tail(max(-(-len(own) // 2), 3))
        if len(upper) >= 3:
            fit = linregress(np.log(upper[column].astype(float)), np.log(upper["ms"]))
            rows.append({"part": part, "method": method, "exponent": fit.slope, "error": fit.stderr, "sizes": len(upper)})
    return pd.DataFrame(rows, columns=["part", "method", "exponent", "error", "sizes"])
