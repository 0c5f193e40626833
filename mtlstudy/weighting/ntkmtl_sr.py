"""NTKMTL-SR: tasks that learn slowly by their neural tangent kernel weigh more.

Source: Qin et al., *NTKMTL: Mitigating Task Imbalance in Multi-Task Learning from Neural Tangent
Kernel Perspective*, NeurIPS 2025, arXiv 2510.18258; SR: by the shared representation z.

    a_t = (Σ_s λ_s / λ_t)^½,    λ_t the largest eigenvalue of task t's kernel of n mini-batches

With n = 1, which is what is built here, the kernel is the number λ_t = ‖∂L_t/∂z‖². Of n > 1 parts
of a batch the rows ∂L_tj/∂z are of different examples, so the kernel is diagonal and λ_t the
greatest of n such numbers. NTKMTL itself with n = 1, as in the paper's experiments, has ‖g_t‖² of
the shared parameters in place of it: √(Σ_s ‖g_s‖²) times the weights of `equal_norm`.
"""

import torch
from torch import Tensor

from mtlstudy.nash import Status
from mtlstudy.weighting.base import Weighting, Weights, registry


@registry.register("ntkmtl_sr")
class NtkmtlSr(Weighting):
    """Weights of losses, so the tasks' own parameters are scaled too; 0 for a task whose
    representation has no gradient."""

    paper = "Qin et al. 2025 (NTKMTL-SR, n = 1), arXiv 2510.18258"
    level = "representation"
    scales_heads = True

    def forward(self, losses: Tensor, gramians: Tensor | None) -> Weights:
        assert gramians is not None
        largest = self.cut(gramians.diagonal(dim1=-2, dim2=-1), -1)  # (B, K) λ
        zero = largest <= 0
        ratio = largest.clamp_min(0).sum(-1, keepdim=True) / largest.where(~zero, 1.0)
        status = torch.where(zero.any(-1), int(Status.ZERO_GRADIENT), int(Status.SOLVED))
        return Weights(self.put(torch.where(zero, 0.0, ratio.sqrt())), status)
