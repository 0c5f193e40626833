"""Tuning: equal budgets, selection on validation, seeds of its own; several runs at once give the
same bits as one after the other."""

import math
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from mtlstudy import InputError, RunConfig
from mtlstudy.data._hub import MissingData
from mtlstudy.models import sharing
from mtlstudy.training import store, tune
from mtlstudy.training.config import TUNING_SEED
from mtlstudy.training.evaluation import Selection, mean
from mtlstudy.training.loop import Training
from mtlstudy.training.tune import Budget, candidates, reported, study, train

SMALL = {
    "data": "synthetic",
    "steps": 8,
    "evaluations": 2,
    "data_options": {"train": 60, "tasks": 3},
}
BUDGET = Budget(trials=3, tuning_seeds=1, seeds=2)


@pytest.mark.parametrize("budget", [BUDGET, Budget(10, 3, 10, dropouts=(0.0, 0.3))])
def test_every_method_has_the_same_number_of_candidates(budget):
    methods = [("hard", weighting) for weighting in ("equal", "static", "nash", "uncertainty")]
    methods += [(family, "equal") for family in sharing.names()]
    for family, weighting in methods:
        config = RunConfig(data="yeast", sharing=family, weighting=weighting)
        assert len(candidates(config, budget)) == budget.trials


def test_a_familys_options_are_dealt_out_within_the_number_and_one_keeps_the_defaults():
    families = [name for name in sharing.names() if sharing.get(name).tuned]
    assert families
    for family in families:
        tried = candidates(RunConfig(data="yeast", sharing=family), BUDGET)
        assert sum("sharing_options" not in row for row in tried) == 1
        for option, values in sharing.get(family).tuned.items():
            rows = [row["sharing_options"] for row in tried if "sharing_options" in row]
            assert {row[option] for row in rows} <= set(values)


def test_static_weights_are_candidates_on_the_simplex_equal_ones_among_them():
    rows = candidates(RunConfig(data="yeast", weighting="static"), BUDGET)
    weights = [row["weighting_options"]["weights"] for row in rows if "weighting_options" in row]
    assert len(weights) == len(rows) - 1
    assert all(sum(w) == pytest.approx(1, abs=1e-2) and min(w) > 0 for w in weights)


def test_a_fixed_field_is_not_tuned():
    fixed = ["lr", "dropout"]
    assert candidates(RunConfig(data="yeast", lr=0.5), BUDGET, fixed) == [{}]
    assert tune.tuning(RunConfig(data="yeast", lr=0.5), BUDGET, fixed) == []


def test_a_study_tunes_on_its_own_seeds_and_selects_on_validation():
    config = RunConfig(**SMALL)
    done = study(config, BUDGET, [0, 1], progress=False)
    groups = tune.tuning(config, BUDGET)
    tuned = [run for _, group in groups for run in group]
    assert {run.seed for run in tuned} == {TUNING_SEED} and len(tuned) == 3
    scores = [tune.score(store.load_run(store.root() / run.run_id)) for run in tuned]
    assert scores == done.scores
    assert done.selected == done.candidates[scores.index(max(scores))]
    assert [run.config.seed for run in done.runs] == [0, 1]
    assert all(run.config.lr == done.selected["lr"] for run in done.runs)


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([-math.inf] * 3, "none of the 3 candidates has a score: 3 diverged, of 0"),
        ([math.nan, -math.inf, math.nan], "1 diverged, of 2 a metric on validation is undefined"),
    ],
)
def test_where_no_candidate_has_a_score_nothing_is_selected(scores, said, monkeypatch):
    with pytest.raises(InputError, match=said):
        tune.select(["a", "b", "c"], scores)
    assert tune.further([{"lr": 0.1}] * 3, scores, BUDGET) is None
    given = iter(scores)
    monkeypatch.setattr(tune, "score", lambda run: next(given))
    with pytest.raises(InputError, match=said):
        study(RunConfig(**SMALL), BUDGET, [0], progress=False)
    finals = [path for path in store.folders() if store.read(path)["config"]["seed"] == 0]
    assert not finals  # no reported run is trained


def test_a_candidate_with_an_undefined_score_is_not_selected():
    assert tune.select(["a", "b", "c"], [math.nan, -1.0, -math.inf]) == "b"


