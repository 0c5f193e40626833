"""Families whose coalitions a search finds before training: what it sees, finds and costs."""

from itertools import combinations, pairwise

import pytest
import torch
from laws.test_sharing_laws import BACKBONES, build, loss
from test_coalition import partitions

from mtlstudy import InputError, RunConfig, fit
from mtlstudy.data.base import Split
from mtlstudy.models.sharing import branched, ltb
from mtlstudy.models.sharing.tag import ALONE, affinities, worths
from mtlstudy.nash.coalition import best_of
from mtlstudy.study import structure

SMALL = {"data": "two_groups", "width": 8, "batch_size": 20, "lr": 0.01, "steps": 20}
TASKS = {"tasks": 4, "train": 80}


def searched(family, **options):
    c = RunConfig(**SMALL, sharing=family, sharing_options=options, data_options=TASKS)
    return fit(c, progress=False)


@pytest.mark.parametrize("most", [1, 2, 3, 0])
def test_the_best_partition_into_so_many_is_that_of_all(most):
    for seed in range(10):
        g = torch.Generator().manual_seed(seed)
        subsets = [c for n in range(1, 6) for c in combinations(range(5), n)]
        value = dict(zip(subsets, torch.randn(len(subsets), generator=g).tolist(), strict=True))
        allowed = [p for p in partitions(list(range(5))) if len(p) <= (most or 5)]
        best = max(allowed, key=lambda p: sum(value[tuple(sorted(c))] for c in p))
        found = best_of(value, most)
        assert sorted(found.coalitions) == sorted(tuple(sorted(c)) for c in best)
        assert found.values == [value[c] for c in found.coalitions]


@pytest.mark.parametrize("multi", [False, True], ids=["single-input", "multi-input"])
def test_affinities_are_those_of_a_step_that_is_taken(multi):
    model, x, targets = build("hard", "mlp")
    inputs = {t: x for t in "abc"} if multi else x
    before = {name: p.clone() for name, p in model.named_parameters()}
    Z = affinities(model, Split(inputs, targets), 1.0)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    shared = list(model.stages.parameters())
    now = [loss(model, x, targets, only=t).item() for t in "abc"]
    for i, task in enumerate("abc"):
        g = torch.autograd.grad(loss(model, x, targets, only=task), shared)
        with torch.no_grad():
            for p, g_p in zip(shared, g, strict=True):
                p -= g_p
        then = [loss(model, x, targets, only=t).item() for t in "abc"]
        drop = [1 - b / a for a, b in zip(now, then, strict=True)]
        assert Z[i].tolist() == pytest.approx(drop, rel=1e-2, abs=1e-6)
        model.load_state_dict(before)


def test_a_look_ahead_draws_nothing_and_leaves_the_run_as_it_is():
    model, x, targets = build("hard", "mlp")
    drop = torch.nn.Dropout(0.5)
    model.stages[0]["shared"].append(drop)
    state = torch.get_rng_state()
    Z = affinities(model, Split(x, targets), 1e-9)
    assert torch.equal(torch.get_rng_state(), state)
    assert Z.abs().max() < 1e-5  # the same units are dropped out before and after


def test_groups_are_those_whose_members_help_one_another():
    Z = torch.tensor([[9.0, 0, 3, 0], [0, 9, 0, 3], [1, 0, 9, 0], [0, 1, 0, 9]])
    value = worths(Z)
    assert value[0, 2] == 4 and value[0, 1, 2] == 2 and value[0,] == ALONE
    assert best_of(value, 2).coalitions == [(0, 2), (1, 3)]
    assert best_of(value, 1).coalitions == [(0, 1, 2, 3)]


def test_tag_looks_every_tenth_step_and_its_search_is_paid_for():
    run = searched("tag")
    learned, summary = run.record["learned"], run.record["summary"]
    assert summary["search_steps"] == 20 and len(learned["search"]["affinities"]) == 4
    groups = learned["coalitions"]["layer1"]
    assert len(groups) <= 2 and all(len(c) > 1 for c in groups)
    (row, *_) = structure.described(run)
    assert row["forward"] == 20 * len(groups) + 20 + 2 * 5 and row["coalitions"] == len(groups)
    assert row["backward"] == 20 * len(groups) + 20 + 2 * 4


def test_tasks_of_like_networks_have_like_representations():
    model, x, _ = build("single_task", "cnn")
    model.stages[0]["c"].load_state_dict(model.stages[0]["a"].state_dict())
    A = branched.affinities(model, x)
    assert len(A) == 3 and all(torch.allclose(a.diagonal(), torch.ones(3).double()) for a in A)
    assert A[0][0, 2] == pytest.approx(1) and A[0][0, 1] < 0.9 and A[1][0, 2] < 0.999


