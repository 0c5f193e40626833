"""The loop: same seed same bits, resume = uninterrupted to the bit, divergence is recorded, the
test split stays shut, torch is left as it was."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from mtlstudy import RunConfig, fit
from mtlstudy.training import loop, store
from mtlstudy.training.config import TUNING_SEED
from mtlstudy.weighting.base import LossWeighting

SMALL = {
    "data": "synthetic",
    "steps": 20,
    "evaluations": 4,
    "data_options": {"tasks": 3, "train": 150},
    "dropout": 0.2,
}


class Killed(Exception):
    """What a kill looks like from inside."""


def results(run):
    files = {name: (run.path / name).read_bytes() for name in ("metrics.jsonl", "weights.jsonl")}
    return files | {"results": json.dumps(run.record["results"]), "digest": run.digest}


@pytest.mark.parametrize(
    ("weighting", "options", "moment"),
    [
        ("equal", {}, 3),  # before the first checkpoint
        ("uncertainty", {}, 8),  # parameters of its own
        ("nash", {"update_every": 3}, 3),
        ("nash", {"update_every": 3}, 19),  # weights that are held
        ("block_nash", {}, 8),
    ],
)
def test_resume_equals_uninterrupted_to_the_bit(weighting, options, moment, monkeypatch, tmp_path):
    config = RunConfig(weighting=weighting, weighting_options=options, schedule="cosine", **SMALL)
    whole = results(fit(config, progress=False))

    monkeypatch.setenv("MTLSTUDY_RUNS", str(tmp_path / "again"))
    advance = loop.Training.advance

    def killed(self, observe):
        if self.step == moment:
            raise Killed
        return advance(self, observe)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(loop.Training, "advance", killed)
        fit(config, progress=False)
    path = store.root() / config.run_id
    assert not (path / "DONE").exists() and (path / "checkpoint.pt").exists() == (moment >= 5)
    with (path / "weights.jsonl").open("a") as file:
        file.write('{"step": 99, "torn')  # what a kill in the middle of a write leaves
    assert results(fit(config, progress=False)) == whole


def test_the_schedule_is_the_rate_of_every_step(monkeypatch):
    seen = []
    step = torch.optim.Adam.step

    def noted(self, closure=None):
        seen.append(self.param_groups[0]["lr"])
        return step(self, closure)

    monkeypatch.setattr(torch.optim.Adam, "step", noted)
    config = RunConfig(**{**SMALL, "steps": 4, "evaluations": 1}, lr=0.2, schedule="cosine")
    fit(config, progress=False)
    assert seen == pytest.approx([0.2, 0.1 + 0.1 * 0.5**0.5, 0.1, 0.1 - 0.1 * 0.5**0.5])


def test_a_finished_run_is_read_not_repeated(monkeypatch):
    config = RunConfig(**SMALL)
    first = fit(config, progress=False)
    monkeypatch.setattr(loop, "Training", None)
    assert fit(config, progress=False).record == first.record


def test_a_loss_that_is_not_finite_ends_the_run_as_diverged(monkeypatch):
    config = RunConfig(**SMALL)
    advance = loop.Training.advance

    def broken(self, observe):
        if self.step == 7:
            train = self.sampler.train
            bad = {**train.targets, "task1": train.targets["task1"] / 0}
            self.sampler.train = replace(train, targets=bad)
        return advance(self, observe)

    monkeypatch.setattr(loop.Training, "advance", broken)
    run = fit(config, progress=False)
    assert (run.status, run.record["diverged_step"]) == ("diverged", 7)
    assert store.load_run(run.path).status == "diverged" and "results" not in run.record


def test_tuning_runs_never_open_the_test_split():
    tuned, reported = (fit(RunConfig(seed=s, **SMALL), progress=False) for s in (TUNING_SEED, 0))
    assert set(tuned.record["results"]) == {"train", "validation"}
    assert set(reported.record["results"]) == {"train", "validation", "test"}


def test_selection_is_on_validation_only():
    run = fit(RunConfig(**SMALL), progress=False)
    best = max(run.evaluations(), key=lambda line: line["score"])
    assert run.record["summary"]["best_step"] == [best["step"]]
    chosen = run.record["results"]["validation"]
    measured = best["validation"]
    assert all(chosen[t]["metric"] == pytest.approx(measured[t]["metric"]) for t in chosen)


def test_single_tasks_select_their_own_checkpoints():
    longer = {**SMALL, "dropout": 0.0, "steps": 100, "evaluations": 20, "lr": 0.01}
    together = fit(RunConfig(sharing="single_task", **longer), progress=False)
    steps = together.record["summary"]["best_step"]
    assert len(steps) == 3 and len(set(steps)) > 1


def test_the_game_is_scale_free():
    """Rescaling a task's loss leaves the first shared direction as it was."""

    def direction(scale):
        config = RunConfig(weighting="nash", **{**SMALL, "dropout": 0.0})
        state = loop.Training(config, store.root() / "x")
        forward = state.train.forward

        def rescaled(batch, **how):
            losses, *read = forward(batch, **how)
            return [scale * losses[0], *losses[1:]], *read

        state.train.forward = rescaled
        state.train.by_gramians(state.sampler.draw())
        return torch.cat([p.grad.flatten() for p in state.train.shared])

    assert torch.allclose(direction(1.0), direction(1000.0), rtol=1e-3, atol=1e-6)
    length = torch.linalg.vector_norm(direction(1.0)).item()
    assert length == pytest.approx(1.0, rel=1e-5)  # √K clipped to max_norm


