"""What every sharing architecture is: a backbone's stages, owned by tasks in some pattern, with one head a task."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor, nn

from ..backbones import Backbone
from ..shelf import Options as NoOptions
from ..shelf import Shelf
from ..tasks import Task

Inputs = Tensor | Mapping[str, Tensor]


class Sharing(nn.Module):
    """A model for K tasks. Subclasses build `self.stages` in `build` and say in `encode` how inputs reach the heads.

    inputs: one tensor (N, …) that carries all labels, or one a task (each task has its own examples).
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    independent: ClassVar[bool] = False
    """Whether no parameter serves two tasks; each task then selects its own checkpoint."""

    Options: ClassVar[type[NoOptions]] = NoOptions
    """Its options: a subclass of `mtlstudy.shelf.Options`."""

    def __init__(self, backbone: Backbone, tasks: Sequence[Task], heads: Mapping[str, nn.Module], options: NoOptions) -> None:
        super().__init__()
        self.tasks, self.options = tuple(tasks), options
        self.build(backbone)
        self.heads = nn.ModuleDict({task.name: heads[task.name] for task in tasks})

    def build(self, backbone: Backbone) -> None:
        """Make the stages."""
        raise NotImplementedError

    def encode(self, inputs: Inputs) -> dict[str, Tensor]:
        """Representation z (N, d) of every task; one and the same tensor where it is shared."""
        raise NotImplementedError

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Output (N, outputs) of every task."""
        return {name: self.heads[name](z) for name, z in self.encode(inputs).items()}

    def shared_blocks(self) -> dict[str, list[nn.Parameter]]:
        """The blocks of parameters on which tasks bargain, by name."""
        raise NotImplementedError

    def own_parameters(self, task: str) -> list[nn.Parameter]:
        """The parameters that serve this task alone: its head, and whatever copies it owns."""
        return list(self.heads[task].parameters())

    def parameter_count(self) -> int:
        """Parameters as used: each once."""
        return sum(p.numel() for p in self.parameters())


shelf: Shelf[type[Sharing]] = Shelf("mtlstudy.sharing")


def run(stages: nn.Module, x: Tensor) -> Tensor:
    """x (N, …) through the stages in order."""
    for stage in stages.children():
        x = stage(x)
    return x
