"""Methods of TorchJD that act on the task gradients themselves, through the adapter `mtlstudy.weighting.torchjd`.

Each makes a direction d (P,) of J (K, P) at every step; there are no weights to record.
"""

from typing import Annotated, Any

from pydantic import Field

from mtlstudy.registry import Options as NoOptions
from mtlstudy.weighting.base import registry
from mtlstudy.weighting.torchjd import TorchJDJacobian


@registry.register("graddrop")
class GradDrop(TorchJDJacobian):
    """Every parameter follows the tasks of one sign, drawn with the share that this sign has in Σ_t |g_t|."""

    paper = "Chen et al. 2020, arXiv 2010.06808"
    torchjd_class = "GradDrop"
    random = True


@registry.register("config")
class ConFIG(TorchJDJacobian):
    """The direction with the same cosine to every task gradient, as long as the sum of the gradients' components along it."""

    paper = "Liu et al. 2024 (ConFIG), arXiv 2408.11104"
    torchjd_class = "ConFIG"


@registry.register("excess_mtl")
class ExcessMTL(TorchJDJacobian):
    """Weights grow with the estimated excess risk of a task, Σ g² / √(Σ over the steps of g²). Its state is as large as J."""

    paper = "He et al. 2024, arXiv 2402.02009"
    torchjd_class = "ExcessMTL"
    state = ("_weights", "_sq_grad_sum", "_initial_w", "_warmup_w_sum", "_n_steps", "_state_key")

    class Options(NoOptions):
        """robust_step_size: of the exponentiated gradient on the weights (torchjd: 1; LibMTL: 0.01); n_warmup_steps: steps of
        equal weights that set the scale of the risks (the paper: three epochs; the authors' code: 0)."""

        robust_step_size: Annotated[float, Field(gt=0)] = 1.0
        n_warmup_steps: Annotated[int, Field(ge=0)] = 0

    def holders(self) -> list[Any]:
        return [method.weighting for method in self.methods]
