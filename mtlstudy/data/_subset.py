"""Some tasks of a data set: the same examples, with the labels of those tasks alone."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from mtlstudy.data.base import Data, Split, Splits
from mtlstudy.errors import unknown
from mtlstudy.models.tasks import Task


class Subset:
    """A data set of some of another's tasks, in that one's order; everything else is as there.

    Raises:
        InputError: a name that no task has.

    >>> from mtlstudy.data.yeast import Yeast
    >>> [task.name for task in Subset(Yeast(Yeast.Options()), ["class3", "class1"]).tasks]
    ['class1', 'class3']
    """

    def __init__(self, whole: Data, names: Sequence[str]) -> None:
        self.whole, known = whole, [task.name for task in whole.tasks]
        for name in names:
            if name not in known:
                raise unknown("only", name, known)
        self.tasks: tuple[Task, ...] = tuple(task for task in whole.tasks if task.name in names)
        self.names = [task.name for task in self.tasks]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)

    def heads(self, width: int) -> dict[str, nn.Module]:
        """Fresh heads of these tasks."""
        return {name: self.whole.heads(width)[name] for name in self.names}

    def classes(self) -> dict[str, list[str]]:
        """Names of the classes of these tasks that have any."""
        return {task: names for task, names in self.whole.classes().items() if task in self.names}

    def load(self, seed: int) -> Splits:
        """The splits of the whole data set, of these tasks."""
        return self.of(self.whole.load(seed))

    def further(self, seed: int) -> dict[str, Split]:
        """The further test splits, of these tasks."""
        return {name: self.part(split) for name, split in self.whole.further(seed).items()}

    def of(self, splits: Splits) -> Splits:
        """These tasks' part of splits of all tasks; tensors are shared, not copied."""
        return Splits(*map(self.part, (splits.train, splits.validation, splits.test)))

    def part(self, split: Split) -> Split:
        """These tasks' part of a split."""
        inputs = split.inputs
        if isinstance(inputs, dict):
            inputs = {name: inputs[name] for name in self.names}
        return Split(inputs, {name: split.targets[name] for name in self.names})
