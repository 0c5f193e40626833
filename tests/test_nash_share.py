"""NashShare: what branches is exact, what merges is the mean, what was decided is on record."""

import math
from copy import deepcopy
from itertools import combinations

import pytest
import torch

from mtlstudy import InputError, RunConfig, fit
from mtlstudy.models.sharing._dynamic import trunk_passes
from mtlstudy.nash import nash_weights
from mtlstudy.training.evaluation import Selection
from mtlstudy.training.loop import Training, torch_settings

SMALL = {"data": "two_groups", "width": 8, "batch_size": 20, "lr": 0.01}
TASKS = {"tasks": 4, "train": 80}
BRANCH, MERGE = 6, 10  # of 20 steps, below


def config(sharing="nash_share", steps=20, data=(), **options):
    fields = {key: options.pop(key) for key in ("weighting", "evaluations", "lr") if key in options}
    if sharing == "nash_share":
        options = {"start": 0.3, "length": 0.2, **options}
    data_options = {**TASKS, **dict(data)}
    more = {"data_options": data_options, "sharing_options": options, "steps": steps, **fields}
    return RunConfig(**SMALL, sharing=sharing, **more)


@pytest.fixture
def training(tmp_path):
    """Make the training of a configuration, which is advanced by hand."""

    def make(c, steps=0):
        state = Training(c, tmp_path / c.run_id)
        for _ in range(steps):
            state.advance(observe=False)
        return state

    with torch_settings(config()):
        yield make


def outputs(state):
    state.model.eval()
    with torch.no_grad():
        return state.model(state.splits.validation.inputs)


def same(a, b):
    return all(torch.equal(a[t], b[t]) for t in a)


def coalitions(state):
    return state.model.partitions[0]


MULTI = pytest.mark.parametrize("multi", [False, True], ids=["single-input", "multi-input"])


@MULTI
def test_until_it_branches_it_is_hard_sharing_to_the_bit(training, multi):
    one, other = (
        training(config(s, data={"multi_input": multi}), BRANCH - 1) for s in ("nash_share", "hard")
    )
    assert same(outputs(one), outputs(other))


@MULTI
@pytest.mark.parametrize("weighting", ["equal", "equal_norm", "block_nash"])
def test_a_branch_changes_no_bit_and_a_merge_takes_means(training, multi, weighting, monkeypatch):
    c = config(data={"multi_input": multi}, weighting=weighting)
    state = training(c, BRANCH - 1)
    step, seen = state.train, []
    restructure = step.restructure

    def watch(*arguments):
        model = state.model
        before = deepcopy(model.stages), deepcopy(outputs(state)), dict(step.optimiser.state)
        key = {t: model.key(c) for c in coalitions(state) for t in c}
        restructure(*arguments)
        seen.append((before, key))

    monkeypatch.setattr(step, "restructure", watch)
    state.advance(observe=False)
    assert len(coalitions(state)) == 4 and same(outputs(state), seen[-1][0][1])
    while step.calls < MERGE:
        state.advance(observe=False)
    (stages, _, moments), key = seen[-1]
    assert len(set(key.values())) == 4 and state.model.history[-1]["phase"] == "merge"
    for old, new in zip(stages, state.model.stages, strict=True):
        for c in coalitions(state):
            members = [old[key[t]].state_dict() for t in c]
            for name, p in new[state.model.key(c)].named_parameters():
                mean = torch.stack([m[name] for m in members]).mean(0)
                torch.testing.assert_close(p.detach(), mean)
                assert step.optimiser.state[p]["exp_avg"].shape == p.shape
    held = {id(p) for p in step.optimiser.state}
    assert held == {id(p) for p in state.model.parameters()} and len(moments) >= len(held)


def test_moments_merge_by_their_mean_as_well(training):
    state = training(config(), MERGE - 1)
    model, optimiser = state.model, state.train.optimiser
    before = [
        [optimiser.state[p]["exp_avg_sq"] for p in model.stages[0][t].parameters()]
        for t in model.task_names
    ]
    origins = model.regroup(model.together())
    first = next(iter(model.stages[0]["shared"].parameters()))
    assert len(origins[first]) == 4
    model.restructure = lambda *_: origins
    state.train.restructure(20, state.train(state.sampler.draw()))
    mean = torch.stack([tensors[0] for tensors in before]).mean(0)
    torch.testing.assert_close(optimiser.state[first]["exp_avg_sq"], mean)


