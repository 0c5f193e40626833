r"""The same bargaining problem through a convex-programming library: two references.

Sources: Navon et al., *Multi-Task Learning as a Bargaining Game*, ICML 2022, arXiv 2202.01017
(Nash-MTL), section 3.2; the convex-concave procedure: Yuille & Rangarajan, *The Concave-Convex
Procedure*, Neural Computation 15(4), 2003; Clarabel: Goulart & Chen, arXiv 2405.12762.

M (K, K) is symmetric positive semidefinite with a positive diagonal; a (K,) weights, w (K,)
bargaining powers; the equation is M a = w / a. cvxpy is imported on the first call.

`conic`  minimises f(a) = ½ aᵀ M a − Σ_t w_t log a_t by an exponential-cone program.
`ccp`    is the paper's procedure: with φ_t(a) = log a_t + log (M a)_t, and φ̃ its linearisation at
         the last iterate,

             minimise  Σ_t (M a)_t + Σ_t φ̃_t(a)    subject to  −φ_t(a) ≤ 0,  a > 0,

         at most 20 times, each program started from the last iterate. The paper names no
         normalisation; here M is divided by its Frobenius norm n and the weights by √n, which
         leaves the problem the same exactly.
"""

import warnings
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mtlstudy.errors import InputError
from mtlstudy.nash.solution import EPS

Array = NDArray[np.float64]
FAILED = 1e-3
"""A `residual` above which a solver has failed."""


class Reference(NamedTuple):
    """weights a (K,), NaN if there are none; status: cvxpy's word on the last program ("optimal",
    "infeasible", …) or "solver_error"; iterations: of the cone solver, or programs solved (ccp)."""

    weights: Array
    status: str
    iterations: int


def residual(M: Array, a: Array) -> float:
    """max_t |a_t (M a)_t − 1|, NaN where there are no weights. M (K, K), a (K,)."""
    return float(np.abs(a * (M @ a) - 1).max())


def conic(gramian: ArrayLike, power: ArrayLike | None = None) -> Reference:
    """Minimise f by an exponential-cone program, in the unknown b of a = diag(M)^(−½) b.

    power: w (K,), 1 each if not given. Raises `InputError` for a wrong shape, values that are not
    finite, a diagonal or power that is not positive.

    >>> conic([[4.0, 0.0], [0.0, 1.0]]).weights.round(6).tolist()
    [0.5, 1.0]
    """
    M = _checked(gramian)
    w = np.ones(len(M)) if power is None else np.asarray(power, dtype=np.float64)
    if w.shape != (len(M),) or not (w > 0).all():
        raise InputError(f"power = {w.tolist()}: allowed are {len(M)} positive numbers")
    D = np.diag(M) ** -0.5
    C = D[:, None] * M * D  # (K, K) cosines
    values, vectors = np.linalg.eigh(C)
    problem, x, root, powers = _conic_problem(len(M))
    powers.value = w
    b = np.full(len(M), np.sqrt(w.sum() / max(C.sum(), EPS)))  # the best point on the ray of ones
    best = Reference(np.full(len(M), np.nan), "solver_error", 0)
    for tolerance in (1e-10, 1e-12):  # the second pass in units of the first solution: x near 1
        root.value = np.sqrt(values.clip(0))[:, None] * vectors.T * b  # (K, K): rootᵀ root = B C B
        tolerances = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), tolerance)
        status = _solve(problem, "CLARABEL", **tolerances)
        if x.value is None or (status != "optimal" and best.status == "optimal"):
            break
        b = b * x.value
        best = Reference(D * b, status, best.iterations + int(problem.solver_stats.num_iters))
    return best


