"""What coalitions are worth: the laws of v, and of the best partition."""

import math
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtlstudy.errors import InputError
from mtlstudy.nash import coalition, nash_weights
from mtlstudy.nash.coalition import (
    EXACT,
    agglomerative,
    best_of,
    best_partition,
    exact,
    split_half_cosines,
    values,
)

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=30)
settings.load_profile("repeatable")
seeds = st.integers(0, 2**31)
few = st.integers(1, 6)


def wishes(seed, K, P=None):
    """K wishes (K, P) of any length."""
    g = torch.Generator().manual_seed(seed)
    return torch.randn(K, P or 2 * K, generator=g, dtype=torch.float64)


def value(J, members=None):
    return values(J @ J.mT, [members or range(len(J))])[0]


def solved(J):
    """ĝ (K, P) and the coalition's direction d (P,)."""
    unit = J / J.norm(dim=1, keepdim=True)
    return unit, unit.mT @ nash_weights(unit @ unit.mT).weights


def partitions(tasks):
    """All set partitions of a list."""
    if not tasks:
        yield []
        return
    first, *rest = tasks
    for size in range(len(rest) + 1):
        for others in combinations(rest, size):
            left = [t for t in rest if t not in others]
            yield from ([(first, *others), *more] for more in partitions(left))


@given(seeds, few)
def test_the_value_is_the_log_nash_welfare_of_normalised_gains(seed, K):
    J = wishes(seed, K)
    unit, d = solved(J)
    assert value(J) == pytest.approx(float((unit @ d).log().sum()), abs=1e-9)


@given(seeds)
def test_a_task_alone_is_worth_nothing(seed):
    assert value(wishes(seed, 1)) == pytest.approx(0, abs=1e-12)
    assert best_partition(torch.ones(1, 1)) == ([(0,)], [0.0])


@given(st.floats(-0.999999, 1))
def test_a_pair_is_worth_the_logarithm_of_one_plus_its_cosine(cosine):
    M = torch.tensor([[1.0, cosine], [cosine, 1.0]], dtype=torch.float64)
    assert values(M, [(0, 1)])[0] == pytest.approx(math.log1p(cosine), abs=1e-9)


def test_pareto_stationary_wishes_are_worth_minus_infinity():
    """Opposing pairs, nearly opposing ones, and three wishes that sum to zero."""
    J = wishes(0, 3)
    J[1] = -2 * J[0]
    assert value(J, (0, 1)) == -math.inf and value(J) == -math.inf
    J[1] = -2 * J[0] + 1e-13 * J[2]
    assert value(J, (0, 1)) == -math.inf
    J[1] = -2 * J[0] + 1e-4 * J[2]
    assert -math.inf < value(J, (0, 1)) < -15
    three = torch.tensor([[1.0, 0.0], [-0.5, 0.75**0.5], [-0.5, -(0.75**0.5)]])
    assert value(three.double()) == -math.inf


@given(seeds, few, few)
def test_it_is_super_additive_where_members_agree(seed, m, n):
    """Cosines ≥ 0 across two coalitions: together they are worth no less. ≤ 0: no more."""
    J = wishes(seed, m + n)
    A, B = tuple(range(m)), tuple(range(m, m + n))
    for sign in (1, -1):
        C = torch.corrcoef(J)
        C[:m, m:] = sign * C[:m, m:].abs() * 0.3
        C[m:, :m] = C[:m, m:].mT
        root = torch.linalg.eigvalsh(C)[0].clamp_max(0)
        C = C - root * torch.eye(m + n, dtype=C.dtype)  # a Gramian
        together, a, b = values(C, [A + B, A, B])
        assert sign * (together - a - b) >= -1e-8


@given(seeds, few, few)
def test_what_gains_by_merging_agrees_in_direction(seed, m, n):
    J = wishes(seed, m + n)
    A, B = tuple(range(m)), tuple(range(m, m + n))
    gain = value(J) - value(J, A) - value(J, B)
    apart = float(solved(J[:m])[1] @ solved(J[m:])[1])
    unit = J / J.norm(dim=1, keepdim=True)
    b = nash_weights(unit @ unit.mT).weights
    joint = float((unit[:m].mT @ b[:m]) @ (unit[m:].mT @ b[m:]))
    assert apart > 0 or gain <= 1e-9
    assert joint < 0 or gain >= -1e-9


@given(seeds, few)
def test_scales_and_names_change_nothing(seed, K):
    J = wishes(seed, K)
    g = torch.Generator().manual_seed(seed)
    scale = 10 ** (6 * torch.rand(K, 1, generator=g, dtype=torch.float64) - 3)
    order = torch.randperm(K, generator=g)
    expected = pytest.approx(value(J), abs=1e-8)
    assert value(scale * J) == expected and value(J[order]) == expected
    renamed = [
        tuple(sorted(int(order[t]) for t in c)) for c in exact(J[order] @ J[order].mT).coalitions
    ]
    assert sorted(renamed) == exact(J @ J.mT).coalitions


