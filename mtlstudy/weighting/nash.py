"""Nash-MTL with the exact solver: one bargaining game over the whole trunk.

Source: Navon et al., ICML 2022, arXiv 2202.01017.

    d = Σ_t a_t g_t   with   M a = w / a                   a, w (K,), M (K, K); then ‖d‖² = Σ w exactly

What differs from the paper: a is the solution itself, not a sequence of convex programs stopped early (see `mtlstudy.nash`), and
a step without a solution is recorded and acted on, never filled in: a task with zero gradient leaves the game for that step,
and any other status leaves the shared block as it is.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from ..errors import InputError
from ..nash import BargainingSolution, Status, nash_weights
from ..shelf import Options
from .base import Weighting, Weights, shelf


@shelf.register("nash")
class Nash(Weighting):
    """Weights a of the bargaining solution; the state is the last a and the count of steps."""

    paper = "Navon et al. 2022, arXiv 2202.01017"

    class Options(Options):
        """update_every: steps between two games; power: bargaining powers w; max_norm: bound on the length of the shared
        direction (the paper's 1; None for none); head_gradients: scaled by a_t ("weighted", as in the authors' code) or not
        ("own"); level: the game on the gradients of the shared parameters, or of the representation."""

        update_every: Annotated[int, Field(ge=1)] = 1
        power: tuple[Annotated[float, Field(gt=0)], ...] | None = None
        max_norm: Annotated[float, Field(gt=0)] | None = 1.0
        head_gradients: Literal["weighted", "own"] = "weighted"
        level: Literal["parameters", "representation"] = "parameters"

    a: Tensor  # (B, K) the last solution
    status: Tensor  # (B,)
    step: Tensor  # ()

    def __init__(self, tasks: int, blocks: int, options: "Nash.Options") -> None:
        super().__init__(tasks, blocks, options)
        self.update_every = options.update_every
        if options.power is not None and len(options.power) != tasks:
            raise InputError(f"weighting.power has {len(options.power)} numbers; allowed: {tasks}, one a task")
        self.power = None if options.power is None else torch.tensor(options.power, dtype=torch.float64)
        self.register_buffer("a", torch.zeros(blocks, tasks, dtype=torch.float64))
        self.register_buffer("status", torch.zeros(blocks, dtype=torch.int64))
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def due(self) -> bool:
        return int(self.step) % self.update_every == 0

    def forward(self, losses: Tensor, gramians: Tensor | None) -> Weights:
        if gramians is not None:
            solution = self.solve(gramians)
            self.status.copy_(solution.status)
            without = solution.status == Status.ZERO_GRADIENT
            if bool(without.any()):  # the tasks without gradient leave; the others bargain among themselves
                rest = self.solve(gramians + torch.diag_embed(solution.zero.to(gramians)))
                weights = torch.where(solution.zero, 0.0, rest.weights)
                solution = BargainingSolution(weights, rest.status, rest.residual, rest.iterations, rest.zero)
            self.a.copy_(torch.where(solution.solved[:, None], solution.weights, 0.0))
        self.step += 1
        return Weights(self.a.clone(), self.status.clone())

    def solve(self, gramians: Tensor) -> BargainingSolution:
        """The game on gramians (B, K, K), warm from the last solution."""
        power = None if self.power is None else self.power.to(gramians.device)
        return nash_weights(gramians, power, start=self.a)
