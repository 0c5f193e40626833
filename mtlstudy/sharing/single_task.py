"""Single-task learning: nothing is shared, every task has a copy of each stage. The baseline of all comparisons.

Source: Caruana, *Multitask Learning*, Machine Learning 28, 1997, doi 10.1023/A:1007379606734.

    ŷ_t = h_t ∘ f_L^t ∘ … ∘ f_1^t (x)                      x (N, …), ŷ_t (N, outputs_t)

The K copies are trained side by side: an optimiser such as Adam, which treats every parameter by itself, then does to each
copy exactly what it would do alone.
"""

from torch import Tensor, nn

from ..backbones import Backbone
from .base import Inputs, Sharing, run, shelf


@shelf.register("single_task")
class SingleTask(Sharing):
    """K trunks, K heads; no block to bargain over."""

    paper = "Caruana 1997"
    independent = True

    def build(self, backbone: Backbone) -> None:
        self.trunks = nn.ModuleDict({task.name: nn.ModuleList(stage.build() for stage in backbone.stages) for task in self.tasks})

    def encode(self, inputs: Inputs) -> dict[str, Tensor]:
        if isinstance(inputs, Tensor):
            inputs = {task.name: inputs for task in self.tasks}
        return {name: run(trunk, inputs[name]) for name, trunk in self.trunks.items()}

    def shared_blocks(self) -> dict[str, list[nn.Parameter]]:
        return {}

    def own_parameters(self, task: str) -> list[nn.Parameter]:
        return [*self.trunks[task].parameters(), *self.heads[task].parameters()]
