"""Laws that every weighting meets. What does not meet one is declared here, with the reason, and
must not meet it."""

import io
from itertools import combinations

import pytest
import torch

from mtlstudy import weighting
from mtlstudy.weighting.base import JacobianWeighting, LossWeighting

NAMES = weighting.names()
NEEDS = ("losses", "gramians", "jacobian")
BY = {needs: [n for n in NAMES if weighting.get(n).needs == needs] for needs in NEEDS}
OPTIONS = {
    "dwa": {"epoch": 1},
    "excess_mtl": {"robust_step_size": 0.1},
}  # so that three steps tell something

LOSSES = torch.tensor([0.5, 2.0, 1.0])
SMALL = torch.tensor([[3.0, 0.0, 0.1], [-2.0, 0.5, 0.0], [0.0, 0.3, 0.2]], dtype=torch.float64)
CONFLICT = (SMALL @ SMALL.T)[None]  # (1, 3, 3): tasks 0 and 1 conflict

random = torch.Generator().manual_seed(8)
STEPS = 24
COURSE = 3 * torch.rand(STEPS, 3, generator=random) + 0.1  # losses of successive steps
JACOBIANS = torch.randn(STEPS, 3, 5, generator=random, dtype=torch.float64)
JACOBIANS = JACOBIANS - 0.6 * JACOBIANS.mean(1, keepdim=True)  # much conflict
JACOBIANS = JACOBIANS * torch.tensor([0.5, 1.0, 3.0])[:, None]

ALIKE = [  # groups that go the same way, and why
    ({"equal", "static"}, "static without weights is equal"),
    (
        {"uncertainty", "imtl_l"},
        "the same objective but for a factor 2 and the sign of s, which Adam does not heed",
    ),
    (
        {"nash", "block_nash", "nash_ccp"},
        "the same game on one block, here easy enough for both solvers",
    ),
    (
        {"scale_invariant", "gls"},
        "the mean of the logarithms and its exponential: they differ in length",
    ),
    (
        {"equal_norm", "ntkmtl_sr"},
        "the same function of Gramians, one of the parameters' gradients, one of the z's",
    ),
    (
        {"imtl_g", "config"},
        "both have the same cosine with every task gradient; they differ in length",
    ),
]
NEGATIVE = {
    "imtl_g": "solves for equal projections, whatever the sign",
    "aligned_mtl": "the nearest orthogonal system has rows that subtract other tasks",
    "pbi": "pulls the losses of tasks below the mean up to the others",
}
ORDERED = {
    "pcgrad": "projects in an order drawn for the task's place",
    "gradvac": "projects in an order drawn for the task's place",
    "rgw": "a weight is drawn for the task's place",
    "rlw": "a weight is drawn for the task's place",
    "pcd": "the first task is the primary one",
}
CONSTANT = {"famo": "its factor c is held constant in the derivative, so that weights stay convex"}


def make(name, blocks=1, **options):
    cls = weighting.get(name)
    return cls(3, blocks, cls.Options(**OPTIONS.get(name, {}) | options))


def gramian(J):
    return (J @ J.T)[None]


def first(name):
    entry = make(name)
    return entry(LOSSES, CONFLICT if entry.needs == "gramians" else None).weights


def advance(entry, i, optimiser=None):
    """One training step on the i-th losses and gradients → the shared direction d (5,)."""
    losses, J = COURSE[i], JACOBIANS[i]
    if isinstance(entry, JacobianWeighting):
        entry(losses, None)
        return entry.aggregate(J)
    if isinstance(entry, LossWeighting):
        weights = entry(losses, None).weights[0]
        if optimiser is not None:
            optimiser.zero_grad()
            entry.objective(losses.clone().requires_grad_()).backward()
            optimiser.step()
        entry.after_step(losses * torch.tensor([0.9, 0.5, 0.8]))
    else:
        weights = entry(losses, gramian(J) if entry.due() else None).weights[0]
    return weights @ J


