"""One check of what a data set loads, for the sets of this package and for anybody's own: what is
not as the tasks say is refused before any work, by split, task, row and value."""

import re
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mtlstudy.data.base import Data, Split, Splits
from mtlstudy.errors import InputError, shown
from mtlstudy.models.tasks import Task

NEED_TWO = ("auc", "pearson", "spearman")
"""Metrics that are undefined where all labels agree."""
NAME = re.compile(r"[\w-]{1,60}")
"""A task's name, in any script: it names parameters, columns and labels of figures."""
TAKEN = {*dir(nn.ModuleDict()), *dir(nn.ParameterDict()), "shared"}
"""Names that a model has for something else."""


def check(data: Data, splits: Splits) -> None:
    """Every split has examples with finite inputs, and a target for every task in its form; every
    task has a label in training and validation, and not one value alone to learn or, where the
    metric is then undefined, to select by.

    Raises:
        InputError: the first thing that is not so.
    """
    names = [task.name for task in data.tasks]
    if not names or len(set(names)) < len(names):
        reason = f"tasks {shown(names)}; allowed: one at least, of names that differ"
        raise InputError(f"data = {data.name!r}: {reason}")
    for name in names:
        if not NAME.fullmatch(name) or name in TAKEN:
            allowed = "up to 60 letters, digits, _ and -, no attribute of a model such as type"
            raise InputError(f"data = {data.name!r}: task {shown(name)}; allowed: {allowed}")
    for part, split in vars(splits).items():
        pools, where = split.pools(), f"data = {data.name!r}: {part}"
        for what, have in (("inputs", set(pools) - {""} or set(names)), ("targets", split.targets)):
            if set(have) != set(names):
                raise InputError(f"{where} has {what} for {sorted(have)}; allowed: {sorted(names)}")
        for pool, x in pools.items():
            if fault := wrong_input(x):
                raise InputError(f"{where}: inputs{f' of {pool}' if pool else ''} {fault}")
        for task in data.tasks:
            x = pools[task.name] if task.name in pools else pools[""]
            fault = wrong_target(task, split.targets[task.name], x, data.tagging)
            if not fault and part != "test":
                fault = nothing_to_learn(task, split.targets[task.name], part)
            if fault:
                raise InputError(f"{where}: targets of {task.name} {fault}")


def taken(tasks: Iterable[Task], split: Split) -> Split:
    """A split in the types that are trained on, where that loses no label: real inputs of another
    width, whole labels of classes of another width, and whole or real ones of values. What is of
    another kind stays as it is, for `check` to name."""

    def is_real(x: Tensor) -> bool:
        return x.is_floating_point() or x.is_complex()

    def taken_input(x: Tensor) -> Tensor:
        other = is_real(x) and x.dtype != torch.float16 and not x.is_complex()
        return x.float() if other else x

    def taken_target(y: Tensor, kind: str) -> Tensor:
        if kind in ("binary", "regression"):
            return y if y.is_complex() else y.float()
        return y.long() if kind == "multiclass" and not is_real(y) else y

    kinds = {task.name: task.kind for task in tasks}
    inputs = {pool: taken_input(x) for pool, x in split.pools().items()}
    targets = {name: taken_target(y, kinds.get(name, "")) for name, y in split.targets.items()}
    return Split(inputs.get("", inputs), targets)


def wrong_input(x: Tensor) -> str:
    """What is wrong with inputs (N, …), or nothing."""
    if not len(x):
        return "hold no example"
    if not x.is_floating_point():
        return ""
    if x.dtype not in (torch.float32, torch.float16):  # the latter: states of a frozen encoder
        return f"are {x.dtype}; allowed: torch.float32, or whole numbers (tokens)"
    bad = ~torch.isfinite(x.flatten(1)).all(1)
    return f"are not finite at row {int(bad.nonzero()[0])}" if bad.any() else ""


def wrong_target(task: Task, y: Tensor, x: Tensor, tagging: bool) -> str:
    """What is wrong with targets y of inputs x (N, …), or nothing: (N,), of tags (N, T)."""
    shape = tuple(x.shape[:2] if tagging and task.kind == "multiclass" else x.shape[:1])
    if tuple(y.shape) != shape:
        return f"have shape {tuple(y.shape)}; allowed: {shape}"
    if task.kind == "value":
        return ""
    if task.kind == "multiclass":
        kind, allowed = torch.int64, f"0 to {task.outputs - 1}, or −100 (missing)"
        bad = (y != -100) & ((y < 0) | (y >= task.outputs))
    elif task.kind == "binary":
        kind, allowed = torch.float32, "0, 1, or NaN (missing)"
        bad = ~(torch.isnan(y) | (y == 0) | (y == 1))
    else:
        kind, allowed = torch.float32, "finite numbers, or NaN (missing)"
        bad = torch.isinf(y)
    if y.dtype != kind:
        return f"are {y.dtype}; allowed: {kind}"
    if bad.any():
        row = bad.nonzero()[0].tolist()
        return f"hold {y[tuple(row)].item():g} at row {row[0]}; allowed: {allowed}"
    return ""


def nothing_to_learn(task: Task, y: Tensor, part: str) -> str:
    """Whether the targets of a part hold no label, or one value where two are needed."""
    labels = y[task.mask(y)]
    if task.kind != "value" and not len(labels):
        return "hold no label; allowed: one at least"
    if task.kind == "regression" and part == "train" and bool((labels == labels[0]).all()):
        return f"are all {labels[0].item():g}: there is nothing to learn"
    if task.metric in NEED_TWO and part == "validation" and bool((labels == labels[0]).all()):
        return f"are all {labels[0].item():g}: the {task.metric} to select by is undefined"
    return ""
