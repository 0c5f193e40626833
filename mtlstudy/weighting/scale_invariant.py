"""Scale-invariant weighting: Σ_t log L_t, whose gradient Σ_t ∇L_t / L_t does not change when a loss
is rescaled.

Source: the baseline SI of Navon et al., ICML 2022, arXiv 2202.01017.
"""

import torch
from torch import Tensor

from mtlstudy.weighting.base import LossWeighting, registry


@registry.register("scale_invariant")
class ScaleInvariant(LossWeighting):
    """Weights 1/L_t; losses are floored at the smallest normal float32, not to divide by 0."""

    paper = "Navon et al. 2022 (SI), arXiv 2202.01017"

    def objective(self, losses: Tensor) -> Tensor:
        return losses.clamp_min(torch.finfo(torch.float32).tiny).log().sum()
