"""The solver experiment: exact Newton against the conic program and the convex-concave procedure (CCP).

"stress": Gramians made hard in one way at a time (condition, task scales, conflict, tiny gradients, all three mixed), K = 2..20.
"recorded": Gramians of the reported hard+nash runs; the procedure goes along them warm, as in training.
"trained": models trained with the exact weights and with the procedure's, paired by seed.

A solver fails on a case where the residual max_t |a_t (M a)_t − 1| is above 1e-3 or there are no weights; it fails silently where
its own status nevertheless says solved. Programs are compiled once a K and not timed, which favours the procedure: code that
compiles one at every step pays that as well. Every case here has a solution (J has full rank, or Newton reaches it to rounding).
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from mtlstudy.study import frames
from mtlstudy.training.config import RunConfig
from mtlstudy.nash.newton import Status, nash_weights
from mtlstudy.nash.reference import ccp, conic
from mtlstudy.training.tune import study
from mtlstudy.study.solver_values import values

__all__ = ["run", "stress", "studies", "values"]
Array = NDArray[np.float64]
Solver = Callable[..., tuple[Array, str, int]]

DATA_SETS = ("multi_mnist", "yeast")
TRAINED = ("multi_mnist", "yeast")  # data sets on which models are trained with the procedure too
SIZES = (2, 3, 5, 8, 14, 20)
SEEDS = {"quick": (4, 2), "full": (13, 4)}  # draws of every family: for Newton, for the others
ALONG = {"quick": 90, "full": 400}  # recorded Gramians a data set
SOURCES = ("tuning", "frames", "data.multi_mnist", "data.yeast", "sharing.hard", "weighting.nash", "weighting.nash_ccp")


def __getattr__(name: str) -> Any:
    """`figures` and `tables`: how the experiment is shown, imported when asked for."""
    if name not in ("figures", "tables"):
        raise AttributeError(name)
    return import_module(f"{__name__}_{'values' if name == 'tables' else name}")


def studies(profile: str) -> list[str]:
    """Names of the study records that the experiment reads."""
    return [*(f"{data}.hard.nash.{profile}" for data in DATA_SETS), *(f"{data}.hard.nash_ccp.{profile}" for data in TRAINED)]


class Case(NamedTuple):
    """A game: its family, how hard it is (`level`), which draw, and the task gradients J (K, P)."""

    family: str
    level: float
    seed: int
    J: Array


def stress(profile: str) -> Iterator[Case]:
    """The stress set of a profile, the same in every call.

    random: normal gradients. condition: J Jᵀ has eigenvalues from 1 to 1/level. scale: row lengths spread evenly (in the
    logarithm) over a factor `level`. conflict: ± one direction plus `level` times noise. tiny: all lengths × level.
    mixed: conflict `level`, lengths spread over 1e4, then × 1e-2.
    """
    for seed in range(SEEDS[profile][0]):
        for K in SIZES:
            rng = np.random.default_rng([seed, K])
            shape = (K, 4 * K)
            sign = np.where(np.arange(K) % 2, 1.0, -1.0)[:, None]
            spread = np.linspace(0, 1, K)
            yield Case("random", 1.0, seed, rng.standard_normal(shape))
            for level in (1e2, 1e4, 1e6, 1e8, 1e10):
                Q = np.linalg.qr(rng.standard_normal((K, K)))[0]
                yield Case("condition", level, seed, Q * level ** (-spread / 2))
            for level in (1e1, 1e2, 1e3, 1e4):
                yield Case("scale", level, seed, rng.standard_normal(shape) * level ** rng.permutation(spread)[:, None])
            for level in (1e-1, 1e-2, 1e-3):
                yield Case("conflict", level, seed, sign * rng.standard_normal(4 * K) + level * rng.standard_normal(shape))
            for level in (1e-2, 1e-4, 1e-6, 1e-8):
                yield Case("tiny", level, seed, level * rng.standard_normal(shape))
            for level in (1e-1, 1e-2, 1e-3):
                J = sign * rng.standard_normal(4 * K) + level * rng.standard_normal(shape)
                yield Case("mixed", level, seed, 1e-2 * J * 1e4 ** rng.permutation(spread)[:, None])


def newton(M: Array) -> tuple[Array, str, int]:
    """The exact solver: weights (K,), status, iterations."""
    solution = nash_weights(torch.from_numpy(M))
    return solution.weights.numpy(), Status(int(solution.status)).name, int(solution.iterations)


def residual(M: Array, a: Array) -> float:
    """max_t |a_t (M a)_t − 1|, NaN where there are no weights."""
    return float(np.abs(a * (M @ a) - 1).max())


def measured(M: Array, solve: Solver, exact: Array) -> tuple[dict[str, Any], Array]:
    """One case by one solver: status, residual, seconds, iterations, largest relative difference to the exact weights."""
    begin = time.perf_counter()
    a, status, iterations = solve(M)
    seconds = time.perf_counter() - begin
    row = {"status": status, "residual": residual(M, a), "seconds": seconds, "iterations": iterations}
    return {**row, "difference": float(np.abs(a / exact - 1).max())}, a


def described(M: Array) -> dict[str, float]:
    """K, condition numbers of M and of its cosine matrix, ratio of the largest to the smallest gradient length."""
    length = np.sqrt(np.diag(M))
    cosine = M / length[:, None] / length
    conditions = {"condition": float(np.linalg.cond(M)), "cosine_condition": float(np.linalg.cond(cosine))}
    return {"K": len(M), **conditions, "scale": float(length.max() / length.min())}


def laws(J: Array, a: Array, rng: np.random.Generator) -> dict[str, float]:
    """What must hold at a solution, as errors measured on the gradients themselves and not on M: ‖Jᵀa‖² = K,
    ⟨g_t, d⟩ = 1 / a_t, and J → S J gives a → S⁻¹ a (S from 1e-3 to 1e3)."""
    d = J.T @ a
    S = 10 ** rng.uniform(-3, 3, len(a))
    scaled, _, _ = newton(S[:, None] * (J @ J.T) * S)
    return {
        "norm_error": float(abs(d @ d / len(a) - 1)),
        "gain_error": float(np.abs(a * (J @ d) - 1).max()),
        "scale_error": float(np.abs(S * scaled / a - 1).max()),
    }


REFERENCES: dict[str, Solver] = {"conic": conic, "ccp": ccp, "ccp_published": partial(ccp, published=True)}


def _stressed(profile: str) -> Iterator[dict[str, Any]]:
    for index, case in enumerate(stress(profile)):
        M = case.J @ case.J.T
        about = {"part": "stress", "family": case.family, "data": "", "case": index, "seed": case.seed, "level": case.level}
        about |= described(M)
        exact, _, _ = newton(M)
        row, _ = measured(M, newton, exact)
        rng = np.random.default_rng([7, index])
        yield {**about, "solver": "newton", **row, **laws(case.J, exact, rng)}
        if case.seed < SEEDS[profile][1]:
            for name, solve in REFERENCES.items():
                yield {**about, "solver": name, **measured(M, solve, exact)[0]}


def _recorded(data: str, profile: str) -> Iterator[dict[str, Any]]:
    """Newton solves all Gramians of a run in one batch (seconds: its share); the procedure starts each from its last weights."""
    runs = frames.gramians(data, "nash", profile)
    most = -(-ALONG[profile] // max(len(runs), 1))
    index = 0
    for seed, recorded in enumerate(runs):
        kept = recorded[np.unique(np.linspace(0, len(recorded) - 1, min(most, len(recorded))).round().astype(int))]
        begin = time.perf_counter()
        solution = nash_weights(kept)
        seconds = (time.perf_counter() - begin) / len(kept)
        last: dict[str, Array | None] = dict.fromkeys(REFERENCES)
        for i, M in enumerate(kept.numpy()):
            about = {"part": "recorded", "family": "recorded", "data": data, "case": index, "seed": seed, "level": float(i)}
            index += 1
            status = Status(int(solution.status[i]))
            exact = solution.weights[i].numpy()
            row = {"status": status.name, "residual": residual(M, exact), "seconds": seconds,
                   "iterations": int(solution.iterations[i]), "difference": 0.0}  # fmt: skip
            if status != Status.SOLVED:  # no solution, so nothing to hold the others to
                yield {**about, "K": len(M), "solver": "newton", **row}
                continue
            about |= described(M)
            yield {**about, "solver": "newton", **row}
            for name, solve in REFERENCES.items():
                warm = solve if name == "conic" else partial(solve, start=last[name])
                row, last[name] = measured(M, warm, exact)
                yield {**about, "solver": name, **row}


def _trained(profile: str) -> pd.DataFrame:
    """Test metrics of the models trained both ways, with the number of games and how many were not solved to 1e-3."""
    metrics, summary = frames.load(profile), frames.summary(profile)
    key = ["data", "sharing", "weighting", "seed"]
    metrics = metrics.merge(summary[summary["role"] == "final"][[*key, "games", "unsolved", "ms_per_step"]], on=key)
    of = metrics["data"].isin(TRAINED) & metrics["sharing"].eq("hard") & metrics["weighting"].isin(["nash", "nash_ccp"])
    kept = metrics[of & metrics["role"].eq("final") & metrics["split"].eq("test")]
    return kept[[*key, "status", "task", "metric", "higher_is_better", "value", "games", "unsolved", "ms_per_step"]]


def run(profile: str) -> dict[str, pd.DataFrame]:
    """The whole experiment: "solver", a row a case and solver (stress and recorded), and "solver_trained".

    Runs that are not there yet are trained; the models of the procedure take over what was tuned for hard+nash.
    """
    for data in DATA_SETS:
        tuned = study(RunConfig(data=data, weighting="nash", profile=profile))
        if data in TRAINED:
            study(RunConfig(data=data, weighting="nash_ccp", profile=profile), like=tuned.selected)
    for K in {*SIZES, *(M.shape[-1] for data in DATA_SETS for M in frames.gramians(data, "nash", profile))}:
        for solve in (newton, *REFERENCES.values()):
            solve(np.eye(K))  # compile, untimed
    rows = [*_stressed(profile), *(row for data in DATA_SETS for row in _recorded(data, profile))]
    return {"solver": pd.DataFrame(rows), "solver_trained": _trained(profile)}