@MULTI
def test_modules_equal_virtual_copies_with_summed_gradients(training, multi):
    """Coalitions' modules, against a copy a task whose gradients are summed over its coalition."""
    groups = {"groups": (0, 1, 0, 0), "start": 0.1}
    data = {"multi_input": multi}
    real = training(config("grouped", data=data, **groups), 2)
    apart = training(config("grouped", data=data, start=0.1), 2)
    assert same(outputs(real), outputs(apart)) and len(coalitions(apart)) == 4
    model = apart.model
    for _ in range(12):
        real.advance(observe=False)
        step = apart.train
        step.optimiser.zero_grad()
        step.backward(apart.sampler.draw(), False, False)
        for stage in model.stages:
            for c in coalitions(real):
                for ps in zip(*(stage[t].parameters() for t in c), strict=True):
                    total = torch.stack([p.grad for p in ps]).sum(0)
                    for p in ps:
                        p.grad = total.clone()
        step.optimiser.step()
    a, b = outputs(real), outputs(apart)
    assert all(torch.allclose(a[t], b[t], atol=1e-6) for t in a)


@pytest.mark.parametrize("signal", ["drift", "gradient", "permuted", "random"])
@pytest.mark.parametrize("weighting", ["equal_norm", "block_nash"])
def test_resumed_to_the_same_bits_in_every_phase(signal, weighting, monkeypatch, tmp_path):
    """Killed at each evaluation: shared, branched before and after the middle, merged."""
    c = config(signal=signal, weighting=weighting, evaluations=10)
    whole = fit(c, progress=False)
    monkeypatch.setenv("MTLSTUDY_RUNS", str(tmp_path / "again"))
    evaluate, kills = Selection.evaluate, []

    def evaluate_and_die(self, step):
        line = evaluate(self, step)
        if step not in kills and step % 4:
            kills.append(step)
            raise KeyboardInterrupt
        return line

    monkeypatch.setattr(Selection, "evaluate", evaluate_and_die)
    while True:
        try:
            again = fit(c, progress=False)
            break
        except KeyboardInterrupt:
            continue
    assert kills == [2, 6, 10, 14, 18]
    for part in ("results", "learned"):
        assert again.record[part] == whole.record[part]
    assert [x["score"] for x in again.evaluations()] == [x["score"] for x in whole.evaluations()]


def test_what_was_decided_is_on_record_and_the_selected_state_keeps_its_structure(monkeypatch):
    """Validation is made to choose the last state but one, of a copy a task."""
    evaluate = Selection.evaluate

    def prefer(self, step):
        line = evaluate(self, step)
        if step >= MERGE:
            return line
        self.best[0]["score"] = float(step)
        return line

    monkeypatch.setattr(Selection, "evaluate", prefer)
    monkeypatch.setattr("mtlstudy.training.evaluation.mean", lambda _: 0.5)
    run = fit(config(evaluations=20), progress=False)
    learned = run.record["learned"]
    start, branch, merge = learned["decisions"]
    assert start["trunks"] == 1 and branch["trunks"] == 4
    assert (branch["phase"], branch["step"]) == ("branch", BRANCH)
    assert (merge["phase"], merge["step"]) == ("merge", MERGE)
    assert len(merge["values"][0]) == len(merge["coalitions"][0])
    assert len(merge["cosines"][0]) == 4 and math.isfinite(sum(merge["values"][0]))
    assert run.record["summary"]["best_step"] == [1] and learned["coalitions"]["layer1"] == [
        ["task1", "task2", "task3", "task4"]
    ]


def test_tasks_of_one_teacher_drift_alike():
    """Teachers without private parts: cosines within the groups are above those across."""
    data = {"rho": 1.0, "noise": 0.0, "train": 1000}
    run = fit(config(steps=600, data=data), progress=False)
    C = torch.tensor(run.record["learned"]["decisions"][-1]["cosines"][0])
    within, across = [C[0, 2], C[1, 3]], [C[0, 1], C[0, 3], C[1, 2], C[2, 3]]
    assert sum(within) / 2 > sum(across) / 4 + 0.1


