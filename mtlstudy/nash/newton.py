r"""Nash bargaining weights, solved exactly.

Source: Navon et al., *Multi-Task Learning as a Bargaining Game*, ICML 2022, arXiv 2202.01017
(Nash-MTL); the α-fair family: Ban & Ji, *Fair Resource Allocation in Multi-Task Learning*, ICML
2024, arXiv 2402.15638 (FairGrad).

K tasks with gradients g_1 … g_K, the rows of J (K, P); their Gramian is M = J Jᵀ (K, K). The update
d = Jᵀ a that the tasks agree on has a > 0 and

    M a = w / a                                       (w = bargaining powers, 1 in the paper)

which is the stationarity condition of the strictly convex, self-concordant function

    f(a) = ½ aᵀ M a − Σ_t w_t log a_t.

The paper approaches it by a sequence of convex programs; here a damped Newton method solves it to
rounding:

    D = diag(M)^(−½),  C = D M D,  a = D b          the scales of the tasks drop out exactly
    s = δb / b:  (diag(w) + B C B) s = w − B C b    positive definite even where C is singular
    λ² = sᵀ (diag(w) + B C B) s                     Newton decrement; B = diag b

The step is 1 where λ < ¼, else a line search. With the α-fair barrier the equation is
M a = w a^(−1/α); α = 1 is Nash, and the same Newton solves it.
"""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from mtlstudy.errors import InputError, real
from mtlstudy.nash.solution import EPS, ROUNDED, SKEW, TINY, BargainingSolution, Status

ACCELERATOR_STEPS = 24
"""Newton steps on an accelerator, where asking whether all have converged would wait for it (the
stress set needs up to 15)."""


def nash_weights(
    gramian: Tensor | ArrayLike,
    power: Tensor | ArrayLike | None = None,
    *,
    alpha: float = 1.0,
    start: Tensor | ArrayLike | None = None,
    max_iterations: int = 100,
    tolerance: float | None = None,
) -> BargainingSolution:
    """Solve M a = w a^(−1/α) for every matrix of a batch.

    Args:
        gramian: M (..., K, K), positive semidefinite, symmetric up to the rounding of its type: any
            real one, on any device, or an array or nested lists. Solved in float64.
        power: w (..., K) or (K,), positive bargaining powers; 1 each if not given.
        alpha: fairness α > 0; 1 is Nash.
        start: a (..., K), a warm start such as the last solution; used where it is positive, finite
            and better than the cold one.
        max_iterations: Newton steps at most.
        tolerance: the largest residual that may be called SOLVED; what is beyond is MAX_ITERATIONS
            and keeps its residual. If not given, what rounding allows (see `Status`), which is much
            where gradients nearly oppose: n · eps · cond(C).

    Raises:
        InputError: numbers that are not real, a wrong shape, a power that is not positive, α or a
            tolerance that is not positive and finite.

    >>> solution = nash_weights(torch.tensor([[4.0, 0.0], [0.0, 1.0]]))
    >>> solution.weights.tolist(), solution.status.item()
    ([0.5, 1.0], 0)
    """
    gramian = real("gramian", gramian)
    shape = gramian.shape[:-1]
    if gramian.ndim < 2 or shape[-1] != gramian.shape[-1] or shape[-1] == 0:
        raise InputError(f"gramian has shape {tuple(gramian.shape)}; allowed: (..., K, K), K ≥ 1")
    for name, number in (("alpha", alpha), ("tolerance", tolerance)):
        if number is not None and not (isinstance(number, (int, float)) and 0 < number < np.inf):
            raise InputError(f"{name} = {number!r}: allowed: a finite number > 0")
    power, start = (
        None if x is None else _fitting(name, real(name, x), shape)
        for name, x in (("power", power), ("start", start))
    )
    # powers on an accelerator are taken as they are: looking at them would wait for it
    if power is not None and power.device.type == "cpu" and not bool(_positive(power).all()):
        raise InputError(f"power = {power.tolist()}: allowed are positive, finite numbers")
    solve = (_compiled() if gramian.device.type == "cpu" else None) or _solve
    solution = solve(gramian, power, 1.0 / alpha, start, max_iterations)
    return solution if tolerance is None else solution.within(tolerance)