def ccp(
    gramian: ArrayLike,
    start: ArrayLike | None = None,
    iterations: int = 20,
    solver: str = "CLARABEL",
    *,
    published: bool = False,
) -> Reference:
    """The convex-concave procedure of the Nash-MTL paper.

    Ends after `iterations` programs, when an iterate no longer moves (relative change < 1e-6), or
    when a program has no answer; the weights are then those of the last iterate, and the status
    tells. Like the procedure itself it does not check M a = 1/a. Where (M a)_t ≤ 0 at the start,
    the linearisation is formal (a logarithm outside its domain), as in the paper's code.

    start: a (K,) positive, the last solution; all ones for the normalised problem if not given.
    solver: of cvxpy, "CLARABEL", or "ECOS" as in the paper's code. published: start and stop as the
    code published with the paper does: first start at all ones whatever the scale of M, stop when
    ‖(M/n) a − 1/a‖ < 1e-3 at the iterate before (normalised matrix, raw weights) or when the raw
    weights move by less than 1e-6. Raises `InputError` for a wrong shape, values that are not
    finite, a start that is not positive, a solver that is not installed.
    """
    import cvxpy

    M = _checked(gramian)
    if solver not in (installed := cvxpy.installed_solvers()):
        hint = " (pip install ecos)" if solver == "ECOS" else ""
        raise InputError(f"solver = {solver!r} is not installed{hint}; installed: {installed}")
    norm = float(np.linalg.norm(M))
    G, unit = M / norm, np.sqrt(norm)  # a of the normalised problem = unit · a of M
    a = np.ones(len(M)) if start is None else unit * np.asarray(start, dtype=np.float64)
    if a.shape != (len(M),) or not (a > 0).all():
        raise InputError(f"start = {(a / unit).tolist()}: allowed are {len(M)} positive numbers")
    if published and start is None:
        a *= unit
    problem, variable, matrix, slope = _ccp_problem(len(M))
    matrix.value = G
    status, programs = "not_started", 0
    while programs < iterations:
        programs += 1
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            tangent = 1 / a + G @ (1 / (G @ a))  # ∇ Σφ
        if not np.isfinite(tangent).all():  # (G a)_t = 0: there is no linearisation
            status = "not_finite"
            break
        slope.value = tangent
        status = _solve(problem, solver)
        if variable.value is None:
            break
        if published and np.linalg.norm(G @ a / unit - unit / (a + 1e-10 * unit)) < 1e-3:
            break
        if not (variable.value > 0).all():
            status = "not_positive"
            break
        moved, a = variable.value - a, variable.value
        if (np.linalg.norm(moved / unit) if published else np.abs(moved / a).max()) < 1e-6:
            break
    return Reference(a / unit, status, programs)


def _checked(gramian: ArrayLike) -> Array:
    M = np.asarray(gramian, dtype=np.float64)
    if M.ndim != 2 or M.shape[0] != M.shape[1] or not len(M):
        raise InputError(f"gramian has shape {M.shape}; allowed: (K, K) with K ≥ 1")
    if not np.isfinite(M).all() or not (np.diag(M) > 0).all():
        raise InputError("gramian: every entry must be finite and every diagonal entry positive")
    return M


def _solve(problem: Any, solver: str, **options: Any) -> str:
    """Solve and give cvxpy's status; the variables hold None where there is no answer."""
    import cvxpy

    for variable in problem.variables():
        variable.value = None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Solution may be inaccurate")  # the status says it
        try:  # without a warm start: no state of an earlier matrix
            problem.solve(solver=solver, warm_start=False, **options)
        except cvxpy.SolverError:
            return "solver_error"
    return str(problem.status)


@lru_cache(maxsize=64)
def _conic_problem(K: int) -> tuple[Any, ...]:
    """Compiled once a K (disciplined parametrised programming): problem, x, root, powers."""
    import cvxpy as cp

    x, root, powers = cp.Variable(K), cp.Parameter((K, K)), cp.Parameter(K, nonneg=True)
    objective = cp.sum_squares(root @ x) / 2 - powers @ cp.log(x)
    return cp.Problem(cp.Minimize(objective)), x, root, powers


@lru_cache(maxsize=64)
def _ccp_problem(K: int) -> tuple[Any, ...]:
    """Compiled once a K: problem, a, matrix, slope (∇ Σφ at the last iterate)."""
    import cvxpy as cp

    a, matrix, slope = cp.Variable(K, nonneg=True), cp.Parameter((K, K)), cp.Parameter(K)
    Ga = matrix @ a
    objective = cp.sum(Ga) + slope @ a
    return cp.Problem(cp.Minimize(objective), [-cp.log(a) - cp.log(Ga) <= 0]), a, matrix, slope
