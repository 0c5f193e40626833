"""Hard parameter sharing: every stage is shared, each task has a head of its own.

Source: Caruana, *Multitask Learning*, Machine Learning 28, 1997, doi 10.1023/A:1007379606734.

    z = f_L ∘ … ∘ f_1 (x),   ŷ_t = h_t(z)                  x (N, …), z (N, d), ŷ_t (N, outputs_t)
"""

from torch import Tensor, nn

from ..backbones import Backbone
from .base import Inputs, Sharing, run, shelf


@shelf.register("hard")
class Hard(Sharing):
    """One trunk, K heads; a block is a stage."""

    paper = "Caruana 1997"

    def build(self, backbone: Backbone) -> None:
        self.names = [stage.name for stage in backbone.stages]
        self.stages = nn.ModuleList(stage.build() for stage in backbone.stages)

    def encode(self, inputs: Inputs) -> dict[str, Tensor]:
        if isinstance(inputs, Tensor):
            z = run(self.stages, inputs)
            return {task.name: z for task in self.tasks}
        return {task.name: run(self.stages, inputs[task.name]) for task in self.tasks}

    def shared_blocks(self) -> dict[str, list[nn.Parameter]]:
        blocks = {name: list(stage.parameters()) for name, stage in zip(self.names, self.stages, strict=True)}
        return {name: parameters for name, parameters in blocks.items() if parameters}
