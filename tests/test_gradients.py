"""Task gradients: the same by every way, exact against plain autograd, and their Gramian in
float64."""

import pytest
import torch
from torch import nn

from mtlstudy.errors import InputError
from mtlstudy.gradients import (
    clip_,
    conflict,
    cosines,
    direction,
    gramian,
    representation_gradients,
    separate,
    task_gradients,
)


@pytest.fixture
def problem():
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 4), nn.Tanh())
    heads = [nn.Linear(4, 1) for _ in range(3)]
    x = torch.randn(9, 5)

    def losses(z):
        read = z if isinstance(z, list) else [z] * 3
        pairs = zip(heads, read, strict=True)
        return [(head(rep) - t).square().mean() for t, (head, rep) in enumerate(pairs)]

    return trunk, heads, x, losses


def flat(grads):
    return torch.cat([g.flatten() for g in grads])


def plain(problem):
    """J by one ordinary backward pass a task through everything."""
    trunk, _, x, losses = problem
    theta = list(trunk.parameters())
    return torch.stack(
        [flat(torch.autograd.grad(loss, theta, retain_graph=True)) for loss in losses(trunk(x))]
    )


@pytest.mark.parametrize("how", [{}, {"mode": "batched"}, {"mode": "chunked", "chunk": 2}])
def test_task_gradients_are_those_of_plain_autograd(problem, how):
    trunk, heads, x, losses = problem
    z = trunk(x)
    read = separate([z] * 3)
    own = [list(h.parameters()) for h in heads]
    to_z, to_heads = representation_gradients(losses(read), read, own)
    J = task_gradients([z] * 3, to_z, list(trunk.parameters()), **how)
    assert torch.allclose(J, plain(problem), atol=1e-6)
    for t, head in enumerate(heads):
        exact = torch.autograd.grad(losses(trunk(x))[t], list(head.parameters()))
        assert all(torch.allclose(a, b) for a, b in zip(exact, to_heads[t], strict=True))


@pytest.mark.parametrize(
    ("how", "passes"), [({}, 3), ({"mode": "batched"}, 1), ({"mode": "chunked", "chunk": 2}, 2)]
)
def test_as_many_tasks_are_differentiated_at_once_as_the_mode_says(problem, how, passes):
    trunk, _, x, _ = problem
    hidden, seen = trunk[:2](x), []
    hidden.register_hook(seen.append)
    z = trunk[2:](hidden)
    task_gradients([z] * 3, [torch.ones_like(z)] * 3, list(trunk.parameters()), **how)
    assert len(seen) == passes


@pytest.mark.parametrize("mode", ["sequential", "batched", "chunked"])
def test_one_task_and_one_parameter_are_differentiated_too(mode):
    p = nn.Parameter(torch.tensor([1.0, 2.0]))
    assert task_gradients([p**2], [torch.ones(2)], [p], mode).tolist() == [[2.0, 4.0]]


@pytest.mark.parametrize("mode", ["sequential", "batched", "chunked"])
def test_the_graph_is_kept_where_it_is_asked_for_and_freed_elsewhere(mode):
    p = nn.Parameter(torch.tensor([1.0, 2.0]))
    z = p**2
    first, again = (
        task_gradients([z] * 6, [torch.ones(2)] * 6, [p], mode, keep_graph=True) for _ in range(2)
    )
    assert torch.equal(first, again)
    task_gradients([z] * 6, [torch.ones(2)] * 6, [p], mode)
    with pytest.raises(RuntimeError, match="second time"):
        task_gradients([z] * 6, [torch.ones(2)] * 6, [p], mode)


@pytest.mark.parametrize("mode", ["sequential", "batched"])
def test_every_task_may_have_its_own_examples(problem, mode):
    trunk, heads, x, _ = problem
    theta = list(trunk.parameters())
    z = [trunk(x + t) for t in range(3)]
    losses = [head(rep).square().mean() for head, rep in zip(heads, z, strict=True)]
    to_z, _ = representation_gradients(losses, z, [[]] * 3)
    J = task_gradients(z, to_z, theta, mode)
    for t in range(3):
        grads = torch.autograd.grad(heads[t](trunk(x + t)).square().mean(), theta)
        assert torch.allclose(J[t], flat(grads), atol=1e-6)


