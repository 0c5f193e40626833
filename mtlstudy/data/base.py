"""What every data set is: its tasks, where it comes from, and its three splits as tensors."""

import hashlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from mtlstudy.data import _hub as hub
from mtlstudy.errors import InputError
from mtlstudy.models.backbones import Backbone, cnn, mlp, text_cnn, transformer
from mtlstudy.models.tasks import Inputs, Task
from mtlstudy.registry import Options as NoOptions
from mtlstudy.registry import Registry

BACKBONES = {"vector": ("mlp",), "image": ("cnn",), "tokens": ("text_cnn", "transformer")}


class Examples:
    """Examples of text, which can be picked out."""

    def keys(self) -> Sequence[Hashable]:
        """What makes two examples the same input."""
        raise NotImplementedError

    def take(self, keep: Iterable[Any]) -> Self:
        """Those of these numbers."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.keys())

    def without(self, *others: "Examples") -> Self:
        """Those that do not stand in the others."""
        seen = set(chain.from_iterable(other.keys() for other in others))
        return self.take(i for i, key in enumerate(self.keys()) if key not in seen)

    def sample(self, size: int | None, seed: int) -> Self:
        """At most `size`, drawn by seed; all in their order for None."""
        n = len(self)
        return self if size is None else self.take(divide(n, [min(size, n)], seed)[0].tolist())


@dataclass(frozen=True)
class Split:
    """inputs (N, …), one tensor or one a task, and targets by task: (N,), of tagged sequences (N,
    T). absent: of a batch that a `Sampler` drew, the tasks without a label in it."""

    inputs: Inputs
    targets: dict[str, Tensor]
    absent: tuple[str, ...] = field(default=(), kw_only=True)

    def pools(self) -> dict[str, Tensor]:
        """Inputs by pool: {"": x} of a single-input problem, by task of a multi-input one."""
        return {"": self.inputs} if isinstance(self.inputs, Tensor) else dict(self.inputs)

    def sizes(self) -> dict[str, int]:
        """Examples of every pool."""
        return {pool: len(x) for pool, x in self.pools().items()}

    def form(self) -> tuple[int, ...]:
        """The shape of an example's input (of a multi-input problem, of its first task's)."""
        return tuple(next(iter(self.pools().values())).shape[1:])

    def batch(self, rows: Mapping[str, Tensor]) -> "Split":
        """The examples of these rows (n,), by pool."""
        if isinstance(self.inputs, Tensor):
            i = rows[""]
            return Split(self.inputs[i], {task: y[i] for task, y in self.targets.items()})
        inputs = {task: x[rows[task]] for task, x in self.inputs.items()}
        return Split(inputs, {task: y[rows[task]] for task, y in self.targets.items()})

    def first(self, n: int) -> "Split":
        """The first n examples of every pool."""
        return self.batch({pool: torch.arange(min(n, size)) for pool, size in self.sizes().items()})

    def to(self, device: torch.device, pin: bool = False) -> "Split":
        """A copy on a device. pin: through page-locked memory, so that the host does not wait."""

        def move(x: Tensor) -> Tensor:
            return x.pin_memory().to(device, non_blocking=True) if pin else x.to(device)

        x = self.inputs
        moved = move(x) if isinstance(x, Tensor) else {task: move(part) for task, part in x.items()}
        targets = {task: move(y) for task, y in self.targets.items()}
        return Split(moved, targets, absent=self.absent)

    def bytes(self) -> int:
        """The memory that it takes."""
        return sum(x.nbytes for x in (*self.pools().values(), *self.targets.values()))


@dataclass(frozen=True)
class Splits:
    """train, validation and test."""

    train: Split
    validation: Split
    test: Split


class Data:
    """A data set of K tasks, over the same inputs or each with its own.

    `load(seed)` gives the same splits for the same seed; where it draws, the test examples are the
    same for every seed. Title, licence and notes of its card stand in book/words.ko.yml.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    """Raised when its numbers change."""
    citation: ClassVar[str]
    sources: ClassVar[tuple[hub.Source, ...]] = ()
    """The hub files it is read from."""
    source: ClassVar[str] = ""
    """Where it comes from; of a hub set said by `sources`."""
    sha256: ClassVar[str] = ""
    """Digest of the file inside a package that it is read from; "" for other sets."""
    class_names: ClassVar[Mapping[str, Sequence[str]]] = {}

    Options: ClassVar[type[NoOptions]] = NoOptions
    """Its options: a subclass of `mtlstudy.registry.Options`."""

    vocabulary: int = 0
    """Token numbers of a text data set, 0 included; known once it is loaded."""
    tagging: bool = False
    """Whether a text data set has a label a token."""

    def __init__(self, options: NoOptions) -> None:
        self.options: Any = options

    def __init_subclass__(cls) -> None:
        if cls.sources:
            cls.source = f"Hugging Face {', '.join(map(str, cls.sources))}"

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks, in order."""
        raise NotImplementedError

    @classmethod
    def available(cls) -> bool:
        """Whether its files are on this machine; always, where it is generated or in a package."""
        return hub.available(*cls.sources)

    def files(self) -> tuple[hub.Source, ...]:
        """The hub files that are read with these options."""
        return self.sources

    def content(self) -> str:
        """Digest of what it reads: of hub files that of the pins, or of the file that would be read
        where none is pinned; "generated" for what is read from nowhere.

        Raises:
            MissingData: a file that is not pinned is not on this machine.
        """
        return hub.content(*self.files()) if self.sources else self.sha256 or "generated"

    def prepared(self) -> bool:
        """Whether loading is quick: nothing that takes minutes is left to compute first."""
        return True

    def load(self, seed: int) -> Splits:
        """The three splits; `InputError` where a file is missing or altered."""
        raise NotImplementedError

    def further(self, seed: int) -> dict[str, Split]:
        """Further test splits by name, for models trained on the training split of `load`."""
        return {}

    def classes(self) -> dict[str, list[str]]:
        """Names of the classes of every multiclass task in the order of their numbers; the numbers
        where they have no names."""
        return {
            task.name: list(self.class_names.get(task.name) or map(str, range(task.outputs)))
            for task in self.tasks
            if task.kind == "multiclass"
        }

    def backbone(
        self,
        splits: Splits,
        *,
        name: str = "auto",
        width: int,
        depth: int,
        dropout: float,
        seed: int = 0,
    ) -> Backbone:
        """A backbone over the inputs; "auto": an MLP for vectors, a CNN for images, a text CNN for
        token numbers. seed: that of the run, where the data set itself chooses the start."""
        shape = splits.train.form()
        form = "tokens" if self.vocabulary else "vector" if len(shape) == 1 else "image"
        allowed = BACKBONES[form]
        name = allowed[0] if name == "auto" else name
        if name not in allowed:
            what = f"the inputs of {self.name} are {form}s; allowed: auto, {', '.join(allowed)}"
            raise InputError(f"backbone = {name!r}: {what}")
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
    """A file inside an installed package, its digest checked.

    Raises:
        InputError: it is missing, unreadable or altered.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        install = f"it holds {path} (pip install {package})"
        raise InputError(f"package {package!r} is not installed; {install}")
    file = Path(spec.submodule_search_locations[0]) / path
    try:
        sha = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        reason = f"cannot be read ({error.strerror}); reinstall {package}"
        raise InputError(f"{package}/{path} {reason}") from None
    if sha != sha256:
        wrong = f"has sha256 {sha[:12]}…; expected {sha256[:12]}… (another or a damaged version)"
        raise InputError(f"{package}/{path} {wrong}")
    return file


def divide(rows: int, parts: Sequence[int], seed: int) -> list[Tensor]:
    """A random division of `rows` row numbers into parts of given sizes, and the rest last."""
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    return list(order.split([*parts, rows - sum(parts)]))


def draw(rows: int, test: int, validation: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Row numbers of training, validation (drawn by seed) and test (the same for every seed)."""
    tested, rest = divide(rows, [test], seed=0)
    validated, trained = (rest[part] for part in divide(len(rest), [validation], seed))
    return trained, validated, tested


def standardise(x: Tensor, by: Tensor) -> Tensor:
    """x (N, …) in units in which the rows `by` (n, …) have mean 0 and deviation 1."""
    return (x - by.mean(0)) / by.std(0).clamp_min(1e-6)


def pick(x: Tensor, y: Tensor, tasks: Sequence[Task], parts: Iterable[Tensor]) -> Splits:
    """Training, validation and test split by their row numbers, from inputs x (N, …) and targets y
    (N, K), a column a task."""

    def split(rows: Tensor) -> Split:
        return Split(x[rows], {task.name: y[rows, t] for t, task in enumerate(tasks)})

    return Splits(*map(split, parts))