@pytest.mark.parametrize("trunks", [1, 1.5, 2, 3, 4])
def test_the_tree_is_the_best_within_the_budget(trunks):
    """Of all that merge further from the top down, at three stages of different size."""
    sizes, best_tree = [30, 10, 20], branched.best_tree

    def trees(l, clusters):
        if l < 0:
            return [[]]
        below = branched.merged(D[l], clusters)
        return [[*rest, c] for c in below for rest in trees(l - 1, c)]

    for seed in range(5):
        J = torch.randn(3, 4, 3, generator=torch.Generator().manual_seed(seed)).double()
        D = [1 - torch.corrcoef(j) for j in J]
        tree = best_tree(D, sizes, trunks * sum(sizes))
        used = [len(c) * size for c, size in zip(tree, sizes, strict=True)]
        assert sum(used) <= trunks * 60
        for lower, upper in pairwise(tree):
            assert all(any(set(c) <= set(d) for d in lower) for c in upper)
        cost = {
            str(t): sum(map(branched.spread, D, t))
            for t in trees(2, [(t,) for t in range(4)])
            if sum(len(c) * size for c, size in zip(t, sizes, strict=True)) <= trunks * 60
        }
        assert cost[str(tree)] == pytest.approx(min(cost.values()), abs=1e-12)
    assert len(best_tree(D, sizes, 240)[0]) == 4 and best_tree(D, sizes, 60) == [[(0, 1, 2, 3)]] * 3


def test_a_branched_network_pays_for_its_single_task_networks():
    run = searched("branched", trunks=2.0)
    learned, (row, *_) = run.record["learned"], structure.described(run)
    main = 20 * learned["decisions"][0]["trunks"]
    assert row["forward"] == main + 20 * 4 and row["backward"] == main + 20 * 4
    assert len(learned["search"]["affinities"]) == 2
    single = fit(run.config.but(sharing="single_task", sharing_options={}), progress=False)
    head = 4 * (8 + 1)
    trunks = (row["parameters"] - head) / (single.record["summary"]["parameters"] - head) * 4
    assert trunks <= 2


def branching(*choices):
    """The network of the LTB search over an MLP, its logits set to these choices."""
    options = ltb.LearningToBranch.Options()
    hard, x, _ = build("hard", "mlp")
    model = ltb.Branching(BACKBONES["mlp"](), hard.tasks, dict(hard.heads), options)
    for logits, parents in zip(model.logits, choices, strict=True):
        logits.data[range(3), parents] = 50.0
    return model, x


def test_a_task_goes_the_way_that_was_chosen_and_the_tree_is_of_those_ways():
    model, x = branching((2, 0, 0), (1, 0, 2))
    z = model.represent(x, "abc")
    for task, way in {"a": (0, 1), "b": (2, 0), "c": (0, 2)}.items():
        h = x
        for stage, node in zip(model.stages, way, strict=True):
            h = stage[f"node{node + 1}"](h)
        torch.testing.assert_close(z[task], h)
    assert model.tree() == [[["a", "c"], ["b"]], [["a"], ["b"], ["c"]]]
    assert branching((0, 1, 2), (1, 1, 1))[0].tree() == [[["a", "b", "c"]]] * 2


def test_choices_are_trained_and_harden_as_they_cool():
    model, x = branching((0, 1, 2), (0, 1, 2))
    for logits in model.logits:
        logits.data.zero_()
    spread = []
    for model.temperature in (5.0, 0.01):
        z = model.represent(x, "abc")
        sum(each.square().sum() for each in z.values()).backward()
        assert all(logits.grad.abs().sum() > 0 for logits in model.logits)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            d = torch.nn.functional.gumbel_softmax(model.logits[0], model.temperature)
        spread.append(float(d.detach().max(1).values.mean()))
    assert spread[0] < 0.7 and spread[1] > 0.95


def test_ltb_pays_for_every_node_of_its_search():
    run = searched("ltb")
    learned, (row, *_) = run.record["learned"], structure.described(run)
    main = 20 * learned["decisions"][0]["trunks"]
    assert row["forward"] == row["backward"] == pytest.approx(main + 20 * 4)
    choices = torch.tensor(learned["search"]["choices"])
    assert choices.shape == (2, 4, 4) and not torch.allclose(choices, torch.tensor(0.25))
    lower, upper = learned["coalitions"].values()
    assert all(any(set(c) <= set(d) for d in lower) for c in upper)


def test_weights_that_are_held_cost_one_pass_back():
    c = RunConfig(**SMALL, sharing="hard", weighting="son_goku", data_options=TASKS)
    c = c.but(weighting_options={"update_every": 4})
    (row, *_) = structure.described(fit(c, progress=False))
    assert row["forward"] == 20 and row["backward"] == 5 * 4 + 15


@pytest.mark.parametrize(("specific", "trunks"), [(0, 1), (1, None), (2, 4)])
def test_recon_pays_for_its_search_and_for_the_ways_that_part(specific, trunks):
    run = searched("recon", specific=specific, search=0.5)
    found = run.record["learned"]["specific"]
    trunks = trunks or {"layer1": 4, "layer2": 2.5}[found[0]]
    assert structure.passes(run) == (20 * trunks + 2 * 10, 20 * trunks + 5 * 10)


def test_too_many_tasks_for_an_exact_search_are_refused():
    c = RunConfig(**SMALL, sharing="tag", data_options={"tasks": 15, "train": 80})
    with pytest.raises(InputError, match="15 tasks; allowed: at most 14"):
        fit(c, progress=False)
