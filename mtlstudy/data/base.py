"""What every data set is: tasks, where it comes from, what may be done with it, and its three splits as tensors."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..backbones import Backbone, cnn, mlp
from ..errors import InputError
from ..shelf import Options as NoOptions
from ..shelf import Shelf
from ..tasks import Task


@dataclass(frozen=True)
class Split:
    """inputs (N, …) and one target (N,) a task."""

    inputs: Tensor
    targets: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.inputs)

    def batch(self, rows: Tensor) -> "Split":
        """The examples of these rows (n,)."""
        return Split(self.inputs[rows], {task: y[rows] for task, y in self.targets.items()})

    def to(self, device: torch.device) -> "Split":
        """A copy on a device."""
        return Split(self.inputs.to(device), {task: y.to(device) for task, y in self.targets.items()})


@dataclass(frozen=True)
class Splits:
    """train, validation and test."""

    train: Split
    validation: Split
    test: Split


class Data:
    """A data set of K tasks over the same inputs. Subclasses say what it is and load it.

    `load(seed)` gives the same splits for the same seed; where it draws, the test examples are the same for every seed.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    licence: ClassVar[str]
    citation: ClassVar[str]
    source: ClassVar[str]
    hub_id: ClassVar[str | None] = None
    sha256: ClassVar[str | None] = None
    """Digest of the file it is read from; None for what is generated."""
    notes: ClassVar[str] = ""

    Options: ClassVar[type[NoOptions]] = NoOptions
    """Its options: a subclass of `mtlstudy.shelf.Options`."""

    def __init__(self, options: NoOptions) -> None:
        self.options: Any = options

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks, in order."""
        raise NotImplementedError

    def load(self, seed: int) -> Splits:
        """The three splits; `InputError` where a file is missing or altered."""
        raise NotImplementedError

    def backbone(self, inputs: Tensor, width: int, depth: int, dropout: float, seed: int) -> Backbone:
        """The backbone that suits the inputs (N, …): an MLP for vectors, a CNN for images."""
        if inputs.ndim == 2:
            return mlp(inputs.shape[1], width, depth, dropout)
        return cnn(tuple(inputs.shape[1:]), width, dropout)

    def heads(self, width: int) -> dict[str, nn.Module]:
        """A fresh head (N, width) → (N, outputs) for every task: one linear layer."""
        return {task.name: nn.Linear(width, task.outputs) for task in self.tasks}


shelf: Shelf[type[Data]] = Shelf("mtlstudy.data")


@cache
def embedded(package: str, path: str, sha256: str) -> Path:
    """A file inside an installed package, its digest checked. `InputError` where it is missing, unreadable or altered."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"package {package!r} is not installed; it holds {path} (pip install {package})")
    file = Path(spec.submodule_search_locations[0]) / path
    try:
        found = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{package}/{path} cannot be read ({error.strerror}); reinstall {package}") from None
    if found != sha256:
        raise InputError(f"{package}/{path} has sha256 {found[:12]}…; expected {sha256[:12]}… (another or a damaged version)")
    return file


def divide(rows: int, parts: Sequence[int], seed: int) -> list[Tensor]:
    """A random division of `rows` row numbers into parts of the given sizes, and the rest last."""
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    return list(order.split([*parts, rows - sum(parts)]))
