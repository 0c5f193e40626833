"""The exact solver: laws of the solution, closed forms, statuses, bad input."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtlstudy.errors import InputError
from mtlstudy.nash import Status, nash_weights, newton_cpu
from mtlstudy.nash import newton as nash
from mtlstudy.nash.reference import conic
from mtlstudy.nash.solution import promised

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=30)
settings.load_profile("repeatable")

EPS = torch.finfo(torch.float64).eps
seeds = st.integers(0, 2**31)
tasks = st.integers(1, 40)


@pytest.fixture(scope="module", params=["Numba", "torch"], autouse=True)
def solver(request):
    """Every law is held to both that solve on the CPU: Numba's program and, without it, torch's."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "torch":
            patch.setattr(nash, "_compiled", lambda: None)
        assert (nash._compiled() is None) == (request.param == "torch")
        yield request.param


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def uniform(seed, low, high, *shape):
    return low + (high - low) * torch.rand(
        *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def cosine_condition(M):
    length = M.diagonal().sqrt()
    return float(torch.linalg.cond(M / length / length[:, None]))


def symmetric(M):
    """What is solved where M is symmetric to the rounding of its type alone, as products of some
    processors are."""
    return (M.double() + M.mT.double()) / 2


def residual(M, a, w=1.0, beta=1.0):
    return float((a**beta * (M @ a) / w - 1).abs().max())


def assert_solved(M, solution, w=1.0, beta=1.0):
    assert Status(int(solution.status)) is Status.SOLVED, solution.describe()
    assert bool((solution.weights > 0).all())
    bound = max(1e-10, max(10, len(M)) * EPS * cosine_condition(M))
    assert residual(M, solution.weights, w, beta) <= bound
    assert float(solution.residual) <= bound  # what it says of itself


@given(seeds, tasks)
def test_random_games_are_solved_and_keep_the_laws(seed, K):
    J = normal(seed, K, 2 * K + 3)
    w = uniform(seed + 1, 0.1, 10, K)
    solution = nash_weights(J @ J.T, w)
    assert_solved(J @ J.T, solution, w)
    d = J.T @ solution.weights
    torch.testing.assert_close(
        d @ d, w.sum(), rtol=1e-9, atol=0
    )  # the length is that of the powers alone
    torch.testing.assert_close(
        J @ d, w / solution.weights, rtol=1e-9, atol=0
    )  # every task gains w / a > 0


@given(seeds, st.integers(1, 20), st.floats(0, 8))
def test_rescaled_losses_change_the_weights_and_not_the_update(seed, K, spread):
    J, S = normal(seed, K, 2 * K + 3), 10 ** uniform(seed + 1, -spread, spread, K)
    a, scaled = nash_weights(J @ J.T), nash_weights((S[:, None] * J) @ (S[:, None] * J).T)
    assert_solved((S[:, None] * J) @ (S[:, None] * J).T, scaled)
    torch.testing.assert_close(scaled.weights * S, a.weights, rtol=1e-8, atol=0)


@given(seeds, tasks, st.sampled_from([1e-150, 1e-30, 1e-8, 1e8, 1e30, 1e150]))
def test_units_do_not_matter(seed, K, unit):
    J = normal(seed, K, K + 5)
    M = J @ J.T
    torch.testing.assert_close(
        nash_weights(unit * M).weights * math.sqrt(unit), nash_weights(M).weights, rtol=1e-8, atol=0
    )


@given(seeds, st.integers(2, 20), st.floats(-4, -0.5))
def test_nearly_opposing_gradients_are_solved(seed, K, exponent):
    sign = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(K)[:K, None]
    J = sign * normal(seed, 3 * K) + 10**exponent * normal(seed + 1, K, 3 * K)
    assert_solved(J @ J.T, nash_weights(J @ J.T))


@given(seeds, st.integers(3, 40), st.data())
def test_dependent_gradients_that_agree_somewhere_are_solved(seed, K, data):
    rank = data.draw(st.integers(1, K - 1))
    J = normal(seed, K, rank)
    J[:, 0] = uniform(
        seed + 1, 0.2, 2, K
    )  # one direction helps every task, so no y ≥ 0 has Jᵀ y = 0
    solution = nash_weights(J @ J.T)
    assert solution.solved and residual(J @ J.T, solution.weights) <= 1e-8, solution.describe()


@given(seeds, st.integers(2, 20), st.integers(0, 3))
def test_stationary_points_are_told_and_give_no_weights(seed, K, others):
    J, y = normal(seed, K, 2 * K), uniform(seed + 1, 0.2, 5, K)
    J[-1] = -(y[:-1] @ J[:-1]) / y[-1]  # Σ y_t g_t = 0: no direction helps these tasks
    J = torch.cat([J, normal(seed + 2, others, 2 * K)])
    solution = nash_weights(J @ J.T)
    assert Status(int(solution.status)) is Status.PARETO_STATIONARY, solution.describe()
    assert bool(solution.weights.isnan().all())


@given(seeds, st.integers(2, 20), st.data())
def test_a_task_without_gradient_is_named(seed, K, data):
    silent = data.draw(st.integers(0, K - 1))
    J = normal(seed, K, K)
    J[silent] = 0
    solution = nash_weights(J @ J.T)
    assert int(solution.status) == Status.ZERO_GRADIENT
    assert solution.zero.nonzero().flatten().tolist() == [silent]
    assert f"task {silent}" in solution.describe()


@given(seeds, st.integers(1, 10), st.sampled_from([math.nan, math.inf, -math.inf]), st.data())
def test_a_gramian_that_is_not_finite_is_told(seed, K, bad, data):
    i, j = data.draw(st.integers(0, K - 1)), data.draw(st.integers(0, K - 1))
    M = normal(seed, K, K + 1)
    M = M @ M.T
    M[i, j] = bad
    assert int(nash_weights(M).status) == Status.NON_FINITE


@pytest.mark.parametrize(
    "M", [[[1.0, 2.0], [2.0, 1.0]], [[-1.0, 0.0], [0.0, 1.0]], [[1.0, -2.0], [-2.0, 1.0]]]
)
def test_no_gramian_is_never_solved_silently(M):
    M = torch.tensor(M, dtype=torch.float64)
    solution = nash_weights(M)
    assert not solution.solved or residual(M, solution.weights) <= 1e-10
    if float(M[0, 1]) <= 0:
        assert not solution.solved


@given(seeds, st.integers(1, 12), st.integers(1, 5))
def test_a_batch_is_its_members(seed, K, N):
    J = normal(seed, 2, N, K, K + 4)
    J[0, 0, 0] = 0  # one member without a solution disturbs no other
    M = J @ J.mT
    batch = nash_weights(M)
    assert batch.weights.shape == (2, N, K) and batch.status.shape == batch.residual.shape == (2, N)
    for i in range(2):
        for n in range(N):
            single = nash_weights(M[i, n])
            assert int(single.status) == int(batch.status[i, n])
            torch.testing.assert_close(
                batch.weights[i, n], single.weights, rtol=1e-8, atol=0, equal_nan=True
            )


@given(seeds, st.integers(2, 20))
def test_permuted_tasks_permute_the_weights(seed, K):
    J, order = (
        normal(seed, K, 2 * K),
        torch.randperm(K, generator=torch.Generator().manual_seed(seed)),
    )
    M = J @ J.T
    torch.testing.assert_close(
        nash_weights(M[order][:, order]).weights, nash_weights(M).weights[order], rtol=1e-9, atol=0
    )


@given(seeds, st.integers(1, 20))
def test_float32_input_is_solved_in_float64(seed, K):
    J = normal(seed, K, 2 * K + 3).float()
    M = J @ J.T
    solution = nash_weights(M)
    assert solution.weights.dtype == torch.float64
    assert_solved(symmetric(M), solution)


@given(seeds, st.integers(1, 20), st.floats(0.3, 8))
def test_the_alpha_fair_family(seed, K, alpha):
    J, w = normal(seed, K, 2 * K + 3), uniform(seed + 1, 0.2, 5, K)
    assert_solved(J @ J.T, nash_weights(J @ J.T, w, alpha=alpha), w, 1 / alpha)


@given(seeds, st.integers(1, 20), st.floats(-3, 3))
def test_a_warm_start_changes_nothing_but_the_way(seed, K, exponent):
    J = normal(seed, K, 2 * K + 3)
    M = J @ J.T
    cold = nash_weights(M)
    warm = nash_weights(M, start=10**exponent * uniform(seed + 1, 0.1, 10, K))
    torch.testing.assert_close(warm.weights, cold.weights, rtol=1e-9, atol=0)
    assert int(nash_weights(M, start=cold.weights).iterations) <= 2
    for useless in (torch.zeros(K), torch.full((K,), torch.nan)):
        torch.testing.assert_close(nash_weights(M, start=useless).weights, cold.weights)


@given(st.floats(-8, 8), st.floats(0.01, 100))
def test_one_task(exponent, w):
    length = 10**exponent
    solution = nash_weights(
        torch.tensor([[length**2]], dtype=torch.float64), torch.tensor([w], dtype=torch.float64)
    )
    assert float(solution.weights) == pytest.approx(math.sqrt(w) / length, rel=1e-12)


@given(st.floats(-6, 6), st.floats(-6, 6), st.floats(-0.999999, 1))
def test_two_tasks(first, second, cosine):
    length = torch.tensor([10**first, 10**second], dtype=torch.float64)
    C = torch.tensor([[1, cosine], [cosine, 1]], dtype=torch.float64)
    a = nash_weights(length[:, None] * C * length).weights
    torch.testing.assert_close(a, 1 / (length * math.sqrt(1 + cosine)), rtol=1e-9, atol=0)


@given(seeds, st.integers(1, 8), st.integers(1, 8))
def test_blocks_are_independent_games(seed, K, L):
    A, B = normal(seed, K, K + 4), normal(seed + 1, L, L + 4)
    a, b = nash_weights(A @ A.T).weights, nash_weights(B @ B.T).weights
    both = nash_weights(torch.block_diag(A @ A.T, B @ B.T)).weights
    torch.testing.assert_close(both, torch.cat([a, b]), rtol=1e-9, atol=0)


@settings(max_examples=15)
@given(seeds, st.integers(1, 12), st.floats(0, 4))
def test_agreement_with_the_conic_program(seed, K, spread):
    J, w = (
        normal(seed, K, 2 * K + 3) * 10 ** uniform(seed + 1, -spread, spread, K, 1),
        uniform(seed + 2, 0.2, 5, K),
    )
    reference = conic((J @ J.T).numpy(), w.numpy())
    assert reference.status.startswith("optimal")
    torch.testing.assert_close(
        nash_weights(J @ J.T, w).weights, torch.from_numpy(reference.weights), rtol=1e-4, atol=0
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"gramian": torch.ones(2, 3)}, r"\(2, 3\).*K, K"),
        ({"gramian": torch.ones(3)}, r"\(3,\)"),
        ({"gramian": torch.ones(0, 0)}, "K ≥ 1"),
        ({"gramian": torch.eye(2), "power": torch.ones(3)}, "power.*K = 2"),
        ({"gramian": torch.eye(2), "power": torch.tensor([1.0, 0.0])}, "positive"),
        ({"gramian": torch.eye(2), "power": torch.tensor([1.0, math.nan])}, "positive"),
        ({"gramian": torch.eye(2), "alpha": 0.0}, "alpha"),
        ({"gramian": torch.eye(2), "alpha": math.nan}, "alpha"),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments, said):
    with pytest.raises(InputError, match=said) as refused:
        nash_weights(**arguments)
    assert "\n" not in str(refused.value)


