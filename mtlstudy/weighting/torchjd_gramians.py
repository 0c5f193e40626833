"""Methods of TorchJD that make weights of the Gramian, through the adapter `mtlstudy.weighting.torchjd`.

Each is K numbers of M (K, K); the shared direction is Σ_t a_t g_t and heads follow their own gradients.
"""

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from mtlstudy.nash.newton import Status
from mtlstudy.weighting.base import GameOptions, Weights, registry
from mtlstudy.weighting.torchjd import TorchJDGramian


@registry.register("pcgrad")
class PCGrad(TorchJDGramian):
    """Each task gradient is projected off those it conflicts with, in random order; the results are summed."""

    paper = "Yu et al. 2020, arXiv 2001.06782"
    torchjd_class = "PCGradWeighting"
    random = True


@registry.register("gradvac")
class GradVac(TorchJDGramian):
    """As PCGrad, but towards a running mean of the cosine of each pair in place of 0."""

    paper = "Wang et al. 2021, arXiv 2010.05874"
    torchjd_class = "GradVacWeighting"
    state = ("_phi_t", "_state_key")
    state_device = "cpu"
    random = True

    class Options(GameOptions):
        """update_every; beta: share of the newest cosine in the running mean (torchjd and LibMTL: 0.5)."""

        beta: Annotated[float, Field(ge=0, le=1)] = 0.5


@registry.register("cagrad")
class CAGrad(TorchJDGramian):
    """The direction of best worst descent in a ball of radius c‖g₀‖ around the mean gradient g₀; a convex program a step.

    Where Σ_t ‖g_t‖² < 1e-4 torchjd takes the gradients for zero, and all weights are 0.
    """

    paper = "Liu et al. 2021, arXiv 2110.14048"
    torchjd_class = "CAGradWeighting"

    class Options(GameOptions):
        """update_every; c: radius of the ball (the paper: 0 ≤ c < 1; 0.4 there and in the Nash-MTL paper's comparison)."""

        c: Annotated[float, Field(ge=0, lt=1)] = 0.4


@registry.register("mgda")
class MGDA(TorchJDGramian):
    """The shortest vector in the convex hull of the task gradients, by Frank–Wolfe."""

    paper = "Désidéri 2012; Sener & Koltun 2018, arXiv 1810.04650"
    torchjd_class = "MGDAWeighting"

    class Options(GameOptions):
        """update_every; epsilon: a Frank–Wolfe step below it ends the search; max_iters: steps at most (of two tasks the first is
        exact)."""

        epsilon: Annotated[float, Field(gt=0)] = 1e-3
        max_iters: Annotated[int, Field(ge=1)] = 100


@registry.register("imtl_g")
class IMTLG(TorchJDGramian):
    """The direction with the same component along every unit task gradient; weights of sum 1, some perhaps negative."""

    paper = "Liu et al. 2021 (IMTL), ICLR, OpenReview IMPnRXEWpvr"
    torchjd_class = "IMTLGWeighting"


@registry.register("aligned_mtl")
class AlignedMTL(TorchJDGramian):
    """The mean of the gradients after J was made orthogonal with equal singular values: the nearest system of condition 1."""

    paper = "Senushkin et al. 2023, arXiv 2305.19000"
    torchjd_class = "AlignedMTLWeighting"

    class Options(GameOptions):
        """update_every; scale_mode: the common eigenvalue: the smallest (the paper), the median, or the mean (rmse)."""

        scale_mode: Literal["min", "median", "rmse"] = "min"


@registry.register("fairgrad")
class FairGrad(TorchJDGramian):
    """The α-fair sharing of descent, M a = a^(−1/α), by least squares; α = 1 is the game of Nash-MTL.

    Where the least squares end early (small gradients) the weights are used all the same, and the status is MAX_ITERATIONS.
    """

    paper = "Ban & Ji 2024, arXiv 2402.15638"
    torchjd_class = "FairGradWeighting"

    class Options(GameOptions):
        """update_every; alpha: the fairness (1 proportional, ∞ max–min; the authors' runs on CelebA and QM9: 2)."""

        alpha: Annotated[float, Field(gt=0, le=100)] = 2.0

    def game(self, gramians: Tensor) -> Weights:
        a, status = super().game(gramians)
        descent = (gramians @ a[..., None]).squeeze(-1)  # (B, K)
        residual = (a ** (1 / self.methods[0].alpha) * descent - 1).abs().amax(-1)
        missed = (residual > 1e-3) & (status == Status.SOLVED)
        return Weights(a, torch.where(missed, int(Status.MAX_ITERATIONS), status))


@registry.register("upgrad")
class UPGrad(TorchJDGramian):
    """Each task gradient is projected onto the directions that hurt no task; the mean of the projections."""

    paper = "Quinton & Rey 2024, arXiv 2406.16232"
    torchjd_class = "UPGradWeighting"


@registry.register("dualproj")
class DualProj(TorchJDGramian):
    """The mean gradient projected onto the directions that hurt no task."""

    paper = "Lopez-Paz & Ranzato 2017 (GEM), arXiv 1706.08840"
    torchjd_class = "DualProjWeighting"


@registry.register("pcd")
class PCD(TorchJDGramian):
    """The direction nearest the gradient of the first task, the primary one, in which all others still descend."""

    paper = "Varam & AlHajri 2026, arXiv 2606.29521"
    torchjd_class = "PCDWeighting"
    state = ("_sq_norm_ema", "_n_steps", "_state_key")
    state_device = "cpu"

    class Options(GameOptions):
        """update_every; tau: share of its own progress that a secondary task is granted; beta: decay of the running mean of
        ‖g_t‖². Both as torchjd has them."""

        tau: Annotated[float, Field(ge=0, le=1)] = 0.02
        beta: Annotated[float, Field(ge=0, lt=1)] = 0.999


@registry.register("rgw")
class RGW(TorchJDGramian):
    """Random weights on the gradients of the shared parameters, the softmax of K normal numbers, new at every step."""

    paper = "Lin et al. 2022 (RGW), arXiv 2111.10603"
    torchjd_class = "RandomWeighting"
    random = True


@registry.register("cr_mogm")
class CRMOGM(TorchJDGramian):
    """The running mean of another method's weights."""

    paper = "Zhou et al. 2022 (CR-MOGM), NeurIPS"
    torchjd_class = "CRMOGMWeighting"
    state = ("_lambda",)
    random = True

    class Options(GameOptions):
        """update_every; of: the method whose weights are smoothed, with its defaults; alpha: share of the old weights (torchjd:
        0.9; the paper lets it rise to 1 as the learning rate falls)."""

        of: Literal["mgda", "cagrad", "pcgrad"] = "mgda"
        alpha: Annotated[float, Field(ge=0, lt=1)] = 0.9

    def arguments(self) -> dict[str, Any]:
        given = super().arguments()
        other = registry.get(given.pop("of"))
        assert issubclass(other, TorchJDGramian)
        return {"weighting": other(self.K, 1, other.Options()).methods[0], **given}  # type: ignore[arg-type]
