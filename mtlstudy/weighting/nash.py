"""Nash-MTL with the exact solver: one bargaining game over the whole trunk.

Source: Navon et al., ICML 2022, arXiv 2202.01017.

    d = Σ_t a_t g_t   with   M a = w / a          a, w (K,), M (K, K); then ‖d‖² = Σ w exactly

What differs from the paper: a is the solution itself, not a sequence of convex programs stopped
early (see `mtlstudy.nash`), and a step without a solution is recorded and acted on, never filled
in: a task with zero gradient leaves the game for that step, and any other status leaves the shared
block as it is.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from mtlstudy.errors import InputError
from mtlstudy.nash import BargainingSolution, Status, nash_weights
from mtlstudy.weighting.base import GameOptions, GameWeighting, Weights, registry


@registry.register("nash")
class Nash(GameWeighting):
    """Weights a of the bargaining solution; the state is the last a and the count of steps."""

    paper = "Navon et al. 2022, arXiv 2202.01017"
    solves = True

    class Options(GameOptions):
        """update_every: steps between two games; power: bargaining powers w; max_norm: bound on the
        length of the shared direction (the paper's 1; None for none); head_gradients: scaled by a_t
        ("weighted", as in the authors' code) or not ("own"); level: the game on the gradients of
        the shared parameters, or of the representation."""

        power: tuple[Annotated[float, Field(gt=0, le=1e6)], ...] | None = None
        max_norm: Annotated[float, Field(gt=0, le=1e6)] | None = 1.0
        head_gradients: Literal["weighted", "own"] = "weighted"
        level: Literal["parameters", "representation"] = "parameters"

    power: Tensor | None

    def __init__(self, tasks: int, blocks: int, options: "Nash.Options") -> None:
        super().__init__(tasks, blocks, options)
        w = options.power
        if w is not None and len(w) != tasks:
            raise InputError(f"weighting.power has {len(w)} numbers; allowed: {tasks}, one a task")
        power = None if w is None else torch.tensor(w, dtype=torch.float64)
        self.register_buffer("power", power, persistent=False)
        self.level, self.max_norm = options.level, options.max_norm
        self.scales_heads = options.head_gradients == "weighted"

    def game(self, gramians: Tensor) -> Weights:
        if gramians.device.type == "cpu":
            solution = self.solve(gramians)
            if bool(solution.solved.all()):
                return Weights(solution.weights, solution.status)
        square = gramians.diagonal(dim1=-2, dim2=-1)  # (B, K)
        zero = square.abs() < torch.finfo(square.dtype).tiny
        # the tasks without gradient leave; the others bargain among themselves
        solution = self.solve(gramians + torch.diag_embed(zero.to(gramians)))
        weights = torch.where(solution.solved[:, None] & ~zero, solution.weights, 0.0)
        partly = solution.solved & zero.any(-1)
        return Weights(weights, torch.where(partly, int(Status.ZERO_GRADIENT), solution.status))

    def solve(self, gramians: Tensor) -> BargainingSolution:
        """The exact solution on gramians (B, K, K), warm from the last one."""
        w = None if self.power is None else self.cut(self.power, 0)
        return nash_weights(gramians, w, start=self.cut(self.a, -1))
