"""What every sharing architecture is: a backbone's stages, owned by tasks in some pattern, with one head a task.

A family says three things: the copies of each stage (`build`, kept in `self.stages`: one dictionary of copies a stage), the
way of an input through them (`represent`), and which tasks each part serves (`usage`). Blocks to bargain over, parameters of a
single task, diagrams and counts follow from these.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from mtlstudy.models.backbones import Backbone
from mtlstudy.errors import InputError
from mtlstudy.registry import Options as NoOptions
from mtlstudy.registry import Registry
from mtlstudy.models.tasks import Inputs, Task


class Use(NamedTuple):
    """Parameters of a block, and the tasks whose outputs depend on them."""

    block: str
    tasks: Sequence[str]
    parameters: list[nn.Parameter]


class Sharing(nn.Module):
    """A model for K tasks. Subclasses implement `build`, `represent` and `usage`.

    structure: what a search before training found (see `searches`); None before it, and where there is none.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    independent: ClassVar[bool] = False
    """Whether no parameter serves two tasks and nothing ties them; each task then selects its own checkpoint."""
    bargains: ClassVar[bool] = True
    """Whether the task losses meet in shared parameters; where a penalty alone ties tasks, there is nothing to bargain over."""
    searches: ClassVar[bool] = False
    """Whether `search` runs before training."""
    tuned: ClassVar[Mapping[str, Sequence[Any]]] = {}
    """Options of the family that tuning tries, with their values."""

    Options: ClassVar[type[NoOptions]] = NoOptions
    """Its options: a subclass of `mtlstudy.registry.Options`."""
    options: Any
    stages: Any
    """One dictionary of copies (nn.ModuleDict) a stage, in an nn.ModuleList."""

    def __init__(
        self, backbone: Backbone, tasks: Sequence[Task], heads: Mapping[str, nn.Module], options: NoOptions,
        structure: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.tasks, self.options, self.structure = tuple(tasks), options, structure
        self.sorted = sorted(task.name for task in tasks)  # no result depends on the order in which tasks are listed
        self.build(backbone)
        self.heads = nn.ModuleDict({task.name: heads[task.name] for task in tasks})

    def build(self, backbone: Backbone) -> None:
        """Make the stages. Raises `InputError` where the family makes no sense over this backbone or these tasks."""
        raise NotImplementedError

    def represent(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        """Representation z of these tasks for an input x (N, …); one and the same tensor where it is shared."""
        raise NotImplementedError

    def usage(self) -> Iterable[Use]:
        """Every parameter but the heads', with the tasks that it serves; uses of one name are one block."""
        raise NotImplementedError

    @classmethod
    def penalised(cls) -> bool:
        """Whether the family has a `penalty`."""
        return cls.penalty is not Sharing.penalty

    def penalty(self) -> Tensor | None:
        """What the family adds to the objective, a scalar; None where it adds nothing."""
        return None

    @classmethod
    def search(cls, problem: "Problem", options: Any, found: dict[str, Any]) -> Iterable[dict[str, Any]]:
        """Find the structure in pieces, each a state of plain values and tensors, the last one the structure; goes on from
        `found`, the last piece that was kept."""
        raise NotImplementedError

    def learned(self, inputs: Inputs) -> dict[str, Any]:
        """What was learned or found about sharing, as plain numbers: mixing matrices, gates on these inputs, overlaps."""
        return {}

    def encode(self, inputs: Inputs) -> dict[str, Tensor]:
        """Representation z of every task, from common inputs or from each task's own."""
        names = [task.name for task in self.tasks]
        if isinstance(inputs, Tensor):
            return self.represent(inputs, names)
        return {name: self.represent(inputs[name], [name])[name] for name in names}

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Output (N, outputs) of every task; (N, T, outputs) on tagged sequences."""
        return {name: self.heads[name](z) for name, z in self.encode(inputs).items()}

    def shared_blocks(self) -> dict[str, list[nn.Parameter]]:
        """The blocks of parameters on which tasks bargain, by name: those that serve two tasks or more."""
        blocks: dict[str, list[nn.Parameter]] = {}
        for use in self.usage():
            if len(use.tasks) > 1 and use.parameters:
                blocks.setdefault(use.block, []).extend(use.parameters)
        return blocks

    def own_parameters(self, task: str) -> list[nn.Parameter]:
        """The parameters that serve this task alone: its head, and whatever else it owns."""
        own = [p for use in self.usage() if list(use.tasks) == [task] for p in use.parameters]
        return [*own, *self.heads[task].parameters()]

    def parameter_count(self) -> int:
        """Parameters as used: each once."""
        return sum(p.numel() for p in self.parameters())


class Partitioned(Sharing):
    """A family in which a stage has one copy for each coalition of tasks, and nothing else happens."""

    def partition(self, backbone: Backbone) -> list[list[list[str]]]:
        """For each stage the coalitions, lists of task names that together are all tasks; every task by itself if not said."""
        return [alone(self.sorted) for _ in backbone.stages]

    def build(self, backbone: Backbone) -> None:
        self.names = [stage.name for stage in backbone.stages]
        self.partitions = self.partition(backbone)
        pairs = zip(backbone.stages, self.partitions, strict=True)
        self.stages = nn.ModuleList(nn.ModuleDict({self.key(c): stage.build() for c in cs}) for stage, cs in pairs)

    def key(self, coalition: Sequence[str]) -> str:
        """The name of a coalition's copy."""
        return "shared" if 1 < len(coalition) == len(self.sorted) else "+".join(sorted(coalition))

    def represent(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        done: dict[tuple[str, ...], Tensor] = {(): x}  # the copies passed so far → the activation: tasks share what they can
        z = {}
        for task in tasks:
            path: tuple[str, ...] = ()
            for stage, coalitions in zip(self.stages, self.partitions, strict=True):
                h, key = done[path], next(self.key(c) for c in coalitions if task in c)
                path = (*path, key)
                if path not in done:
                    done[path] = stage[key](h)
            z[task] = done[path]
        return z

    def usage(self) -> Iterable[Use]:
        for name, stage, coalitions in zip(self.names, self.stages, self.partitions, strict=True):
            for c in coalitions:
                block = name if self.key(c) == "shared" else f"{name}.{self.key(c)}"
                yield Use(block, sorted(c), list(stage[self.key(c)].parameters()))


class Problem(Protocol):
    """What a search may use: the tasks, fresh stages and heads, and training on the training split."""

    tasks: Sequence[Task]
    steps: int
    backbone: Backbone

    def heads(self) -> dict[str, nn.Module]:
        """Fresh heads."""

    def train(self, model: Sharing, steps: int, watch: Any = None) -> None:
        """`steps` steps with equal weights from the model's present state; watch(M (B, K, K)): Gramians of each step's blocks."""


registry: Registry[type[Sharing]] = Registry("sharing")


def alone(tasks: Sequence[str]) -> list[list[str]]:
    """The partition in which every task is by itself."""
    return [[task] for task in tasks]


def parameters(*modules: nn.Module) -> list[nn.Parameter]:
    """The parameters of some modules, in order."""
    return [p for module in modules for p in module.parameters()]


def matrices(module: nn.Module) -> dict[str, nn.Parameter]:
    """A module's weights with two axes or more, by name: what is factorised, masked or given a rank; biases and norms are not."""
    return {name: p for name, p in module.named_parameters() if p.ndim > 1}


def mixture(scores: Tensor, f: Tensor) -> Tensor:
    """Σ_e softmax(scores)_e f_e for every example: scores (N, E), f (N, E, …) → (N, …)."""
    weights = scores.softmax(-1)
    out: Tensor = (weights.view(*weights.shape, *[1] * (f.ndim - 2)) * f).sum(1)
    return out


def mixed(alpha: Tensor, f: Tensor) -> Tensor:
    """Σ_s α_s f_s: alpha (…, S), f (S, N, …) → (…, N, …), in the precision of f."""
    out: Tensor = torch.tensordot(alpha.to(f.dtype), f, dims=1)
    return out


def run(stages: Iterable[nn.Module], x: Tensor) -> Tensor:
    """x (N, …) through the stages in order."""
    for stage in stages:
        x = stage(x)
    return x


def refuse(family: str, reason: str) -> InputError:
    """The `InputError` for a combination that makes no sense."""
    return InputError(f"sharing = {family!r}: {reason}")
