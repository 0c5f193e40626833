"""Static weights, tuned like every other hyperparameter: Σ_t c_t L_t with Σ c = 1, c (K,).

Source: Xin et al., NeurIPS 2022, arXiv 2209.11379: the baseline often left out.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mtlstudy.errors import InputError
from mtlstudy.registry import Options as NoOptions
from mtlstudy.weighting.base import LossWeighting, registry


@registry.register("static")
class Static(LossWeighting):
    """Weights c given once; candidates are drawn from the simplex, chosen on validation."""

    paper = "Xin et al. 2022, arXiv 2209.11379"
    linear = True

    class Options(NoOptions):
        """weights: one positive number a task; normalised to sum 1. Without them all are equal."""

        weights: tuple[Annotated[float, Field(gt=0, le=1e6)], ...] | None = None

    c: Tensor  # (K,)

    def __init__(self, tasks: int, blocks: int, options: "Static.Options") -> None:
        super().__init__(tasks, blocks, options)
        weights = options.weights or (1.0,) * tasks
        if len(weights) != tasks:
            given = f"weighting.weights has {len(weights)} numbers"
            raise InputError(f"{given}; allowed: {tasks}, one a task")
        self.register_buffer("c", torch.tensor(weights) / sum(weights))

    def objective(self, losses: Tensor) -> Tensor:
        c = self.cut(self.c, 0)
        return ((c if self.present is None else c / c.sum()) * losses).sum()
