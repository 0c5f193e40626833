"""Equal gradient norms: each task gradient is scaled to unit norm before the sum.

    d = Σ_t g_t / ‖g_t‖          weights 1 / ‖g_t‖ (B, K), from the diagonal of the Gramian alone

The control without which no claim for bargaining stands: it drops the scales of the tasks, as
Nash-MTL does, and knows nothing of the angles between them.
"""

import torch
from torch import Tensor

from mtlstudy.nash import Status
from mtlstudy.weighting.base import Weighting, Weights, registry


@registry.register("equal_norm")
class EqualNorm(Weighting):
    """Weights 1/‖g_t‖ over the whole trunk; 0, and reported, for a task without a gradient."""

    paper = "control of this study"

    def forward(self, losses: Tensor, gramians: Tensor | None) -> Weights:
        assert gramians is not None
        square = self.cut(gramians.diagonal(dim1=-2, dim2=-1), -1)  # (B, K)
        zero = square <= 0
        inverse = square.clamp_min(torch.finfo(square.dtype).tiny).rsqrt()
        status = torch.where(zero.any(-1), int(Status.ZERO_GRADIENT), int(Status.SOLVED))
        return Weights(self.put(torch.where(zero, 0.0, inverse)), status)
