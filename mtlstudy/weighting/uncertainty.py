"""Homoscedastic uncertainty weighting: the log-variances s_t are learned with the model.

Source: Kendall, Gal & Cipolla, CVPR 2018, arXiv 1705.07115.

    ½ Σ_t (exp(−s_t) L_t + s_t)

One form for all tasks, as in the later codebases; the paper halves only the regression losses.
"""

import torch
from torch import Tensor, nn

from ..shelf import Options as NoOptions
from .base import LossWeighting, shelf


@shelf.register("uncertainty")
class Uncertainty(LossWeighting):
    """Weights ½ exp(−s_t), s_t = 0 at the start, trained by the model's own optimiser."""

    paper = "Kendall et al. 2018, arXiv 1705.07115"

    def __init__(self, tasks: int, blocks: int, options: NoOptions) -> None:
        super().__init__(tasks, blocks, options)
        self.log_variance = nn.Parameter(torch.zeros(tasks))  # s (K,)

    def objective(self, losses: Tensor) -> Tensor:
        return 0.5 * ((-self.log_variance).exp() * losses + self.log_variance).sum()
