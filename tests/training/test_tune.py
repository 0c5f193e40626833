"""Studies: equal budgets, selection on validation, divergence that is shown and does not stop the study."""

import json
import os
import signal
import sys
from dataclasses import replace

import numpy as np
import pytest

from mtlstudy import RunConfig
from mtlstudy.data._hub import MissingData
from mtlstudy.errors import InputError
from mtlstudy.study import frames, tables
from mtlstudy.study import weightings as comparison
from mtlstudy.training.config import PROFILES, TUNING_SEED
from mtlstudy.training.loop import loop as training
from mtlstudy.training.loop import store as runs
from mtlstudy.training.loop import tune as tuning
from mtlstudy.training.tune import candidates, study

SMALL = {
    "data": "synthetic",
    "steps": 20,
    "evaluations": 2,
    "data_options": {"train": 100, "tasks": 3},
}


def test_every_method_has_the_same_number_of_candidates():
    sizes = {
        (profile, weighting): len(
            candidates(RunConfig(data="yeast", weighting=weighting, profile=profile))
        )
        for profile in PROFILES
        for weighting in ("equal", "static", "nash", "uncertainty")
    }
    assert {sizes[key] for key in sizes if key[0] == "quick"} == {PROFILES["quick"].trials}
    assert {sizes[key] for key in sizes if key[0] == "full"} == {PROFILES["full"].trials}


def test_static_weights_are_candidates_on_the_simplex_equal_ones_among_them():
    rows = candidates(RunConfig(data="yeast", weighting="static"))
    weights = [row["weighting_options"]["weights"] for row in rows if "weighting_options" in row]
    assert len(weights) == len(rows) - 1 and all(
        sum(w) == pytest.approx(1, abs=1e-2) and min(w) > 0 for w in weights
    )


def test_a_fixed_field_is_not_tuned():
    assert candidates(RunConfig(data="yeast", lr=0.5), fixed=["lr", "dropout"]) == [{}]


def test_a_study_tunes_on_its_own_seeds_and_selects_on_validation():
    done = study(RunConfig(**SMALL), [0, 1], progress=False)
    assert {run.config.seed for run in done.tuning_runs} == {TUNING_SEED}
    assert done.selected["lr"] == max(done.trials, key=lambda trial: trial["score"])["lr"]
    assert [run.config.seed for run in done.runs] == [0, 1] and all(
        r.config.lr == done.selected["lr"] for r in done.runs
    )


def test_a_learning_rate_at_the_edge_of_the_candidates_is_counted():
    done = study(RunConfig(**SMALL), [0], progress=False)
    rates = [trial["lr"] for trial in done.trials]
    edge = done.selected["lr"] in (min(rates), max(rates))
    assert comparison.at_edge(frames.summary("quick")) == int(edge)


def test_another_studys_values_can_be_taken_over():
    done = study(RunConfig(**SMALL), [0], like={"lr": 0.004}, progress=False)
    assert done.tuning_runs == [] and done.runs[0].config.lr == 0.004


def test_tuning_seeds_are_no_reported_seeds():
    with pytest.raises(InputError, match="seeds"):
        study(RunConfig(**SMALL), [TUNING_SEED], progress=False)


def test_a_diverged_run_does_not_stop_the_study_and_is_shown(monkeypatch):
    advance = training.Training.advance

    def broken(self, observe):
        if self.config.seed == 1 and self.config.sharing == "hard" and self.step == 4:
            self.sampler.train.targets["task1"][:] = np.inf
        return advance(self, observe)

    monkeypatch.setattr(training.Training, "advance", broken)
    for sharing in ("single_task", "hard"):
        study(RunConfig(sharing=sharing, **SMALL), [0, 1, 2], progress=False)
    frame, summary = frames.load("quick"), frames.summary("quick")
    diverged = summary[summary["status"] == "diverged"]
    assert diverged["seed"].tolist() == [1] and diverged["diverged_step"].tolist() == [4]
    assert frame[(frame["sharing"] == "hard") & (frame["seed"] == 1)]["value"].isna().all()
    row = (
        comparison.aggregate(frame[frame["role"] == "final"], summary)
        .set_index("method")
        .loc["hard+equal"]
    )
    assert (row["seeds"], row["left"], row["diverged"]) == (3, 2, 1)
    shown = tables.comparison(
        comparison.aggregate(frame[frame["role"] == "final"], summary), "synthetic"
    )
    assert "(2/3)" in shown.to_string()


