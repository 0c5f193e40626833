"""Published runs trained again: what is drawn, and what is said of what came out."""

import os
from dataclasses import replace

import pytest

from mtlstudy.registry import entry
from mtlstudy.study import recheck, results
from mtlstudy.training import store


@pytest.fixture
def runs(published):
    """The tiny plan's runs, published; its store is left."""
    made = [store.load_run(path) for path in store.folders()]
    published()
    return made


def otherwise(run, off):
    """A run whose test metrics are off by so much."""
    results = {
        split: {task: {**values, "metric": values["metric"] + off * (split == "test")}
                for task, values in measured.items()}
        for split, measured in run.record["results"].items()
    }  # fmt: skip
    return replace(run, record={**run.record, "results": results})


def test_a_sample_comes_out_with_the_same_bits(runs, monkeypatch):
    before = os.environ["MTLSTUDY_RUNS"]
    monkeypatch.setattr(recheck, "MOST", 3)
    file = recheck.recheck("quick")
    drawn = recheck.read("quick")
    assert file == store.build_folder() / "recheck.json"
    assert [row["verdict"] for row in drawn] == [recheck.SAME] * 3
    assert all(row["largest"] == 0 for row in drawn)
    for side in ("published", "here"):
        assert all(set(row[side]) == {"processor", "isa"} for row in drawn)
    assert os.environ["MTLSTUDY_RUNS"] == before and not store.folders()


def test_what_takes_minutes_to_load_is_not_drawn(runs, monkeypatch):
    assert recheck.drawn("quick", "a")
    monkeypatch.setattr(entry("data", "synthetic"), "prepared", lambda self: False)
    assert recheck.drawn("quick", "a") == []


def test_no_run_is_begun_after_the_time(runs):
    recheck.recheck("quick", seconds=1e-9)
    assert recheck.read("quick") == []


def test_all_runs_are_drawn_for_the_portable_arithmetic_and_lie_with_the_results(runs, monkeypatch):
    for name, value in store.PORTABLE.items():
        monkeypatch.setenv(name, value)  # read by the libraries long ago: the bits stay
    monkeypatch.setattr(store, "provenance", store.provenance.__wrapped__)  # not its cache
    monkeypatch.setattr(recheck, "MOST", 1)
    file = recheck.recheck("quick")
    drawn = recheck.read("quick", portable=True)
    assert file == results.PUBLISHED / "quick" / "portable.json" and recheck.read("quick") == []
    assert len(drawn) == sum(run.config.role == "final" for run in runs) > 1
    assert {row["here"]["isa"] for row in drawn} == {"portable"}


def test_the_commit_draws_among_reported_runs(runs):
    final = {run.path.name for run in runs if run.config.role == "final"}
    orders = [[c.run_id for c in recheck.drawn("quick", commit)] for commit in ("a", "b", "a")]
    assert orders[0] == orders[2] != orders[1]
    assert set(orders[0]) == set(orders[1]) == final


def test_nothing_published_nothing_drawn(tiny_plan):
    assert recheck.drawn("quick", "a") == []
    assert recheck.read("quick") == recheck.read("quick", portable=True) == []


def test_the_verdict_is_by_the_spread_of_the_seeds(runs):
    run = next(r for r in runs if r.config.role == "final" and r.config.sharing == "hard")
    metrics = results.published("quick")["metrics"]
    config = run.config
    alike = [
        r.path.name for r in runs if r.config.role == "final" and r.config.method == config.method
    ]
    test = metrics[metrics["run_id"].isin(alike)].groupby("task")["test"]
    spread = test.max() - test.min()
    assert recheck.verdict(run, "quick")["verdict"] == recheck.SAME
    near = recheck.verdict(otherwise(run, 0.9 * spread.min()), "quick")
    assert near["verdict"] == recheck.WITHIN and near["largest"] == pytest.approx(0.9, rel=1e-4)
    far = recheck.verdict(otherwise(run, 1.1 * spread.min()), "quick")
    assert far["verdict"] == recheck.OUTSIDE and far["largest"] == pytest.approx(1.1, rel=1e-4)
    undefined = recheck.verdict(otherwise(run, float("nan")), "quick")
    assert (undefined["verdict"], undefined["largest"]) == (recheck.OUTSIDE, None)
    lost = replace(run, record={**run.record, "status": "diverged"})
    lost.record.pop("results")
    assert recheck.verdict(lost, "quick")["verdict"] == recheck.OUTSIDE


def test_the_store_is_compared_run_by_run(runs, monkeypatch, tmp_path):
    assert len(recheck.compare("quick")) == 0
    monkeypatch.setenv("MTLSTUDY_RUNS", str(runs[0].path.parent))
    compared = recheck.compare("quick")
    assert set(compared["run_id"]) == {run.path.name for run in runs}
    assert set(compared["verdict"]) == {recheck.SAME}
