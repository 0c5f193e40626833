"""Simple baselines of the Korean benchmarks, by hand and on the data where they are here."""

import numpy as np
import pandas as pd
import pytest
import tiny_encoder
import torch

from mtlstudy.data.sentences import Texts
from mtlstudy.data.tagged import Sentences
from mtlstudy.models.tasks import Task
from mtlstudy.registry import entry
from mtlstudy.study import baselines, plan

A, B, C = "\uac00\ub098\ub2e4", "\ub77c\ub9c8\ubc14", "\uc0ac\uc544\uc790"  # syllables
SIZES = {
    "korean_sentences": {"train": 60, "test": 40, "length": 16},
    "korean_tagging": {"train": 60},
}
needs = {
    data: pytest.mark.skipif(not entry("data", data).available(), reason=f"{data} is not here")
    for data in SIZES
}


def test_most_frequent_tag_by_hand() -> None:
    train = Sentences([["a", "b", "a"], ["a", "c", "d"]], {"t": [["N", "V", "N"], ["V", "V", ""]]})
    overall, by_word = baselines.frequent(train, "t")
    assert overall == "V" and by_word == {"a": "N", "b": "V", "c": "V"}, "d has no label"
    test = Sentences([["a", "b", "new", "new", "a"]], {"t": [["N", "V", "V", "N", "Z"]]})
    known = ["N", "V"]  # Z is unknown to training, and not counted
    assert baselines.agreement(test, "t", by_word, overall, known) == 3 / 4
    assert baselines.agreement(test, "t", {}, overall, known) == 2 / 4
    tie = Sentences([["a", "a"]], {"t": [["Z", "B"]]})
    assert baselines.frequent(tie, "t") == ("B", {"a": "B"})


def test_tfidf_learns_what_it_can_and_majority_is_majority() -> None:
    liked, disliked = [f"{A} {C}", f"{C} {A[:2]}"] * 5, [f"{B} {C}", f"{C} {B[:2]}"] * 4
    train = Texts([*liked, *disliked], None, {"s": torch.tensor([1] * 10 + [0] * 8)})
    test = Texts([A[:2], B[:2]], None, {"s": torch.tensor([1, 0])})
    task = Task("s", "multiclass", 2)
    read = baselines.features("tfidf", None, train)
    guess = baselines.linear(task, read(train), train, 10.0).predict(read(test))
    assert guess.tolist() == [1, 0] and baselines.score(task, guess, test) == 1
    most = np.array([1, 1])
    assert baselines.score(task, most, test) == 0.5
    f1 = Task("s", "multiclass", 2, "macro_f1")
    assert baselines.score(f1, most, test) == pytest.approx((2 / 3 + 0) / 2)
    assert baselines.tuned(task, "tfidf", None, train, test) == 1.0, (
        "of equally good ones the first"
    )


def test_the_cosine_of_pairs_by_hand() -> None:
    pairs = Texts([A, A], [A, B], {"y": torch.zeros(2)})
    train = Texts([f"{A} {B}"] * 2, [A] * 2, {})
    assert baselines.cosine(train, pairs).tolist() == pytest.approx([1, 0])


@pytest.mark.parametrize("data", [pytest.param(data, marks=mark) for data, mark in needs.items()])
def test_there_is_a_row_a_task_split_baseline_and_seed(data: str) -> None:
    measure = baselines.sentences if data == "korean_sentences" else baselines.tagging
    rows = list(measure(SIZES[data], 1))
    keys = {(row["test"], row["task"], row["baseline"], row["seed"]) for row in rows}
    assert len(keys) == len(rows) == (9 if data == "korean_sentences" else 12)
    assert all(0 <= row["value"] <= 1 for row in rows if row["baseline"] != "cosine")
    assert {row["examples"] for row in rows if row["baseline"] in ("word", "cosine")} == {60}


@needs["korean_sentences"]
def test_with_a_frozen_encoder_it_has_rows_of_its_own(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MTLSTUDY_CACHE", str(tmp_path / "cache"))
    folder = tiny_encoder.write(tmp_path / "tiny")
    sizes = {**SIZES["korean_sentences"], "features": "vectors", "encoder": folder, "pool": 90}
    rows = list(baselines.sentences(sizes, 1))
    assert len(rows) == 4 * 4 + 3
    by = {(row["task"], row["baseline"]): row for row in rows}
    for task in ("sentiment", "similarity"):
        assert by[task, "encoder"]["how"].startswith("C = ") and by[task, "both"]["value"] < 1


@needs["korean_tagging"]
def test_the_baselines_see_the_words_that_the_models_see() -> None:
    kind = entry("data", "korean_tagging")
    made = kind(kind.Options(train=50))
    splits, (train, _, test), names = made.load(3), made.sentences(), made.classes()
    for task in made.tasks:
        known = [tag for tags in test.tags[task.name] for tag in tags if tag in names[task.name]]
        assert int((splits.test.targets[task.name] != -100).sum()) == len(known)
    sample = train.sample(50, 3)
    assert int((splits.train.inputs != 0).sum()) == sum(map(len, sample.words))


def test_what_another_profile_measured_on_the_same_examples_is_taken_over(monkeypatch) -> None:
    data = "korean_sentences"
    assert baselines.alike(data, "encoder") == "full"
    assert baselines.alike("korean_tagging", "encoder") == "" == baselines.alike(data, "full")
    asked: list[str] = []
    whole = pd.DataFrame({**dict.fromkeys(baselines.COLUMNS, data), "seed": [0, 2, 3]})

    def computed(name: str, profile: str) -> dict[str, pd.DataFrame]:
        asked.append(profile)
        return {"baselines": whole}

    monkeypatch.setattr(baselines.results, "computed", computed)
    monkeypatch.setattr(baselines, "tagging", lambda sizes, seeds: iter(()))
    made = baselines.compute("encoder")["baselines"]
    assert list(made["seed"]) == [0, 2] and asked == ["full"], "three seeds are reported"
    few = {"features": "encoder", "train": 60}
    monkeypatch.setitem(plan.FIELDS[data], "encoder", {"data_options": few})
    assert baselines.alike(data, "encoder") == ""
