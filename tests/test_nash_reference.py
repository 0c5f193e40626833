"""The two references: right where they should be, and honest where a program has no answer."""

import cvxpy
import numpy as np
import pytest
import torch

from mtlstudy.errors import InputError
from mtlstudy.nash import nash_weights
from mtlstudy.nash.reference import ccp, conic


def game(K, seed=0, spread=0.0):
    rng = np.random.default_rng(seed)
    J = rng.normal(size=(K, 3 * K)) * 10 ** rng.uniform(-spread, spread, (K, 1))
    return J @ J.T


def unbounded():
    """A harmless game whose all-ones point has (M 1)_t < 0 for some t: there the linearisation is
    formal."""
    M = next(
        M
        for M in (game(8, seed) for seed in range(100))
        if (M.sum(1) < 0).any() and ccp(M).status == "unbounded"
    )
    return M


@pytest.mark.parametrize("K", [1, 2, 3, 7, 14])
@pytest.mark.parametrize("spread", [0.0, 2.0])
def test_the_conic_program_solves_the_equation(K, spread):
    M, w = game(K, K, spread), np.linspace(0.5, 2, K)
    a, status, iterations = conic(M, w)
    assert status == "optimal" and iterations > 0
    assert np.abs(a * (M @ a) / w - 1).max() < 1e-4


@pytest.mark.parametrize("spread", [4.0, 8.0])
def test_the_conic_program_is_of_cosines_whatever_the_lengths(spread):
    M = game(5, 0, spread)
    a, status, _ = conic(M)
    assert status == "optimal" and np.abs(a * (M @ a) - 1).max() < 1e-6


@pytest.mark.parametrize("published", [False, True])
def test_the_procedure_solves_easy_games(published):
    cosine = np.array([[1, 0.3, 0.1], [0.3, 1, -0.2], [0.1, -0.2, 1]])
    a, status, programs = ccp(cosine, published=published)
    assert status == "optimal" and 1 <= programs <= 20
    np.testing.assert_allclose(a, nash_weights(torch.from_numpy(cosine)).weights.numpy(), rtol=1e-5)


def test_the_procedure_is_warm_from_a_solution():
    M = game(6, 1)
    exact = nash_weights(torch.from_numpy(M)).weights.numpy()
    warm = ccp(M, start=exact)
    assert warm.status == "optimal" and warm.iterations <= 2
    np.testing.assert_allclose(warm.weights, exact, rtol=1e-5)


def test_the_published_procedure_stops_before_it_moves_where_the_equation_nearly_holds():
    """The published code looks at the iterate before the program's."""
    M = game(6, 1)
    M /= np.linalg.norm(M)
    exact = nash_weights(torch.from_numpy(M)).weights.numpy()
    near = exact * (1 + 1e-4 / np.linalg.norm(1 / exact))
    published = ccp(M, start=near, published=True)
    assert published.iterations == 1 and published.status == "optimal"
    np.testing.assert_allclose(published.weights, near, rtol=1e-12)
    far = ccp(M, start=2 * exact, published=True)
    assert far.iterations > 1
    np.testing.assert_allclose(far.weights, exact, rtol=1e-3)


def test_the_steps_of_both_passes_of_the_conic_program_are_counted():
    M = game(5, 4, 2.0)
    total = conic(M).iterations
    assert 10 < total < 100


def test_a_result_depends_on_its_input_alone():
    M, other = game(5, 2, 1.0), game(5, 3, 3.0)
    first = ccp(M)
    ccp(other), conic(other)
    again = ccp(M)
    np.testing.assert_array_equal(first.weights, again.weights)
    np.testing.assert_array_equal(conic(M).weights, conic(M).weights)


def test_a_program_without_an_answer_is_told_and_the_last_weights_stay():
    M = unbounded()
    a, status, programs = ccp(M)
    assert status == "unbounded" and programs == 1
    np.testing.assert_allclose(
        a, a[0]
    )  # still the start, all ones in the unit of the normalised problem
    assert np.abs(a * (M @ a) - 1).max() > 1e-3
    exact = nash_weights(torch.from_numpy(M))
    assert exact.solved and float(exact.residual) < 1e-10


@pytest.mark.parametrize("solve", [conic, ccp])
def test_a_failing_solver_is_a_status(monkeypatch, solve):
    def fail(self, **options):
        raise cvxpy.SolverError("no luck")

    monkeypatch.setattr(cvxpy.Problem, "solve", fail)
    result = solve(game(3))
    assert result.status == "solver_error" and result.iterations == (solve is ccp)


def test_other_errors_are_not_swallowed(monkeypatch):
    def fail(self, **options):
        raise ZeroDivisionError

    monkeypatch.setattr(cvxpy.Problem, "solve", fail)
    with pytest.raises(ZeroDivisionError):
        ccp(game(3))


def test_a_solver_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(cvxpy, "installed_solvers", lambda: ["CLARABEL"])
    with pytest.raises(InputError, match=r"ECOS.*pip install ecos"):
        ccp(np.eye(2), solver="ECOS")


def test_ecos_where_it_is_installed():
    if "ECOS" not in cvxpy.installed_solvers():
        pytest.skip("the package ecos is not installed")
    M = game(3)
    np.testing.assert_allclose(
        ccp(M, solver="ECOS").weights, nash_weights(torch.from_numpy(M)).weights.numpy(), rtol=1e-4
    )


@pytest.mark.parametrize("solve", [conic, ccp])
@pytest.mark.parametrize(
    "bad", [np.ones((2, 3)), np.ones(3), np.zeros((2, 2)), np.full((2, 2), np.nan)]
)
def test_bad_gramians_are_refused(solve, bad):
    with pytest.raises(InputError, match="gramian"):
        solve(bad)


def test_bad_powers_and_starts_are_refused():
    with pytest.raises(InputError, match="power"):
        conic(np.eye(2), [1.0, 0.0])
    with pytest.raises(InputError, match="start"):
        ccp(np.eye(2), start=[1.0, -1.0])
    with pytest.raises(InputError, match="start"):
        ccp(np.eye(2), start=[1.0])


def test_the_procedure_says_where_there_is_no_linearisation():
    """(M a)_t = 0 at the start: the gradients of two tasks cancel."""
    assert ccp([[1.0, -1.0], [-1.0, 1.0]], start=[1.0, 1.0]).status == "not_finite"