@pytest.mark.parametrize("name", BY["losses"] + BY["gramians"])
def test_weights_have_their_shape_and_are_finite(name):
    entry = make(name)
    chosen = entry(LOSSES, CONFLICT if entry.needs == "gramians" else None)
    assert (
        chosen.weights.shape == (1, 3)
        and chosen.status.shape == (1,)
        and chosen.weights.dtype == torch.float64
    )
    assert (
        torch.isfinite(chosen.weights).all()
        and chosen.weights.sum() > 0
        and not chosen.weights.requires_grad
    )


@pytest.mark.parametrize("name", BY["losses"] + BY["gramians"])
def test_weights_are_nonnegative_unless_declared(name):
    if weighting.get(name).needs == "losses":
        found = [make(name)(losses, None).weights for losses in COURSE]
    else:
        some = JACOBIANS[::2]
        agreement = [J + 3 * J[0] for J in some]
        found = [make(name)(LOSSES, gramian(J)).weights for J in (*some, *agreement)]
    assert bool((torch.cat(found) < 0).any()) == (name in NEGATIVE), NEGATIVE.get(name)


@pytest.mark.parametrize("name", BY["jacobian"])
def test_directions_have_their_shape_and_nothing_is_recorded(name):
    entry = make(name)
    chosen, d = entry(LOSSES, None), entry.aggregate(JACOBIANS[0].float())
    assert chosen.weights.shape == (0, 3) and chosen.status.shape == (0,) and not entry.due()
    assert d.shape == (5,) and d.dtype == torch.float32 and torch.isfinite(d).all() and d.norm() > 0


@pytest.mark.parametrize("name", NAMES)
def test_every_entry_says_what_it_is(name):
    cls = weighting.get(name)
    assert cls.paper and cls.__doc__ and cls.name == name and cls.version >= 1
    assert issubclass(cls, LossWeighting) == (cls.needs == "losses")
    assert issubclass(cls, JacobianWeighting) == (cls.needs == "jacobian")
    assert cls.solves == (name in ("nash", "block_nash"))


def test_two_entries_differ_on_conflicts():
    """Curves that coincide are either explained here or a mistake."""
    found = {}
    for name in NAMES:
        entry = make(name)
        parameters = list(entry.parameters())
        optimiser = torch.optim.Adam(parameters, lr=0.1) if parameters else None
        d = torch.stack([advance(entry, i, optimiser).double() for i in range(4)])
        found[name] = (d / d.norm(dim=1, keepdim=True))[1:]
    pairs = list(combinations(NAMES, 2))
    same = {frozenset((a, b)) for a, b in pairs if torch.allclose(found[a], found[b], 1e-3, 1e-4)}
    assert same == {frozenset(pair) for group, _ in ALIKE for pair in combinations(group, 2)}
    print(f"{len(NAMES)} weightings: {len(pairs)} pairs, {len(same)} alike for a reason")


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_makes_a_resumed_run_exact(name):
    one, other = make(name), make(name)
    optimiser = torch.optim.SGD(list(one.parameters()), lr=0.1) if list(one.parameters()) else None
    for i in range(3):
        advance(one, i, optimiser)
    file = io.BytesIO()
    torch.save(one.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    resumed = [
        advance(other, i) for i in (3, 4, 5)
    ]  # before the first goes on: they share no memory
    assert torch.equal(torch.stack([advance(one, i) for i in (3, 4, 5)]), torch.stack(resumed))


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_loads_in_memory_without_sharing(name):
    one, other = make(name), make(name)
    advance(one, 0)
    other.load_state_dict(one.state_dict())
    twice = [[advance(entry, i) for i in (1, 2)] for entry in (one, other)]
    assert torch.equal(torch.stack(twice[0]), torch.stack(twice[1]))


@pytest.mark.parametrize("name", NAMES)
def test_the_callers_generator_is_left_alone_and_does_not_matter(name):
    runs = []
    for seed in (1, 2):
        torch.manual_seed(7)
        entry = make(name)
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        runs.append(torch.stack([advance(entry, i) for i in range(3)]))
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*runs)


