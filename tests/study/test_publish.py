"""Publishing: what is published stays until it is dropped by name; `verify` holds the runs to
it."""

import pandas as pd
import pytest
from typer.testing import CliRunner

from mtlstudy import InputError, files
from mtlstudy.cli import app
from mtlstudy.registry import entry
from mtlstudy.study import plan, publish, results
from mtlstudy.training import loop, store
from mtlstudy.training.store import Run


def call(*arguments):
    return CliRunner().invoke(app, list(arguments))


def published_files():
    folder = results.PUBLISHED / "quick"
    return {file.name: file.read_bytes() for file in sorted(folder.glob("*"))}


def test_a_row_a_run_and_a_row_a_task(published):
    tables = results.published("quick")
    assert len(tables["runs"]) == 14 and (tables["runs"]["role"] == "final").sum() == 8
    assert len(tables["metrics"]) == 8 * 3
    assert set(tables["metrics"]["run_id"]) == set(
        tables["runs"][tables["runs"]["role"] == "final"]["run_id"]
    )
    assert results.refused("quick").keys() == {("synthetic", "hierarchical")}
    text = publish.README.read_text()
    assert text == f"# Title\n\n{publish.BEGIN}\nnew of quick\n{publish.END}\n\nEnd.\n"


def test_publishing_again_changes_nothing_with_an_empty_store_either(published):
    before = published_files()
    publish.publish("quick")
    assert published_files() == before
    published()
    publish.publish("quick")
    assert published_files() == before


def test_rows_of_another_machine_are_merged(published):
    """What is trained here joins what is published; nothing else is touched."""
    before = results.published("quick")["runs"]
    published()
    results.load("tiny", methods="hard+scale_invariant")
    comparison = plan.COMPARISONS["tiny"]
    methods = (*comparison.methods, "hard+scale_invariant")
    plan.COMPARISONS["tiny"] = comparison._replace(methods=methods)
    publish.publish("quick")
    after = results.published("quick")["runs"]
    assert len(after) == len(before) + 4
    kept = after[after["run_id"].isin(before["run_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, before)


@pytest.mark.parametrize(
    ("drop", "left"),
    [(["cross_stitch+nash"], 10), (["synthetic"], 0), (["hard+equal", "single_task+equal"], 6)],
)
def test_what_is_dropped_by_name_is_gone_from_every_table(published, drop, left):
    published()
    publish.publish("quick", drop)
    tables = results.published("quick")
    assert len(tables["runs"]) == left
    for name, table in tables.items():
        assert set(table["run_id"]) <= set(tables["runs"]["run_id"]), name


def test_a_run_that_the_plan_names_no_more_stays_until_it_is_dropped(published, monkeypatch):
    published()
    monkeypatch.setattr(entry("weighting", "nash"), "version", 2)
    publish.publish("quick")
    assert len(results.published("quick")["runs"]) == 14
    publish.publish("quick", ["stale"])
    runs = results.published("quick")["runs"]
    assert len(runs) == 10 and "nash" not in set(runs["weighting"])


def test_a_name_that_is_not_published_is_refused(published):
    before = published_files()
    with pytest.raises(InputError, match="did you mean 'hard\\+equal'"):
        publish.publish("quick", ["hard+eqal"])
    done = call("publish", "--drop", "yeest")
    assert done.exit_code == 2 and done.output.startswith("mtlstudy: drop = 'yeest'")
    assert published_files() == before


def test_a_readme_without_its_markers_is_said(tiny_plan):
    publish.README.write_text("# Title\n")
    with pytest.raises(InputError, match=r"README\.md: the lines .* are missing"):
        publish.publish("quick")


def test_verify_is_content_with_the_same_bits(published):
    done = call("verify")
    assert done.exit_code == 0, done.output
    assert "14 runs checked, 0 faulty" in done.output
    assert "14 published runs compared: 14 same bits, 0 within" in done.output


def test_verify_refuses_to_have_compared_nothing(published):
    published()
    done = call("verify")
    assert done.exit_code == 1 and "0 published runs compared" in done.output


def edit(table, column, value, role="final"):
    """Change one published number by hand."""
    file = results.PUBLISHED / "quick" / f"{table}.csv"
    frame = pd.read_csv(file, dtype=str, keep_default_na=False)
    row = frame.index[frame["role"] == role][0] if table == "runs" else frame.index[0]
    frame.loc[row, column] = value
    files.publish(file.parent, {file.name: frame.to_csv(index=False)})
    results.published.cache_clear()


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("runs", "digest", "0" * 16),
        ("metrics", "test", "123.4"),
        ("metrics", "train", "0.5"),
        ("runs", "status", "diverged"),
    ],
)
def test_verify_finds_a_published_number_that_is_not_the_runs(published, table, column, value):
    edit(table, column, value)
    done = call("verify")
    assert done.exit_code == 1 and "13 same bits" in done.output, done.output


@pytest.mark.parametrize(("column", "value"), [("score", "0.123"), ("digest", "0" * 16)])
def test_verify_holds_tuning_runs_to_their_score(published, column, value):
    edit("runs", column, value, role="tune")
    done = call("verify")
    assert done.exit_code == 1 and "13 same bits" in done.output, done.output


def test_verify_finds_a_run_that_came_out_otherwise(published):
    """A whole and sound run with other results than were published."""
    path = next(p for p in store.folders() if store.load_run(p).config.role == "final")
    record = store.read(path)
    for task in record["results"]["test"].values():
        task["metric"] += 100
    store.finish(path, record, {name: (path / name).read_text() for name in store.SEALED[1:]})
    done = call("verify")
    assert "0 faulty" in done.output and "1 outside it" in done.output and done.exit_code == 1


def test_a_study_that_is_killed_goes_on_to_the_same_bits(tiny_plan, monkeypatch, tmp_path):
    assert call("study").exit_code == 0
    whole = {path.name: store.load_run(path).digest for path in store.folders()}
    monkeypatch.setenv("MTLSTUDY_RUNS", str(tmp_path / "again"))
    run, done = loop.Training.run, []

    def killed(self, progress):
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(self.path.name)
        return run(self, progress)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Training, "run", killed)
        stopped = call("study")
    assert stopped.exit_code == 130 and "goes on from the last checkpoint" in stopped.output
    assert [p.name for p in store.folders() if isinstance(store.load_run(p), Run)] == done
    assert call("study").exit_code == 0
    assert {path.name: store.load_run(path).digest for path in store.folders()} == whole


def test_one_cell_is_trained_alone(tiny_plan):
    done = call("study", "--cell", "synthetic.hard.equal")
    assert done.exit_code == 0 and len(store.folders()) == 4
    assert "synthetic: 1 methods, 2 + 2 runs are there" in done.output
