"""Weightings of the library TorchJD, through one adapter: they are used, not rewritten.

Source: Quinton & Rey, *Jacobian Descent for Multi-Objective Optimization*, arXiv 2406.16232 (the library torchjd); each method's
own paper stands in its class. A torchjd weighting maps one Gramian M (K, K) to weights (K,); here it is called block by block.

torchjd is imported when such a weighting is made, not before. A further method is one more class of four lines.
"""

from importlib import import_module
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ..errors import InputError
from ..nash import Status
from .base import GameOptions, GameWeighting, Weights, shelf


class TorchJD(GameWeighting):
    """The adapter. `torchjd_class` names a class of torchjd.aggregation; the options but `update_every` are its arguments.

    A method that draws random numbers draws them from a seed that is the count of steps, a buffer: a resumed run is exact, and
    the caller's generator is left as it was. Weights that are not finite become 0 (no update) and are reported as NON_FINITE.
    """

    torchjd_class: ClassVar[str]
    random: ClassVar[bool] = False

    def __init__(self, tasks: int, blocks: int, options: GameOptions) -> None:
        super().__init__(tasks, blocks, options)
        try:
            library = import_module("torchjd.aggregation")
            self.method: Any = getattr(library, self.torchjd_class)(**options.model_dump(exclude={"update_every"}))
        except ImportError as missing:
            raise InputError(f"weighting = {self.name!r} needs torchjd ({missing}); pip install 'mtlstudy[study]'") from None

    def game(self, gramians: Tensor) -> Weights:
        weights = self.solve(gramians)
        finite = torch.isfinite(weights).all(-1)  # (B,)
        status = torch.where(finite, int(Status.SOLVED), int(Status.NON_FINITE))
        return Weights(torch.where(finite[:, None], weights, 0.0), status)

    def solve(self, gramians: Tensor) -> Tensor:
        """torchjd's weights of gramians (B, K, K), block by block: (B, K)."""
        if not self.random:
            return torch.stack([self.method(M) for M in gramians])
        callers = torch.get_rng_state()
        torch.default_generator.manual_seed(int(self.step))  # torchjd draws on the CPU
        try:
            return torch.stack([self.method(M) for M in gramians])
        finally:
            torch.set_rng_state(callers)


@shelf.register("pcgrad")
class PCGrad(TorchJD):
    """Each task gradient is projected off those it conflicts with, in random order; the results are summed."""

    paper = "Yu et al. 2020, arXiv 2001.06782"
    torchjd_class = "PCGradWeighting"
    random = True


@shelf.register("cagrad")
class CAGrad(TorchJD):
    """The direction of best worst descent in a ball of radius c‖g₀‖ around the mean gradient g₀; a convex program a step."""

    paper = "Liu et al. 2021, arXiv 2110.14048"
    torchjd_class = "CAGradWeighting"

    class Options(GameOptions):
        """update_every; c: radius of the ball (the paper: 0 ≤ c < 1; 0.4 there and in the Nash-MTL paper's comparison)."""

        c: Annotated[float, Field(ge=0, lt=1)] = 0.4


@shelf.register("mgda")
class MGDA(TorchJD):
    """The shortest vector in the convex hull of the task gradients, by Frank–Wolfe."""

    paper = "Désidéri 2012; Sener & Koltun 2018, arXiv 1810.04650"
    torchjd_class = "MGDAWeighting"

    class Options(GameOptions):
        """update_every; epsilon: a Frank–Wolfe step below it ends the search; max_iters: steps at most (of two tasks the first is
        exact)."""

        epsilon: Annotated[float, Field(gt=0)] = 1e-3
        max_iters: Annotated[int, Field(ge=1)] = 100
