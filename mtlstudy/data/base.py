"""What every data set is: tasks, where it comes from, what may be done with it, and its three splits as tensors."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mtlstudy.models.backbones import Backbone, cnn, mlp, text_cnn, transformer
from mtlstudy.training.config import RunConfig
from mtlstudy.errors import InputError
from mtlstudy.data._hub import Source, available
from mtlstudy.registry import Options as NoOptions
from mtlstudy.registry import Registry
from mtlstudy.models.tasks import Inputs, Task

BACKBONES = {"vector": ("mlp",), "image": ("cnn",), "tokens": ("text_cnn", "transformer")}


@dataclass(frozen=True)
class Split:
    """inputs (N, …) and one target a task, (N,) or (N, T) for tagged sequences.

    Single-input: inputs is one tensor, which carries all labels. Multi-input: inputs and targets by task, each of its own length.
    """

    inputs: Inputs
    targets: dict[str, Tensor]

    def sizes(self) -> dict[str, int]:
        """Examples of every pool: {"": N} of a single-input problem, {task: N_t} of a multi-input one."""
        return {"": len(self.inputs)} if isinstance(self.inputs, Tensor) else {t: len(x) for t, x in self.inputs.items()}

    def form(self) -> tuple[int, ...]:
        """The shape of an example's input (of a multi-input problem, of its first task's)."""
        x = self.inputs
        return tuple((x if isinstance(x, Tensor) else next(iter(x.values()))).shape[1:])

    def batch(self, rows: Mapping[str, Tensor]) -> "Split":
        """The examples of these rows (n,), by pool."""
        if isinstance(self.inputs, Tensor):
            return Split(self.inputs[rows[""]], {task: y[rows[""]] for task, y in self.targets.items()})
        inputs = {task: x[rows[task]] for task, x in self.inputs.items()}
        return Split(inputs, {task: y[rows[task]] for task, y in self.targets.items()})

    def first(self, n: int) -> "Split":
        """The first n examples of every pool."""
        return self.batch({pool: torch.arange(min(n, size)) for pool, size in self.sizes().items()})

    def to(self, device: torch.device, pin: bool = False) -> "Split":
        """A copy on a device. pin: through page-locked memory, so that the host does not wait for it."""

        def move(x: Tensor) -> Tensor:
            return x.pin_memory().to(device, non_blocking=True) if pin else x.to(device)

        x = self.inputs
        moved = move(x) if isinstance(x, Tensor) else {task: move(part) for task, part in x.items()}
        return Split(moved, {task: move(y) for task, y in self.targets.items()})

    def bytes(self) -> int:
        """The memory that it takes."""
        inputs = [self.inputs] if isinstance(self.inputs, Tensor) else [*self.inputs.values()]
        return sum(x.numel() * x.element_size() for x in (*inputs, *self.targets.values()))


@dataclass(frozen=True)
class Splits:
    """train, validation and test."""

    train: Split
    validation: Split
    test: Split


class Data:
    """A data set of K tasks, over the same inputs or each with its own. Subclasses say what it is and load it.

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
    sources: ClassVar[tuple[Source, ...]] = ()
    """The hub files it is read from."""

    Options: ClassVar[type[NoOptions]] = NoOptions
    """Its options: a subclass of `mtlstudy.registry.Options`."""

    def __init__(self, options: NoOptions) -> None:
        self.options: Any = options

    @classmethod
    def available(cls) -> bool:
        """Whether its files are on this machine; always, where it comes with a package or is generated."""
        return available(*cls.sources)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks, in order."""
        raise NotImplementedError

    def load(self, seed: int) -> Splits:
        """The three splits; `InputError` where a file is missing or altered."""
        raise NotImplementedError

    vocabulary: int = 0
    """Token numbers of a text data set, 0 included; known once it is loaded."""
    tagging: ClassVar[bool] = False
    """Whether a text data set has a label a token."""

    def backbone(self, splits: Splits, config: RunConfig) -> Backbone:
        """The configured backbone over the inputs; "auto": an MLP for vectors, a CNN for images, a text CNN for token numbers."""
        shape = splits.train.form()
        form = "tokens" if self.vocabulary else "vector" if len(shape) == 1 else "image"
        allowed = BACKBONES[form]
        name = allowed[0] if config.backbone == "auto" else config.backbone
        if name not in allowed:
            raise InputError(f"backbone = {name!r}: the inputs of {self.name} are {form}s; allowed: auto, {', '.join(allowed)}")
        width, depth, dropout = config.width, config.depth, config.dropout
        if name == "mlp":
            return mlp(shape[0], width, depth, dropout)
        if name == "cnn":
            return cnn(shape, width, dropout)
        if name == "text_cnn":
            return text_cnn(self.vocabulary, width, dropout, self.tagging)
        return transformer(self.vocabulary, shape[0], width, depth, dropout, tokens=self.tagging)

    def heads(self, width: int) -> dict[str, nn.Module]:
        """A fresh head (N, width) → (N, outputs) for every task: one linear layer."""
        return {task.name: nn.Linear(width, task.outputs) for task in self.tasks}


registry: Registry[type[Data]] = Registry("data")


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
