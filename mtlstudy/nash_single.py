"""One bargaining problem on the CPU: the Newton method of `mtlstudy.nash`, step for step, through NumPy and LAPACK.

For a small matrix nearly all of the time is the cost of a call; NumPy's is a fraction of torch's (`mtlstudy bench solver`).
Shapes and symbols as in `mtlstudy.nash`: M, C, H (K, K); w, v, D, b, s, gradient (K,); beta = 1 / α.
"""

from math import isfinite, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dposv

from .bargaining import Status

Array = NDArray[np.float64]
EPS, TINY = float(np.finfo(np.float64).eps), float(np.finfo(np.float64).tiny)
HALVES = 0.5 ** np.arange(16.0)


class Single(NamedTuple):
    """weights a (K,), NaN unless solved; status of `Status`; residual; iterations."""

    weights: Array
    status: int
    residual: float
    iterations: int


def solve(M: Array, w: Array | None, beta: float, start: Array | None, max_iterations: int) -> Single:
    """Solve M a = w a^(−β). w: None for 1 each; start: a warm start or None."""
    K, diagonal = len(M), M.diagonal()
    status = None if diagonal.min() >= TINY and isfinite(M.sum()) else ill_posed(M)  # a NaN or infinity shows in the sum
    if status is not None:
        return Single(np.full(K, np.nan), status, np.nan, 0)

    if K == 2 and w is None and beta == 1:
        return two(*M.ravel().tolist())
    D = 1 / np.sqrt(diagonal)
    C = D[:, None] * M * D
    C.flat[:: K + 1] = 1.0
    v = np.ones(K) if w is None else w
    v = v if beta == 1 else v * D ** (1 - beta)
    unit = 1.0 if w is None and beta == 1 else float(v.min()) ** (1 / (1 + beta))
    v = v / unit ** (1 + beta)

    b = np.full(K, (v.sum() / max(C.sum(), EPS)) ** (1 / (1 + beta)))
    if start is not None and start.min() > 0 and isfinite(start.sum()):
        warm = start / (D * unit)
        if objective(C, v, warm, beta) < objective(C, v, b, beta):
            b = warm
    status, iterations = Status.MAX_ITERATIONS, 0
    for _ in range(max_iterations):
        Cb = C @ b
        bCb = b * Cb
        barrier = v if beta == 1 else v * b ** (1 - beta)
        gradient = bCb - barrier
        if abs(bCb.sum()) < 64 * K * EPS * b.sum() ** 2:
            status = Status.PARETO_STATIONARY
            break
        H = b[:, None] * C * b
        H.flat[:: K + 1] += beta * barrier
        _, s, info = dposv(H.T, gradient, overwrite_a=1)
        if info > 0:
            status = Status.INDEFINITE
            break
        decrement = sqrt(max(gradient @ s, 0.0))  # λ; s is −δb / b
        iterations += 1
        largest = np.abs(gradient).max()
        at_floor = largest <= 2 * EPS * b.max() * b.sum() and (np.abs(gradient) <= 2 * EPS * b * (np.abs(C) @ b)).all()
        if at_floor:
            status = Status.SOLVED
            break
        t = 1.0 if decrement < 0.25 else line_search(C, v, b, -s, decrement, beta)
        b = b * (1 - t * s)
        if decrement <= 1e-6 and (beta == 1 or (np.abs(gradient) <= 1e-6 * barrier).all()):
            status = Status.SOLVED
            break
    if status != Status.SOLVED:
        return Single(np.full(K, np.nan), status, np.nan, iterations)
    a = D * b * unit
    product = (a if beta == 1 else a**beta) * (M @ a)
    residual = np.abs((product if w is None else product / w) - 1).max()
    return Single(a, status, residual, iterations)


def two(p: float, _: float, q: float, r: float) -> Single:
    """Two tasks of equal power, in closed form: a_t = 1 / (‖g_t‖ √(1 + cos)). M = ((p, q), (q, r))."""
    g1, g2 = sqrt(p), sqrt(r)
    gap = 1 + q / g1 / g2  # 1 + cos
    if gap <= 256 * EPS:  # where the general method stops, at the same angle
        return Single(np.full(2, np.nan), Status.PARETO_STATIONARY if gap > -256 * EPS else Status.INDEFINITE, np.nan, 1)
    root = sqrt(gap)
    a1, a2 = 1 / (g1 * root), 1 / (g2 * root)
    residual = max(abs(a1 * (p * a1 + q * a2) - 1), abs(a2 * (q * a1 + r * a2) - 1))
    return Single(np.array((a1, a2)), Status.SOLVED, residual, 1)


def ill_posed(M: Array) -> int | None:
    """Why a problem cannot be asked, as a `Status`; None where it can."""
    if not np.isfinite(M).all():
        return Status.NON_FINITE
    if (M.diagonal() <= -TINY).any():
        return Status.INDEFINITE
    return Status.ZERO_GRADIENT if (np.abs(M.diagonal()) < TINY).any() else None


def objective(C: Array, v: Array, b: Array, beta: float) -> Any:
    """f at b, up to a constant of the α-fair barrier."""
    gain = np.log(b) if beta == 1 else b ** (1 - beta) / (1 - beta)
    return 0.5 * (b @ (C @ b)) - v @ gain


def line_search(C: Array, v: Array, b: Array, s: Array, decrement: float, beta: float) -> Any:
    """The best of a geometric grid of steps on the ray b (1 + t s), and of 1 / (1 + λ)."""
    limit = min(0.95 / max(float(-s.min()), 0.05), 16.0)
    t = np.append(limit * HALVES, 1 / (1 + decrement))  # (T,)
    d = b * s
    Cd = C @ d
    ratio = 1 + t[:, None] * s  # (T, K)
    with np.errstate(invalid="ignore"):  # outside the barrier's domain a trial is NaN, and not taken
        gain = np.log(ratio) if beta == 1 else b ** (1 - beta) * (ratio ** (1 - beta) - 1) / (1 - beta)
    f = t * (b @ Cd) + 0.5 * t**2 * (d @ Cd) - gain @ v
    return t[np.where(np.isfinite(f), f, np.inf).argmin()]
