"""Measuring a model on a split."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mtlstudy.data.base import Split
from mtlstudy.models.sharing.base import Sharing
from mtlstudy.models.tasks import Task

CHUNK = {"cpu": 128, "cuda": 4096}  # examples at once: on a CPU what stays in the cache is faster, on a GPU few launches are


def measure(model: Sharing, tasks: Sequence[Task], split: Split) -> dict[str, dict[str, float]]:
    """Loss, metric and score (the metric, larger is better) of every task on a split, in evaluation mode."""
    model.eval()
    with torch.no_grad():
        outputs = predict(model, split, [task.name for task in tasks])
    measured = {}
    for task in tasks:
        output = outputs[task.name]
        target = split.targets[task.name].to(output.device)
        value = task.measure(output, target)
        score = value if task.higher_is_better else -value
        measured[task.name] = {"loss": float(task.loss(output, target)), "metric": value, "score": score}
    return measured


def predict(model: Sharing, split: Split, names: Sequence[str]) -> dict[str, Tensor]:
    """Output (N, …) of these tasks on their examples of a split."""
    device = next(model.parameters()).device
    chunk = CHUNK.get(device.type, 4096)
    x = split.inputs
    groups = [(x, names)] if isinstance(x, Tensor) else [(x[name], [name]) for name in names]
    found: dict[str, Tensor] = {}
    for inputs, own in groups:
        parts = [model.represent(x.to(device), own) for x in inputs.split(chunk)]
        found |= {name: torch.cat([model.heads[name](z[name]) for z in parts]) for name in own}
    return found


def flops(model: Sharing, split: Split) -> float:
    """Floating-point operations of one example's forward pass through everything it needs; of a multi-input problem, of one
    example a task. Counted by torch (matrix products and convolutions) on the first examples of a split."""
    few, n = split.first(8), min([8, *split.sizes().values()])
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        predict(model, few, [task.name for task in model.tasks])
    return float(counter.get_total_flops() / n)


def mean(values: list[float]) -> float:
    """Mean over the defined values (a task's metric may be undefined on a split); −inf where none is."""
    defined = [v for v in values if v == v]
    return sum(defined) / len(defined) if defined else float("-inf")