RANDOM = [n for n in NAMES if getattr(weighting.get(n), "random", False)]
RANDOM.remove("cr_mogm")  # its default, mgda, is not


@pytest.mark.parametrize("name", RANDOM)
def test_random_methods_draw_other_numbers_for_another_run(name):
    runs = []
    for seed in (1, 2):
        torch.manual_seed(seed)  # as a run does before it builds
        entry = make(name)
        runs.append(torch.stack([advance(entry, i) for i in range(3)]))
    assert not torch.equal(*runs)


@pytest.mark.parametrize("name", NAMES)
def test_permuting_tasks_permutes_weights(name):
    torch.manual_seed(0)
    order, one, other = torch.tensor([2, 0, 1]), make(name), make(name)
    if isinstance(one, JacobianWeighting):
        directions = shown(one, 0, [0, 1, 2]), shown(other, 0, order)
        kept = torch.allclose(*directions)
    else:
        weights = one(COURSE[0], gramian(JACOBIANS[0])).weights
        turned = other(COURSE[0][order], gramian(JACOBIANS[0][order])).weights
        kept = torch.allclose(turned, weights[:, order], rtol=1e-3)
    assert kept == (name not in ORDERED), ORDERED.get(name)


@pytest.mark.parametrize("name", BY["losses"])
def test_weights_are_the_derivative_of_the_objective(name):
    entry, step = make(name), 1e-4
    for i in range(3):
        losses = COURSE[i].double()
        weights = entry(losses, None).weights[0]
        leaf = losses.clone().requires_grad_()
        entry.objective(leaf).backward()
        assert torch.equal(leaf.grad, weights)  # the step follows the weights that are recorded
        shift = step * torch.eye(3, dtype=torch.float64)
        rise = [entry.objective(losses + h) - entry.objective(losses - h) for h in shift]
        slope = torch.stack(rise).detach() / (2 * step)
        agree = torch.allclose(slope, weights, rtol=1e-2)
        assert agree == (name not in CONSTANT), CONSTANT.get(name)
        entry.after_step(0.9 * losses.detach())


