"""Every family through THE training loop: with the losses weighted, with the tasks bargaining, killed and resumed."""

import pytest
import torch

from mtlstudy.models import sharing
from mtlstudy import RunConfig, fit
from mtlstudy.errors import InputError
from mtlstudy.training.selection import Selection

FAMILIES = sharing.names()
OPTIONS = {"hierarchical": {"depths": {"task1": 1}}}


def config(family, **changes):
    given = {"data": "synthetic", "data_options": {"tasks": 3, "train": 80}, "sharing": family, "steps": 12, "evaluations": 3,
             "width": 8, "batch_size": 20, "sharing_options": OPTIONS.get(family, {})}  # fmt: skip
    return RunConfig(**{**given, **changes})


@pytest.mark.parametrize("family", FAMILIES)
def test_it_trains_and_records(family):
    run = fit(config(family), progress=False)
    assert run.status == "done" and run.record["summary"]["flops"] > 0
    assert set(run.record["results"]["test"]) == {"task1", "task2", "task3"}
    searched = run.record["summary"]["search_steps"]
    assert (searched > 0) == sharing.get(family).searches


@pytest.mark.parametrize("family", FAMILIES)
def test_it_trains_on_inputs_of_each_tasks_own(family):
    options = {"tasks": 3, "train": 80, "multi_input": True}
    weighting = "nash" if sharing.get(family).bargains else "equal"
    run = fit(config(family, data_options=options, weighting=weighting, temperature=1.0), progress=False)
    assert run.status == "done" and set(run.record["results"]["test"]) == {"task1", "task2", "task3"}


@pytest.mark.parametrize("weighting", ["uncertainty", "nash", "block_nash", "equal_norm"])
@pytest.mark.parametrize("family", FAMILIES)
def test_it_meets_every_kind_of_weighting_or_says_why_not(family, weighting):
    cls = sharing.get(family)
    losses = weighting == "uncertainty"
    if cls.independent or not (cls.bargains or losses):
        with pytest.raises(InputError, match=r"nothing is shared|share no parameter"):
            config(family, weighting=weighting)
        return
    run = fit(config(family, weighting=weighting), progress=False)
    assert run.status == "done"
    assert (sum(run.record["summary"]["games"].values()) > 0) == (not losses)


def test_bargaining_over_nothing_is_refused():
    with pytest.raises(InputError, match="shares no parameter"):
        fit(config("partial", sharing_options={"shared": 0}, weighting="nash"), progress=False)


@pytest.mark.parametrize("family", FAMILIES)
def test_killed_and_resumed_to_the_same_bits(family, monkeypatch, tmp_path):
    """Killed in the search after each of its pieces, then at the second evaluation; the end is the same to the bit."""
    whole = fit(config(family), progress=False)
    monkeypatch.setenv("MTLSTUDY_RUNS", str(tmp_path / "again"))
    from mtlstudy import runs

    save, evaluate, kills = runs.save, Selection.evaluate, []

    def save_and_die(path, state):
        save(path, state)
        if path.name == "search.pt" and len(kills) < 3:
            kills.append(path.name)
            raise KeyboardInterrupt

    def evaluate_and_die(self, step):
        if step == 8 and "evaluation" not in kills:
            kills.append("evaluation")
            raise KeyboardInterrupt
        return evaluate(self, step)

    monkeypatch.setattr(runs, "save", save_and_die)
    monkeypatch.setattr(Selection, "evaluate", evaluate_and_die)
    for _ in range(5):
        try:
            again = fit(config(family), progress=False)
            break
        except KeyboardInterrupt:
            continue
    assert "evaluation" in kills and ("search.pt" in kills) == sharing.get(family).searches
    assert again.record["results"] == whole.record["results"] and again.record.get("learned") == whole.record.get("learned")


@pytest.mark.parametrize("density", [0.2, 0.5])
def test_pruning_leaves_the_density_asked_for(density):
    run = fit(config("sparse", lr=0.02, sharing_options={"density": density, "rounds": 3, "search": 1.0}), progress=False)
    learned = run.record["learned"]
    assert all(abs(d - density) < 0.01 for d in learned["density"].values())
    dense = fit(config("hard"), progress=False)
    assert run.record["summary"]["parameters"] < dense.record["summary"]["parameters"]
    overlap = torch.tensor(learned["overlap"])
    assert torch.equal(overlap, overlap.mT) and overlap.min() < 1


def test_recon_splits_where_the_gradients_conflict():
    run = fit(config("recon", steps=40, sharing_options={"specific": 1}), progress=False)
    scores, specific = run.record["learned"]["scores"], run.record["learned"]["specific"]
    assert len(specific) == 1 and run.record["learned"]["stages"].index(specific[0]) == scores.index(max(scores))
