"""Batches: every example once a pass, in an order that the seed gives, single- and multi-input; shares by temperature."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtlstudy.data.base import Split
from mtlstudy.training.sampling import Sampler, shares


def split(sizes):
    inputs = {t: torch.arange(n)[:, None] for t, n in sizes.items()}
    return Split(inputs, {t: torch.arange(n) for t, n in sizes.items()})


@pytest.mark.parametrize("temperature", [1.0, 3.0, None])
def test_every_pool_is_visited_once_a_pass(temperature):
    sampler = Sampler(split({"a": 60, "b": 20}), 10, 0, temperature)
    seen = {"a": [], "b": []}
    for _ in range(60):
        batch = sampler.draw()
        for task in seen:
            assert torch.equal(batch.inputs[task][:, 0], batch.targets[task])
            seen[task] += batch.targets[task].tolist()
    for task, n in (("a", 60), ("b", 20)):
        whole = n // sampler.take[task] * sampler.take[task]
        assert len(set(seen[task][:whole])) == whole


def test_a_state_goes_on_with_the_same_batches():
    one, other = (Sampler(split({"a": 30, "b": 7}), 5, seed, 2.0) for seed in (0, 1))
    for _ in range(4):
        one.draw()
    other.load_state_dict(one.state_dict())
    for _ in range(9):
        a, b = one.draw(), other.draw()
        assert all(torch.equal(a.targets[t], b.targets[t]) for t in "ab")


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=8), st.integers(1, 200), st.one_of(st.none(), st.floats(1, 50)))
def test_shares_add_up_and_leave_nobody_out(sizes, batch, temperature):
    pools = {str(i): n for i, n in enumerate(sizes)}
    take = shares(pools, batch, temperature)
    assert all(1 <= take[p] <= pools[p] for p in pools)
    assert sum(take.values()) <= batch * len(sizes) + len(sizes)  # one each at least, the rounding apart
    order = sorted(pools, key=pools.get)
    assert all(take[a] <= take[b] + 1 for a, b in pairwise(order))


def test_an_epoch_is_as_many_examples_as_there_are():
    assert Sampler(split({"a": 900, "b": 100}), 50, 0, 1.0).steps_per_epoch() == 10