@pytest.mark.parametrize("level", ["parameters", "representation"])
def test_update_every_and_level_train(level):
    options = {"update_every": 5, "level": level, "head_gradients": "own"}
    config = RunConfig(weighting="nash", weighting_options=options, **SMALL)
    run = fit(config, progress=False)
    assert run.record["summary"]["games"]["SOLVED"] == 4  # 20 steps, every fifth
    assert len(run.observations()) == 10


def test_the_objective_of_a_loss_weighting_is_what_is_minimised():
    state = loop.Training(RunConfig(weighting="uncertainty", **SMALL), store.root() / "x")
    assert isinstance(state.weighting, LossWeighting)
    state.advance(observe=True)
    assert all(p.grad.abs().sum() > 0 for p in state.weighting.parameters())


def test_what_is_corrupt_or_foreign_is_named_moved_aside_and_trained_anew(caplog):
    config = RunConfig(**SMALL)
    path, place = store.root() / config.run_id, store.root() / "quarantine"
    path.mkdir(parents=True)
    (path / "notes.txt").write_text("mine")
    run = fit(config, progress=False)
    assert f"{path} has no run.json" in caplog.text
    assert (place / path.name / "notes.txt").read_text() == "mine"
    whole = results(run)
    (path / "metrics.jsonl").write_text("{}\n")
    assert results(fit(config, progress=False)) == whole
    assert f"{path} does not match the digest" in caplog.text
    assert (place / f"{path.name}.1" / "metrics.jsonl").read_text() == "{}\n"


@pytest.fixture
def unusual():
    """Settings of torch that no run would choose; as they were at the end of the test."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.set_num_threads(before)
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("ends", ["done", "killed", "read"])
def test_torch_is_left_as_it_was(ends, unusual, monkeypatch):
    config = RunConfig(sharing="sparse", weighting="nash", mode="auto", **SMALL)  # which searches
    if ends == "read":
        fit(config, progress=False)
    if ends == "killed":
        monkeypatch.setattr(loop.Training, "finish", lambda self: 1 / 0)

    def settings():
        return (
            torch.get_num_threads(),
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            torch.get_rng_state().tolist(),
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            np.random.get_state()[1].tolist(),
            random.getstate(),
        )

    before = settings()
    if ends == "killed":
        with pytest.raises(ZeroDivisionError):
            fit(config, progress=False)
    else:
        fit(config, progress=False)
    assert settings() == before


def test_what_was_drawn_before_does_not_change_a_run(monkeypatch, tmp_path):
    first = fit(RunConfig(**SMALL), progress=False)
    monkeypatch.setenv("MTLSTUDY_RUNS", str(tmp_path / "again"))
    torch.manual_seed(12345)
    torch.rand(7)
    assert fit(RunConfig(**SMALL), progress=False).digest == first.digest


def test_a_run_whose_operations_cannot_be_counted_ends_all_the_same(monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("a view of a parameter")

    monkeypatch.setattr("mtlstudy.training.evaluation.FlopCounterMode", refuse)
    run = fit(RunConfig(**SMALL), progress=False)
    assert run.status == "done" and run.record["summary"]["flops"] is None


def test_bfloat16_where_it_is_slow_is_warned_of_with_the_measured_price(caplog, monkeypatch):
    class Clock:
        def __init__(self, _, globals):
            low = globals["x"].dtype == torch.bfloat16
            self.median = price if low else 1.0

        def timeit(self, _):
            return self

    monkeypatch.setattr(loop, "Timer", Clock)
    price = 20.0
    loop.warn_of_bfloat16("cpu")
    assert "takes 20 times as long as in float32" in caplog.text
    caplog.clear()
    loop.warn_of_bfloat16("cuda")
    price = 1.0
    loop.warn_of_bfloat16("cpu")
    assert not caplog.text
