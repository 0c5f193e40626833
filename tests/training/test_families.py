"""Every family through THE training loop: with the losses weighted, with the tasks bargaining,
killed and resumed."""

import pytest
import torch

from mtlstudy import InputError, RunConfig, fit
from mtlstudy.models import sharing
from mtlstudy.training import store
from mtlstudy.training.evaluation import Selection

FAMILIES = sharing.names()
OPTIONS = {"hierarchical": {"depths": {"task1": 1}}}
TASKS = {"task1", "task2", "task3"}
SMALL = {"data": "synthetic", "steps": 12, "evaluations": 3, "width": 8, "batch_size": 20}


def config(family, **changes):
    own = {"sharing": family, "sharing_options": OPTIONS.get(family, {})}
    return RunConfig(**{**SMALL, "data_options": {"tasks": 3, "train": 80}, **own, **changes})


def counted(run):
    """What a run must have recorded of itself."""
    family, summary = sharing.get(run.config.sharing), run.record["summary"]
    assert run.status == "done" and summary["flops"] > 0
    assert set(run.record["results"]["test"]) == TASKS
    assert (summary["search_steps"] > 0) == family.searches
    losses = run.config.weighting in ("equal", "uncertainty")
    assert (sum(summary["games"].values()) > 0) == (not losses)
    return run


@pytest.mark.parametrize("family", FAMILIES)
def test_it_trains_on_inputs_of_each_tasks_own(family):
    options = {"tasks": 3, "train": 80, "multi_input": True}
    weighting = "nash" if sharing.get(family).bargains else "equal"
    changes = {"data_options": options, "weighting": weighting, "temperature": 1.0, "steps": 6}
    counted(fit(config(family, **changes), progress=False))


@pytest.mark.parametrize("weighting", ["uncertainty", "nash", "block_nash"])
@pytest.mark.parametrize("family", FAMILIES)
def test_it_meets_every_kind_of_weighting_or_says_why_not(family, weighting):
    cls = sharing.get(family)
    if cls.independent or not (cls.bargains or weighting == "uncertainty"):
        with pytest.raises(InputError, match=r"nothing is shared|share no parameter"):
            config(family, weighting=weighting)
        return
    counted(fit(config(family, weighting=weighting, steps=6, evaluations=1), progress=False))


def test_bargaining_over_nothing_is_refused():
    with pytest.raises(InputError, match="shares no parameter"):
        nothing = {"sharing_options": {"shared": 0}, "weighting": "nash"}
        fit(config("partial", **nothing), progress=False)


KILLED = [name for name in FAMILIES if sharing.get(name).searches]
KILLED += ["single_task", "sluice", "tensor_factorised"]  # selection a task; learned; from a draw


@pytest.mark.parametrize("family", KILLED)
def test_killed_and_resumed_to_the_same_bits(family, monkeypatch, tmp_path):
    """Killed in the search after each of its pieces, then at the second evaluation; the end is the
    same to the bit."""
    whole = counted(fit(config(family), progress=False))
    monkeypatch.setenv("MTLSTUDY_RUNS", str(tmp_path / "again"))
    save, evaluate, kills = store.save, Selection.evaluate, []

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

    monkeypatch.setattr(store, "save", save_and_die)
    monkeypatch.setattr(Selection, "evaluate", evaluate_and_die)
    for _ in range(5):
        try:
            again = fit(config(family), progress=False)
            break
        except KeyboardInterrupt:
            continue
    assert "evaluation" in kills and ("search.pt" in kills) == sharing.get(family).searches
    assert again.record["results"] == whole.record["results"]
    assert again.record["learned"] == whole.record["learned"]


@pytest.mark.parametrize("density", [0.2, 0.5])
def test_pruning_leaves_the_density_asked_for(density):
    options = {"density": density, "rounds": 3, "search": 1.0}
    run = fit(config("sparse", lr=0.02, sharing_options=options), progress=False)
    learned = run.record["learned"]
    assert all(abs(d - density) < 0.01 for d in learned["density"].values())
    dense = fit(config("hard"), progress=False).record["summary"]["parameters"]
    assert run.record["summary"]["parameters"] < dense
    overlap = torch.tensor(learned["overlap"])
    assert torch.equal(overlap, overlap.mT) and overlap.min() < 1


def test_recon_splits_where_the_gradients_conflict():
    run = fit(config("recon", steps=40, sharing_options={"specific": 1}), progress=False)
    learned = run.record["learned"]
    scores, specific = learned["scores"], learned["specific"]
    assert len(specific) == 1
    assert learned["stages"].index(specific[0]) == scores.index(max(scores))


def test_a_search_loads_the_data_once(monkeypatch):
    from mtlstudy.data.synthetic import Synthetic
    from mtlstudy.training import build

    build._load.cache_clear()
    loaded, load = [], Synthetic.load
    monkeypatch.setattr(
        Synthetic, "load", lambda self, seed: loaded.append(seed) or load(self, seed)
    )
    fit(config("recon", seed=77), progress=False)
    assert loaded == [77]
