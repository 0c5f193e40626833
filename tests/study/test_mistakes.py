"""What the Korean models get wrong: the counts are those of the runs themselves, and nothing is
chosen by hand."""

import pytest
import torch

from mtlstudy.registry import entry
from mtlstudy.study import mistakes, plan, results
from mtlstudy.study.tables import Prose, Tables
from mtlstudy.training.config import RunConfig
from mtlstudy.training.loop import fit
from mtlstudy.training.tune import Budget

SIZES = {
    "korean_sentences": {"train": 60, "test": 40, "length": 16},
    "korean_tagging": {"train": 60, "length": 8},
}


@pytest.fixture(autouse=True)
def store(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("MTLSTUDY_RUNS", str(tmp_path / "runs"))


def test_a_run_predicts_again_what_it_predicted() -> None:
    options = {"steps": 40, "evaluations": 2, "width": 8, "data_options": {"train": 300}}
    c = RunConfig(data="multi_mnist", **options)
    recorded = fit(c, progress=False).record["confusion"]
    guesses, labels = mistakes.predicted(c)
    for task, found in recorded.items():
        cells = torch.bincount(labels[task] * 10 + guesses[task], minlength=100).view(10, 10)
        assert cells.tolist() == found["counts"] and cells.sum() > 0


def test_a_tagged_word_is_marked_among_its_neighbours() -> None:
    a, b, c = (f"\u300c{one}\u300d" for one in "abc")
    assert mistakes.marked(["a", "b", "c", ""]) == [f"{a} b c", f"a {b} c", f"a b {c}", ""]
    assert mistakes.marked([*"xxxxa"])[-1] == f"x x x {a}" and mistakes.AROUND == 3


@pytest.mark.parametrize("data", SIZES)
def test_kinds_add_up_to_the_mistakes_of_the_runs(data: str, monkeypatch) -> None:
    if not entry("data", data).available():
        pytest.skip(f"{data} is not here")
    run = {"steps": 6, "evaluations": 2, "mode": "sequential"}
    profile = plan.Profile(run, Budget(trials=1, tuning_seeds=1, seeds=1))
    monkeypatch.setitem(plan.PROFILES, "quick", profile)
    monkeypatch.setitem(plan.FIELDS, data, {"quick": {"width": 8, "data_options": SIZES[data]}})
    monkeypatch.setitem(mistakes.DATA, "quick", (data,))
    assert mistakes.compute("quick")["mistakes"].empty, "nothing is trained for it"
    results.load(data, "quick", methods=plan.HARD, seeds="0")
    frame = mistakes.compute("quick")["mistakes"]
    kinds = frame.drop_duplicates(["task", "kind"]).set_index(["task", "kind"])["count"]
    for side, method in (("single", plan.BASELINE), ("hard", plan.HARD)):
        record = fit(results.resolve(plan.Cell(data, method, "quick")).reported[0]).record
        for task, found in record["confusion"].items():
            wrong = sum(map(sum, found["counts"])) - sum(
                row[i] for i, row in enumerate(found["counts"])
            )
            assert kinds[task, "both"] + kinds[task, side] == wrong, (task, side)
    shown = frame.dropna(subset="text")
    assert len(shown) and not set(shown["task"]) & set(mistakes.UNQUOTED)
    assert shown.groupby(["task", "kind"]).size().max() == mistakes.DRAWN
    assert (shown["single"] != shown["label"]).eq(shown["kind"] != "hard").all()
    assert (shown["hard"] != shown["label"]).eq(shown["kind"] != "single").all()
    if data == "korean_tagging":
        assert shown["text"].str.contains("\u300c.+\u300d").all()
    made = mistakes.tables(frame, data, "quick")
    assert isinstance(made, Tables) and len(made.tables) == 2
    assert isinstance(mistakes.tables(frame, "yeast", "quick"), Prose)
