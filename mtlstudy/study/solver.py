"""The solver study: exact Newton against a conic program and the convex-concave procedure (CCP).

"stress": Gramians made hard in one way at a time (condition, task scales, conflict, tiny gradients,
all of these mixed), K = 2..20. "recorded": Gramians of the reported hard+nash runs; the procedure
goes along them warm, as in training. Models trained with the procedure's weights are runs of the
plan (comparison "solver") and stand in no frame here.

A solver fails on a case where the residual max_t |a_t (M a)_t − 1| is above 1e-3 or there are no
weights; it fails silently where its own status nevertheless says solved. Programs are compiled once
a K and not timed, which favours the procedure. Every stress case has a solution (J has full rank,
or Newton reaches it to rounding). Seconds are compared within one computation, never across.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from mtlstudy.nash import Status, nash_weights
from mtlstudy.nash.reference import ccp, conic
from mtlstudy.study import plan, results

Array = NDArray[np.float64]
Solver = Callable[..., tuple[Array, str, int]]
"""M (K, K) → weights (K,), status, iterations."""

VERSION = 1
FAILED = 1e-3
SOLVED = ("SOLVED", "optimal")
SIZES = (2, 3, 5, 8, 14, 20)
SEEDS = {"quick": (4, 2), "full": (13, 4)}
"""Draws of every family: for Newton, for the others."""
RECORDED = {"quick": 90, "full": 400}
"""Recorded Gramians a data set."""


class Case(NamedTuple):
    """A game: its family, how hard it is (`level`), which draw, and the task gradients J (K, P)."""

    family: str
    level: float
    seed: int
    J: Array


def stress(profile: str) -> Iterator[Case]:
    """The stress set of a profile, the same in every call.

    random: normal gradients. condition: J Jᵀ has eigenvalues from 1 to 1/level. scale: row lengths
    spread evenly (in the logarithm) over a factor `level`. conflict: ± one direction plus `level`
    times noise. tiny: all lengths × level. mixed: conflict `level`, lengths spread over 1e4, then
    × 1e-2.
    """
    for seed in range(SEEDS[profile][0]):
        for K in SIZES:
            rng = np.random.default_rng([seed, K])
            normal = partial[Array](rng.standard_normal, (K, 4 * K))
            line = partial[Array](rng.standard_normal, 4 * K)
            sign = np.where(np.arange(K) % 2, 1.0, -1.0)[:, None]
            spread = np.linspace(0, 1, K)
            yield Case("random", 1.0, seed, normal())
            for level in (1e2, 1e4, 1e6, 1e8, 1e10):
                Q = np.linalg.qr(rng.standard_normal((K, K)))[0]
                yield Case("condition", level, seed, Q * level ** (-spread / 2))
            for level in (1e1, 1e2, 1e3, 1e4):
                J = normal()
                yield Case("scale", level, seed, J * level ** rng.permutation(spread)[:, None])
            for level in (1e-1, 1e-2, 1e-3):
                yield Case("conflict", level, seed, sign * line() + level * normal())
            for level in (1e-2, 1e-4, 1e-6, 1e-8):
                yield Case("tiny", level, seed, level * normal())
            for level in (1e-1, 1e-2, 1e-3):
                J = sign * line() + level * normal()
                J = 1e-2 * J * 1e4 ** rng.permutation(spread)[:, None]
                yield Case("mixed", level, seed, J)


def newton(M: Array) -> tuple[Array, str, int]:
    """The exact solver."""
    solution = nash_weights(torch.from_numpy(M))
    status = Status(int(solution.status)).name
    return solution.weights.numpy(), status, int(solution.iterations)


REFERENCES: dict[str, Solver] = {
    "conic": conic,
    "ccp": ccp,
    "ccp_published": partial(ccp, published=True),
}
SOLVERS = ("newton", *REFERENCES)


def residual(M: Array, a: Array) -> float:
    """max_t |a_t (M a)_t − 1|, NaN where there are no weights."""
    return float(np.abs(a * (M @ a) - 1).max())


def bound(cosine_condition: Any) -> Any:
    """The residual that `Status.SOLVED` promises, by the condition of the cosine matrix C."""
    return np.maximum(1e-10, 10 * np.finfo(float).eps * cosine_condition)


def measured(M: Array, solve: Solver, exact: Array) -> tuple[dict[str, Any], Array]:
    """One case by one solver: status, residual, seconds, iterations, and the largest relative
    difference to the exact weights; and its weights."""
    begin = time.perf_counter()
    a, status, iterations = solve(M)
    seconds = time.perf_counter() - begin
    row = {"status": status, "residual": residual(M, a), "seconds": seconds}
    return row | {"iterations": iterations, "difference": float(np.abs(a / exact - 1).max())}, a


def described(M: Array) -> dict[str, float]:
    """K, condition numbers of M and of its cosine matrix, longest over shortest gradient."""
    length = np.sqrt(np.diag(M))
    return {
        "K": len(M),
        "condition": float(np.linalg.cond(M)),
        "cosine_condition": float(np.linalg.cond(M / length[:, None] / length)),
        "scale": float(length.max() / length.min()),
    }


def laws(J: Array, a: Array, rng: np.random.Generator) -> dict[str, float]:
    """What must hold at a solution, as errors measured on the gradients themselves and not on M:
    ‖Jᵀa‖² = K, ⟨g_t, d⟩ = 1 / a_t, and J → S J gives a → S⁻¹ a (S from 1e-3 to 1e3)."""
    d = J.T @ a
    S = 10 ** rng.uniform(-3, 3, len(a))
    scaled, _, _ = newton(S[:, None] * (J @ J.T) * S)
    return {
        "norm_error": float(abs(d @ d / len(a) - 1)),
        "gain_error": float(np.abs(a * (J @ d) - 1).max()),
        "scale_error": float(np.abs(S * scaled / a - 1).max()),
    }


def stressed(profile: str) -> Iterator[dict[str, Any]]:
    """The rows of the stress set."""
    for index, (family, level, seed, J) in enumerate(stress(profile)):
        M = J @ J.T
        about = {"part": "stress", "family": family, "data": "", "case": index, "seed": seed}
        about |= {"level": level, **described(M)}
        exact, _, _ = newton(M)
        own = {**measured(M, newton, exact)[0], **laws(J, exact, np.random.default_rng([7, index]))}
        yield {**about, "solver": "newton", **own}
        if seed < SEEDS[profile][1]:
            for name, solve in REFERENCES.items():
                yield {**about, "solver": name, **measured(M, solve, exact)[0]}


def along(data: str, runs: list[torch.Tensor], profile: str) -> Iterator[dict[str, Any]]:
    """The rows of the Gramians (steps, K, K) recorded in some runs on a data set.

    Newton solves all of a run in one batch (seconds: its share); the procedure starts each from its
    last weights. Where there is no solution the others are held to nothing and have no row.
    """
    most = -(-RECORDED[profile] // max(len(runs), 1))
    index = 0
    for seed, gramians in enumerate(runs):
        n = len(gramians)
        gramians = gramians[np.unique(np.linspace(0, n - 1, min(most, n)).round().astype(int))]
        begin = time.perf_counter()
        solution = nash_weights(gramians)
        seconds = (time.perf_counter() - begin) / len(gramians)
        last: dict[str, Array | None] = dict.fromkeys(REFERENCES)
        for i, M in enumerate(gramians.numpy()):
            about = {"part": "recorded", "family": "recorded", "data": data, "case": index}
            about |= {"seed": seed, "level": float(i), "K": len(M)}
            index += 1
            status, exact = Status(int(solution.status[i])), solution.weights[i].numpy()
            own = {"status": status.name, "residual": residual(M, exact), "seconds": seconds}
            own |= {"iterations": int(solution.iterations[i]), "difference": 0.0}
            if status != Status.SOLVED:
                yield {**about, "solver": "newton", **own}
                continue
            about |= described(M)
            yield {**about, "solver": "newton", **own}
            for name, solve in REFERENCES.items():
                warm = solve if name == "conic" else partial(solve, start=last[name])
                own, last[name] = measured(M, warm, exact)
                yield {**about, "solver": name, **own}


def compute(profile: str) -> dict[str, pd.DataFrame]:
    """The frame "solver", a row a case and solver; runs that are missing are trained first."""
    runs = {name: results.gramians(name, profile) for name in plan.COMPARISONS["solver"].data}
    recorded = [gramians.shape[-1] for own in runs.values() for gramians in own]
    for K in {*SIZES, *recorded}:
        for solve in (newton, *REFERENCES.values()):
            solve(np.eye(K))  # compile, untimed
    rows = [
        *stressed(profile),
        *(row for data, own in runs.items() for row in along(data, own, profile)),
    ]
    return {"solver": pd.DataFrame(rows)}