@given(seeds, few)
def test_every_partition_moves_by_the_same_length(seed, K):
    J = wishes(seed, K)
    for partition in partitions(list(range(K))):
        length = sum(float(d @ d) for d in (solved(J[list(c)])[1] for c in partition))
        assert length == pytest.approx(K, rel=1e-9)


@given(seeds, few, st.integers(1, 8))
def test_the_exact_partition_is_the_best_of_all(seed, K, rank):
    J = wishes(seed, K, rank)
    found = exact(J @ J.mT)
    best = max(sum(values(J @ J.mT, p)) for p in partitions(list(range(K))))
    assert sum(found.values) == pytest.approx(best, abs=1e-7)
    assert sorted(t for c in found.coalitions for t in c) == list(range(K))


@given(seeds, st.integers(1, 5), st.integers(1, 8), st.integers(1, 5))
def test_into_few_coalitions_the_best_partition_is_the_best_of_those(seed, K, rank, most):
    J = wishes(seed, K, rank)
    subsets = [c for size in range(1, K + 1) for c in combinations(range(K), size)]
    value = {c: max(v, -1e4) for c, v in zip(subsets, values(J @ J.mT, subsets), strict=True)}
    found = best_of(value, most)
    few = [p for p in partitions(list(range(K))) if len(p) <= most]
    assert len(found.coalitions) <= most
    assert found.values == [value[c] for c in found.coalitions]
    assert sum(found.values) == pytest.approx(max(sum(value[c] for c in p) for p in few), abs=1e-7)


@pytest.mark.parametrize("most", [4, 5])
def test_up_to_so_many_tasks_the_best_partition_is_exact(monkeypatch, most):
    """An agglomeration that is not the best: found by the exact search alone."""
    drawn = (wishes(seed, most, 3) for seed in range(500))
    M = next(M for J in drawn if exact(M := J @ J.mT) != agglomerative(M))
    monkeypatch.setattr(coalition, "EXACT", most)
    assert best_partition(M) == exact(M)
    monkeypatch.setattr(coalition, "EXACT", most - 1)
    assert best_partition(M) == agglomerative(M)


@given(seeds, st.integers(1, 9), st.integers(1, 12))
def test_both_ways_agree_or_the_exact_one_is_worth_more(seed, K, rank):
    M = wishes(seed, K, rank)
    M = M @ M.mT
    assert sum(exact(M).values) >= sum(agglomerative(M).values) - 1e-7


@pytest.mark.parametrize("K", [6, 12, EXACT + 1, 40])
def test_groups_are_recovered_both_ways(K):
    centre = torch.eye(3, 8, dtype=torch.float64) - 0.1
    J = centre[torch.arange(K) % 3] + 0.05 * wishes(K, K, 8)
    truth = [tuple(range(g, K, 3)) for g in range(3)]
    assert best_partition(J @ J.mT).coalitions == truth == agglomerative(J @ J.mT).coalitions


@pytest.mark.parametrize("solve", [exact, agglomerative])
def test_ties_are_decided_alike_always(solve):
    """Tasks that gain nothing stay apart, also where rounding pretends that they do; of two equal
    pairings one is taken, always the same."""
    apart = [(t,) for t in range(5)]
    for noise in (0.0, 1e-13, -1e-13):
        C = torch.full((5, 5), noise, dtype=torch.float64).fill_diagonal_(1.0)
        assert solve(C).coalitions == apart
    chain = torch.tensor([[1.0, 0.1, -0.95], [0.1, 1.0, 0.1], [-0.95, 0.1, 1.0]])
    assert solve(chain) == solve(chain.clone())
    assert len(solve(chain).coalitions) == 2


@pytest.mark.parametrize(("gain", "together"), [(0.4e-9, False), (0.6e-9, True), (1e-9, True)])
@pytest.mark.parametrize("K", [2, 3, 9])
def test_what_is_worth_a_unit_more_meets_and_what_is_worth_less_does_not(K, gain, together):
    everybody = tuple(range(K))
    value = {c: -1.0 for n in range(2, K) for c in combinations(everybody, n)}
    value |= {(t,): 0.0 for t in everybody} | {everybody: gain}
    assert (best_of(value).coalitions == [everybody]) == together


def test_opposing_tasks_do_not_meet():
    C = torch.tensor([[1.0, -1.0, 0.3], [-1.0, 1.0, -0.3], [0.3, -0.3, 1.0]])
    for solve in (exact, agglomerative):
        assert solve(C).coalitions == [(0, 2), (1,)]


def test_what_is_no_gramian_is_refused():
    with pytest.raises(InputError, match=r"coalition \[0, 1\] has no value: INDEFINITE"):
        values(torch.tensor([[1.0, -2.0], [-2.0, 1.0]]), [(0, 1)])
    with pytest.raises(InputError, match=r"ZERO_GRADIENT 1 \(no gradient: task 1"):
        values(torch.diag(torch.tensor([1.0, 0.0])), [(0, 1)])