def _fitting(name: str, x: Tensor, shape: torch.Size) -> Tensor:
    """x where it is one of a game or one for each of those of `shape` (..., K)."""
    ends = zip(reversed(x.shape), reversed(shape), strict=False)
    fits = x.shape[-1:] == shape[-1:] and x.ndim <= len(shape)
    if not fits or any(n not in (1, m) for n, m in ends):
        allowed = f"{tuple(shape)} or (K,), K = {shape[-1]}"
        raise InputError(f"{name} has shape {tuple(x.shape)}; allowed: {allowed}")
    return x


def _positive(x: Tensor) -> Tensor:
    return torch.isfinite(x) & (x > 0)


@cache
def _compiled() -> Callable[..., BargainingSolution] | None:
    """`newton_cpu.solve` on tensors; None where Numba is not installed: then torch solves on the
    CPU as well, several times slower."""
    if find_spec("numba") is None:
        return None
    from mtlstudy.nash import newton_cpu

    def solve(
        gramian: Tensor, power: Tensor | None, beta: float, start: Tensor | None, iterations: int
    ) -> BargainingSolution:
        """In NumPy throughout: a call of torch costs more than a small game."""
        *batch, K = gramian.shape[:-1]
        M, w, warm = np.empty((*batch, K, K)), np.ones((*batch, K)), np.zeros((*batch, K))
        for array, given in ((M, gramian), (w, power), (warm, start)):
            if given is not None:
                array[...] = given.detach().to("cpu", torch.float64).numpy()
        problems = M.reshape(-1, K, K), w.reshape(-1, K), beta, warm.reshape(-1, K), iterations
        try:
            answer = newton_cpu.solve(*problems)
        except SystemError as error:  # Ctrl-C in the middle of it, under Numba's names for it
            cause: BaseException | None = error
            while cause and not isinstance(cause, KeyboardInterrupt):
                cause = cause.__cause__
            raise cause or error from None
        each = (torch.from_numpy(x.reshape((*batch, *x.shape[1:]))) for x in answer)
        return BargainingSolution(*each)

    return solve