def test_exact_opposition_is_stationary_and_not_indefinite():
    """The rounded cosine may fall below −1: at the huge b of this ray Cholesky fails."""
    for seed in range(300):
        g = normal(seed, 1, 4)
        J = torch.cat([g, -g / float(uniform(seed, 0.2, 5, 1))])
        assert int(nash_weights(J @ J.T).status) == Status.PARETO_STATIONARY
    assert int(nash_weights(torch.tensor([[1.0, -2.0], [-2.0, 1.0]])).status) == Status.INDEFINITE


def test_a_tiny_weight_of_the_alpha_fair_family_is_as_exact_as_the_others():
    J, w = normal(16, 16, 35), uniform(17, 0.2, 5, 16)
    assert_solved(J @ J.T, nash_weights(J @ J.T, w, alpha=7.25), w, 1 / 7.25)


@pytest.mark.parametrize("far", [1e-12, 1e-4, 1e4, 1e8, 1e12, 1e150])
def test_a_start_however_bad_changes_nothing(far):
    """The last step's weights are no guide where a task's gradient was tiny then."""
    J = normal(3, 14, 60)
    cold = nash_weights(J @ J.T)
    start = cold.weights.clone()
    start[-1] *= far
    warm = nash_weights(J @ J.T, start=start)
    assert int(warm.status) == Status.SOLVED and torch.allclose(
        warm.weights, cold.weights, rtol=1e-9
    )


