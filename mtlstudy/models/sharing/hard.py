"""Hard parameter sharing: every stage is shared, each task has a head of its own.

Source: Caruana, *Multitask Learning*, Machine Learning 28, 1997, doi 10.1023/A:1007379606734.

    z = f_L ∘ … ∘ f_1 (x),   ŷ_t = h_t(z)                  x (N, …), z (N, d), ŷ_t (N, outputs_t)
"""

from mtlstudy.models.backbones import Backbone
from mtlstudy.models.sharing.base import Partitioned, registry


@registry.register("hard")
class Hard(Partitioned):
    """One trunk, K heads; a block is a stage."""

    paper = "Caruana 1997"

    def partition(self, backbone: Backbone) -> list[list[list[str]]]:
        return [[self.task_names] for _ in backbone.stages]
