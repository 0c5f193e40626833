"""The models that are timed: K tasks over one of the package's backbones, hard sharing, linear heads, random data."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mtlstudy.models.backbones import mlp, transformer
from mtlstudy.data.base import Split
from mtlstudy.errors import unknown
from mtlstudy.gradients import apart, representation_gradients
from mtlstudy.models.sharing.base import Sharing
from mtlstudy.registry import entry
from mtlstudy.models.tasks import Task

CLASSES = 10


@dataclass(frozen=True)
class Problem:
    """A model, one batch for it, and what it is made of. length: tokens of an input, 0 where it has none."""

    name: str
    model: Sharing
    batch: Split
    length: int = 0

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The K tasks, all of `CLASSES` classes."""
        return self.model.tasks

    @property
    def device(self) -> torch.device:
        """Where it lies."""
        return next(self.model.parameters()).device

    def facts(self) -> dict[str, str | int | None]:
        """The columns that say what it is: problem, K, parameters, length, batch."""
        sizes = {"K": len(self.tasks), "parameters": self.model.parameter_count(), "length": self.length or None}
        return {"problem": self.name, **sizes, "batch": len(next(iter(self.batch.targets.values())))}

    def shared(self) -> list[nn.Parameter]:
        """The trunk's parameters."""
        return [p for block in self.model.shared_blocks().values() for p in block]

    def encode(self) -> Tensor:
        """The representation z (N, d) of the batch, which all tasks share."""
        return self.model.encode(self.batch.inputs)[self.tasks[0].name]

    def read(self, z: Sequence[Tensor]) -> list[Tensor]:
        """K losses of the heads on what each of them reads."""
        heads, targets = self.model.heads, self.batch.targets
        return [task.loss(heads[task.name](rep), targets[task.name]) for task, rep in zip(self.tasks, z, strict=True)]

    def losses(self) -> tuple[list[Tensor], Tensor]:
        """K losses on the batch, and the representation z (N, d) that all heads read."""
        z = self.encode()
        return self.read([z] * len(self.tasks)), z

    def pulled(self) -> tuple[Tensor, list[Tensor]]:
        """z (N, d), and ∂L_t/∂z (N, d) of every task: the least that all task gradients begin with."""
        z = self.encode()
        each = apart([z] * len(self.tasks))
        own = [self.model.own_parameters(task.name) for task in self.tasks]
        return z, representation_gradients(self.read(each), each, own)[0]


def make(
    kind: str, K: int, *, width: int = 0, depth: int = 0, inputs: int = 256, vocabulary: int = 1000, length: int = 32,
    batch: int = 0, device: str = "cpu", seed: int = 0,
) -> Problem:  # fmt: skip
    """A problem of K classifications: the same model and batch for the same arguments.

    kind: "mlp" (width 512, depth 3, batch 256 if not given; `inputs` features) or "transformer" (width 128, depth 4, batch 32 if
    not given; `vocabulary` token numbers, `length` tokens). Raises `InputError` for another kind.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if kind == "mlp":
            width, depth, batch = width or 512, depth or 3, batch or 256
            backbone, x, length = mlp(inputs, width, depth), torch.randn(batch, inputs), 0
            name = f"mlp {inputs}, {width} × {depth}"
        elif kind == "transformer":
            width, depth, batch = width or 128, depth or 4, batch or 32
            backbone, x = transformer(vocabulary, length, width, depth), torch.randint(1, vocabulary, (batch, length))
            name = f"transformer {vocabulary}, {width} × {depth}"
        else:
            raise unknown("problem", kind, ["mlp", "transformer"])
        tasks = tuple(Task(f"task{t + 1}", "multiclass", CLASSES) for t in range(K))
        heads = {task.name: nn.Linear(backbone.width, CLASSES) for task in tasks}
        hard = entry("sharing", "hard")
        model: Sharing = hard(backbone, tasks, heads, hard.Options())
        split = Split(x, {task.name: torch.randint(CLASSES, (batch,)) for task in tasks})
    return Problem(name, model.to(device), split.to(torch.device(device)), length)
