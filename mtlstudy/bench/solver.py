"""The solver alone: exact Newton beside the convex-concave procedure (CCP) in its versions, and
beside a conic program.

"single": one well-conditioned Gramian J Jᵀ, J (K, 4K) normal; ms of a call. "batched": N of them at
once beside a loop over them; ms of a matrix, `batch` = N. "stress": the stress set of the study
(`mtlstudy.study.solver`), with its meaning of failed and silent (a solver without a status fails
silently where it gives weights); residual: the worst; ms: the median over the cases.

The package's own programs (`mtlstudy.nash.reference`) have the form that cvxpy compiles once a K;
that is not timed, `ccp_compile` is such a first call. The published code and its descendants
(torchjd, peers) build their program once as well, but in a form that cvxpy compiles anew in every
solution, which is part of their time. All start cold but `newton_warm`, which starts from the
solution of a Gramian that is about 1 % away.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from mtlstudy.bench import timing
from mtlstudy.bench.peers import Peer, ready
from mtlstudy.errors import InputError
from mtlstudy.nash import Status, nash_weights, reference
from mtlstudy.nash.reference import FAILED, residual
from mtlstudy.study import benchmarks
from mtlstudy.study.solver import SEEDS, SIZES, SOLVED, Case, stress

BASELINE = {"single": "newton", "batched": "one_by_one", "stress": "newton"}
Array = NDArray[np.float64]
SINGLE = {"quick": (2, 3, 5, 8, 11, 20, 40), "full": (2, 3, 5, 8, 11, 14, 20, 30, 40, 80)}
BATCHED = {"quick": (5,), "full": (5, 11)}
AT_ONCE = (1, 4, 16, 64, 256, 1024)
ROUNDS = {"quick": (30, 6.0), "full": (200, 60.0)}
"""Rounds, and seconds that the samples of one K may take."""
CCP_UP_TO = 20


class Game(NamedTuple):
    """J (K, P) and its Gramian M (K, K), as an array and as a tensor on the device."""

    J: Array
    M: Array
    tensor: torch.Tensor


Solver = Callable[[Game], tuple[Array, str]]
"""A game → weights (K,), status: one of `SOLVED` where it says so, "" where it says nothing."""


def game(J: Array, device: str = "cpu") -> Game:
    """The game of task gradients J (K, P)."""
    M = J @ J.T
    return Game(J, M, torch.from_numpy(M).to(device))


def newton(posed: Game, start: torch.Tensor | None = None) -> tuple[Array, str]:
    """The exact solver."""
    solution = nash_weights(posed.tensor, start=start)
    return solution.weights.cpu().numpy(), Status(int(solution.status)).name


def ccp_compile(posed: Game) -> tuple[Array, str]:
    """The procedure with its program compiled anew."""
    reference._ccp_problem.cache_clear()
    return reference.ccp(posed.M)[:2]


def torchjd() -> Solver:
    """torchjd's NashMTL from a cold start, made once a K; the weights before their clipping. It has
    no status. `InputError` where it or its solver is missing."""
    try:
        from torchjd.aggregation import NashMTL

        made = cache(lambda K: NashMTL(n_tasks=K).weighting)
        made(2)
    except ImportError as missing:
        reason, hint = str(missing).splitlines()[0], "pip install 'mtlstudy[study,peers]'"
        raise InputError(f"torchjd's NashMTL: {reason}; {hint}") from None

    def solve(posed: Game) -> tuple[Array, str]:
        method = made(len(posed.M))
        method.prvs_alpha = np.ones(len(posed.M), dtype=np.float32)
        method(torch.from_numpy(posed.J))
        return np.asarray(method.prvs_alpha, dtype=np.float64), ""

    return solve


def ecos() -> Solver:
    """The procedure with the solver of the published code. `InputError` where that is missing."""
    ready("ccp_ecos")
    return lambda posed: reference.ccp(posed.M, published=True, solver="ECOS")[:2]


def by_peer(peer: Peer) -> Solver:
    """A peer's own procedure, made once a K. It has no status."""
    made = cache(peer.solver)
    return lambda posed: (np.asarray(made(len(posed.M))(posed.M), dtype=np.float64), "")


def solvers(peers: Sequence[Peer], notes: list[str]) -> dict[str, Solver]:
    """Everything that is here, Newton first; what is missing is a line in `notes`."""
    found: dict[str, Solver] = {
        "newton": newton,
        "conic": lambda posed: reference.conic(posed.M)[:2],
        "ccp": lambda posed: reference.ccp(posed.M)[:2],
        "ccp_published": lambda posed: reference.ccp(posed.M, published=True)[:2],
    }
    for name, make in (("ccp_ecos", ecos), ("torchjd", torchjd)):
        try:
            found[name] = make()
        except InputError as missing:
            notes.append(f"{missing}; left out")
    return found | {peer.method: by_peer(peer) for peer in peers}


