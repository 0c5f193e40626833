"""The Newton method of `mtlstudy.nash` on the CPU, one problem after another, compiled by Numba.

A small problem is a few hundred operations, so through an array library nearly all of its time
would be the cost of calls (`mtlstudy bench solver`). Nothing is reordered (no fast-math): the same
input gives the same bits. Numba stores the compiled code beside this file, or in its own cache
where that folder is read-only, and makes it anew when this file changes: what it takes from other
files (`Status`, the machine precision) must be what never changes.
Shapes and symbols as in `newton`: M, C, H (K, K); w, v, D, b, s, gradient (K,); beta = 1 / α.
"""

from collections.abc import Callable
from math import inf, log, nan, sqrt
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mtlstudy.nash.solution import EPS, ROUNDED, SKEW, TINY, Status

Array = NDArray[np.float64]
SOLVED, STATIONARY, ZERO_GRADIENT, NON_FINITE, MAX_ITERATIONS, INDEFINITE = map(int, Status)
TRIALS = 16


def compiled(function: Callable[..., Any]) -> Any:
    """The function through Numba, on its first call; stored on disk where a folder is writable."""
    try:
        return njit(cache=True, error_model="numpy")(function)
    except RuntimeError:
        return njit(error_model="numpy")(function)


@compiled
def solve(M: Array, w: Array, beta: float, start: Array, max_iterations: int) -> Any:
    """M (N, K, K), w, start (N, K), all contiguous; no warm start where start is 0.

    Gives a (N, K), status, residual, iterations (N,), zero (N, K): tasks without a gradient."""
    N, K = w.shape
    a, residual = np.full((N, K), nan), np.full(N, nan)
    status, iterations = np.empty(N, np.int64), np.zeros(N, np.int64)
    zero = np.empty((N, K), np.bool_)
    for n in range(N):
        zero[n] = np.abs(np.diag(M[n])) < TINY
        status[n] = posed(M[n])
        if status[n] == MAX_ITERATIONS:
            skew = asymmetry(M[n])
            if skew > SKEW:
                status[n] = INDEFINITE
            elif skew > ROUNDED:
                M[n] = (M[n] + M[n].T) / 2
        if status[n] == MAX_ITERATIONS:
            status[n], iterations[n] = newton(M[n], w[n], beta, start[n], max_iterations, a[n])
        if status[n] == SOLVED:
            residual[n] = error(M[n], w[n], beta, a[n])
    return a, status, residual, iterations, zero


@compiled
def posed(M: Array) -> int:
    """Why a problem cannot be asked, as a `Status`; MAX_ITERATIONS where it can."""
    if not np.isfinite(M).all():
        return NON_FINITE
    lowest = np.diag(M).min()
    if lowest <= -TINY:
        return INDEFINITE
    return ZERO_GRADIENT if lowest < TINY else MAX_ITERATIONS


@compiled
def asymmetry(M: Array) -> float:
    """The largest |M_ij − M_ji| / √(M_ii M_jj)."""
    largest = 0.0
    for i in range(len(M)):
        for j in range(i):
            largest = max(largest, abs(M[i, j] - M[j, i]) / sqrt(M[i, i]) / sqrt(M[j, j]))
    return largest


@compiled
def newton(M: Array, w: Array, beta: float, start: Array, max_iterations: int, a: Array) -> Any:
    """Status and iterations of the damped Newton method; fills a (K,) where it gives SOLVED."""
    K = len(w)
    C, H, D, v = np.empty((K, K)), np.empty((K, K)), 1 / np.sqrt(np.diag(M)), np.empty(K)
    barrier, gradient, mass, total = np.empty(K), np.empty(K), 0.0, 0.0
    for i in range(K):
        v[i] = w[i] * power(D[i], 1 - beta)
    unit = power(v.min(), 1 / (1 + beta))
    for i in range(K):
        v[i] /= power(unit, 1 + beta)
        mass += v[i]
        for j in range(K):
            C[j, i] = D[i] * M[i, j] * D[j] if i != j else 1.0
            total += C[j, i]
    b = np.full(K, power(mass / max(total, EPS), 1 / (1 + beta)))  # the best on the ray of ones
    s = start / (D * unit)
    if objective(C, v, s, beta) < objective(C, v, b, beta):
        b, s = s, b

    for iteration in range(max_iterations):
        Cb = times(C, b)
        even = True
        for i in range(K):
            barrier[i] = v[i] * power(b[i], 1 - beta)
            gradient[i] = s[i] = b[i] * Cb[i] - barrier[i]
            even = even and (beta == 1 or abs(gradient[i]) <= 1e-6 * barrier[i])
            for j in range(i, K):
                H[i, j] = b[i] * C[i, j] * b[j]
            H[i, i] += beta * barrier[i]
        if abs(dot(b, Cb)) < 64 * K * EPS * b.sum() ** 2:
            return STATIONARY, iteration
        if not cholesky_solve(H, s):  # s is −δb / b
            return INDEFINITE, iteration
        decrement = sqrt(max(dot(gradient, s), 0.0))  # λ
        done = at_floor(C, b, gradient)
        if not done:
            t = 1.0 if decrement < 0.25 else line_search(C, v, b, s, decrement, beta, Cb)
            b *= 1 - t * s
        if done or (decrement <= 1e-6 and even):
            a[:] = D * b * unit
            return SOLVED, iteration + 1
    return MAX_ITERATIONS, max_iterations


