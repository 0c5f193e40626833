"""The solver alone: exact Newton beside the convex-concave procedure (CCP) in its versions, and beside a conic program.

"single": one well-conditioned Gramian J Jᵀ, J (K, 4K) normal; ms of a call.
"batched": N of them at once beside a loop over them; ms of a matrix, `batch` = N.
"stress": the stress set of `experiments.solver`; "stress_family": the same, a row a family. failed: a residual above 1e-3 or no
weights; silent: failed though its status says solved, or it has no status; residual: the worst; ms: the median over the cases.
"stress_bound": failed counts what is above the residual max(1e-10, 10 · eps · cond(C)) that `Status.SOLVED` promises.

The package's own programs (`nash_reference`) have the form that cvxpy compiles once a K; that is not timed, `ccp_compile` is such
a first call. The published code and its descendants (torchjd, peers) build their program once as well, but in a form that cvxpy
compiles anew in every solution, which is part of their time. All start cold but `newton_warm`, which starts from the solution of
a Gramian that is about 1 % away.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from mtlstudy.nash import reference as nash_reference
from mtlstudy.errors import InputError
from mtlstudy.study.solver import SEEDS, SIZES, residual, stress
from mtlstudy.nash.newton import Status, nash_weights
from mtlstudy.nash.reference import ccp, conic
from mtlstudy.bench import record
from mtlstudy.bench import timing
from mtlstudy.bench.peers import Peer, ready

BASELINE = {"single": "newton", "batched": "one_by_one", **dict.fromkeys(("stress", "stress_family", "stress_bound"), "newton")}
Array = NDArray[np.float64]
SINGLE = {"quick": (2, 3, 5, 8, 11, 20, 40), "full": (2, 3, 5, 8, 11, 14, 20, 30, 40, 80)}
BATCHED = {"quick": (5,), "full": (5, 11)}
AT_ONCE = (1, 4, 16, 64, 256, 1024)
ROUNDS = {"quick": (30, 6.0), "full": (200, 60.0)}
"""Rounds, and seconds that the samples of one K may take."""
CCP_UP_TO = 20
FAILED = 1e-3


class Game(NamedTuple):
    """J (K, P) and its Gramian M (K, K), as an array and as a tensor on the device."""

    J: Array
    M: Array
    tensor: torch.Tensor


Solver = Callable[[Game], tuple[Array, str]]
"""A game → weights (K,), status: "SOLVED" or "optimal" where it says that it has solved it, "" where it says nothing."""


def game(J: Array, device: str = "cpu") -> Game:
    """The game of task gradients J (K, P)."""
    M = J @ J.T
    return Game(J, M, torch.from_numpy(M).to(device))


def newton(posed: Game, start: torch.Tensor | None = None) -> tuple[Array, str]:
    """The exact solver."""
    solution = nash_weights(posed.tensor, start=start)
    return solution.weights.cpu().numpy(), Status(int(solution.status)).name


def reference(solve: Callable[..., nash_reference.Reference], **options: Any) -> Solver:
    """A reference of the package."""

    def call(posed: Game) -> tuple[Array, str]:
        found = solve(posed.M, **options)
        return found.weights, found.status

    return call


@cache
def torchjd_nash(K: int) -> Any:
    """torchjd's own weighting for K tasks; `InputError` where the library or its solver is missing."""
    try:
        from torchjd.aggregation import NashMTL

        return NashMTL(n_tasks=K).weighting
    except ImportError as missing:
        raise InputError(f"torchjd's NashMTL: {str(missing).splitlines()[0]}; pip install 'mtlstudy[study,peers]'") from None


def torchjd(posed: Game) -> tuple[Array, str]:
    """torchjd's NashMTL from a cold start; the weights before their clipping. It has no status."""
    method = torchjd_nash(len(posed.M))
    method.prvs_alpha = np.ones(len(posed.M), dtype=np.float32)
    method(torch.from_numpy(posed.J))
    return np.asarray(method.prvs_alpha, dtype=np.float64), ""


def by_peer(peer: Peer) -> Solver:
    """A peer's own procedure. It has no status."""
    made: dict[int, Callable[[Array], Array]] = {}

    def call(posed: Game) -> tuple[Array, str]:
        K = len(posed.M)
        if K not in made:
            made[K] = peer.solver(K)
        return np.asarray(made[K](posed.M), dtype=np.float64), ""

    return call


def solvers(peers: Sequence[Peer], notes: list[str]) -> dict[str, Solver]:
    """Everything that is here, Newton first; what is missing is a line in `notes`."""
    found: dict[str, Solver] = {"newton": newton, "conic": reference(conic), "ccp": reference(ccp)}
    found["ccp_published"] = reference(ccp, published=True)
    for name, needs, solve in (
        ("ccp_ecos", partial(ready, "ccp_ecos"), reference(ccp, published=True, solver="ECOS")),
        ("torchjd", partial(torchjd_nash, 2), torchjd),
    ):
        try:
            needs()
            found[name] = solve
        except InputError as missing:
            notes.append(f"{missing}; left out")
    return found | {peer.method: by_peer(peer) for peer in peers}


