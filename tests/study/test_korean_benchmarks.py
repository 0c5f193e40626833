"""The Korean benchmarks: scores against baselines, outcomes, figures, and life without the data."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic_frames import baselines, nothing, render, results

from mtlstudy.study import claims, comparison, korean
from mtlstudy.study.figures import korean as figures
from mtlstudy.study.words import load, name, word

SETS = ("korean_sentences", "korean_tagging")


def value(data: str, method: str, task: str, seed: int) -> float:
    """0.6 (0.5 for hate), hard sharing 0.1 less, a hundredth more a seed."""
    return (0.5 if task == "hate" else 0.6) - 0.1 * method.startswith("hard") + 0.01 * seed


def outcomes(found, kind):  # type: ignore[no-untyped-def]
    return [claim.outcome for claim in found if claim.kind == kind]


def figures_of(found, kind):  # type: ignore[no-untyped-def]
    (claim,) = (claim for claim in found if claim.kind == kind)
    return claim.figures


def test_scores_against_baselines() -> None:
    found, simple = results("korean_sentences", value), baselines()
    table = pd.DataFrame(korean.against(found, simple)).set_index("task")
    assert table.loc["hate", "difference"].mean == pytest.approx(0.51 - 0.55)
    assert table.loc["bias", "difference"].mean == pytest.approx(0.61 - 0.55)
    assert table.loc["hate", "simple"] == "tfidf" and table.loc["similarity", "simple"] == "cosine"
    shown = korean.sanity(found, simple).set_index(word("column.task"))
    hate, similarity = (shown.loc[name("task", task)] for task in ("hate", "similarity"))
    assert (
        hate[word("column.difference_ci")].startswith("−4.0 [")
        and hate[word("column.majority")] == "0.200"
    )
    assert similarity[word("column.majority")] == "–", "a constant has no correlation"
    scores = korean.scores(found)
    assert len(scores) == 6 and scores.iloc[0, 2] == "0.610 [0.600, 0.620]"


def test_what_follows_from_losing_to_a_baseline() -> None:
    found = korean.claims(results("korean_sentences", value), baselines())
    lost = figures_of(found, "sanity")
    assert lost["below"] == lost["certain"] == name("task", "hate")
    assert figures_of(found, "examples") == {"amount": "3,000", "steps": "100"}
    assert outcomes(found, "reads") == ["tfidf"]
    assert figures_of(found, "room") == {"pairs": 3, "last": 3, "gap": "0.090"}
    assert figures_of(found, "conflict") == {"cosine": "0.250", "pairs": "12.5"}
    assert outcomes(found, "stuck") == ["nobody"] and not outcomes(found, "vague")
    assert outcomes(found, "verdict") == ["below", "unclear"]
    gains = figures_of(found, "gains")
    assert gains["above"] == word("text.none") and gains["below"].count(",") == 4
    assert "nan" not in " ".join(claims.sentences(found)).lower()


def test_no_explanation_where_nothing_is_lost() -> None:
    found = korean.claims(results("korean_sentences", value), baselines(value=0.1))
    assert figures_of(found, "sanity")["below"] == word("text.none")
    assert not outcomes(found, "examples") + outcomes(found, "reads") + outcomes(found, "room")


def test_models_that_learned_nothing_are_named() -> None:
    def none(data: str, method: str, task: str, seed: int) -> float:
        return 0.001 * (seed - 1.2) if task == "similarity" else 0.6 - 0.5 * (task == "bias")

    found = korean.claims(results("korean_sentences", none), baselines())
    assert outcomes(found, "stuck") == outcomes(found, "vague") == ["some"]
    assert name("task", "bias") in figures_of(found, "stuck")["tasks"]
    assert figures_of(found, "vague")["tasks"] == name("task", "similarity")


def test_the_other_domain_is_held_against_the_customary_one() -> None:
    found = results("korean_tagging", value)
    changes = figures_of(korean.claims(found, baselines()), "shift")["changes"]
    assert changes.count("−30.0") == 3 * 4  # three tasks by three methods and the words' tags
    assert len(korean.scores(found)) == len(korean.sanity(found, baselines())) == 6
    assert (
        korean.scores(found)
        .iloc[-1, 0]
        .endswith(load("words.ko.yml")["test"]["korean_tagging"]["gsd"])
    )


def test_a_diverged_run_is_shown_as_missing() -> None:
    lost = [("korean_tagging", "single_task+equal", 1)]
    found = results("korean_tagging", value, diverged=lost)
    said = korean.claims(found, baselines())
    assert figures_of(said, "runs")["diverged"] == "1"
    assert "nan" not in " ".join(claims.sentences(said)).lower()


@pytest.mark.parametrize("data", SETS)
def test_every_figure_is_drawn(data: str) -> None:
    found = results(data, value)
    render(figures.scores(found, baselines()), figures.curves(found))
    render(figures.confusion(found), figures.conflict(found))


def test_the_confusion_table_has_all_classes_in_order() -> None:
    own = results("korean_sentences", value).confusion
    own = own[(own["task"] == "hate") & (own["true"] != "none")]
    order = ("hate", "offensive", "none")
    table = figures.crossed(own, order)
    assert list(table) == list(table.index) == list(order) and table.loc["none"].sum() == 0
    assert np.diag(table).tolist() == [9, 9, 0]  # 3 of each seed


def test_without_the_data_tables_and_figures_are_empty_and_say_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    said = f"looked at: {tmp_path}/data"
    row = {"data": "korean_sentences", "source": "e9t/nsmc (default)", "megabytes": "19"}
    splits = [{**row, "split": split, "said": said} for split in ("train", "test")]
    other = {**row, "source": "kor_3i4k (default)", "split": "train", "said": said}
    found = nothing("korean_sentences", [*splits, other])
    absent = word("text.absent")
    simple = baselines()[:0]
    for table in (
        korean.scores(found),
        korean.sanity(found, simple),
        comparison.differences(found),
    ):
        assert table.iloc[0, 0] == absent and len(table) == 1
    drawn = [figures.scores(found, simple)]
    drawn += [draw(found) for draw in (figures.curves, figures.confusion, figures.conflict)]
    assert all([t.get_text() for t in figure.axes[0].texts] == [absent] for figure in drawn)
    assert outcomes(korean.claims(found, simple), "missing") == ["results"]
    first, second = claims.sentences(korean.missing(found))  # one a source
    assert "train, test" in first and "19 MB" in first and "mtlstudy data korean_sentences" in first
    assert str(tmp_path) not in first and "~/data" in first and "kor_3i4k" in second
    assert outcomes(korean.missing(results("korean_sentences", value)), "missing") == ["nothing"]


def test_tables_are_numbered_by_their_page() -> None:
    table = korean.shown(nothing("korean_tagging"), "scores", pd.DataFrame({"a": ["b"]}))
    assert table.name == "tab-korean-tagging-quick-scores"
    assert name("data_short", "korean_tagging") in table.caption