@compiled
def power(x: float, exponent: float) -> float:
    """x^exponent, without the cost of it where β = 1."""
    if exponent == 0:
        return 1.0
    if exponent == 2:
        return x * x
    return sqrt(x) if exponent == 0.5 else x**exponent


@compiled
def dot(x: Array, y: Array) -> float:
    """xᵀ y."""
    total = 0.0
    for i in range(len(x)):
        total += x[i] * y[i]
    return total


@compiled
def times(C: Array, b: Array) -> Array:
    """Cᵀ b; C is held transposed, as M is symmetric only to rounding: so the inner loop has
    independent sums."""
    product = np.zeros(len(b))
    for j in range(len(b)):
        for i in range(len(b)):
            product[i] += C[j, i] * b[j]
    return product


@compiled
def cholesky_solve(H: Array, s: Array) -> bool:
    """s ← H⁻¹ s by H = Uᵀ U in the upper triangle of H; false where H is not positive definite."""
    K = len(s)
    for j in range(K):
        if not H[j, j] > 0:
            return False
        root = sqrt(H[j, j])
        s[j] /= root
        for i in range(j, K):
            H[j, i] /= root
        for i in range(j + 1, K):
            s[i] -= s[j] * H[j, i]
            for k in range(i, K):
                H[i, k] -= H[j, i] * H[j, k]
    for j in range(K - 1, -1, -1):
        s[j] = (s[j] - dot(H[j, j + 1 :], s[j + 1 :])) / H[j, j]
    return True


@compiled
def at_floor(C: Array, b: Array, gradient: Array) -> bool:
    """Whether every entry of the gradient is rounding."""
    for i in range(len(b)):
        reach = dot(np.abs(C[i]), b)
        if abs(gradient[i]) > 2 * EPS * b[i] * reach:
            return False
    return True


@compiled
def error(M: Array, w: Array, beta: float, a: Array) -> float:
    """max_t |a_t^β (M a)_t / w_t − 1|; NaN stays NaN."""
    worst = 0.0
    for i in range(len(a)):
        worst = np.maximum(worst, abs(power(a[i], beta) * dot(M[i], a) / w[i] - 1))
    return worst


@compiled
def objective(C: Array, v: Array, b: Array, beta: float) -> float:
    """f at b up to a constant of the α-fair barrier; infinite outside its domain."""
    Cb, f = times(C, b), 0.0
    for i in range(len(b)):
        if not 0 < b[i] < inf:
            return inf
        gain = log(b[i]) if beta == 1 else b[i] ** (1 - beta) / (1 - beta)
        f += 0.5 * b[i] * Cb[i] - v[i] * gain
    return f


@compiled
def line_search(
    C: Array, v: Array, b: Array, s: Array, decrement: float, beta: float, Cb: Array
) -> float:
    """The best of a geometric grid of steps on the ray b (1 − t s), and of 1 / (1 + λ)."""
    d, best, lowest = -b * s, 0.0, inf
    linear, quadratic = dot(d, Cb), 0.5 * dot(d, times(C, d))
    longest = min(0.95 / max(0.05, s.max()), 16.0)
    for trial in range(TRIALS + 1):
        t = longest * 0.5**trial if trial < TRIALS else 1 / (1 + decrement)
        f = t * linear + t * t * quadratic
        for i in range(len(b)):
            ratio = 1 - t * s[i]
            if not ratio > 0:
                f = inf
            elif beta == 1:
                f -= v[i] * log(ratio)
            else:
                f -= v[i] * b[i] ** (1 - beta) * (ratio ** (1 - beta) - 1) / (1 - beta)
        if f < lowest:
            best, lowest = t, f
    return best