def halved(seed, K, noise):
    """Cosines of K displacements that have much in common, and two noisy halves of them."""
    D = wishes(seed, K, 400) + wishes(seed + 1, 1, 400)
    u = D / D.norm(dim=1, keepdim=True)
    return u @ u.mT, [D + noise * wishes(seed + i, K, 400) for i in (2, 3)]


@given(seeds, st.integers(1, 8))
def test_cosines_of_two_halves_are_a_gramian_and_exact_without_noise(seed, K):
    truth, halves = halved(seed, K, 0)
    torch.testing.assert_close(split_half_cosines(halves[0], 3 * halves[1]), truth)
    C = split_half_cosines(*halved(seed, K, 2)[1])
    assert float(torch.linalg.eigvalsh(C)[0]) > -1e-9 and C.diagonal().eq(1).all()


@pytest.mark.parametrize("K", [2, 5, 8])
def test_cosines_of_two_halves_lose_the_bias_of_noise(K):
    """Over fifty draws; the cosines of the whole are too small by a third."""
    off, biases = ~torch.eye(K, dtype=torch.bool), []
    for seed in range(0, 200, 4):
        truth, halves = halved(seed, K, 2)
        u = sum(halves) / sum(halves).norm(dim=1, keepdim=True)
        pair = split_half_cosines(*halves), u @ u.mT
        biases.append([float((C - truth)[off].mean()) for C in pair])
    ours, whole = torch.tensor(biases).mean(0).abs()
    assert ours < 0.02 < 0.2 < whole


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_cosines_of_two_halves_have_no_unit(unit):
    D = wishes(0, 4, 9) + wishes(1, 1, 9)
    other = D + 0.3 * wishes(2, 4, 9)
    expected = split_half_cosines(D, other)
    torch.testing.assert_close(split_half_cosines(unit * D, unit * other), expected)


def test_a_task_of_mere_noise_stands_alone():
    D = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    C = split_half_cosines(D, torch.tensor([[1.0, 0.0], [1.0, -1.0], [1.0, 0.0]]))
    assert C[1].tolist() == [0, 1, 0] and best_partition(C).coalitions == [(0, 2), (1,)]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_what_noise_takes_beyond_one_is_one_and_the_other_cosines_stay(sign):
    X = torch.tensor([[1.0, 2 * sign, 0.5], [2 * sign, 1, 0.5 * sign], [0.5, 0.5 * sign, 1]])
    C = split_half_cosines(torch.eye(3), X)
    expected = torch.tensor([[1, sign, 0.5], [sign, 1, 0.5 * sign], [0.5, 0.5 * sign, 1]])
    torch.testing.assert_close(C, expected.double())


@given(seeds, st.integers(2, 9))
def test_a_cosine_is_never_beyond_one_whatever_the_rounding(seed, K):
    D = wishes(seed, K, 1) * wishes(seed + 1, 1, 50)
    assert float(split_half_cosines(D, D).abs().max()) <= 1


@pytest.mark.parametrize("form", ["numpy", "list", "float32", "bfloat16", "int64"])
def test_every_form_of_real_numbers_has_its_partition(form):
    M = torch.tensor([[4.0, 2, -1], [2, 4, 0], [-1, 0, 2]], dtype=torch.float64)
    given = {
        "numpy": M.numpy(),
        "list": M.tolist(),
        "float32": M.float(),
        "bfloat16": M.bfloat16(),
        "int64": M.long(),
    }[form]
    assert coalition.best_partition(given) == coalition.best_partition(M)
    assert coalition.agglomerative(given) == coalition.agglomerative(M)
    assert coalition.best_partition([[2]]).coalitions == [(0,)]
    halves = coalition.split_half_cosines(given, given)
    assert torch.allclose(halves, coalition.split_half_cosines(M, M), atol=1e-6)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: coalition.values(torch.ones(2, 3), [(0,)]), r"gramian has shape \(2, 3\)"),
        (lambda: coalition.values(torch.eye(2)[None], [(0,)]), r"gramian has shape \(1, 2, 2\)"),
        (lambda: coalition.best_partition("ab"), "gramian is of dtype"),
        (lambda: coalition.values(torch.eye(2), [(0, 2)]), r"coalition \[0, 2\].*0 to 1"),
        (lambda: coalition.values(torch.eye(2), [(1, 1)]), r"coalition \[1, 1\].*different"),
        (lambda: coalition.values(torch.eye(2), [()]), r"coalition \[\]"),
        (lambda: coalition.values(torch.eye(2), [(-1,)]), r"coalition \[-1\]"),
        (lambda: coalition.split_half_cosines([[1, 2]], [[1, 2, 3]]), r"\(1, 2\) and \(1, 3\)"),
    ],
)
def test_what_is_no_game_is_refused_in_one_line(call, said):
    with pytest.raises(InputError, match=said) as refused:
        call()
    assert "\n" not in str(refused.value)
