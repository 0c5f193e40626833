"""The solution of a bargaining problem: weights, and the named status of every case."""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
import torch
from torch import Tensor

EPS, TINY = torch.finfo(torch.float64).eps, torch.finfo(torch.float64).tiny

ROUNDED, SKEW = 1e-12, 0.05
"""Asymmetry |M_ij − M_ji| / √(M_ii M_jj) above which M was rounded to less than float64, so that
(M + Mᵀ) / 2 is solved, and above which it is no Gramian (bfloat16 rounds to 0.004)."""


class Status(IntEnum):
    """How a bargaining problem ended. Weights other than those of SOLVED are NaN."""

    SOLVED = 0
    """M a = w / a holds up to rounding: the residual is within `promised`. The one reached is in
    the solution; `nash_weights(tolerance=…)` asks for less."""
    PARETO_STATIONARY = 1
    """No solution: some y ≥ 0, y ≠ 0 has M y = 0 up to rounding; no direction helps every task."""
    ZERO_GRADIENT = 2
    """A task has no gradient; `BargainingSolution.zero` names it."""
    NON_FINITE = 3
    """The Gramian holds NaN or infinity."""
    MAX_ITERATIONS = 4
    """Newton's method did not reach its stopping test, or the residual is above the caller's
    tolerance."""
    INDEFINITE = 5
    """The matrix is no Gramian: a clearly negative eigenvalue, a negative diagonal entry, or it is
    not symmetric."""


def promised(condition: Any, K: Any) -> Any:
    """The residual that SOLVED promises, max(1e-10, max(10, K) · eps · cond(C)), for numbers or
    arrays of them. condition: of the cosines C (K, K) of the task gradients."""
    return np.maximum(1e-10, np.maximum(10, K) * EPS * condition)


@dataclass(frozen=True)
class BargainingSolution:
    """weights a (..., K) float64; (...): status of `Status`, iterations, and residual
    max_t |a_t (M a)_t / w_t − 1|; zero (..., K): the tasks without a gradient."""

    weights: Tensor
    status: Tensor
    residual: Tensor
    iterations: Tensor
    zero: Tensor

    @property
    def solved(self) -> Tensor:
        """(...) bool: where the weights may be used."""
        return self.status == Status.SOLVED

    def within(self, tolerance: float) -> "BargainingSolution":
        """The same, where a residual above the tolerance is not SOLVED but MAX_ITERATIONS."""
        missed = self.solved & ~(self.residual <= tolerance)
        weights = torch.where(missed[..., None], torch.nan, self.weights)
        status = torch.where(missed, int(Status.MAX_ITERATIONS), self.status)
        return replace(self, weights=weights, status=status)

    def describe(self) -> str:
        """One line for a person: statuses and how many, the largest residual reached, tasks without
        gradient by index."""
        counts = {s.name: int((self.status == s).sum()) for s in Status}
        line = ", ".join(f"{name} {n}" for name, n in counts.items() if n)
        zero = sorted(set(torch.nonzero(self.zero)[..., -1].tolist()))
        reached = self.residual[torch.isfinite(self.residual)]
        line += f", residual at most {float(reached.max()):.1g}" if len(reached) else ""
        return line + (f" (no gradient: task {', '.join(map(str, zero))})" if zero else "")