def test_a_mean_of_scores_is_undefined_where_one_is():
    assert math.isnan(mean([0.5, math.nan])) and mean([0.5, 1.0]) == 0.75


def test_a_state_with_an_undefined_metric_is_not_selected_and_the_tasks_are_named(caplog):
    config = RunConfig(data="synthetic", data_options={"tasks": 2, "train": 40}, steps=2)
    state = Training(config, store.root() / "x")
    tasks = tuple(replace(task, metric="pearson") for task in state.model.tasks)
    state.model.tasks = tasks
    first = state.model.heads[tasks[0].name]
    torch.nn.init.zeros_(first.weight)  # a constant has no correlation
    selection = Selection(state.model, state.splits)
    assert math.isnan(selection.evaluate(1)["score"])
    assert selection.undefined() == [task.name for task in tasks]
    state.selection = selection
    state.finish()
    assert f"no evaluation has a defined score for {tasks[0].name}, {tasks[1].name}" in caplog.text
    torch.nn.init.ones_(first.weight)
    assert math.isfinite(selection.evaluate(2)["score"]) and selection.undefined() == []


WIDER = Budget(trials=4, tuning_seeds=1, seeds=2, schedules=("constant", "cosine"), extend=2)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.9, 0, 0, 0], {"lr": 1.5e-4, "schedule": "constant"}),  # at the lower end
        ([0, 0, 0, 0.9], {"lr": 0.15, "schedule": "cosine"}),  # at the upper end
        ([0, 0, 0, 0.5, 0.9], {"lr": 1.5, "schedule": "cosine"}),  # and still
        ([0, 0, 0, 0.9, 0.5], None),  # no longer at an end
        ([0, 0, 0, 0.5, 0.7, 0.9], None),  # no more than `extend`
        ([float("-inf")] * 4, None),
    ],
)
def test_a_choice_at_an_end_of_the_grid_extends_it(scores, expected):
    tried = candidates(RunConfig(data="yeast"), WIDER)
    while len(tried) < len(scores):
        tried.append(tune.further(tried, [0, 0, 0, 0.9, 0.9][: len(tried)], WIDER))
    assert tune.further(tried, scores, WIDER) == (expected and {"dropout": 0.0, **expected})
    assert tune.further(tried, scores, WIDER, fixed=("lr",)) is None


def test_a_study_goes_on_beyond_an_end_while_it_is_best():
    rates = Budget(trials=2, tuning_seeds=1, seeds=1, rates=(1e-6, 1e-5), extend=3)
    done = study(RunConfig(**SMALL), rates, [0], progress=False)
    assert [each["lr"] for each in done.candidates] == [1e-6, 1e-5, 1e-4, 1e-3, 1e-2]
    assert done.scores == sorted(done.scores) and done.selected["lr"] == 1e-2


def test_another_studys_values_can_be_taken_over():
    done = study(RunConfig(**SMALL), BUDGET, [0], like={"lr": 0.004}, progress=False)
    assert done.candidates == [{"lr": 0.004}] and done.runs[0].config.lr == 0.004
    assert len(store.folders()) == 1  # nothing was tuned


@pytest.mark.parametrize("seeds", [[], [TUNING_SEED], [0, TUNING_SEED + 3]])
def test_tuning_seeds_are_no_reported_seeds(seeds):
    with pytest.raises(InputError, match="seeds"):
        study(RunConfig(**SMALL), BUDGET, seeds, progress=False)
    assert not store.folders()


def test_a_diverged_candidate_is_never_selected():
    (run,) = train([RunConfig(**SMALL)], progress=False)
    lost = replace(run, record={**run.record, "status": "diverged"})
    assert tune.score(lost) == float("-inf") < tune.score(run)
    assert tune.select([{"lr": 1}, {"lr": 2}, {"lr": 3}], [float("-inf"), 0.5, 0.5]) == {"lr": 2}


def test_the_order_of_the_tasks_in_a_file_does_not_change_a_score():
    (run,) = train([RunConfig(**SMALL)], progress=False)
    given = {"task1": 0.1, "task2": 0.2, "task3": 0.3}
    orders = [sorted(given), sorted(given, reverse=True)]
    records = [{"validation": {n: {"score": given[n]} for n in names}} for names in orders]
    made = [replace(run, record={**run.record, "results": record}) for record in records]
    assert tune.score(made[0]) == tune.score(made[1])


