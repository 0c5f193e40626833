"""A task: its name, its loss, its metric and how many outputs its head has.

Missing labels are NaN (binary, regression) or −100 (multiclass); they enter neither loss nor metric. A tagged sequence has a
label a token: output (N, T, outputs), target (N, T), −100 where there is no token.
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
"""One tensor (N, …) that carries all labels (single-input), or one a task, each with examples of its own (multi-input)."""

Kind = Literal["multiclass", "binary", "regression", "value"]
METRICS = {  # metric → the kinds it is for (the first metric of a kind is its default), larger is better
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
    """One task. `outputs`: classes of a multiclass task, otherwise 1. kind "value": the output itself is the loss (toy).

    metric: what is reported and selected on; the kind's default where it is not given. level: how deep in a hierarchy of tasks
    it is read, as a share of the backbone (0–1]; 1, the top, where no order of the tasks is known.
    Raises `InputError` for a metric that the kind does not have.
    """

    name: str
    kind: Kind
    outputs: int = 1
    metric: str = ""
    level: float = 1.0

    def __post_init__(self) -> None:
        allowed = [name for name, (kind, _) in METRICS.items() if kind == self.kind]
        if self.metric and self.metric not in allowed:
            raise unknown(f"task {self.name!r}: metric", self.metric, allowed)
        object.__setattr__(self, "metric", self.metric or allowed[0])

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger metric is better."""
        return METRICS[self.metric][1]

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean loss over the labelled examples, a scalar; 0 (with a gradient of 0) where none is labelled.

        output (N, outputs), target (N,), or with tokens between: (N, T, outputs) and (N, T).
        """
        if self.kind == "value":
            return output.mean()
        there = self.there(target)
        n = there.sum().clamp_min(1)
        if self.kind == "multiclass":
            return F.cross_entropy(output.flatten(0, -2), target.flatten(), reduction="sum") / n
        known, output = target.nan_to_num(), output.squeeze(-1)  # no examples are picked out: that would wait for the device
        if self.kind == "binary":
            each = F.binary_cross_entropy_with_logits(output, known, reduction="none")
        else:
            each = (output - known) ** 2
        return torch.where(there, each, 0.0).sum() / n

    def there(self, target: Tensor) -> Tensor:
        """Where a label is, in the shape of `target`."""
        return target != -100 if self.kind == "multiclass" else ~torch.isnan(target)

    def count(self, target: Tensor) -> Tensor:
        """How many labels there are, a scalar: the weight of this batch's loss in that of a larger batch."""
        return self.there(target).sum() if self.kind != "value" else torch.full((), len(target), device=target.device)

    def labelled(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The labelled examples (or tokens) alone: (n, outputs) and (n,)."""
        there = self.there(target)
        return output[there], target[there]

    def measure(self, output: Tensor, target: Tensor) -> float:
        """The metric over a whole split; NaN where it is undefined (no label, one class only for the AUC, a constant for a
        correlation)."""
        if self.kind == "value":
            return float(output.mean())
        output, target = self.labelled(output, target)
        output, target = output.cpu(), target.cpu()
        if target.numel() == 0:
            return float("nan")
        if self.kind == "multiclass":
            guess = output.argmax(-1)
            if self.metric == "macro_f1":
                from sklearn.metrics import f1_score  # here: importing this module must stay cheap

                return float(
                    f1_score(target.numpy(), guess.numpy(), labels=range(self.outputs), average="macro", zero_division=0)
                )
            return float((guess == target).float().mean())
        value = output.squeeze(-1).double().numpy()
        if self.kind == "binary":
            return auc(value, target.numpy() > 0.5)
        if self.metric == "mae":
            return float((output.squeeze(-1) - target).abs().mean())
        if len(target) < 2 or np.ptp(value) == 0 or not np.isfinite(value).all() or float(target.max() - target.min()) == 0:
            return float("nan")
        from scipy.stats import pearsonr, spearmanr

        return float({"pearson": pearsonr, "spearman": spearmanr}[self.metric](value, target.double().numpy()).statistic)


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
