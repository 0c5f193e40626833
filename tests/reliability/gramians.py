"""Gramians of five kinds through the exact solver, each answer judged by what shares nothing with
it: residuals in NumPy, stationarity by non-negative least squares (Lawson & Hanson, *Solving Least
Squares Problems*, 1974), a sample by Newton's method in 50 digits.

Shapes: N games of K tasks, J (N, K, P), M = J Jᵀ (N, K, K) in the given width, C its cosines. With
Rᵀ R = C, min ‖R y‖² + (1 − Σ y)² over y ≥ 0 is m / (1 + m), m = min yᵀ C y over the simplex: no
direction helps every task where m is 0.
"""

from collections.abc import Iterator

import mpmath
import numpy as np
import torch
from scipy.optimize import nnls
from tqdm import tqdm

from mtlstudy import Status, nash_weights
from reliability import Outcome

KINDS = ("random", "scaled", "opposing", "deficient", "stationary")
WIDTHS = (torch.float64, torch.float32, torch.bfloat16)
EPS = float(np.finfo(float).eps)
BATCH, SAMPLE = 250, 2500
"""Games of one kind, K and width at once; one of so many is solved in 50 digits too."""


def run(count, seed):
    rng, tried, failed, statuses, exact = np.random.default_rng(seed), 0, 0, {}, []
    sampled = count // SAMPLE + 5
    every = max(count // sampled, 1)
    bar = tqdm(total=count, disable=None, leave=False)
    while tried < count:
        kind = KINDS[tried // min(BATCH, max(count // 20, 1)) % len(KINDS)]
        K = round(40 ** rng.random())
        J = torch.from_numpy(drawn(kind, min(BATCH, max(count // 20, 1)), K, rng))
        for width in WIDTHS:
            M = (J.to(width) @ J.to(width).mT) if width != torch.bfloat16 else (J @ J.mT).to(width)
            solution = nash_weights(M)
            games = M.double().numpy()
            games = (games + games.mT) / 2  # a product in float32 is symmetric to rounding only
            for n, wrong in enumerate(judged(games, solution)):
                failed += wrong
                tried += 1
                bar.update()
                if tried % every == 0 and bool(solution.solved[n]):
                    exact.append(distance(games[n], solution.weights[n].numpy()))
            for status in solution.status.tolist():
                statuses[Status(status).name] = statuses.get(Status(status).name, 0) + 1
    failed += sum(off > allowed for off, allowed in exact)
    details = {"kinds": len(KINDS), "tasks": 40, "exact": len(exact)}
    details["twelve"] = sum(off <= 1e-12 for off, _ in exact)
    details["largest"] = float(max((off for off, _ in exact), default=0.0))
    return Outcome(tried, failed, {**details, **{s.lower(): n for s, n in statuses.items()}})


def drawn(kind, N, K, rng):
    """Task gradients J (N, K, P) of a kind, in float64."""
    P = 2 * K + 3
    J = rng.standard_normal((N, K, P))
    if kind == "scaled":
        J *= 10 ** rng.uniform(-8, 8, (N, K, 1))
    elif kind == "opposing":  # ± one direction, and a little beside it
        line, sign = rng.standard_normal((N, 1, P)), np.where(np.arange(K) % 2, 1.0, -1.0)
        J = sign[:, None] * line + 10 ** rng.uniform(-5, -0.5, (N, 1, 1)) * J
    elif kind == "deficient":  # of rank r < K, and one direction helps every task
        J = J[:, :, : rng.integers(1, max(K, 2))]
        J[:, :, 0] = rng.uniform(0.2, 2, (N, K))
    elif kind == "stationary" and K > 1:  # Σ y_t g_t = 0
        y = rng.uniform(0.2, 5, (N, K, 1))
        J[:, -1] = -(y[:, :-1] * J[:, :-1]).sum(1) / y[:, -1]
    return J


def judged(M, solution) -> Iterator[bool]:
    """Of every game whether its answer is wrong. M (N, K, K) in float64, symmetric."""
    K = M.shape[-1]
    length = np.sqrt(np.diagonal(M, axis1=1, axis2=2))
    C = M / length[:, :, None] / length[:, None, :]
    values, vectors = np.linalg.eigh(C)
    a, status = solution.weights.numpy(), solution.status.numpy()
    residuals = np.abs(a * (M @ a[:, :, None])[:, :, 0] - 1).max(1)
    no_gramian = values[:, 0] < -EPS  # rounding to the width has made an eigenvalue negative
    condition = values[:, -1] / np.abs(values[:, 0]).clip(1e-300)
    terms = (a * (np.abs(M) @ a[:, :, None])[:, :, 0]).max(1)  # where there is no condition
    bounds = np.maximum(1e-10, max(10, K) * EPS * np.where(no_gramian, terms, condition))
    bounds = np.minimum(bounds, 1e-2)  # of singular cosines, too, the equation has to hold
    one = np.zeros(K + 1)
    one[-1] = 1.0
    for n in range(len(M)):
        root = np.sqrt(values[n].clip(0))[:, None] * vectors[n].T
        y = nnls(np.vstack([root, np.ones(K)]), one, maxiter=1000 * K)[0]
        least = float(y @ C[n] @ y) / float(y.sum()) ** 2
        rounding = 64 * K * EPS  # what the solver calls 0
        if status[n] == Status.SOLVED:
            positive = np.isfinite(a[n]).all() and (a[n] > 0).all()
            some = no_gramian[n] or least > rounding / 16
            yield not (positive and residuals[n] <= bounds[n] and some)
        else:  # what is no Gramian may be refused under any name
            none = status[n] == Status.PARETO_STATIONARY and least < 16 * rounding
            yield not ((none or no_gramian[n]) and np.isnan(a[n]).all())


def distance(M, a):
    """Largest relative difference of the weights a (K,) from those in 50 digits, and what rounding
    a product M a in float64 allows: 12 digits, or K eps times its largest term."""
    with mpmath.workdps(50):
        A, x = mpmath.matrix(M.tolist()), mpmath.matrix(a.tolist())
        for _ in range(50):
            gradient = mpmath.matrix([g - 1 / t for g, t in zip(A * x, x, strict=True)])
            H = A + mpmath.diag([1 / t**2 for t in x])
            step = mpmath.lu_solve(H, gradient)
            x -= step
            if max(abs(s / t) for s, t in zip(step, x, strict=True)) < mpmath.mpf(10) ** -40:
                break
        off = float(max(abs(b / t - 1) for b, t in zip(a.tolist(), x, strict=True)))
    terms = float((a * (np.abs(M) @ a)).max())
    return off, max(1e-12, len(a) * EPS * terms)
