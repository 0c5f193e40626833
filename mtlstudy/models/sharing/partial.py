"""Task-specific layers: the first s stages are shared, the rest is each task's own.

Source: Ruder, *An Overview of Multi-Task Learning in Deep Neural Networks*, 2017, arXiv 1706.05098,
section 3.

    ŷ_t = h_t ∘ f_L^t ∘ … ∘ f_{s+1}^t ∘ f_s ∘ … ∘ f_1 (x)

s = 0 is single-task learning, s = L hard sharing.
"""

from typing import Annotated

from pydantic import Field

from mtlstudy.models.backbones import Backbone
from mtlstudy.models.sharing.base import Partitioned, registry, singletons
from mtlstudy.registry import Options as NoOptions


@registry.register("partial")
class Partial(Partitioned):
    """A trunk of s stages, then K branches."""

    paper = "Ruder 2017, arXiv 1706.05098"

    class Options(NoOptions):
        """shared: s, the stages that are shared; all but the last where it is not given."""

        shared: Annotated[int, Field(ge=0, le=64)] | None = None

    def partition(self, backbone: Backbone) -> list[list[list[str]]]:
        L, s = len(backbone.stages), self.options.shared
        if s is None:
            s = L - 1
        if s > L:
            raise self.refuse(f"shared = {s}, but the backbone has {L} stages; allowed: 0 to {L}")
        return [[self.task_names] if l < s else singletons(self.task_names) for l in range(L)]
