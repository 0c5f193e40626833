"""Studies: equal budgets, selection on validation, divergence that is shown and does not stop the study."""

import json

import numpy as np
import pytest

from mtlstudy import RunConfig, frames, runs, tables, training
from mtlstudy.config import PROFILES, TUNING_SEED
from mtlstudy.errors import InputError
from mtlstudy.experiments import comparison
from mtlstudy.tuning import candidates, study

SMALL = {"data": "synthetic", "steps": 20, "evaluations": 2, "data_options": {"train": 100, "tasks": 3}}


def test_every_method_has_the_same_number_of_candidates():
    sizes = {
        (profile, weighting): len(candidates(RunConfig(data="yeast", weighting=weighting, profile=profile)))
        for profile in PROFILES
        for weighting in ("equal", "static", "nash", "uncertainty")
    }
    assert {sizes[key] for key in sizes if key[0] == "quick"} == {PROFILES["quick"].trials}
    assert {sizes[key] for key in sizes if key[0] == "full"} == {PROFILES["full"].trials}


def test_static_weights_are_candidates_on_the_simplex_equal_ones_among_them():
    rows = candidates(RunConfig(data="yeast", weighting="static"))
    weights = [row["weighting_options"]["weights"] for row in rows if "weighting_options" in row]
    assert len(weights) == len(rows) - 1 and all(sum(w) == pytest.approx(1, abs=1e-2) and min(w) > 0 for w in weights)


def test_a_fixed_field_is_not_tuned():
    assert candidates(RunConfig(data="yeast", lr=0.5), fixed=["lr", "dropout"]) == [{}]


def test_a_study_tunes_on_its_own_seeds_and_selects_on_validation():
    done = study(RunConfig(**SMALL), [0, 1], progress=False)
    assert {run.config.seed for run in done.tuning_runs} == {TUNING_SEED}
    assert done.selected["lr"] == max(done.trials, key=lambda trial: trial["score"])["lr"]
    assert [run.config.seed for run in done.runs] == [0, 1] and all(r.config.lr == done.selected["lr"] for r in done.runs)


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
    row = comparison.aggregate(frame[frame["role"] == "final"], summary).set_index("method").loc["hard+equal"]
    assert (row["seeds"], row["left"], row["diverged"]) == (3, 2, 1)
    shown = tables.comparison(comparison.aggregate(frame[frame["role"] == "final"], summary), "synthetic")
    assert "(2/3)" in shown.to_string()


def test_a_stale_run_is_left_out_of_the_frames():
    done = study(RunConfig(**SMALL), [0], progress=False)
    assert len(frames.summary("quick")) == len(done.tuning_runs) + 1
    path = done.runs[0].path
    record = json.loads((path / "run.json").read_text())
    record["config"]["width"] = 65  # a run of another configuration under this name
    runs.finish(path, record)
    assert len(frames.summary("quick")) == len(done.tuning_runs)