def run(
    profile: str, device: str = "cpu", peers: Sequence[Peer] = ()
) -> tuple[pd.DataFrame, list[str]]:
    """The whole benchmark, and what was left out."""
    notes: list[str] = []
    found = solvers(peers, notes)
    few = SEEDS[profile][1] if profile == "full" else 1  # draws of every family for the slow ones
    rows = [*single(profile, device, found), *batched(profile, device)]
    rows += stressed(found, list(stress(profile)), few)
    notes.append(f"the procedure and its relatives: K ≤ {CCP_UP_TO} in single")
    return benchmarks.frame(rows), notes


def single(profile: str, device: str, found: Mapping[str, Solver]) -> Iterator[dict[str, Any]]:
    """One Gramian, by K."""
    for K in SINGLE[profile]:
        rng = np.random.default_rng(K)
        J = rng.standard_normal((K, 4 * K))
        near = game(J + 0.01 * rng.standard_normal(J.shape), device)
        methods = {name: found[name] for name in (found if K <= CCP_UP_TO else ("newton", "conic"))}
        methods["newton_warm"] = partial(newton, start=nash_weights(near.tensor).weights)
        if K <= CCP_UP_TO:
            methods["ccp_compile"] = ccp_compile
        yield from timed("single", game(J, device), methods, ROUNDS[profile], device)


def timed(
    part: str,
    posed: Game,
    found: Mapping[str, Solver],
    limits: tuple[int, float],
    device: str,
) -> Iterator[dict[str, Any]]:
    """A row a solver on one game, timed in turns, with the residual of its weights. limits: rounds
    and seconds."""
    calls: timing.Candidates = {
        **{name: partial(solve, posed) for name, solve in found.items()},
        "newton": partial(nash_weights, posed.tensor),  # the call itself, nothing read from it
    }
    samples = timing.interleaved(calls, limits[0], seconds=limits[1], device=device)
    for row in timing.summary(samples, "newton"):
        error = residual(posed.M, found[row["method"]](posed)[0])
        yield {"part": part, "problem": "random", "K": len(posed.M), **row, "residual": error}


def batched(profile: str, device: str) -> Iterator[dict[str, Any]]:
    """N Gramians at once, by N."""
    rounds, seconds = ROUNDS[profile]
    for K in BATCHED[profile]:
        rng = torch.Generator().manual_seed(K)
        J = torch.randn(max(AT_ONCE), K, 4 * K, generator=rng, dtype=torch.float64)
        for N in AT_ONCE:
            M = (J[:N] @ J[:N].mT).to(device)
            calls: timing.Candidates = {
                "newton": partial(nash_weights, M),
                "one_by_one": partial(one_by_one, M),
            }
            parts = dict.fromkeys(calls, N)
            samples = timing.interleaved(calls, rounds, 1, seconds, device, parts)
            facts = {"part": "batched", "problem": "random", "K": K, "batch": N}
            facts["residual"] = float(nash_weights(M).residual.max())
            yield from ({**facts, **row} for row in timing.summary(samples, BASELINE["batched"]))


def one_by_one(M: torch.Tensor) -> None:
    """The games M (N, K, K), each by itself."""
    for one in M:
        nash_weights(one)


def stressed(
    found: Mapping[str, Solver], cases: Sequence[Case], few: int
) -> Iterator[dict[str, Any]]:
    """A row a solver over the stress cases, of which all but Newton have those of the first `few`
    draws; repeats: one measurement a case."""
    for K in SIZES:
        for solve in found.values():
            solve(game(np.eye(K)))  # compile, untimed
    rows = []
    for index, case in enumerate(cases):
        posed = game(case.J)
        for name, solve in found.items():
            if name == "newton" or case.seed < few:
                begin = time.perf_counter()
                a, status = solve(posed)
                seconds = time.perf_counter() - begin
                error = residual(posed.M, a)
                says = status in SOLVED or (not status and bool(np.isfinite(a).all()))
                own = {"method": name, "round": index, "seconds": seconds, "residual": error}
                rows.append({**own, "failed": not error <= FAILED, "says": says})
    table = pd.DataFrame(rows)
    for row in timing.summary(table, "newton"):
        own = table[table["method"] == row["method"]]
        silent = int((own["failed"] & own["says"]).sum())
        counts = {"cases": len(own), "failed": int(own["failed"].sum()), "silent": silent}
        counts["residual"] = own["residual"].max()
        yield {"part": "stress", "problem": "all", **row, **counts}
