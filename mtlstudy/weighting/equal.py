"""Equal weighting: the mean of the losses, (1/K) Σ_t L_t ("linear scalarisation")."""

from torch import Tensor

from mtlstudy.weighting.base import LossWeighting, registry


@registry.register("equal")
class Equal(LossWeighting):
    """All weights 1/K."""

    paper = "Caruana 1997"
    linear = True

    def objective(self, losses: Tensor) -> Tensor:
        return losses.mean()
