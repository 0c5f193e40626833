"""A task: its name, its loss, its metric and how many outputs its head has.

Missing labels are NaN (binary, regression) or −100 (multiclass); they enter neither loss nor metric.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Kind = Literal["multiclass", "binary", "regression", "value"]
METRIC = {"multiclass": ("accuracy", True), "binary": ("auc", True), "regression": ("mae", False), "value": ("value", False)}


@dataclass(frozen=True)
class Task:
    """One task. `outputs`: classes of a multiclass task, otherwise 1. kind "value": the output itself is the loss (toy)."""

    name: str
    kind: Kind
    outputs: int = 1

    @property
    def metric(self) -> str:
        """Name of the metric that is reported and selected on."""
        return METRIC[self.kind][0]

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger metric is better."""
        return METRIC[self.kind][1]

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean loss over the labelled examples, a scalar; 0 (with a gradient of 0) where none is labelled.

        output (N, outputs), target (N,).
        """
        if self.kind == "value":
            return output.mean()
        labelled = target != -100 if self.kind == "multiclass" else ~torch.isnan(target)
        output, target = output[labelled], target[labelled]
        if target.numel() == 0:
            return output.sum() * 0.0
        if self.kind == "multiclass":
            return F.cross_entropy(output, target)
        if self.kind == "binary":
            return F.binary_cross_entropy_with_logits(output.squeeze(-1), target)
        return F.mse_loss(output.squeeze(-1), target)

    def measure(self, output: Tensor, target: Tensor) -> float:
        """The metric over a whole split; NaN where it is undefined (no label, or one class only for the AUC)."""
        if self.kind == "value":
            return float(output.mean())
        labelled = target != -100 if self.kind == "multiclass" else ~torch.isnan(target)
        output, target = output[labelled].cpu(), target[labelled].cpu()
        if target.numel() == 0:
            return float("nan")
        if self.kind == "multiclass":
            return float((output.argmax(-1) == target).float().mean())
        if self.kind == "binary":
            return auc(output.squeeze(-1).double().numpy(), target.numpy() > 0.5)
        return float((output.squeeze(-1) - target).abs().mean())


def auc(score: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve by the rank sum (Mann–Whitney), ties counted half; NaN with one class only.

    >>> auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.75
    """
    n, p = positive.size, int(positive.sum())
    if p in (0, n) or not np.isfinite(score).all():
        return float("nan")
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (count.cumsum() - (count - 1) / 2)[place]  # ties share their mean rank
    return float((rank[positive].sum() - p * (p + 1) / 2) / (p * (n - p)))
