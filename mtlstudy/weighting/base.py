"""What every weighting is: losses (K,) and, where it asks for them, Gramians (B, K, K) → weights (B, K).

All state is in buffers, so that `state_dict` makes a resumed run exact.
"""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ..nash import Status
from ..shelf import Options as NoOptions
from ..shelf import Shelf


class Weights(NamedTuple):
    """weights (B, K) and, for weightings that solve something, status (B,) of `Status` (0 = solved for all others)."""

    weights: Tensor
    status: Tensor


class Weighting(nn.Module):
    """Weights for K tasks on B blocks. The shared direction of block b is Σ_t weights[b, t] g_t."""

    name: ClassVar[str]
    paper: ClassVar[str]
    needs: ClassVar[str] = "gramians"
    """"losses" or "gramians"."""
    per_block: ClassVar[bool] = False
    """One set of weights a block of the sharing architecture, or one for the whole trunk."""

    Options: ClassVar[type[NoOptions]] = NoOptions
    """Its options: a subclass of `mtlstudy.shelf.Options`."""

    def __init__(self, tasks: int, blocks: int, options: NoOptions) -> None:
        super().__init__()
        self.K, self.B, self.options = tasks, blocks, options

    def due(self) -> bool:
        """Whether the next call asks for fresh Gramians."""
        return self.needs == "gramians"

    def forward(self, losses: Tensor, gramians: Tensor | None) -> Weights:
        """losses (K,) detached, gramians (B, K, K) or None where they are not due → `Weights`."""
        raise NotImplementedError


class LossWeighting(Weighting):
    """A weighting that is a function of the losses alone: a scalar objective, and the weights are its derivatives."""

    needs = "losses"

    def objective(self, losses: Tensor) -> Tensor:
        """losses (K,) → the scalar that is minimised."""
        raise NotImplementedError

    def forward(self, losses: Tensor, gramians: Tensor | None = None) -> Weights:
        """∂ objective / ∂ losses (1, K)."""
        with torch.enable_grad():
            leaf = losses.detach().requires_grad_()
            (weights,) = torch.autograd.grad(self.objective(leaf), leaf)
        return Weights(weights[None].double(), torch.full((1,), Status.SOLVED, device=losses.device))


shelf: Shelf[type[Weighting]] = Shelf("mtlstudy.weighting")
