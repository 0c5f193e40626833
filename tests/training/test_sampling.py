"""Batches: every example once a pass, in an order that the seed gives, single- and multi-input;
shares by temperature."""

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


def test_every_example_is_drawn_once_a_pass_of_one_pool():
    rows = torch.arange(150)
    sampler = Sampler(Split(rows[:, None], {"a": rows}), 50, 0)
    drawn = torch.cat([sampler.draw().targets["a"] for _ in range(3)])
    assert len(set(drawn.tolist())) == 150 and drawn.tolist() != rows.tolist()


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


@given(
    st.lists(st.integers(1, 10**6), min_size=1, max_size=8),
    st.integers(1, 200),
    st.one_of(st.none(), st.floats(1, 50)),
)
def test_shares_add_up_and_leave_nobody_out(sizes, batch, temperature):
    pools = {str(i): n for i, n in enumerate(sizes)}
    take = shares(pools, batch, temperature)
    assert all(1 <= take[p] <= pools[p] for p in pools)
    assert sum(take.values()) <= batch * len(sizes) + len(sizes)  # one each at least, the rounding
    order = sorted(pools, key=pools.get)
    assert all(take[a] <= take[b] + 1 for a, b in pairwise(order))


@pytest.mark.parametrize("sizes", [{"a": 90, "b": 10}, {"a": 31}])
@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_divide_the_batch_of_one(sizes, processes):
    whole = Sampler(split(sizes), 12, 0, 1.0)
    parts = [Sampler(split(sizes), 12, 0, 1.0) for _ in range(processes)]
    for rank, sampler in enumerate(parts):
        sampler.rank, sampler.world_size = rank, processes
    for _ in range(5):
        batch, drawn = whole.draw(), [sampler.draw() for sampler in parts]
        for task in sizes:
            rows = torch.cat([part.targets[task] for part in drawn])
            assert sorted(rows.tolist()) == sorted(batch.targets[task].tolist())


def test_data_that_stay_on_the_host_are_moved_batch_by_batch():
    data = split({"a": 40})
    here, away = Sampler(data, 32, 0), Sampler(data, 32, 0, device=torch.device("meta"))
    assert here.draw().inputs["a"].device.type == "cpu"
    assert away.draw().inputs["a"].device.type == "meta"
    assert data.bytes() == sum(x.nbytes for x in (data.inputs["a"], data.targets["a"]))
