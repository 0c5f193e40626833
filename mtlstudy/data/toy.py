r"""The two-task toy of the Nash-MTL paper: its losses, its Pareto front, and the problem as a data
set of one example, whose model is a point x.

Sources: Liu et al., *Conflict-Averse Gradient Descent for Multi-task Learning*, NeurIPS 2021, arXiv
2110.14048 (the two losses); Navon et al., *Multi-Task Learning as a Bargaining Game*, ICML 2022,
arXiv 2202.01017 (the first loss scaled by 0.1, figure 1).

With x = (x₁, x₂):

    ℓ₁ = 0.1 (c₁ f₁ + c₂ g₁)                       ℓ₂ = c₁ f₂ + c₂ g₂
    f₁ = log max(|½(−x₁ − 7) − tanh(−x₂)|, 5e-6) + 6
    f₂ = log max(|½(−x₁ + 3) + tanh(−x₂) + 2|, 5e-6) + 6
    g₁ = ((−x₁ + 7)² + 0.1 (−x₂ − 8)²) / 10 − 20   c₁ = max(tanh(x₂/2), 0)
    g₂ = ((−x₁ − 7)² + 0.1 (−x₂ − 8)²) / 10 − 20   c₂ = max(tanh(−x₂/2), 0)

Above x₂ = 0 two narrow ravines (c₁) make the gradients large, conflicting and unequal; below it lie
two bowls (c₂), and between their minima, near x₂ = −8.4, the Pareto front.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from mtlstudy.data.base import Data, Split, Splits, registry
from mtlstudy.models.backbones import Backbone, Stage
from mtlstudy.models.tasks import Task

STARTS = ((-8.5, 7.5), (0.0, 0.0), (9.0, 9.0), (-7.5, -0.5), (9.0, -1.0))
"""The five starting points of the paper."""
SCALE = 0.1
"""Factor of the first loss."""
TOLERANCE = 0.05
"""Largest `gap` of a point that counts as on the front: 5 % of the front's range in each loss."""


def losses(x: Tensor) -> Tensor:
    """Both losses of every point: x (..., 2) → (..., 2), type and device of x.

    The pair is one expression in s = (−1, +1): ½(−x₁ − 7) and ½(−x₁ + 3) + 2 are ½(7s − x₁).

    >>> x = torch.tensor([[0.0, -8.0], [7.0, -8.0]], dtype=torch.float64)
    >>> losses(x).round(decimals=2).tolist()
    [[-1.51, -15.09], [-2.0, -0.4]]
    """
    x1, x2 = x[..., :1], x[..., 1:]
    s, scale = x.new_tensor([-1.0, 1.0]), x.new_tensor([SCALE, 1.0])
    f = (0.5 * (7 * s - x1) + s * torch.tanh(-x2)).abs().clamp_min(5e-6).log() + 6  # (..., 2)
    g = ((-x1 - 7 * s) ** 2 + 0.1 * (-x2 - 8) ** 2) / 10 - 20  # (..., 2)
    side = torch.tanh(x2 / 2)
    c1, c2 = side.clamp_min(0), (-side).clamp_min(0)
    return scale * (c1 * f + c2 * g)


def jacobian(x: Tensor) -> tuple[Tensor, Tensor]:
    """Losses (..., 2) and their gradients J (..., 2 tasks, 2) at x (..., 2), by one backward pass
    over two copies of x."""
    with torch.enable_grad():
        copies = x.detach().expand(2, *x.shape).clone().requires_grad_()
        values = losses(copies)  # (2, ..., 2)
        pick = torch.eye(2, dtype=x.dtype, device=x.device)  # copy t is differentiated for loss t
        pick = pick.view(2, *[1] * (x.ndim - 1), 2).expand_as(values)
        (J,) = torch.autograd.grad(values, copies, pick)
    return values[0].detach(), J.movedim(0, -2)


@cache
def front(points: int = 401) -> tuple[Tensor, Tensor]:
    """The Pareto front: x (points, 2), evenly spaced in x₁, and losses (points, 2), from the
    minimum of ℓ₂ to that of ℓ₁.

    It is where the two gradients oppose each other, det J = 0, between the minima of the two bowls
    (x₁ = −7 and 7). For every x₁ this is one equation in x₂, solved by bisection in float64.
    """
    x1 = torch.linspace(-7, 7, points, dtype=torch.float64)
    low, high = torch.full_like(x1, -10), torch.full_like(x1, -6)
    sign = _determinant(x1, low).sign()
    for _ in range(60):
        middle = (low + high) / 2
        same = _determinant(x1, middle).sign() == sign
        low, high = torch.where(same, middle, low), torch.where(same, high, middle)
    x = torch.stack([x1, (low + high) / 2], -1)
    return x, losses(x)


def _determinant(x1: Tensor, x2: Tensor) -> Tensor:
    _, J = jacobian(torch.stack([x1, x2], -1))
    return J[:, 0, 0] * J[:, 1, 1] - J[:, 0, 1] * J[:, 1, 0]


def gap(values: Tensor) -> Tensor:
    """How far losses (..., 2) lie behind the front (...): the additive ε-indicator in units of the
    front's range.

    The largest ε such that some point of the front is better by ε in *both* losses; 0 on the front.
    Source: Zitzler et al., *Performance Assessment of Multiobjective Optimizers*, IEEE Trans. Evol.
    Comput. 7(2), 2003.
    """
    edge = front()[1]
    span = edge.amax(0) - edge.amin(0)
    return ((values[..., None, :] - edge) / span).amin(-1).amax(-1)


def on_front(values: Tensor, tolerance: float = TOLERANCE) -> Tensor:
    """Whether losses (..., 2) lie on the front (...) bool: `gap` of at most `tolerance`."""
    return gap(values) <= tolerance


class Point(nn.Module):
    """x (2,), the only parameter; forward gives it once an example: (N, 2)."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.x = nn.Parameter(start.clone())

    def forward(self, inputs: Tensor) -> Tensor:
        """inputs (N, 1), ignored."""
        return self.x.expand(len(inputs), 2).clone()  # a view of a parameter is no output


class Loss(nn.Module):
    """Head of task t: the value of its loss at x."""

    def __init__(self, t: int) -> None:
        super().__init__()
        self.t = t

    def forward(self, x: Tensor) -> Tensor:
        """x (N, 2) → (N, 1)."""
        return losses(x)[..., self.t, None]


@registry.register("toy")
class Toy(Data):
    """Tasks l1 and l2, whose outputs are the losses themselves; the seed chooses the start."""

    citation = "Navon et al., ICML 2022; Liu et al., NeurIPS 2021"
    source = "mtlstudy/data/toy.py"
    tasks = Task("l1", "value"), Task("l2", "value")

    def load(self, seed: int) -> Splits:
        one = Split(torch.ones(1, 1), {"l1": torch.zeros(1), "l2": torch.zeros(1)})
        return Splits(one, one, one)

    def backbone(self, splits: Splits, *, seed: int = 0, **_: Any) -> Backbone:
        """The point itself; the seed chooses its start."""
        start = torch.tensor(STARTS[seed % len(STARTS)])
        return Backbone((Stage("point", lambda: Point(start), 2),), 2)

    def heads(self, width: int) -> dict[str, nn.Module]:
        return {"l1": Loss(0), "l2": Loss(1)}