def test_a_stale_run_is_left_out_of_the_frames():
    done = study(RunConfig(**SMALL), [0], progress=False)
    assert len(frames.summary("quick")) == len(done.tuning_runs) + 1
    path = done.runs[0].path
    record = json.loads((path / "run.json").read_text())
    record["config"]["width"] = 65  # a run of another configuration under this name
    runs.finish(path, record)
    assert len(frames.summary("quick")) == len(done.tuning_runs)


def written(done):
    """What a study leaves behind but for times and dates: per run its results and lines, and the study's record."""
    kept = [
        {**run.record, "summary": None, "provenance": None}
        for run in [*done.tuning_runs, *done.runs]
    ]
    lines = [
        (run.path / name).read_bytes()
        for run in done.runs
        for name in ("metrics.jsonl", "weights.jsonl")
    ]
    return kept, lines, (runs.root() / "studies" / f"{done.name}.json").read_text()


def test_several_runs_at_once_give_the_same_bits(tmp_path, monkeypatch):
    config = RunConfig(weighting="nash", **SMALL)
    one = written(study(config, [0, 1], progress=False))
    for store in (
        "several",
        "again",
    ):  # the second time in processes that were started for the first
        monkeypatch.setenv("MTLSTUDY_RUNS", str(tmp_path / store))
        done = study(config, [0, 1], progress=False, jobs=2)
        assert written(done) == one and {run.path.parent for run in done.runs} == {tmp_path / store}
    monkeypatch.setitem(
        sys.modules, "joblib", None
    )  # finished runs are read: no process is started for them
    assert written(study(config, [0, 1], progress=False, jobs=2)) == one


def test_one_run_at_a_time_needs_no_joblib(monkeypatch):
    monkeypatch.setitem(sys.modules, "joblib", None)
    assert study(RunConfig(**SMALL), [0], progress=False).runs[0].status == "done"


@pytest.mark.parametrize(
    ("jobs", "processes", "message"), [(0, 1, "jobs = 0"), (2, 2, "jobs = 2 with processes = 2")]
)
def test_bad_jobs(jobs, processes, message):
    with pytest.raises(InputError, match=message):
        study(RunConfig(processes=processes, **SMALL), [0], like={}, progress=False, jobs=jobs)


def test_an_error_in_a_process_reaches_the_caller(tmp_path, monkeypatch):
    for variable in ("MTLSTUDY_DATA", "MTLSTUDY_CACHE", "HF_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    with pytest.raises(MissingData, match=str(tmp_path)):
        study(RunConfig(data="nsmc", steps=2), [0, 1], like={}, progress=False, jobs=2)


def test_a_process_that_dies_is_reported(monkeypatch):
    monkeypatch.setattr(tuning, "_fit_there", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(InputError, match=r"jobs = 2.*SIGKILL"):
        study(RunConfig(**SMALL), [0, 1], progress=False, jobs=2)


def test_a_finished_run_is_reported_in_one_line(caplog):
    caplog.set_level("INFO", "mtlstudy")
    study(RunConfig(**SMALL), [0, 1], like={"lr": 0.01}, jobs=2)
    assert sorted(line[:4] for line in caplog.messages) == ["1/2 ", "2/2 "] and all(
        "done" in line for line in caplog.messages
    )


def test_the_order_of_the_tasks_in_a_file_does_not_change_a_score():
    (run,) = study(RunConfig(**SMALL), [0], like={}, progress=False).runs
    given = {"task1": 0.1, "task2": 0.2, "task3": 0.3}
    orders = [
        {name: {"score": given[name]} for name in names}
        for names in (sorted(given), sorted(given, reverse=True))
    ]
    made = [
        replace(run, record={**run.record, "results": {"validation": order}}) for order in orders
    ]
    assert tuning.validation_score(made[0]) == tuning.validation_score(made[1])