@pytest.mark.parametrize(
    ("condition", "K", "bound"), [(1, 5, 1e-10), (1e9, 5, 1e10 * EPS), (1e9, 40, 4e10 * EPS)]
)
def test_what_is_promised_grows_with_the_condition_and_the_tasks(condition, K, bound):
    assert promised(condition, K) == pytest.approx(bound, rel=1e-12)


def test_both_programs_go_the_same_way(monkeypatch):
    J = normal(0, 400, 6, 8) + 3 * normal(1, 400, 1, 8) * uniform(2, -1, 1, 400, 6, 1)
    M, steps = J @ J.mT, []
    for compiled in (nash._compiled(), None):
        monkeypatch.setattr(nash, "_compiled", lambda compiled=compiled: compiled)
        steps.append(nash_weights(M).iterations.sum())
    assert abs(steps[0] - steps[1]) <= 4  # rounding decides where λ is about a threshold
    assert int(nash_weights(torch.eye(3)).iterations) == 1


@given(seeds, st.integers(2, 12), st.floats(-3, 1), st.sampled_from([1.0, 0.5, 2.0]))
def test_a_step_is_never_worse_than_the_safe_one(solver, seed, K, spread, beta):
    J = normal(seed, K, 3 * K)
    C = J @ J.T / J.norm(dim=1) / J.norm(dim=1)[:, None]
    b = 10 ** (spread * normal(seed + 1, K))
    v, Cb = torch.ones_like(b), C @ b
    H = b[:, None] * C * b + torch.diag(beta * b ** (1 - beta))
    s = torch.linalg.solve(H, b * Cb - b ** (1 - beta))  # −δb / b
    decrement = (s @ H @ s).sqrt()
    if solver == "torch":
        one = (C[None], v[None], b[None], -s[None], decrement[None], beta)
        t = float(nash._line_search(*one))
    else:
        one = (x.numpy() for x in (C, v, b, s))
        t = newton_cpu.line_search(*one, float(decrement), beta, Cb.numpy())

    def f(t):
        return float(nash._objective(C[None], v[None], (b * (1 - t * s))[None], beta))

    assert f(t) <= f(1 / (1 + float(decrement))) + 1e-12 * abs(f(0.0))


