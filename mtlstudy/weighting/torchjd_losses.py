"""Methods of TorchJD that combine the losses, through the adapter `mtlstudy.weighting.torchjd`.

Each is a scalar objective of L (K,), minimised as it is; the weights that are recorded are its derivatives.
"""

from copy import deepcopy
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from mtlstudy.registry import Options as NoOptions
from mtlstudy.weighting.base import Weights, registry
from mtlstudy.weighting.torchjd import TorchJDLoss


@registry.register("uncertainty")
class Uncertainty(TorchJDLoss):
    """½ Σ_t (exp(−s_t) L_t + s_t): log-variances s_t, 0 at the start, trained by the model's own optimiser.

    One form for all tasks, as in the later codebases; the paper halves only the regression losses.
    """

    paper = "Kendall et al. 2018 (UW), arXiv 1705.07115"
    torchjd_class = "UW"

    def arguments(self) -> dict[str, Any]:
        return {"shape": self.K}


@registry.register("imtl_l")
class IMTLL(TorchJDLoss):
    """Σ_t (exp(s_t) L_t − s_t): log-scales s_t, 0 at the start, trained by the model's own optimiser.

    Twice the objective of `uncertainty` at −s: under an optimiser that does not heed the scale of gradients, Adam, they coincide.
    """

    paper = "Liu et al. 2021 (IMTL), ICLR, OpenReview IMPnRXEWpvr"
    torchjd_class = "IMTLL"

    def arguments(self) -> dict[str, Any]:
        return {"shape": self.K}


@registry.register("dwa")
class DWA(TorchJDLoss):
    """Σ_t λ_t L_t, λ = K softmax(r / T), r_t the ratio of the mean losses of the last two epochs; equal until there are two."""

    paper = "Liu, Johns & Davison 2019, arXiv 1803.10704"
    torchjd_class = "DWA"
    state = ("_loss_sum", "_n_batches", "_previous_averages")

    class Options(NoOptions):
        """temperature: T (the paper: 2); epoch: the steps over which losses are averaged (the paper: a pass over the data)."""

        temperature: Annotated[float, Field(gt=0)] = 2.0
        epoch: Annotated[int, Field(ge=1)] = 25

    def __init__(self, tasks: int, blocks: int, options: "DWA.Options") -> None:
        super().__init__(tasks, blocks, options)
        self.epoch = options.epoch

    def arguments(self) -> dict[str, Any]:
        return self.options.model_dump(exclude={"epoch"})

    def forward(self, losses: Tensor, gramians: Tensor | None = None) -> Weights:
        if self.step % self.epoch == 0:
            self.method.step()  # the epoch is over
        chosen = super().forward(losses)
        self.method(losses)  # takes these losses into the epoch's mean
        return chosen

    def objective(self, losses: Tensor) -> Tensor:
        before = self.kept()
        value = super().objective(losses)
        self.restore(before)  # asked for the objective alone, it takes nothing in
        return value


@registry.register("rlw")
class RLW(TorchJDLoss):
    """Random weights, the softmax of K normal numbers, new at every step."""

    paper = "Lin et al. 2022 (RLW), arXiv 2111.10603"
    torchjd_class = "Random"
    random = True


@registry.register("gls")
class GLS(TorchJDLoss):
    """The geometric mean of the losses, which must be positive."""

    paper = "Chennupati et al. 2019 (GLS), arXiv 1904.08492"
    torchjd_class = "GeometricMean"


@registry.register("famo")
class FAMO(TorchJDLoss):
    """c Σ_t z_t log L_t with z = softmax(w): w is trained, by its own Adam, on how far the step has brought each loss down."""

    paper = "Liu et al. 2023 (FAMO), arXiv 2306.03792"
    torchjd_class = "FAMO"
    state = ("_prev_losses",)
    looks_again = True

    class Options(NoOptions):
        """lr: learning rate of w (the paper: 0.025); weight_decay: of w (the paper's γ: 0.001)."""

        lr: Annotated[float, Field(ge=0)] = 0.025
        weight_decay: Annotated[float, Field(ge=0)] = 1e-3

    def arguments(self) -> dict[str, Any]:
        return {"shape": self.K, **super().arguments()}

    def look(self, losses: Tensor) -> None:
        self.method.update(losses)

    def kept(self) -> list[dict[str, Any]]:
        adam = self.method._optimizer
        return [*super().kept(), {} if adam is None else deepcopy(adam.state_dict())]

    def restore(self, kept: list[dict[str, Any]]) -> None:
        *kept, adam = kept
        if adam:  # torchjd makes its Adam at the first update; w itself is loaded after this
            ones = torch.ones_like(self.method._w)
            self.method(ones)
            self.method.update(ones)
            self.method._optimizer.load_state_dict(adam)
        super().restore(kept)


@registry.register("stch")
class STCH(TorchJDLoss):
    """μ log Σ_t exp(L_t / (K μ)): a smooth maximum of the losses, in which the worst task has the most weight."""

    paper = "Lin et al. 2024 (STCH), arXiv 2402.19078"
    torchjd_class = "STCH"

    class Options(NoOptions):
        """mu: the smoothing, 0 for the maximum itself (the paper tries 0.01, 0.1, 0.5 and 1)."""

        mu: Annotated[float, Field(gt=0)] = 0.1


@registry.register("pbi")
class PBI(TorchJDLoss):
    """The length of L along (1, …, 1) and θ times its distance from there; tasks below the mean may have negative weights."""

    paper = "Zhang & Li 2007 (MOEA/D), IEEE TEC 11(6)"
    torchjd_class = "PBI"

    class Options(NoOptions):
        """theta: price of the distance (the paper: 5)."""

        theta: Annotated[float, Field(ge=0)] = 5.0

    def arguments(self) -> dict[str, Any]:
        return {"weights": torch.ones(self.K), **super().arguments()}

    def objective(self, losses: Tensor) -> Tensor:
        self.method.weights = torch.ones_like(losses)  # torchjd keeps no buffer: type and device are those of the losses
        return super().objective(losses)
