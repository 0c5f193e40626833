"""The models that are timed: K tasks over one of the backbones, hard sharing, linear heads, random
data. To `mtlstudy.backward` such a model is a module like any other: it is given the losses."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mtlstudy.data.base import Split
from mtlstudy.errors import unknown
from mtlstudy.gradients import representation_gradients, separate
from mtlstudy.models.backbones import Backbone, cnn, mlp, transformer
from mtlstudy.models.sharing.base import Sharing
from mtlstudy.models.tasks import Task
from mtlstudy.registry import entry

CLASSES = 10
DEFAULTS = {
    "mlp": {"inputs": 256, "width": 512, "depth": 3, "batch": 256},
    "transformer": {"inputs": 1000, "length": 32, "width": 128, "depth": 4, "batch": 32},
    "own_mlp": {"inputs": 103, "width": 64, "depth": 2, "batch": 128},
    "own_cnn": {"inputs": 36, "width": 50, "depth": 1, "batch": 128},
}
"""Sizes of a kind; inputs: features, token numbers, or the side of an image. "own": as small as
those that are trained here, so that what a step does beside differentiating counts."""


@dataclass(frozen=True)
class Problem:
    """A model, one batch for it, and its name. length: tokens of an input, if it has some."""

    name: str
    model: Sharing
    batch: Split
    length: int | None = None

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
        return {
            "problem": self.name,
            "K": len(self.tasks),
            "parameters": self.model.parameter_count(),
            "length": self.length,
            "batch": len(self.batch.inputs),
        }

    def shared(self) -> list[nn.Parameter]:
        """The trunk's parameters."""
        return [p for block in self.model.shared_blocks().values() for p in block]

    def losses(self) -> tuple[list[Tensor], Tensor]:
        """K losses on the batch, and the representation z (N, d) that all heads read."""
        z = self.model.encode(self.batch.inputs)[self.tasks[0].name]
        return self.read([z] * len(self.tasks)), z

    def read(self, z: Sequence[Tensor]) -> list[Tensor]:
        """K losses of the heads on what each of them reads."""
        heads, targets = self.model.heads, self.batch.targets
        pairs = zip(self.tasks, z, strict=True)
        return [task.loss(heads[task.name](rep), targets[task.name]) for task, rep in pairs]

    def head_gradients(self) -> tuple[Tensor, list[Tensor]]:
        """z (N, d), and ∂L_t/∂z (N, d) of every task: the least that task gradients begin with."""
        z = self.model.encode(self.batch.inputs)[self.tasks[0].name]
        views = separate([z] * len(self.tasks))
        heads = [self.model.task_parameters(task.name) for task in self.tasks]
        return z, representation_gradients(self.read(views), views, heads)[0]


def make(kind: str, K: int, device: str = "cpu", **sizes: int) -> Problem:
    """A problem of K classifications: the same model and batch for the same arguments.

    kind: one of `DEFAULTS`; sizes: those that are others. `InputError` for another kind.
    """
    if kind not in DEFAULTS:
        raise unknown("problem", kind, list(DEFAULTS))
    size = DEFAULTS[kind] | sizes
    inputs, width, depth, batch = (size[key] for key in ("inputs", "width", "depth", "batch"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone: Backbone
        if kind == "transformer":
            backbone = transformer(inputs, size["length"], width, depth)
            x = torch.randint(1, inputs, (batch, size["length"]))
        elif kind == "own_cnn":
            backbone, x = cnn((1, inputs, inputs), width), torch.randn(batch, 1, inputs, inputs)
        else:
            backbone, x = mlp(inputs, width, depth), torch.randn(batch, inputs)
        tasks = tuple(Task(f"task{t + 1}", "multiclass", CLASSES) for t in range(K))
        heads = {task.name: nn.Linear(backbone.width, CLASSES) for task in tasks}
        hard = entry("sharing", "hard")
        model: Sharing = hard(backbone, tasks, heads, hard.Options())
        split = Split(x, {task.name: torch.randint(CLASSES, (batch,)) for task in tasks})
    name = f"{kind} {inputs}, {width} × {depth}"
    return Problem(name, model.to(device), split.to(torch.device(device)), size.get("length"))