def test_too_few_iterations_are_told():
    J = normal(0, 8, 9)
    solution = nash_weights(J @ J.T, max_iterations=1)
    assert int(solution.status) == Status.MAX_ITERATIONS and bool(solution.weights.isnan().all())
    assert int(solution.iterations) == 1 and bool(solution.residual.isnan())


@given(seeds, st.integers(2, 40), st.floats(-4, 0), st.floats(0.3, 8))
def test_newtons_method_takes_few_steps_and_none_where_it_begins_at_the_solution(
    seed, K, exponent, alpha
):
    sign = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(K)[:K, None]
    J = sign * normal(seed, 3 * K) + 10**exponent * normal(seed + 1, K, 3 * K)
    M, w = J @ J.T, uniform(seed + 2, 0.2, 5, K)
    for power in (None, w):
        nash_ = nash_weights(M, power)
        assert nash_.solved and int(nash_.iterations) <= 15
        assert int(nash_weights(M, power, start=nash_.weights).iterations) <= 2
    N = normal(seed, K, 2 * K + 3)
    fair = nash_weights(N @ N.T, w, alpha=alpha)
    assert fair.solved and int(fair.iterations) <= 20
    assert int(nash_weights(N @ N.T, w, alpha=alpha, start=fair.weights).iterations) <= 2


def test_a_gradient_is_zero_below_the_smallest_normal_number():
    tiny = torch.finfo(torch.float64).tiny
    least = nash_weights([[tiny]])
    assert bool(least.solved) and float(least.weights) == pytest.approx(tiny**-0.5)
    for below in (tiny / 2, 0.0, -tiny / 2):
        solution = nash_weights(torch.diag(torch.tensor([1.0, below], dtype=torch.float64)))
        assert int(solution.status) == Status.ZERO_GRADIENT
        assert solution.zero.tolist() == [False, True]
        assert int(solution.iterations) == 0 and bool(solution.residual.isnan())
    assert int(nash_weights([[-tiny]]).status) == Status.INDEFINITE


