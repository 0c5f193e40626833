"""Measuring a model on a split."""

from collections.abc import Sequence

import torch

from .data.base import Split
from .sharing.base import Sharing
from .tasks import Task


def measure(model: Sharing, tasks: Sequence[Task], split: Split) -> dict[str, dict[str, float]]:
    """Loss, metric and score (the metric, larger is better) of every task on a split, in evaluation mode."""
    model.eval()
    with torch.no_grad():
        parts = [model(split.inputs[rows]) for rows in torch.arange(len(split)).split(1000)]
    measured = {}
    for task in tasks:
        output, target = torch.cat([part[task.name] for part in parts]), split.targets[task.name]
        value = task.measure(output, target)
        score = value if task.higher_is_better else -value
        measured[task.name] = {"loss": float(task.loss(output, target)), "metric": value, "score": score}
    return measured


def mean(values: list[float]) -> float:
    """Mean over the defined values (a task's metric may be undefined on a split); −inf where none is."""
    defined = [v for v in values if v == v]
    return sum(defined) / len(defined) if defined else float("-inf")