@pytest.mark.parametrize(
    ("jobs", "processes", "message"), [(0, 1, "jobs = 0"), (2, 2, "jobs = 2 with processes = 2")]
)
def test_bad_jobs(jobs, processes, message):
    with pytest.raises(InputError, match=message):
        study(RunConfig(processes=processes, **SMALL), BUDGET, [0], like={}, jobs=jobs)


def test_one_run_at_a_time_needs_no_joblib(monkeypatch):
    monkeypatch.setitem(sys.modules, "joblib", None)
    assert study(RunConfig(**SMALL), BUDGET, [0], progress=False).runs[0].status == "done"


def written(runs):
    """What runs leave behind but for times and dates."""
    apart = {"summary": None, "provenance": None}
    lines = ("metrics.jsonl", "weights.jsonl")
    return [({**r.record, **apart}, [(r.path / n).read_bytes() for n in lines]) for r in runs]


@pytest.mark.slow
def test_several_runs_at_once(tmp_path, monkeypatch, caplog):
    """One test, so that the workers are started once: the same bits in any store, a line a run,
    nothing for what is finished; an error and a death reach the caller."""
    config = RunConfig(weighting="nash", **SMALL)
    configs = reported(config, {}, [0, 1])
    one = written(train(configs, progress=False))
    caplog.set_level("INFO", "mtlstudy")
    for name in ("several", "again"):  # the second time in processes started for the first
        monkeypatch.setenv("MTLSTUDY_RUNS", str(tmp_path / name))
        caplog.clear()
        done = train(configs, jobs=2)
        assert written(done) == one and {run.path.parent for run in done} == {tmp_path / name}
        assert sorted(line[:4] for line in caplog.messages) == ["1/2 ", "2/2 "]
        assert all("done" in line for line in caplog.messages)
    with monkeypatch.context() as patch:  # finished runs are read: no process is asked for them
        patch.setitem(sys.modules, "joblib", None)
        assert written(train(configs, progress=False, jobs=2)) == one

    with monkeypatch.context() as patch:
        for variable in ("MTLSTUDY_DATA", "MTLSTUDY_CACHE", "HF_HOME"):
            patch.setenv(variable, str(tmp_path / "nowhere"))
        patch.delenv("HF_HUB_CACHE", raising=False)
        with pytest.raises(MissingData, match="nowhere"):
            train(reported(RunConfig(data="nsmc", steps=2), {}, [0, 1]), progress=False, jobs=2)

    monkeypatch.setattr(tune, "_fit_in_worker", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(InputError, match=r"jobs = 2.*SIGKILL"):
        train(reported(config, {}, [5, 6]), progress=False, jobs=2)


def working(store):
    """The processes that train in a store of this name."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"MTLSTUDY_RUNS={store}\0".encode() in (folder / "environ").read_bytes():
                yield folder.name


def until(is_so, seconds=60):
    """Wait until it is so; fail where it takes too long."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="no /proc to look into")
@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_a_killed_command_leaves_no_worker_behind(name, tmp_path):
    runs = tmp_path / "runs"
    fields = ("lr=0.01", "steps=100000", "evaluations=100000")
    command = [sys.executable, "-m", "mtlstudy.cli", "run", "--data", "synthetic", "--jobs", "2"]
    command += ["--seeds", "0-1", *(word for field in fields for word in ("--set", field))]
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    taken = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's "&" leaves it ignored
    how |= {"env": {**os.environ, "MTLSTUDY_RUNS": str(runs)}, "preexec_fn": taken}
    study = subprocess.Popen(command, **how)
    until(lambda: len([*runs.glob("*/checkpoint.pt")]) == 2)
    study.send_signal(signal.Signals[name])
    until(lambda: not [*working(runs)])
    said = study.communicate(timeout=60)[0]
    assert "Traceback" not in said
    if name != "SIGKILL":
        assert "stopped; the same command goes on" in said
        assert study.returncode == 128 + signal.Signals[name]
