"""Laws that every sharing architecture meets, over every kind of backbone."""

import pytest
import torch
from torch import nn

from mtlstudy import sharing
from mtlstudy.backbones import cnn, mlp
from mtlstudy.tasks import Task

TASKS = (Task("a", "multiclass", 3), Task("b", "binary"), Task("c", "regression"))
BACKBONES = {"mlp": (lambda: mlp(5, width=8), (12, 5)), "cnn": (lambda: cnn((1, 16, 16), width=8), (12, 1, 16, 16))}
CASES = [(name, kind) for name in sharing.names() for kind in BACKBONES]
BY_HAND = {  # parameters: trunk and heads as counted with paper and pencil
    ("single_task", "mlp"): 3 * (5 * 8 + 8 + 8 * 8 + 8) + 9 * 3 + 9 + 9,
    ("hard", "mlp"): (5 * 8 + 8 + 8 * 8 + 8) + 9 * 3 + 9 + 9,
    ("single_task", "cnn"): 3 * (10 * 26 + 20 * (250 + 1) + 20 * 8 + 8) + 9 * 3 + 9 + 9,
    ("hard", "cnn"): (10 * 26 + 20 * (250 + 1) + 20 * 8 + 8) + 9 * 3 + 9 + 9,
}


def build(name, kind, tasks=TASKS, seed=0):
    backbone, shape = BACKBONES[kind][0](), BACKBONES[kind][1]
    torch.manual_seed(seed)
    cls = sharing.get(name)
    model = cls(backbone, tasks, {t.name: nn.Linear(backbone.width, t.outputs) for t in tasks}, cls.Options())
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    targets = {"a": torch.arange(12) % 3, "b": (torch.arange(12) % 2).float(), "c": torch.linspace(-1, 1, 12)}
    return model, x, targets


def loss(model, x, targets, only=None):
    outputs = model(x)
    return sum(t.loss(outputs[t.name], targets[t.name]) for t in model.tasks if only in (None, t.name))


def test_every_entry_is_covered():
    assert {name for name, _ in BY_HAND} == set(sharing.names()), "a new architecture needs its parameters counted by hand"
    print(f"{len(CASES)} cases")


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_batch_fits(name, kind):
    model, x, targets = build(name, kind)
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-2)
    first = loss(model, x, targets).item()
    for _ in range(400):
        optimiser.zero_grad()
        value = loss(model, x, targets)
        value.backward()
        optimiser.step()
    assert value.item() < 0.1 * first


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_outputs_have_their_shapes(name, kind):
    model, x, _ = build(name, kind)
    assert {task: tuple(y.shape) for task, y in model(x).items()} == {"a": (12, 3), "b": (12, 1), "c": (12, 1)}


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_same_seed_same_bits_and_another_seed_others(name, kind):
    (one, x, _), (same, _, _), (other, _, _) = build(name, kind), build(name, kind), build(name, kind, seed=1)
    assert all(torch.equal(one(x)[t], same(x)[t]) for t in "abc")
    assert any(not torch.equal(one(x)[t], other(x)[t]) for t in "abc")


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_state_dict_round_trip(name, kind):
    (one, x, _), (other, _, _) = build(name, kind), build(name, kind, seed=1)
    other.load_state_dict(one.state_dict())
    assert all(torch.equal(one(x)[t], other(x)[t]) for t in "abc")


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_parameters_are_counted_as_used(name, kind):
    model, _, _ = build(name, kind)
    assert model.parameter_count() == BY_HAND[name, kind] == sum(p.numel() for p in set(model.parameters()))


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_gradients_reach_what_they_should(name, kind):
    """A task reaches all shared blocks and its own parameters, and no other task's; together that is every parameter."""
    model, x, targets = build(name, kind)
    shared = {p for block in model.shared_blocks().values() for p in block}
    own = {t.name: set(model.own_parameters(t.name)) for t in TASKS}
    assert shared.union(*own.values()) == set(model.parameters())
    assert not any(own[s] & own[t] for s in own for t in own if s != t)
    assert model.independent == (not shared)
    for task in own:
        grads = torch.autograd.grad(loss(model, x, targets, only=task), list(model.parameters()), allow_unused=True)
        reached = {p for p, g in zip(model.parameters(), grads, strict=True) if g is not None}
        assert reached == shared | own[task]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_the_order_of_tasks_does_not_matter(name, kind):
    model, x, _ = build(name, kind)
    turned, _, _ = build(name, kind, tasks=TASKS[::-1], seed=5)
    turned.load_state_dict(model.state_dict())
    assert all(torch.equal(model(x)[t], turned(x)[t]) for t in "abc")


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_inputs_by_task_equal_common_inputs(name, kind):
    model, x, _ = build(name, kind)
    by_task = model({t: x for t in "abc"})
    assert all(torch.allclose(model(x)[t], by_task[t]) for t in "abc")


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_bad_sizes_are_refused(name, kind):
    model, x, _ = build(name, kind)
    with pytest.raises(RuntimeError):
        model(x[:, :, :-1] if kind == "cnn" else x[:, :-1])