def test_of_several_reasons_the_worst_is_told():
    for diagonal, status in (
        ([math.nan, -1.0, 0.0], Status.NON_FINITE),
        ([1.0, -1.0, 0.0], Status.INDEFINITE),
        ([1.0, 1.0, 0.0], Status.ZERO_GRADIENT),
    ):
        solution = nash_weights(torch.diag(torch.tensor(diagonal, dtype=torch.float64)))
        assert int(solution.status) == status and solution.zero.tolist() == [False, False, True]


def test_a_line_counts_the_statuses_and_names_the_tasks_without_a_gradient():
    M = torch.stack([torch.eye(2), torch.zeros(2, 2), torch.eye(2)]).double()
    assert nash_weights(M).describe() == (
        "SOLVED 2, ZERO_GRADIENT 1, residual at most 0 (no gradient: task 0, 1)"
    )


def test_asymmetry_is_rounding_up_to_a_twentieth_of_the_lengths():
    for length in (1.0, 1e3):
        scale = torch.tensor([1.0, length], dtype=torch.float64)
        for skew, status in ((0.05, Status.SOLVED), (0.0501, Status.INDEFINITE)):
            for M in ([[1.0, skew], [0.0, 1.0]], [[1.0, 0.0], [skew, 1.0]]):
                M = scale[:, None] * torch.tensor(M, dtype=torch.float64) * scale
                assert int(nash_weights(M).status) == status


def test_powers_and_starts_are_one_of_all_games_or_one_of_each():
    J = normal(0, 4, 3, 7)
    M, w = J @ J.mT, uniform(1, 0.2, 5, 4, 3)
    each = torch.stack([nash_weights(m, p).weights for m, p in zip(M, w, strict=True)])
    torch.testing.assert_close(nash_weights(M, w, start=each).weights, each)
    common = torch.stack([nash_weights(m, w[0]).weights for m in M])
    for power in (w[0], w[:1], w[:1].expand(4, 3)):
        torch.testing.assert_close(nash_weights(M, power, start=each[:1]).weights, common)
    with pytest.raises(InputError, match=r"power has shape \(1, 1, 3\); allowed: \(4, 3\)"):
        nash_weights(M, w[None, :1])


def test_input_is_left_as_it_was_and_nothing_is_differentiated():
    J = normal(0, 4, 6).requires_grad_()
    M = J @ J.T
    before = M.detach().clone()
    assert not nash_weights(M).weights.requires_grad
    assert torch.equal(M.detach(), before)


