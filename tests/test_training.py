"""The loop: same seed same bits, resume = uninterrupted to the bit, divergence is recorded, the test split stays shut."""

import json

import pytest
import torch

from mtlstudy.training.loop import store as runs
from mtlstudy.training.loop import loop as training
from mtlstudy import RunConfig, fit
from mtlstudy.training.config import TUNING_SEED
from mtlstudy.weighting.base import LossWeighting

SMALL = {"data": "synthetic", "steps": 40, "evaluations": 4, "data_options": {"train": 150}, "dropout": 0.2}


class Killed(Exception):
    """What a kill looks like from inside."""


def results(run):
    return {name: (run.path / name).read_bytes() for name in ("metrics.jsonl", "weights.jsonl")} | {
        "results": json.dumps(run.record["results"])
    }


@pytest.mark.parametrize("weighting", ["equal", "uncertainty", "nash", "block_nash"])
@pytest.mark.parametrize("moment", [5, 17, 38])
def test_resume_equals_uninterrupted_to_the_bit(weighting, moment, monkeypatch, tmp_path):
    options = {"update_every": 3} if weighting == "nash" else {}
    config = RunConfig(weighting=weighting, weighting_options=options, **SMALL)
    whole = results(fit(config, progress=False))

    monkeypatch.setenv("MTLSTUDY_RUNS", str(tmp_path / "again"))
    advance = training.Training.advance

    def killed(self, observe):
        if self.step == moment:
            raise Killed
        return advance(self, observe)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(training.Training, "advance", killed)
        fit(config, progress=False)
    path = runs.root() / config.run_id
    assert not (path / "DONE").exists() and (path / "checkpoint.pt").exists() == (moment >= 10)
    with (path / "weights.jsonl").open("a") as file:
        file.write('{"step": 99, "torn')  # what a kill in the middle of a write leaves
    assert results(fit(config, progress=False)) == whole


def test_a_finished_run_is_read_not_repeated(monkeypatch):
    config = RunConfig(**SMALL)
    first = fit(config, progress=False)
    monkeypatch.setattr(training, "Training", None)
    assert fit(config, progress=False).record == first.record


def test_a_loss_that_is_not_finite_ends_the_run_as_diverged(monkeypatch):
    config = RunConfig(**SMALL)
    advance = training.Training.advance

    def broken(self, observe):
        if self.step == 7:
            self.sampler.train.targets["task1"][:] = float("inf")
        return advance(self, observe)

    monkeypatch.setattr(training.Training, "advance", broken)
    run = fit(config, progress=False)
    assert (run.status, run.record["diverged_step"]) == ("diverged", 7)
    assert runs.load_run(run.path).status == "diverged" and "results" not in run.record


def test_tuning_runs_never_open_the_test_split(monkeypatch):
    run = fit(RunConfig(seed=TUNING_SEED, **SMALL), progress=False)
    assert set(run.record["results"]) == {"train", "validation"}
    assert set(fit(RunConfig(seed=0, **SMALL), progress=False).record["results"]) == {"train", "validation", "test"}


def test_selection_is_on_validation_only():
    run = fit(RunConfig(**SMALL), progress=False)
    lines = run.lines("metrics")
    best = max(lines, key=lambda line: line["score"])
    assert run.record["summary"]["best_step"] == [best["step"]]
    chosen = run.record["results"]["validation"]
    assert all(chosen[t]["metric"] == pytest.approx(best["validation"][t]["metric"]) for t in chosen)


def test_single_tasks_select_their_own_checkpoints():
    longer = {**SMALL, "dropout": 0.0, "steps": 200, "evaluations": 20, "lr": 0.01}
    together = fit(RunConfig(sharing="single_task", **longer), progress=False)
    steps = together.record["summary"]["best_step"]
    assert len(steps) == 6 and len(set(steps)) > 1


def test_the_game_is_scale_free():
    """Nash with own head gradients: rescaling a task's loss leaves the first shared direction as it was."""

    def direction(scale):
        state = training.Training(RunConfig(weighting="nash", **{**SMALL, "dropout": 0.0}), runs.root() / "x")
        forward = state.train.forward

        def rescaled(part, **how):
            named, *read = forward(part, **how)
            return [scale * named[0], *named[1:]], *read

        state.train.forward = rescaled
        state.train.by_gramians([(state.sampler.draw(), None)])
        return torch.cat([p.grad.flatten() for p in state.train.shared])

    assert torch.allclose(direction(1.0), direction(1000.0), rtol=1e-3, atol=1e-6)
    assert torch.linalg.vector_norm(direction(1.0)).item() == pytest.approx(1.0, rel=1e-5)  # √K clipped to max_norm


@pytest.mark.parametrize("level", ["parameters", "representation"])
def test_update_every_and_level_train(level):
    config = RunConfig(weighting="nash", weighting_options={"update_every": 5, "level": level, "head_gradients": "own"}, **SMALL)
    run = fit(config, progress=False)
    assert run.record["summary"]["games"]["SOLVED"] == 8  # 40 steps, every fifth


def test_the_objective_of_a_loss_weighting_is_what_is_minimised():
    state = training.Training(RunConfig(weighting="uncertainty", **SMALL), runs.root() / "x")
    assert isinstance(state.weighting, LossWeighting)
    state.advance(observe=True)
    assert all(p.grad.abs().sum() > 0 for p in state.weighting.parameters())


def test_a_corrupt_or_foreign_folder_is_refused_before_training():
    config = RunConfig(**SMALL)
    path = runs.root() / config.run_id
    path.mkdir(parents=True)
    (path / "notes.txt").write_text("not a run")
    with pytest.raises(Exception, match=r"no run\.json; not a run"):
        fit(config, progress=False)
    assert (path / "notes.txt").exists()
    moved = runs.quarantine(path)
    assert (moved / "notes.txt").exists()
    run = fit(config, progress=False)
    (run.path / "metrics.jsonl").write_text("{}\n")
    with pytest.raises(Exception, match="digest"):
        fit(config, progress=False)


def test_the_sampler_visits_every_example_once_an_epoch():
    state = training.Training(RunConfig(**{**SMALL, "batch_size": 50}), runs.root() / "x")
    inputs = torch.cat([state.sampler.draw().inputs for _ in range(3)])
    assert len({tuple(row) for row in inputs.tolist()}) == 150
