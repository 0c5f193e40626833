"""Laws that every weighting meets."""

import pytest
import torch

from mtlstudy import weighting
from mtlstudy.weighting.base import LossWeighting

LOSSES = torch.tensor([0.5, 2.0, 1.0])
J = torch.tensor([[3.0, 0.0, 0.1], [-2.0, 0.5, 0.0], [0.0, 0.3, 0.2]], dtype=torch.float64)
CONFLICT = (J @ J.T)[None]  # (1, 3, 3): tasks 0 and 1 conflict
NAMES = weighting.names()
ALIKE = {  # pairs that give the same first weights, and why
    frozenset({"equal", "static"}): "static without weights is equal",
    frozenset({"equal", "uncertainty"}): "all log-variances start at 0",
    frozenset({"static", "uncertainty"}): "both start equal",
    frozenset({"nash", "block_nash"}): "one block",
    frozenset({"nash", "nash_ccp"}): "the same problem, here easy enough for both",
    frozenset({"block_nash", "nash_ccp"}): "the same problem on one block",
}


def make(name, blocks=1, **options):
    cls = weighting.get(name)
    return cls(3, blocks, cls.Options(**options))


def first(name):
    entry = make(name)
    return entry(LOSSES, CONFLICT if entry.needs == "gramians" else None).weights


@pytest.mark.parametrize("name", NAMES)
def test_weights_have_their_shape_and_are_finite(name):
    entry = make(name)
    chosen = entry(LOSSES, CONFLICT if entry.needs == "gramians" else None)
    assert chosen.weights.shape == (1, 3) and chosen.status.shape == (1,)
    assert torch.isfinite(chosen.weights).all() and (chosen.weights >= 0).all() and chosen.weights.sum() > 0


def test_two_entries_differ_on_a_conflict():
    """Curves that coincide are either explained here or a mistake."""
    direction = {name: w / w.sum() for name, w in ((name, first(name)) for name in NAMES)}
    same = {
        frozenset({a, b}) for a in NAMES for b in NAMES
        if a < b and torch.allclose(direction[a].double(), direction[b].double(), rtol=1e-3)
    }  # fmt: skip
    assert same == {pair for pair in ALIKE if pair <= set(NAMES)}


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_makes_a_resumed_run_exact(name):
    one, other = make(name), make(name)
    for _ in range(3):
        one(LOSSES, CONFLICT if one.needs == "gramians" else None)
    other.load_state_dict(one.state_dict())
    g = 2 * CONFLICT if one.needs == "gramians" else None
    assert torch.equal(one(LOSSES, g).weights, other(LOSSES, g).weights)


@pytest.mark.parametrize("name", [n for n in NAMES if weighting.get(n).needs == "gramians"])
def test_permuting_tasks_permutes_weights(name):
    order = torch.tensor([2, 0, 1])
    turned = make(name)(LOSSES[order], CONFLICT[:, order][:, :, order]).weights
    assert torch.allclose(turned, first(name)[:, order], rtol=1e-4)


@pytest.mark.parametrize("name", [n for n in NAMES if issubclass(weighting.get(n), LossWeighting)])
def test_weights_are_the_derivative_of_the_objective(name):
    entry, step = make(name), 1e-3
    weights = entry(LOSSES, None).weights[0]
    for t in range(3):
        up, down = LOSSES.clone(), LOSSES.clone()
        up[t] += step
        down[t] -= step
        slope = (entry.objective(up) - entry.objective(down)) / (2 * step)
        assert slope.item() == pytest.approx(weights[t].item(), rel=1e-2)


@pytest.mark.parametrize("name", ["nash", "block_nash"])
def test_nash_leaves_a_task_without_gradient_out(name):
    M = CONFLICT.clone()
    M[:, 1, :] = M[:, :, 1] = 0
    a = make(name)(LOSSES, M).weights
    assert a[0, 1] == 0
    rest = M[0][[0, 2]][:, [0, 2]]
    assert torch.allclose(a[0, [0, 2]] * (rest @ a[0, [0, 2]]), torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("name", ["nash", "block_nash"])
def test_nash_applies_nothing_at_a_stationary_point(name):
    M = torch.tensor([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)[None]
    chosen = make(name)(LOSSES, M)
    assert chosen.weights.tolist() == [[0.0, 0.0, 0.0]] and chosen.status.tolist() == [1]


def test_update_every_keeps_the_weights_between_games():
    entry = make("nash", update_every=2)
    a = entry(LOSSES, CONFLICT).weights
    assert not entry.due() and torch.equal(entry(LOSSES, None).weights, a) and entry.due()


def test_power_moves_the_bargain():
    a, b = first("nash"), make("nash", power=(4.0, 1.0, 1.0))(LOSSES, CONFLICT).weights
    descent = [(w[0] * 0 + (CONFLICT[0] @ w[0]))[0].item() for w in (a, b)]
    assert descent[1] > descent[0]