def test_known_weights_need_one_backward_pass(problem):
    trunk, _, x, losses = problem
    z = trunk(x)
    read = separate([z] * 3)
    to_z, _ = representation_gradients(losses(read), read, [[]] * 3)
    a = torch.tensor([0.3, 2.0, 1.1])
    weighted = [w * v for w, v in zip(a, to_z, strict=True)]
    d = direction([z] * 3, weighted, list(trunk.parameters()))
    assert torch.allclose(d, a @ plain(problem), atol=1e-6)


def test_blocks_of_the_gramian_add_up_to_the_whole(problem):
    trunk = problem[0]
    J = plain(problem)
    sizes = [sum(p.numel() for p in trunk[i].parameters()) for i in (0, 2)]
    blocks, whole = gramian(J, sizes), gramian(J)
    assert blocks.shape == (2, 3, 3) and blocks.dtype == torch.float64
    assert torch.allclose(blocks.sum(0), whole[0])
    assert torch.allclose(whole[0], J.double() @ J.double().T)


@pytest.mark.parametrize("K", [3, 9])  # by torch, and by NumPy
def test_a_gramian_is_the_same_in_any_workspace(K):
    J = torch.randn(K, 101)
    small = gramian(J, workspace=torch.empty(10 * K, dtype=torch.float64))
    assert torch.allclose(small, gramian(J), rtol=1e-14)
    assert torch.allclose(small[0], J.double() @ J.double().T, rtol=1e-14)


def test_a_gramian_of_float32_gradients_keeps_what_float32_would_lose():
    J = torch.tensor([[1.0, 1e-5], [1.0, 0.0]])
    exact = gramian(J)[0]
    assert exact[0, 0] > exact[1, 1] and (J @ J.T)[0, 0] == (J @ J.T)[1, 1]


def test_conflict_measures():
    M = gramian(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0]]))[0]
    expected = {"cosine": pytest.approx(-1 / 3), "conflict": pytest.approx(1 / 3)}
    assert conflict(M) == {**expected, "magnitude_ratio": 2.0}
    assert cosines(torch.zeros(2, 2, dtype=torch.float64)).tolist() == [[0.0, 0.0], [0.0, 0.0]]
    rounded = torch.tensor([[4.0, 1e-9], [1e-9, -1e-20]], dtype=torch.float64)
    assert cosines(rounded).tolist() == [[1.0, 0.0], [0.0, 0.0]]
    alone = conflict(torch.ones(1, 1, dtype=torch.float64))
    assert alone == {"cosine": 1.0, "conflict": 0.0, "magnitude_ratio": 1.0}


@pytest.mark.parametrize("form", ["numpy", "list", "float32", "bfloat16", "int64"])
def test_every_form_of_real_numbers_has_its_gramian_and_conflict(form):
    J = torch.tensor([[3.0, 4, 0], [0, 1, -2]], dtype=torch.float64)
    given = {
        "numpy": J.numpy(),
        "list": J.tolist(),
        "float32": J.float(),
        "bfloat16": J.bfloat16(),
        "int64": J.long(),
    }[form]
    M = gramian(given)
    assert M.dtype == torch.float64 and M.tolist() == [[[25.0, 4.0], [4.0, 5.0]]]
    assert gramian(given, [1, 2]).tolist() == [[[9.0, 0], [0, 0]], [[16.0, 4], [4, 5]]]
    K = {"numpy": M[0].numpy(), "list": M[0].tolist(), "int64": M[0].long()}.get(form, M[0])
    assert conflict(K)["cosine"] == pytest.approx(4 / 125**0.5)
    assert conflict([[4]]) == {"cosine": 1.0, "conflict": 0.0, "magnitude_ratio": 1.0}


