"""Results: trained once, read from the store, read from what is published; the same each time."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtlstudy import InputError, RunConfig, files
from mtlstudy.registry import entry, names
from mtlstudy.study import plan, publish, results, rows
from mtlstudy.training import loop, store, tune

FRAMES = [name for name in results.Results._fields if name not in ("profile", "comparison")]
RUNS = 4 + 4 + 4 + 2  # two candidates and two seeds of three methods; one takes values over


def same(one, other, approximately=False):
    """Whether two results hold the same; published numbers have fewer digits."""
    for name in FRAMES:
        a, b = getattr(one, name), getattr(other, name)
        digits = {"weights": 1e-3, "learned": 1e-3, "curves": 1e-4}.get(name, 1e-8)
        kwargs = {"rtol": digits} if approximately else {"check_exact": True}
        pd.testing.assert_frame_equal(a, b, check_dtype=False, obj=name, **kwargs)


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Another, empty store."""

    def go(name="elsewhere"):
        monkeypatch.setenv("MTLSTUDY_RUNS", str(tmp_path / name))

    return go


def test_what_is_missing_is_trained_once_and_read_ever_after(tiny_plan, trained):
    first = results.load("tiny")
    assert len(trained) == len(set(trained)) == RUNS
    trained.clear()
    same(results.load("tiny"), first)
    assert not trained


def test_the_frames_say_what_was_trained(published):
    found = results.load("tiny")
    final = found.runs[found.runs["role"] == "final"]
    methods = ["single_task+equal", "hard+equal", "cross_stitch+nash", "hard+uncertainty"]
    assert list(dict.fromkeys(final["sharing"] + "+" + final["weighting"])) == methods
    assert final.groupby(["sharing", "weighting"])["seed"].apply(list).map(set).eq({0, 1}).all()
    assert found.refused["sharing"].tolist() == ["hierarchical"] and len(found.missing) == 0
    assert found.refused["reason"][0]

    one = final.iloc[0]
    run = store.load_run(store.root() / one["run_id"])
    tested = found.metrics[(found.metrics["run_id"] == one["run_id"])]
    for task, values in run.record["results"]["test"].items():
        row = tested[(tested["task"] == task) & (tested["split"] == "test")]
        assert row["value"].tolist() == [values["metric"]]
    assert set(found.metrics["split"]) == {"train", "validation", "test"}
    assert set(found.curves["split"]) == {"train", "validation"}
    assert found.curves["share"].between(0, 1).all() and found.weights["share"].between(0, 1).all()
    nash = found.weights[found.weights["weighting"] == "nash"]
    assert len(nash) and (nash["weight"] > 0).all()
    assert set(found.learned["sharing"]) == {"cross_stitch"}
    assert "seconds" not in found.runs and not [c for c in found.runs if "time" in c]


def test_selection_is_on_validation_and_taken_over_where_the_plan_says_so(published):
    equal, like = (
        next(c for c in plan.cells("quick") if c.method == m)
        for m in ("hard+equal", "hard+uncertainty")
    )
    resolved = results.resolve(equal)
    scores = [tune.score(store.load_run(store.root() / c.run_id)) for c in resolved.tuning]
    assert resolved.tuning[scores.index(max(scores))].lr == resolved.selected["lr"]
    assert results.resolve(like).selected == resolved.selected
    assert results.resolve(like).tuning == []


def test_what_is_published_is_read_and_nothing_trained(published, trained):
    first = results.load("tiny")
    selected = {cell: results.resolve(cell).selected for cell in plan.cells("quick")[:3]}
    trained.clear()
    published()
    found = results.load("tiny")
    assert not trained and not store.folders()
    same(found, first, approximately=True)
    assert {cell: results.resolve(cell).selected for cell in selected} == selected
    pd.testing.assert_series_equal(found.runs["score"], first.runs["score"], check_exact=True)


def test_another_method_or_seed_trains_just_what_it_needs(published, trained):
    trained.clear()
    published()
    results.load("tiny", methods="hard+equal,hard+scale_invariant")
    assert len(trained) == 4  # candidates and seeds of the one that is new
    trained.clear()
    results.load("tiny", methods="hard+equal", seeds="0-2")
    assert len(trained) == 2  # a third seed of the baseline and of the method


def test_a_stale_published_run_is_trained_anew(published, trained, monkeypatch):
    trained.clear()
    published()
    monkeypatch.setattr(entry("sharing", "single_task"), "version", 2)
    results.load("tiny", methods="hard+equal")
    assert len(trained) == 4  # the baseline


def test_a_profile_that_no_page_trains_shows_what_is_finished_and_names_the_rest(
    published, trained, monkeypatch
):
    quick = plan.PROFILES["quick"]._replace(live=False)
    monkeypatch.setattr(plan, "PROFILES", {"quick": quick})
    methods = plan.COMPARISONS["tiny"].methods
    more = plan.COMPARISONS["tiny"]._replace(methods=(*methods, "hard+scale_invariant"))
    monkeypatch.setattr(plan, "COMPARISONS", {"tiny": more})
    trained.clear()
    published()
    found = results.load("tiny")
    assert not trained and found.left["method"].tolist() == ["hard+scale_invariant"]
    assert found.refused["sharing"].tolist() == ["hierarchical"]
    assert found.metrics["weighting"].nunique() == 3  # equal, nash, uncertainty

    monkeypatch.setattr(entry("sharing", "single_task"), "version", 2)
    found = results.load("tiny")  # without the baseline there is nothing to compare with
    assert not trained and set(found.left["method"]) == set(more.methods) and found.metrics.empty
    results.load("tiny", methods="hard+equal")  # what is asked for by name is trained
    assert len(trained) == 4


