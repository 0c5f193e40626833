"""Losses and metrics: missing labels are masked, an undefined metric is NaN."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from mtlstudy.models.tasks import Task, auc

NAN = float("nan")
CASES = [
    (
        Task("a", "multiclass", 3),
        torch.randn(4, 3),
        torch.tensor([0, 2, -100, 1]),
        torch.tensor([0, 2, 1]),
    ),
    (
        Task("b", "binary"),
        torch.randn(4, 1),
        torch.tensor([0.0, 1.0, NAN, 1.0]),
        torch.tensor([0.0, 1.0, 1.0]),
    ),
    (
        Task("c", "regression"),
        torch.randn(4, 1),
        torch.tensor([0.5, 1.0, NAN, -1.0]),
        torch.tensor([0.5, 1.0, -1.0]),
    ),
]


@pytest.mark.parametrize(
    ("task", "output", "target", "kept"), CASES, ids=lambda c: getattr(c, "kind", None)
)
def test_missing_labels_enter_neither_loss_nor_metric(task, output, target, kept):
    rows = torch.tensor([0, 1, 3])
    assert task.loss(output, target).item() == pytest.approx(task.loss(output[rows], kept).item())
    assert task.measure(output, target) == pytest.approx(task.measure(output[rows], kept))


@pytest.mark.parametrize(
    ("task", "output", "target", "kept"), CASES, ids=lambda c: getattr(c, "kind", None)
)
def test_no_label_at_all_gives_a_loss_and_a_gradient_of_zero(task, output, target, kept):
    output = output.clone().requires_grad_()
    loss = task.loss(output, torch.full_like(target, -100 if task.kind == "multiclass" else NAN))
    loss.backward()
    assert loss.item() == 0 and not output.grad.any()
    assert math.isnan(
        task.measure(
            output.detach(), torch.full_like(target, -100 if task.kind == "multiclass" else NAN)
        )
    )


def test_auc_is_scikit_learns():
    rng = np.random.default_rng(0)
    for _ in range(20):
        positive, score = rng.random(50) < 0.3, rng.integers(0, 6, 50).astype(float)  # with ties
        assert auc(score, positive) == pytest.approx(roc_auc_score(positive, score))
    assert math.isnan(auc(np.ones(3), np.ones(3, dtype=bool)))
