"""Dual-balancing: gradients of the logarithms of the losses, averaged over steps and made as long
as the longest.

Source: Lin, Jiang, Ye, Zhang, Chen, Chen, Liu & Kwok, *Dual-Balancing for Multi-Task Learning*,
2023, arXiv 2308.12029.

    ĝ_t ← β_k ĝ_t + (1 − β_k) ∇ log L_t,   β_k = β / k^σ,      d = Σ_t (max_s ‖ĝ_s‖ / ‖ĝ_t‖) ĝ_t

With β = 0 its direction is that of `equal_norm`. What differs from the paper: the tasks' own
parameters follow ∇ L_t, whose scale an optimiser like Adam takes out.
"""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from mtlstudy.registry import Options as NoOptions
from mtlstudy.weighting.base import JacobianWeighting, Weights, registry


@registry.register("db_mtl")
class DualBalancing(JacobianWeighting):
    """The state: the averages ĝ (K, P), as large as all task gradients, and the count of steps."""

    paper = "Lin et al. 2023 (DB-MTL), arXiv 2308.12029"
    mean: Tensor | None = None
    losses: Tensor

    class Options(NoOptions):
        """beta: β; decay: σ, with which the average becomes shorter from step to step."""

        beta: Annotated[float, Field(ge=0, lt=1)] = 0.9
        decay: Annotated[float, Field(ge=0, le=10)] = 0.5

    def __init__(self, tasks: int, blocks: int, options: "DualBalancing.Options") -> None:
        super().__init__(tasks, blocks, options)
        self.beta, self.decay = options.beta, options.decay

    def forward(self, losses: Tensor, gramians: Tensor | None = None) -> Weights:
        self.losses = losses.clamp_min(torch.finfo(torch.float32).tiny)
        self.step += 1
        return super().forward(losses)

    def aggregate(self, J: Tensor) -> Tensor:
        beta = self.beta / self.step**self.decay
        if self.mean is None or self.mean.shape != J.shape:  # or of a structure that is no more
            self.mean = torch.zeros_like(J)
        new = self.mean + (1 - beta) * (J / self.losses[:, None].to(J) - self.mean)
        if self.present is not None:
            new = self.mean.index_copy(0, self.present.to(J.device), self.cut(new, 0))
        self.mean = new
        present = self.cut(new, 0)
        length = torch.linalg.vector_norm(present, dim=1)
        scale = torch.where(length > 0, length.max() / length, 0.0)
        return scale @ present

    def get_extra_state(self) -> dict[str, Any]:
        return {**super().get_extra_state(), "extra": [] if self.mean is None else [self.mean]}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        self.mean = state["extra"][0].clone() if state["extra"] else None