FORMS = {  # the same Gramian, exactly, in the forms that people hold one in
    "float64": lambda M: M,
    "float32": lambda M: M.float(),
    "float16": lambda M: M.half(),
    "bfloat16": lambda M: M.bfloat16(),
    "int64": lambda M: M.long(),
    "uint8": lambda M: M.byte(),
    "numpy": lambda M: M.numpy(),
    "numpy int32": lambda M: M.numpy().astype("int32"),
    "numpy turned": lambda M: M.numpy()[::-1, ::-1][::-1, ::-1],
    "list": lambda M: M.tolist(),
    "list of tensors": lambda M: [*M],
    "differentiable": lambda M: M.clone().requires_grad_(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("K", [1, 3])
def test_every_form_of_real_numbers_is_solved(form, K):
    M = torch.tensor([[16.0, 4, 8], [4, 9, 2], [8, 2, 25]], dtype=torch.float64)[:K, :K]
    w, start = torch.tensor([1.0, 2, 4])[:K], torch.tensor([0.25, 0.5, 0.125])[:K]
    exact = nash_weights(M, w.double())
    plain = {
        "list of tensors": torch.Tensor.tolist,
        "numpy turned": lambda x: x.numpy()[::-1][::-1],
    }
    given = plain.get(form, FORMS[form])
    guess = start if "int" in form else given(start.double())
    found = nash_weights(FORMS[form](M), given(w.double()), start=guess)
    assert bool(found.solved) and found.weights.dtype == torch.float64
    torch.testing.assert_close(found.weights, exact.weights, rtol=1e-12, atol=0)


@given(seeds, st.integers(1, 30), st.sampled_from([torch.bfloat16, torch.float16]))
def test_gramians_rounded_to_half_a_word_are_solved_as_they_are(seed, K, dtype):
    J = normal(seed, K, 2 * K + 3)
    M = (J @ J.T).to(dtype)
    solution = nash_weights(M, start=uniform(seed, 0.1, 1, K).to(dtype))
    assert_solved(symmetric(M), solution)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"gramian": "matrix"}, "gramian is of dtype .*str.*real numbers"),
        ({"gramian": [[1, 2], [3]]}, "gramian is no table"),
        ({"gramian": None}, "gramian is no table"),
        ({"gramian": torch.eye(2, dtype=torch.complex64)}, "gramian is of torch.complex64"),
        ({"gramian": torch.eye(2).bool()}, "gramian is of torch.bool"),
        ({"gramian": [[True]]}, "gramian is of dtype bool"),
        ({"gramian": torch.eye(2).to_sparse()}, "gramian is of torch.sparse_coo"),
        ({"gramian": 3.0}, r"gramian has shape \(\); allowed: \(..., K, K\)"),
        ({"gramian": torch.eye(2), "power": "equal"}, "power is of dtype"),
        ({"gramian": torch.eye(2), "power": 1.0}, r"power has shape \(\)"),
        ({"gramian": torch.eye(2), "power": torch.ones(3, 2)}, r"power has shape \(3, 2\)"),
        ({"gramian": torch.eye(2), "start": torch.ones(3)}, r"start has shape \(3,\).*K = 2"),
        ({"gramian": torch.ones(4, 2, 2), "start": torch.ones(3, 2)}, r"start.*\(4, 2\) or \(K,\)"),
        ({"gramian": torch.eye(2), "alpha": "nash"}, "alpha = 'nash': allowed: a finite"),
        ({"gramian": torch.eye(2), "alpha": math.inf}, "alpha = inf"),
        ({"gramian": torch.eye(2), "tolerance": -1e-3}, "tolerance = -0.001"),
        ({"gramian": torch.eye(2), "tolerance": math.nan}, "tolerance = nan"),
    ],
)
def test_what_is_no_game_is_refused_in_one_line(arguments, said):
    with pytest.raises(InputError, match=said) as refused:
        nash_weights(**arguments)
    assert "\n" not in str(refused.value)


def test_the_residual_reached_is_said_and_a_caller_may_ask_for_less():
    """Two gradients at an angle of π − 1e-6: 1 + cos is known to four digits."""
    g, other = normal(0, 9), 1e-6 * normal(1, 9)
    J = torch.stack([g, 3 * (other - g)])
    M = torch.stack([torch.eye(2, dtype=torch.float64), J @ J.T])
    solution = nash_weights(M)
    assert solution.solved.all() and 1e-8 < float(solution.residual[1]) < 1e-2
    assert f"residual at most {float(solution.residual[1]):.1g}" in solution.describe()
    strict = nash_weights(M, tolerance=1e-8)
    assert strict.status.tolist() == [Status.SOLVED, Status.MAX_ITERATIONS]
    assert bool(strict.weights[1].isnan().all()) and strict.residual[1] == solution.residual[1]
    assert torch.equal(strict.weights[0], solution.weights[0])
    loose = nash_weights(M, tolerance=1.0)
    assert torch.equal(loose.weights, solution.weights) and loose.solved.all()
    assert "residual" not in nash_weights(torch.zeros(2, 2)).describe()
    reached = nash_weights(normal(3, 4, 9) @ normal(3, 4, 9).T)
    assert reached.within(float(reached.residual)).solved


@given(seeds, st.integers(2, 40))
def test_a_product_that_is_symmetric_to_rounding_alone_is_solved_to_rounding(seed, K):
    J = normal(seed, K, K + 1).float()
    M = J.double() @ J.double().T * (1 + 1e-7 * normal(seed + 1, K, K))
    solution, even = nash_weights(M), symmetric(M)
    assert_solved(even, solution)
    torch.testing.assert_close(solution.weights, nash_weights(even).weights, rtol=0, atol=0)


def test_a_matrix_that_is_not_symmetric_is_no_gramian():
    for K in (2, 5):
        M = torch.eye(K, dtype=torch.float64)
        M[0, 1] = 0.3
        assert int(nash_weights(M).status) == Status.INDEFINITE
