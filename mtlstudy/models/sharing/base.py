"""What every sharing architecture is: a backbone's stages, owned by tasks in some pattern, with one
head a task.

A family says three things: the copies of each stage (`build`, held in `self.stages`: one dictionary
of copies a stage), the way of an input through them (`represent`), and which tasks each part serves
(`usage`). Blocks to bargain over, parameters of a single task, diagrams and counts follow.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from mtlstudy.errors import InputError
from mtlstudy.models.backbones import Backbone, Stage
from mtlstudy.models.tasks import Inputs, Task
from mtlstudy.registry import Options as NoOptions
from mtlstudy.registry import Registry

State = dict[str, Any]
"""Plain values and tensors."""


Origins = Mapping[nn.Parameter, Sequence[nn.Parameter]]
"""Each parameter of a new structure, with those whose mean it is."""


class Use(NamedTuple):
    """Parameters of a block, and the tasks whose outputs depend on them."""

    block: str
    tasks: Sequence[str]
    parameters: list[nn.Parameter]


class Sharing(nn.Module):
    """A model for K tasks. Subclasses implement `build`, `represent` and `usage`.

    structure: what a search before training found (see `searches`); None before it, and where there
    is none.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    version: ClassVar[int] = 1
    """Raised when its numbers change; it enters the identity of every run."""
    independent: ClassVar[bool] = False
    """Whether no parameter serves two tasks and nothing ties them; each task then selects its own
    checkpoint."""
    bargains: ClassVar[bool] = True
    """Whether the task losses meet in shared parameters, not in a penalty alone."""
    searches: ClassVar[bool] = False
    """Whether `search` runs before training."""
    changes: ClassVar[bool] = False
    """Whether `restructure` changes the parameters while it trains."""
    tuned: ClassVar[Mapping[str, Sequence[Any]]] = {}
    """Options of the family that tuning tries, with their values."""

    Options: ClassVar[type[NoOptions]] = NoOptions
    """Its options: a subclass of `mtlstudy.registry.Options`."""
    options: Any
    stages: Any
    """One dictionary of copies (nn.ModuleDict) a stage, in an nn.ModuleList."""

    def __init__(
        self,
        backbone: Backbone,
        tasks: Sequence[Task],
        heads: Mapping[str, nn.Module],
        options: NoOptions,
        structure: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.tasks, self.options, self.structure = tuple(tasks), options, structure
        self.task_names = sorted(task.name for task in tasks)  # no result depends on their order
        self.stage_names = [stage.name for stage in backbone.stages]
        self.build(backbone)
        self.heads = nn.ModuleDict({task.name: heads[task.name] for task in tasks})

    def build(self, backbone: Backbone) -> None:
        """Make the stages. Raises `InputError` where the family makes no sense over this backbone
        or these tasks."""
        raise NotImplementedError

    def represent(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        """Representation z of these tasks for an input x (N, …); one and the same tensor where it
        is shared."""
        raise NotImplementedError

    def usage(self) -> Iterable[Use]:
        """Every parameter but the heads', with the tasks that it serves; uses of one name are one
        block. If not said, every stage is a block that serves all tasks."""
        for name, stage in zip(self.stage_names, self.stages, strict=True):
            yield self.use(name, stage)

    @classmethod
    def penalised(cls) -> bool:
        """Whether the family has a `penalty`."""
        return cls.penalty is not Sharing.penalty

    def penalty(self) -> Tensor | None:
        """What the family adds to the objective, a scalar; None where it adds nothing."""
        return None

    @classmethod
    def search(cls, problem: "Problem", options: Any, found: State) -> Iterable[State]:
        """Find the structure in pieces, each a state of plain values and tensors, the last one the
        structure; `found`: the last piece of an interrupted search, to go on from."""
        raise NotImplementedError

    def restructure(self, step: int, steps: int, gramians: Tensor | None) -> Origins | None:
        """Called after each of `steps` steps, with the step's Gramians (B, K, K): a new structure's
        parameters by origin, or None where the structure stays."""
        return None

    def learned(self, inputs: Inputs) -> dict[str, Any]:
        """What was learned or found about sharing, as plain numbers: mixing matrices, gates on
        these inputs, overlaps."""
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

    def copies(self, stages: Iterable[Stage], names: Sequence[str]) -> nn.ModuleList:
        """Fresh copies of every stage, one a name."""
        return nn.ModuleList(nn.ModuleDict({n: s.build() for n in names}) for s in stages)

    def rows(self, values: Tensor) -> nn.ParameterDict:
        """A parameter a task, which starts as its row of `values` (K, …)."""
        pairs = zip(self.task_names, values, strict=True)
        return nn.ParameterDict({task: nn.Parameter(row.clone()) for task, row in pairs})

    def use(self, block: str, *parts: nn.Module | nn.Parameter, task: str | None = None) -> Use:
        """A use by all tasks, or by one `task` alone."""
        return Use(block, [task] if task else self.task_names, parameters(*parts))

    def refuse(self, reason: str) -> InputError:
        """The `InputError` for a combination that makes no sense."""
        return InputError(f"sharing = {self.name!r}: {reason}")

    def shared_blocks(self) -> dict[str, list[nn.Parameter]]:
        """The blocks of parameters on which tasks bargain, by name: those that serve two tasks or
        more."""
        blocks: dict[str, list[nn.Parameter]] = {}
        for use in self.usage():
            if len(use.tasks) > 1 and (trained := trainable(use.parameters)):
                blocks.setdefault(use.block, []).extend(trained)
        return blocks

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """The parameters that serve this task alone: its head, and whatever else it owns."""
        own = [p for use in self.usage() if list(use.tasks) == [task] for p in use.parameters]
        return trainable([*own, *self.heads[task].parameters()])

    def parameter_count(self) -> int:
        """Parameters as used: each once."""
        return sum(p.numel() for p in self.parameters())


class Partitioned(Sharing):
    """A family in which a stage has one copy for each coalition of tasks, and nothing else."""

    def partition(self, backbone: Backbone) -> list[list[list[str]]]:
        """For each stage the coalitions, lists of task names that together are all tasks; every
        task by itself if not said."""
        return [singletons(self.task_names) for _ in backbone.stages]

    def build(self, backbone: Backbone) -> None:
        self.partitions = self.partition(backbone)
        pairs = zip(backbone.stages, self.partitions, strict=True)
        self.stages = nn.ModuleList(
            nn.ModuleDict({self.key(c): stage.build() for c in coalitions})
            for stage, coalitions in pairs
        )

    def key(self, coalition: Sequence[str]) -> str:
        """The name of a coalition's copy."""
        everyone = 1 < len(coalition) == len(self.task_names)
        return "shared" if everyone else "+".join(sorted(coalition))

    def represent(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        activations: dict[tuple[str, ...], Tensor] = {(): x}  # path of copies → activation
        z = {}
        for task in tasks:
            path: tuple[str, ...] = ()
            for stage, coalitions in zip(self.stages, self.partitions, strict=True):
                h, key = activations[path], next(self.key(c) for c in coalitions if task in c)
                path = (*path, key)
                if path not in activations:  # tasks share what they can
                    activations[path] = stage[key](h)
            z[task] = activations[path]
        return z

    def usage(self) -> Iterable[Use]:
        levels = zip(self.stage_names, self.stages, self.partitions, strict=True)
        for name, stage, coalitions in levels:
            for c in coalitions:
                key = self.key(c)
                block = name if key == "shared" else f"{name}.{key}"
                yield Use(block, sorted(c), parameters(stage[key]))


class Problem(Protocol):
    """What a search may use: the tasks, fresh stages and heads, and training at a rate lr."""

    tasks: Sequence[Task]
    steps: int
    lr: float
    backbone: Backbone

    def heads(self) -> dict[str, nn.Module]:
        """Fresh heads."""

    def examples(self, n: int) -> Tensor:
        """The inputs (N ≥ n, …) of some training examples, of multi-input problems of all tasks."""

    def train(self, model: Sharing, steps: int, watch: Any = None, before: Any = None) -> None:
        """`steps` steps with equal weights on the training split, from the model's present state;
        watch(M (B, K, K)): called with the Gramians of each step's blocks; before(step, batch):
        called before each step."""


registry: Registry[type[Sharing]] = Registry("sharing")


def singletons(tasks: Sequence[str]) -> list[list[str]]:
    """The partition in which every task is by itself."""
    return [[task] for task in tasks]


def parameters(*parts: nn.Module | nn.Parameter) -> list[nn.Parameter]:
    """The parameters of some modules, and parameters themselves, in order."""
    each = ([p] if isinstance(p, nn.Parameter) else p.parameters() for p in parts)
    return list(chain.from_iterable(each))


def trainable(given: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    """Those that are not frozen."""
    return [p for p in given if p.requires_grad]


def matrices(module: nn.Module) -> dict[str, nn.Parameter]:
    """A module's weights with two axes or more, by name: what is factorised, masked or given a
    rank; biases and norms are not."""
    return {name: p for name, p in module.named_parameters() if p.ndim > 1}


def mixture(scores: Tensor, f: Tensor) -> Tensor:
    """Σ_e softmax(scores)_e f_e for every example: scores (N, E), f (N, E, …) → (N, …)."""
    weights = scores.softmax(-1)
    return (weights.view(*weights.shape, *[1] * (f.ndim - 2)) * f).sum(1)


def mix(alpha: Tensor, f: Tensor) -> Tensor:
    """Σ_s α_s f_s: alpha (…, S), f (S, N, …) → (…, N, …), in the precision of f."""
    out: Tensor = torch.tensordot(alpha.to(f.dtype), f, dims=1)
    return out


def near_identity(n: int, own: float) -> Tensor:
    """(n, n) with `own` on the diagonal and the rest of each row spread evenly."""
    eye, own = torch.eye(n), own if n > 1 else 1.0
    return eye * own + (1 - eye) * (1 - own) / max(n - 1, 1)


def gate_values(gates: Mapping[str, nn.Module], inputs: Inputs) -> dict[str, Tensor]:
    """The softmax (N, E) of every task's gate on these inputs."""
    by_task = {t: inputs if isinstance(inputs, Tensor) else inputs[t] for t in gates}
    return {task: gate(by_task[task]).softmax(-1) for task, gate in gates.items()}


def relative_singular_values(W: Tensor) -> list[float]:
    """Singular values of W (D_1, …, D_n, K) as a matrix (∏D, K), as shares of the largest."""
    values = torch.linalg.svdvals(W.detach().reshape(-1, W.shape[-1]))
    shares: list[float] = (values / values.max().clamp_min(1e-30)).tolist()
    return shares


def run(stages: Iterable[nn.Module], x: Tensor) -> Tensor:
    """x (N, …) through the stages in order."""
    for stage in stages:
        x = stage(x)
    return x
