"""A task: its name, its loss, its metrics and how many outputs its head has.

Missing labels are NaN (binary, regression) or −100 (multiclass); they enter neither loss nor
metric. A tagged sequence has a label a token: output (N, T, outputs), target (N, T), −100 where
there is no token.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mtlstudy.errors import unknown

Inputs = Tensor | Mapping[str, Tensor]
"""One tensor (N, …) that carries all labels (single-input), or one a task (multi-input)."""

Kind = Literal["multiclass", "binary", "regression", "value"]
METRICS = {  # metric → its kind (the first is the kind's default), and whether larger is better
    "accuracy": ("multiclass", True),
    "macro_f1": ("multiclass", True),
    "auc": ("binary", True),
    "mae": ("regression", False),
    "pearson": ("regression", True),
    "spearman": ("regression", True),
    "value": ("value", False),
}


@dataclass(frozen=True)
class Task:
    """One task. kind "value": the output itself is the loss (toy). outputs: classes of a multiclass
    task, otherwise 1. metric: what is selected on and reported, the kind's default if not given;
    also: further ones to report. level: how deep in a hierarchy of tasks it is read, as a share of
    the backbone (0–1]; 1, the top, where no order of the tasks is known.

    Raises `InputError` for a metric that the kind does not have.
    """

    name: str
    kind: Kind
    outputs: int = 1
    metric: str = ""
    level: float = 1.0
    also: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "metric", self._checked(self.metric))
        for metric in self.also:
            self._checked(metric)

    def _checked(self, metric: str) -> str:
        allowed = [name for name, (kind, _) in METRICS.items() if kind == self.kind]
        if metric and metric not in allowed:
            raise unknown(f"task {self.name!r}: metric", metric, allowed)
        return metric or allowed[0]

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger metric is better."""
        return METRICS[self.metric][1]

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean loss over the labelled examples, a scalar; 0, with a gradient of 0, where none is.

        output (N, outputs), target (N,); on tagged sequences (N, T, outputs) and (N, T).
        """
        if self.kind == "value":
            return output.mean()
        mask = self.mask(target)
        n = mask.sum().clamp_min(1)
        if self.kind == "multiclass":
            flat, labels = output.flatten(0, -2), target.flatten().long()
            return F.cross_entropy(flat, labels, reduction="sum") / n
        # no examples are picked out: that would wait for the device
        y, output = target.nan_to_num(), output.squeeze(-1)
        y = y if y.is_floating_point() else y.to(output.dtype)
        if self.kind == "binary":
            each = F.binary_cross_entropy_with_logits(output, y, reduction="none")
        else:
            each = (output - y) ** 2
        return torch.where(mask, each, 0.0).sum() / n

    def mask(self, target: Tensor) -> Tensor:
        """Where a label is, in the shape of `target`."""
        return target != -100 if self.kind == "multiclass" else ~torch.isnan(target)

    def count(self, target: Tensor) -> Tensor:
        """How many labels there are, a scalar: this batch's share of a larger batch's loss."""
        if self.kind == "value":
            return torch.full((), len(target), device=target.device)
        return self.mask(target).sum()

    def labelled(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The labelled examples (or tokens) alone: (n, outputs) and (n,)."""
        mask = self.mask(target)
        return output[mask], target[mask]

    def measure(self, output: Tensor, target: Tensor, metric: str | None = None) -> float:
        """A metric of this kind, its own where none is named, over a whole split.

        NaN where it is undefined (no label, one class only for the AUC, a constant for a
        correlation). Raises `InputError` for a metric that the kind does not have.
        """
        metric = self._checked(metric or self.metric)
        if metric == "value":
            return float(output.mean())
        output, target = (t.cpu() for t in self.labelled(output, target))
        if target.numel() == 0:
            return float("nan")
        if metric == "accuracy":
            return float((output.argmax(-1) == target).float().mean())
        if metric == "macro_f1":  # 0 for a class that is neither predicted nor true
            from sklearn.metrics import f1_score  # here: importing this module must stay cheap

            how = {"labels": range(self.outputs), "average": "macro", "zero_division": 0}
            return float(f1_score(target.numpy(), output.argmax(-1).numpy(), **how))
        output = output.squeeze(-1)
        if metric == "mae":
            return float((output - target).abs().mean())
        x, y = output.double().numpy(), target.double().numpy()
        return auc(x, y > 0.5) if metric == "auc" else correlation(x, y, metric)


def correlation(x: np.ndarray, y: np.ndarray, kind: str) -> float:
    """Correlation, "pearson" or "spearman"; NaN for a constant or a single point."""
    if len(y) < 2 or np.ptp(x) == 0 or not np.isfinite(x).all() or np.ptp(y) == 0:
        return float("nan")
    from scipy.stats import pearsonr, spearmanr  # here: importing this module must stay cheap

    return float({"pearson": pearsonr, "spearman": spearmanr}[kind](x, y).statistic)


def auc(score: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve by the rank sum (Mann–Whitney), ties half; NaN with one class only.

    >>> auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.75
    """
    n, p = positive.size, int(positive.sum())
    if p in (0, n) or not np.isfinite(score).all():
        return float("nan")
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (count.cumsum() - (count - 1) / 2)[place]  # ties share their mean rank
    return float((rank[positive].sum() - p * (p + 1) / 2) / (p * (n - p)))