@pytest.mark.parametrize("sharing", names("sharing"))
def test_every_familys_run_has_its_rows(sharing, monkeypatch, tmp_path):
    monkeypatch.setenv("MTLSTUDY_RUNS", str(tmp_path))
    options = {"tasks": 4, "train": 80}
    given = (
        {"depths": {"task1": 1, "task2": 1, "task3": 2, "task4": 2}}
        if sharing == "hierarchical"
        else {}
    )
    shape = {"data_options": options, "sharing_options": given, "width": 8, "batch_size": 20}
    run = loop.fit(RunConfig(data="synthetic", sharing=sharing, steps=20, **shape), False)
    made = rows.of(run)
    assert made["runs"][0]["run_id"] == run.path.name and len(made["metrics"]) == 4
    assert all(np.isfinite(row["value"]) for row in made["learned"])


def test_a_diverged_run_stays_in_the_frames(tiny_plan, monkeypatch):
    advance = loop.Training.advance

    def broken(self, observe):
        if self.config.seed == 1 and self.config.sharing == "hard" and self.step == 4:
            train = self.sampler.train
            targets = {**train.targets, "task1": train.targets["task1"] * np.inf}
            self.sampler.train = replace(train, targets=targets)
        return advance(self, observe)

    monkeypatch.setattr(loop.Training, "advance", broken)
    found = results.load("tiny", methods="hard+equal")
    diverged = found.runs[found.runs["status"] == "diverged"]
    assert diverged["seed"].tolist() == [1] and diverged["diverged_step"].tolist() == [4]
    assert diverged["score"].tolist() == [-np.inf]
    lost = found.metrics[found.metrics["run_id"].isin(diverged["run_id"])]
    assert len(lost) and lost["value"].isna().all() and set(lost["status"]) == {"diverged"}
    publish.publish("quick")
    again = results.published("quick")["runs"].set_index("run_id")
    assert again.loc[diverged["run_id"].iloc[0], "score"] == -np.inf


def test_texts_that_look_like_numbers_stay_texts(tiny_plan):
    folder = results.PUBLISHED / "quick"
    texts = {
        "confusion.csv": "run_id,task,true,predicted,count\n0012,1,NA,3,7\n",
        "learned.csv": "run_id,kind,part,row,column,value\n0012,a,,1,,0.5\n",
    }
    files.publish(folder, texts)
    tables = results.published("quick")
    assert tables["confusion"].iloc[0].tolist() == ["0012", "1", "NA", "3", 7]
    assert tables["learned"].iloc[0].tolist() == ["0012", "a", "", "1", "", 0.5]
    assert list(tables["metrics"]) == list(rows.TABLES["metrics"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"comparison": "tinny"}, "did you mean 'tiny'"),
        ({"profile": "quik"}, "did you mean 'quick'"),
        ({"data": "synthetik"}, "did you mean 'synthetic'"),
        ({"methods": "hard+nahs"}, "did you mean 'nash'"),
        ({"seeds": "2-1"}, "seeds = '2-1'"),
        ({"seeds": "1000"}, "seeds"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_trained(tiny_plan, trained, arguments, message):
    with pytest.raises(InputError, match=message) as error:
        results.load(**{"comparison": "tiny", **arguments})
    assert "\n" not in str(error.value) and not trained


def test_data_that_are_nowhere_are_listed_and_not_trained(tiny_plan, trained, monkeypatch):
    for variable in ("MTLSTUDY_DATA", "MTLSTUDY_CACHE", "HF_HUB_CACHE"):
        monkeypatch.setenv(variable, "/nowhere")
    found = results.load("tiny", data="wnut17")
    assert not trained and len(found.runs) == len(found.metrics) == 0
    assert set(found.missing["data"]) == {"wnut17"}
    assert found.missing["said"].str.contains("MTLSTUDY_DATA").all()
    assert "not on this machine" in results.train([plan.Cell("wnut17", "hard+equal", "quick")])[0]


def test_runs_of_data_that_are_gone_are_read(published, trained, monkeypatch):
    first = results.load("tiny")
    trained.clear()
    monkeypatch.setattr(entry("data", "synthetic"), "available", classmethod(lambda cls: False))
    found = results.load("tiny")
    assert not trained and len(found.missing) == 0
    same(found, first)


@pytest.mark.slow
def test_the_study_by_workers_is_the_study_one_after_the_other(tiny_plan, elsewhere):
    cells = plan.cells("quick")
    results.train(cells)
    one = {path.name: store.load_run(path).digest for path in store.folders()}
    elsewhere()
    (line,) = results.train(cells, jobs=2)
    assert {path.name: store.load_run(path).digest for path in store.folders()} == one
    assert line == "synthetic: 4 methods, 6 + 8 runs are there"


def test_progress_counts_the_store_and_what_is_published(published, tiny_plan):
    assert f"{RUNS} of {RUNS} runs" in results.progress("quick")
    published()
    assert f"{RUNS} of {RUNS} runs" in results.progress("quick")
    tiny_plan.PROFILES["quick"].run["steps"] = 9
    assert f"0 of {RUNS} runs" in results.progress("quick")