def run(profile: str, device: str = "cpu", peers: Sequence[Peer] = ()) -> tuple[pd.DataFrame, list[str]]:
    """The whole benchmark: a frame of `record.COLUMNS`, and what was left out."""
    notes: list[str] = []
    found = solvers(peers, notes)
    rows = [*_single(profile, device, found), *_batched(profile, device), *_stressed(profile, found)]
    notes.append(f"the procedure and its relatives: K ≤ {CCP_UP_TO} in single")
    return record.frame(rows), notes


def _single(profile: str, device: str, found: Mapping[str, Solver]) -> Iterator[dict[str, Any]]:
    rounds, seconds = ROUNDS[profile]
    for K in SINGLE[profile]:
        rng = np.random.default_rng(K)
        J = rng.standard_normal((K, 4 * K))
        posed, near = game(J, device), game(J + 0.01 * rng.standard_normal(J.shape), device)
        start = nash_weights(near.tensor).weights
        here = {name: solve for name, solve in found.items() if K <= CCP_UP_TO or name in ("newton", "conic")}
        here["newton_warm"] = partial(newton, start=start)
        if K <= CCP_UP_TO:
            here["ccp_compile"] = _compiled_anew
        yield from timed("single", posed, here, rounds, seconds, device, BASELINE["single"])


def _compiled_anew(posed: Game) -> tuple[Array, str]:
    nash_reference._ccp_problem.cache_clear()  # what is compiled now serves the next calls
    found = ccp(posed.M)
    return found.weights, found.status


def timed(
    part: str, posed: Game, found: Mapping[str, Solver], rounds: int, seconds: float, device: str, baseline: str
) -> Iterator[dict[str, Any]]:
    """A row a solver on one game, timed in turns, with the residual of its weights."""
    calls: dict[str, timing.Call | timing.Fresh] = {name: partial(solve, posed) for name, solve in found.items()}
    calls["newton"] = partial(nash_weights, posed.tensor)  # the call itself, nothing read from it
    samples = timing.interleaved(calls, rounds, seconds=seconds, device=device)
    for row in timing.summary(samples, baseline):
        error = residual(posed.M, found[row["method"]](posed)[0])
        yield {"part": part, "problem": "random", "K": len(posed.M), **row, "residual": error}


def _batched(profile: str, device: str) -> Iterator[dict[str, Any]]:
    rounds, seconds = ROUNDS[profile]
    for K in BATCHED[profile]:
        J = torch.randn(max(AT_ONCE), K, 4 * K, generator=torch.Generator().manual_seed(K), dtype=torch.float64)
        M = (J @ J.mT).to(device)
        for N in AT_ONCE:
            part = M[:N]
            calls: dict[str, timing.Call | timing.Fresh] = {
                "newton": partial(nash_weights, part),
                "one_by_one": partial(_one_by_one, part),
            }
            samples = timing.interleaved(calls, rounds, seconds=seconds, device=device, parts=dict.fromkeys(calls, N))
            worst = float(nash_weights(part).residual.max())
            for row in timing.summary(samples, BASELINE["batched"]):
                yield {"part": "batched", "problem": "random", "K": K, "batch": N, **row, "residual": worst}


def _one_by_one(M: torch.Tensor) -> None:
    for one in M:
        nash_weights(one)


def _stressed(profile: str, found: Mapping[str, Solver]) -> Iterator[dict[str, Any]]:
    few = SEEDS[profile][1] if profile == "full" else 1  # draws of every family for the slow ones
    for K in SIZES:
        for solve in found.values():
            solve(game(np.eye(K)))  # compile, untimed
    rows = []
    for index, case in enumerate(stress(profile)):
        posed = game(case.J)
        length = np.sqrt(np.diag(posed.M))
        bound = max(1e-10, 10 * np.finfo(float).eps * float(np.linalg.cond(posed.M / length[:, None] / length)))
        for name, solve in found.items():
            if name == "newton" or case.seed < few:
                rows.append({"family": case.family, "method": name, "round": index, "bound": bound, **_case(posed, solve)})
    cases = pd.DataFrame(rows)
    bounded = cases.assign(failed=~(cases["residual"] <= cases["bound"]), silent=None)
    yield from _counted("stress", "all", cases)
    yield from _counted("stress_bound", "all", bounded)
    for family, own in cases.groupby("family", sort=False):
        yield from _counted("stress_family", str(family), own)


def _case(posed: Game, solve: Solver) -> dict[str, Any]:
    answer: list[tuple[Array, str]] = []
    seconds = timing.once(lambda: answer.append(solve(posed)))
    a, status = answer[0]
    error = residual(posed.M, a)
    failed = not error <= FAILED
    silent = failed and (status in ("SOLVED", "optimal") or (not status and bool(np.isfinite(a).all())))
    return {"seconds": seconds, "residual": error, "failed": failed, "silent": silent}


def _counted(part: str, problem: str, cases: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """A row a method; repeats: one measurement a case."""
    for row in timing.summary(cases, BASELINE[part]):
        own = cases[cases["method"] == row["method"]]
        silent = None if own["silent"].isna().all() else int(own["silent"].sum())
        counts = {"cases": len(own), "failed": int(own["failed"].sum()), "silent": silent}
        yield {"part": part, "problem": problem, **row, **counts, "residual": float(own["residual"].max())}