def test_one_game_a_stage_further_rounds_and_lower_stages(training):
    state = training(config(per_block=True, shared=1), MERGE)
    merge = state.model.history[-1]
    assert merge["coalitions"][0] == [state.model.task_names] and len(merge["values"]) == 1
    state = training(config(per_block=True), MERGE)
    assert len(state.model.history[-1]["values"]) == 2
    c = config(rounds=2, start=0.1, length=0.1)
    phases = [d["phase"] for d in training(c, 20).model.history]
    assert phases == ["start", "branch", "merge", "branch", "merge"]
    c = c.but(sharing_options={**c.sharing_options, "moment": "common"})
    phases = [d["phase"] for d in training(c, 20).model.history]
    assert phases in (["start", "branch", "merge"], ["start", "branch", "rejoin", *phases[3:]])


@pytest.mark.parametrize("signal", ["permuted", "random"])
def test_controls_keep_sizes_or_number(signal, training):
    found, control = (training(config(signal=s), MERGE) for s in ("drift", signal))
    sizes = [sorted(map(len, coalitions(state))) for state in (found, control)]
    assert len(sizes[0]) == len(sizes[1]) and (signal == "random" or sizes[0] == sizes[1])
    assert sorted(t for c in coalitions(control) for t in c) == found.model.task_names


def test_block_nash_bargains_inside_coalitions(training):
    state = training(config("grouped", groups=(0, 1, 0, 1), weighting="block_nash"))
    result = state.advance(observe=False)
    blocks = state.model.shared_blocks()
    uses = [[int(t[-1]) - 1 for t in u.tasks] for u in state.model.usage() if u.block in blocks]
    for M, a, members in zip(result.gramians, result.weights.weights, uses, strict=True):
        inside = M[members][:, members]
        torch.testing.assert_close(a[members], nash_weights(inside).weights)
        assert bool((M[members] @ a > 0).all()) and float(a.sum()) == float(a[members].sum())


def test_trunk_passes_are_those_of_the_structures():
    decisions = [
        {"step": 0, "trunks": 1.0},
        {"step": 6, "trunks": 4.0},
        {"step": 10, "trunks": 2.0},
    ]
    assert trunk_passes(decisions, 4, 20, exact=True) == (6 + 16 + 20, 80)
    assert trunk_passes(decisions, 4, 20, exact=False) == (42, 42)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sharing_options": {"start": 0.9, "length": 0.2}}, "end|≤ 1"),
        ({"sharing_options": {"signal": "dirft"}}, "sharing_options.signal"),
        ({"processes": 2}, "changes its parameters"),
        ({"compile": True}, "changes its parameters"),
        ({"weighting": "nash", "weighting_options": {"level": "representation"}}, "allowed: param"),
        ({"weighting": "block_nash", "weighting_options": {"update_every": 2}}, "allowed: 1"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, message):
    with pytest.raises(InputError, match=message):
        RunConfig(data="two_groups", sharing="nash_share", **fields)


def test_groups_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="3 groups; allowed: 4"):
        fit(config("grouped", groups=(0, 1, 0)), progress=False)
    with pytest.raises(InputError, match="allowed: 0 to 1"):
        fit(config(shared=2), progress=False)
    with pytest.raises(InputError, match="takes task gradients"):
        fit(config(signal="gradient", weighting="equal"), progress=False)


def test_one_task_is_a_coalition():
    run = fit(config(data={"tasks": 1, "groups": 1}), progress=False)
    assert run.record["learned"]["decisions"][-1]["values"] == [[0.0]]


def test_bipartition_splits_where_nothing_across_is_alike(training):
    """Recursively, against all bipartitions of four tasks."""
    model = training(config("cosine_bipartition", start=0.3, length=0.2, threshold=0.2)).model

    def split(tasks, C):
        cuts = [c for n in range(1, len(tasks)) for c in combinations(tasks, n)]
        cross = {c: max(C[s, t] for s in c for t in set(tasks) - set(c)) for c in cuts}
        best = min(cuts, key=cross.get, default=None)
        if best is None or cross[best] >= 0.2:
            return [tuple(tasks)]
        return split(best, C) + split([t for t in tasks if t not in best], C)

    for seed in range(20):
        J = torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))
        C = torch.corrcoef(J)
        assert model.best(C).coalitions == sorted(split(range(4), C))