def test_without_an_average_dual_balancing_goes_the_way_of_equal_norms():
    plain, averaged = make("db_mtl", beta=0.0), make("db_mtl", beta=0.9, decay=0.0)
    for i in range(3):
        d = shown(plain, i, [0, 1, 2])
        a = make("equal_norm")(COURSE[i], gramian(JACOBIANS[i])).weights[0]
        torch.testing.assert_close(d / d.norm(), (a @ JACOBIANS[i]) / (a @ JACOBIANS[i]).norm())
        mean = shown(averaged, i, [0, 1, 2])
    G = JACOBIANS[:3] / COURSE[:3, :, None]
    ema = 0.1 * (0.81 * G[0] + 0.9 * G[1] + G[2])
    length = ema.norm(dim=1)
    torch.testing.assert_close(mean, (length.max() / length) @ ema, rtol=1e-6, atol=0)


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
    M = torch.tensor([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)[
        None
    ]
    chosen = make(name)(LOSSES, M)
    assert chosen.weights.tolist() == [[0.0, 0.0, 0.0]] and chosen.status.tolist() == [1]


def shown(entry, i, tasks):
    """A step on the i-th losses and gradients of some tasks → their weights, or direction."""
    losses, J = COURSE[i][tasks], JACOBIANS[i][tasks]
    if isinstance(entry, JacobianWeighting):
        entry(losses)
        return entry.aggregate(J)
    return entry(losses, gramian(J) if entry.needs == "gramians" else None).weights[0]


@pytest.mark.parametrize("absent", [0, 1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_a_task_without_a_label_is_absent_from_the_step(name, absent):
    """The others are weighed as by an entry that was made for them alone."""
    here, cls = [t for t in range(3) if t != absent], weighting.get(name)
    torch.manual_seed(5)
    entry = make(name)
    torch.manual_seed(5)
    alone = cls(2, 1, cls.Options(**OPTIONS.get(name, {})))
    losses, J = COURSE[0].clone(), JACOBIANS[0].clone()
    losses[absent], J[absent] = 0, 0  # as a loss without labels and its gradient are
    entry.attend(here)
    if isinstance(entry, JacobianWeighting):
        entry(losses)
        found = entry.aggregate(J)
    else:
        weights = entry(losses, gramian(J) if entry.needs == "gramians" else None).weights[0]
        assert weights[absent] == 0
        found = weights[here]
    assert torch.allclose(found, shown(alone, 0, here), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_steps_without_a_task_leave_no_trace_that_is_not_finite(name):
    entry = make(name)
    optimiser = torch.optim.Adam(p, 0.1) if (p := list(entry.parameters())) else None
    for i, absent in enumerate((None, None, 1, 1, 0, 2, None, 2, None)):
        here = [t for t in range(3) if t != absent]
        losses, J = COURSE[i].clone(), JACOBIANS[i].clone()
        if absent is not None:
            losses[absent], J[absent] = 0, 0
        entry.attend(here)
        if optimiser:
            optimiser.zero_grad()
        if isinstance(entry, JacobianWeighting):
            entry(losses)
            d = entry.aggregate(J)
        else:
            weights = entry(losses, gramian(J) if entry.needs == "gramians" else None).weights[0]
            assert bool((weights[here] != 0).any()) and bool(torch.isfinite(weights).all())
            assert absent is None or weights[absent] == 0
            d = weights @ J
        assert bool(torch.isfinite(d).all()) and float(d.norm()) > 0
        if absent is not None and optimiser:
            assert all(p.grad[absent] == 0 for p in entry.parameters() if p.grad is not None)
        if optimiser:
            optimiser.step()
        entry.after_step(0.9 * losses)
    state = [x for x in entry.state_dict().values() if isinstance(x, torch.Tensor)]
    assert all(bool(torch.isfinite(x.double()).all()) for x in state)


def test_update_every_keeps_the_weights_between_games():
    entry = make("nash", update_every=2)
    a = entry(LOSSES, CONFLICT).weights
    assert not entry.due() and torch.equal(entry(LOSSES, None).weights, a) and entry.due()


def test_tasks_that_interfere_take_turns():
    """Task 1 conflicts with 0; in two steps every task has one, and conflicting ones none alike."""
    entry = make("son_goku", update_every=4)
    J = torch.tensor([[1.0, 0.0], [-1.0, 0.2], [0.1, 1.0]])
    turns = [entry(LOSSES, gramian(J) if entry.due() else None).weights[0] for _ in range(4)]
    assert [w.tolist() for w in turns] == [[1, 0, 1], [0, 1, 0], [1, 0, 1], [0, 1, 0]]
    entry(LOSSES, gramian(J.abs()))  # one colouring more: the mean still remembers
    assert entry.colours == [0, 1, 0] and entry.C[0, 1] < 0
    at_once = make("son_goku", update_every=1, beta=0.0)
    at_once(LOSSES, gramian(J))
    assert at_once(LOSSES, gramian(J.abs())).weights.tolist() == [[1, 1, 1]]
    assert make("son_goku", threshold=-1)(LOSSES, gramian(J)).weights.sum() == 3


def test_power_moves_the_bargain():
    a, b = first("nash"), make("nash", power=(4.0, 1.0, 1.0))(LOSSES, CONFLICT).weights
    descent = [(w[0] * 0 + (CONFLICT[0] @ w[0]))[0].item() for w in (a, b)]
    assert descent[1] > descent[0]


def test_every_kind_was_seen():
    seen = {kind: len(names) for kind, names in BY.items()}
    print(f"{len(NAMES)} weightings met the laws: {seen}")
    assert sum(seen.values()) == len(NAMES) >= 30 and min(seen.values()) >= 3
    assert {*NEGATIVE, *ORDERED, *CONSTANT, *OPTIONS} <= set(NAMES)