def test_what_cannot_be_differentiated_or_added_up_is_refused_in_one_line(problem):
    trunk, _, x, losses = problem
    next(trunk.parameters()).requires_grad_(False)
    z, theta = trunk(x), list(trunk.parameters())
    read = separate([z] * 3)
    to_z, _ = representation_gradients(losses(read), read, [[]] * 3)
    for call in (task_gradients, direction):
        with pytest.raises(InputError, match=r"shared\[0\] of shape \(7, 5\) is frozen"):
            call([z] * 3, to_z, theta)
    assert task_gradients([z] * 3, to_z, theta[1:]).shape[0] == 3
    with pytest.raises(InputError, match=r"sizes = \[1, 1\] add up to 2; allowed: 3"):
        gramian(torch.ones(2, 3), [1, 1])
    with pytest.raises(InputError, match=r"J has shape \(3,\)"):
        gramian(torch.ones(3))


def test_a_parameter_of_two_heads_has_a_gradient_of_each():
    h, z = nn.Linear(2, 1, bias=False), torch.ones(3, 2, requires_grad=True)
    read = separate([z, z])
    losses = [h(read[0]).sum(), 5 * h(read[1]).sum()]
    to_z, own = representation_gradients(losses, read, [[h.weight], [h.weight]])
    assert own[0][0].tolist() == [[3.0, 3.0]] and own[1][0].tolist() == [[15.0, 15.0]]
    assert torch.equal(to_z[0], h.weight.expand(3, 2)) and torch.allclose(to_z[1], 5 * to_z[0])
    with pytest.raises(ValueError):  # a loss too few
        representation_gradients(losses[:1], read, [[h.weight], [h.weight]])


def test_what_two_heads_compute_together_serves_both():
    p, unused = nn.Parameter(torch.tensor([2.0, 3.0])), nn.Parameter(torch.ones(1))
    read = separate([torch.ones(2, requires_grad=True)] * 2)
    weight = p**2  # one graph of both
    losses = [(weight * read[0]).sum(), (5 * weight * read[1]).sum()]
    to_z, own = representation_gradients(losses, read, [[p, unused], [p]])
    assert [g.tolist() for g in to_z] == [[4.0, 9.0], [20.0, 45.0]]
    assert [g.tolist() for g in own[0]] == [[4.0, 6.0], [0.0]]
    assert [g.tolist() for g in own[1]] == [[20.0, 30.0]]


def test_a_head_has_a_gradient_of_zero_for_what_it_does_not_use():
    p, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))
    z = torch.tensor([2.0, 3.0], requires_grad=True)
    _, own = representation_gradients([(p * z).sum()], [z], [[p, unused]])
    assert [g.tolist() for g in own[0]] == [[2.0, 3.0], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize("mode", ["sequential", "batched"])
def test_a_parameter_that_a_task_does_not_use_has_a_gradient_of_zero(mode):
    p, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))
    z = p * torch.tensor([2.0, 3.0])
    J = task_gradients([z, z], [torch.ones(2), torch.zeros(2)], [p, unused], mode)
    assert J.tolist() == [[2, 3, 0, 0, 0], [0, 0, 0, 0, 0]]
    z = p * torch.tensor([2.0, 3.0])
    assert direction([z], [torch.ones(2)], [p, unused]).tolist() == [2, 3, 0, 0, 0]


def test_cosines_and_conflict_are_those_of_small_gradients_too():
    M = 1e-8 * torch.tensor([[4.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
    assert cosines(M)[0, 1].item() == pytest.approx(-0.5)
    found = conflict(M)
    assert found == {"cosine": pytest.approx(-0.5), "conflict": 1.0, "magnitude_ratio": 2.0}


def test_the_cosines_of_a_batch_are_those_of_its_members():
    J = torch.randn(3, 2, 5, generator=torch.Generator().manual_seed(0))
    batch = cosines(J @ J.mT)
    for one, rows in zip(batch, J, strict=True):
        torch.testing.assert_close(one, cosines(rows @ rows.T))


def test_a_direction_is_shortened_in_place_to_the_length_allowed_and_never_lengthened():
    d = torch.tensor([3.0, -4.0])
    for allowed in (None, 7.0, 5.0):
        assert clip_(d, allowed) is d and d.tolist() == [3.0, -4.0]
    assert clip_(d, 2.5) is d and d.tolist() == [1.5, -2.0]
    assert clip_(torch.zeros(2), 1.0).tolist() == [0.0, 0.0]
