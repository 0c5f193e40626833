"""Losses and metrics: missing labels are masked, an undefined metric is NaN."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from mtlstudy.errors import InputError
from mtlstudy.models.tasks import METRICS, Task, auc

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
    none = torch.full_like(target, -100 if task.kind == "multiclass" else NAN)
    loss = task.loss(output, none)
    loss.backward()
    assert loss.item() == 0 and not output.grad.any()
    assert math.isnan(task.measure(output.detach(), none))


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_is_the_same_selected_on_or_reported_besides(metric):
    kind, _ = METRICS[metric]
    own, other = Task("a", kind, 3, metric), Task("a", kind, 3, also=(metric,))
    output = torch.randn(40, 3 if kind == "multiclass" else 1, generator=torch.Generator())
    target = (
        (torch.arange(40) % 3).long() if kind == "multiclass" else (torch.arange(40) % 2).float()
    )
    value = own.measure(output, target)
    assert math.isfinite(value) and other.measure(output, target, metric) == value


def test_a_metric_of_another_kind_is_refused():
    for arguments in ({"metric": "acuracy"}, {"also": ("mae", "acuracy")}):
        with pytest.raises(InputError, match=r"task 'a': metric = 'acuracy'.*allowed: mae"):
            Task("a", "regression", **arguments)
    with pytest.raises(InputError, match=r"metric = 'auc'.*allowed: accuracy, macro_f1"):
        Task("a", "multiclass", 3).measure(torch.zeros(2, 3), torch.zeros(2).long(), "auc")


def test_auc_is_scikit_learns():
    rng = np.random.default_rng(0)
    for _ in range(20):
        positive, score = rng.random(50) < 0.3, rng.integers(0, 6, 50).astype(float)  # with ties
        assert auc(score, positive) == pytest.approx(roc_auc_score(positive, score))
    assert math.isnan(auc(np.ones(3), np.ones(3, dtype=bool)))


@pytest.mark.parametrize("kind", ["multiclass", "binary", "regression"])
def test_whole_labels_of_any_width_have_the_same_loss_and_metric(kind):
    task = Task("a", kind, 3 if kind == "multiclass" else 1)
    output = torch.randn(12, task.outputs, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(12) % (3 if kind == "multiclass" else 2)
    usual = labels if kind == "multiclass" else labels.float()
    for dtype in (torch.uint8, torch.int32, torch.int64):
        assert float(task.loss(output, labels.to(dtype))) == float(task.loss(output, usual))
        assert task.measure(output, labels.to(dtype)) == task.measure(output, usual)