@torch.no_grad()
def _solve(
    gramian: Tensor, power: Tensor | None, beta: float, start: Tensor | None, max_iterations: int
) -> BargainingSolution:
    """M (..., K, K), w and start (..., K), beta = 1/α."""
    *batch, K = gramian.shape[:-1]
    M = gramian.double().reshape(-1, K, K)
    w = torch.ones_like(M[..., 0]) if power is None else power.to(M).expand(*batch, K)
    w = w.reshape(-1, K)
    diagonal = M.diagonal(dim1=-2, dim2=-1)  # (N, K) squared gradient norms
    status = torch.full(M.shape[:1], Status.MAX_ITERATIONS, dtype=torch.int64, device=M.device)
    zero = diagonal.abs() < TINY
    status.masked_fill_(zero.any(-1), Status.ZERO_GRADIENT)
    status.masked_fill_((diagonal <= -TINY).any(-1), Status.INDEFINITE)
    status.masked_fill_(~torch.isfinite(M).all(-1).all(-1), Status.NON_FINITE)
    D = torch.where((status == Status.MAX_ITERATIONS)[:, None], diagonal, 1.0).rsqrt()
    skew = ((M - M.mT).abs() * D[:, :, None] * D[:, None, :]).amax((-2, -1))
    M = torch.where((skew > ROUNDED)[:, None, None], (M + M.mT) / 2, M)
    status.masked_fill_((status == Status.MAX_ITERATIONS) & (skew > SKEW), Status.INDEFINITE)
    posed = status == Status.MAX_ITERATIONS  # (N,) the problems that can be asked
    D = torch.where(posed[:, None], D, 1.0)
    eye = torch.eye(K, dtype=M.dtype, device=M.device)
    C = torch.where(posed[:, None, None], D[:, :, None] * M * D[:, None, :], eye)
    C.diagonal(dim1=-2, dim2=-1).fill_(1.0)
    v = w * D ** (1.0 - beta)  # in b the equation is C b = v b^(−β)
    # b in a unit in which min v = 1, so that f is self-concordant
    unit = v.amin(-1, keepdim=True) ** (1.0 / (1.0 + beta))
    v = v / unit ** (1.0 + beta)

    total = C.sum((-2, -1)).clamp_min(EPS)
    ray = (v.sum(-1) / total).pow(1.0 / (1.0 + beta))  # the best point on the ray of ones
    b = ray[:, None].expand(-1, K).clone()
    if start is not None:
        warm = start.to(M).expand(*batch, K).reshape(-1, K) / (D * unit)
        better = _objective(C, v, warm, beta) < _objective(C, v, b, beta)
        usable = _positive(warm).all(-1) & better
        b = torch.where(usable[:, None], warm, b)

    iterations = torch.zeros_like(status)
    active, host = posed.clone(), M.device.type == "cpu"
    for _ in range(max_iterations if host else min(max_iterations, ACCELERATOR_STEPS)):
        Cb = (C @ b[:, :, None]).squeeze(-1)
        barrier = v * b ** (1.0 - beta)  # (N, K); = v for Nash
        gradient = b * Cb - barrier
        H = b[:, :, None] * C * b[:, None, :] + torch.diag_embed(beta * barrier)
        L, info = torch.linalg.cholesky_ex(H)
        s = -torch.cholesky_solve(gradient[:, :, None], L).squeeze(-1)
        decrement = (-(gradient * s).sum(-1)).clamp_min(0).sqrt()  # λ
        near = decrement < 0.25
        t: Tensor | float = 1.0
        if not (host and bool(near.all())):
            t = torch.where(near, 1.0, _line_search(C, v, b, s, decrement, beta))[:, None]
        floor = 2 * EPS * b * (C.abs() @ b[:, :, None]).squeeze(-1)
        # y = b / Σb has yᵀ C y = 0 up to rounding
        runaway = (b * Cb).sum(-1).abs() < 64 * K * EPS * b.sum(-1) ** 2
        status.masked_fill_(active & runaway, Status.PARETO_STATIONARY)
        status.masked_fill_(active & ~runaway & (info > 0), Status.INDEFINITE)
        active = active & ~runaway & (info == 0)
        at_floor = (gradient.abs() <= floor).all(-1)
        b = torch.where((active & ~at_floor)[:, None], b * (1 + t * s), b)
        iterations += active
        # small beside every barrier term
        even = True if beta == 1 else (gradient.abs() <= 1e-6 * barrier).all(-1)
        converged = ((decrement <= 1e-6) & even) | at_floor  # a full step squares λ: ≤ 1e-12
        status.masked_fill_(active & converged, Status.SOLVED)
        active = active & ~converged
        if host and not bool(active.any()):
            break

    a = torch.where((status == Status.SOLVED)[:, None], D * b * unit, torch.nan)
    Ma = (M @ a[:, :, None]).squeeze(-1)
    residual = (a**beta * Ma / w - 1).abs().amax(-1)
    answer = (a, status, residual, iterations, zero)
    return BargainingSolution(*(x.reshape((*batch, *x.shape[1:])) for x in answer))


def _objective(C: Tensor, v: Tensor, b: Tensor, beta: float) -> Tensor:
    """f (N,) at b (N, K) in the cosine-normalised unknown, up to a constant of the α-fair
    barrier."""
    gain = b.log() if beta == 1 else b ** (1 - beta) / (1 - beta)
    return 0.5 * (b * (C @ b[:, :, None]).squeeze(-1)).sum(-1) - (v * gain).sum(-1)


def _line_search(
    C: Tensor, v: Tensor, b: Tensor, s: Tensor, decrement: Tensor, beta: float
) -> Tensor:
    """The best of a geometric grid of steps on the ray b (1 + t s) (N,); f on the ray is O(K) a
    trial. The grid holds 1 / (1 + λ), which decreases a self-concordant f for certain."""
    limit = (0.95 / (-s).amax(-1).clamp_min(0.05)).clamp_max(16.0)  # 1 + t s stays positive
    halves = 0.5 ** torch.arange(16, dtype=b.dtype, device=b.device)
    t = torch.cat([limit[:, None] * halves, 1 / (1 + decrement[:, None])], -1)  # (N, T)
    d = b * s
    Cd = (C @ d[:, :, None]).squeeze(-1)
    linear, curved = (b * Cd).sum(-1, keepdim=True), (d * Cd).sum(-1, keepdim=True)
    ratio = 1 + t[:, :, None] * s[:, None, :]  # (N, T, K)
    if beta == 1:
        gain = ratio.log()
    else:
        gain = b[:, None, :] ** (1 - beta) * (ratio ** (1 - beta) - 1) / (1 - beta)
    f = t * linear + 0.5 * t**2 * curved - (v[:, None, :] * gain).sum(-1)
    best = torch.where(torch.isfinite(f), f, torch.inf).argmin(-1, keepdim=True)
    return t.gather(-1, best).squeeze(-1)
