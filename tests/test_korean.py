"""The Korean text sets: their traps, and what they yield."""

import os
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from mtlstudy import data
from mtlstudy.data.klue import FILES, POS, RELATIONS, TASKS
from mtlstudy.data.sentences import Texts
from mtlstudy.errors import InputError
from mtlstudy.data._hub import CONVERTED, MissingData
from mtlstudy.data._text import SEPARATOR, clean

SETS = ("nsmc", "kor_hate", "kor_3i4k", "kor_sts")
MIRROR = os.environ.get("MTLSTUDY_DATA")
mirrored = pytest.mark.skipif(
    not (MIRROR and data.get("korean_sentences").available()), reason="MTLSTUDY_DATA has not the Korean sets"
)


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MTLSTUDY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def make(name, **options):
    cls = data.get(name)
    return cls(cls.Options(**options))


def column(file, name):
    return pq.read_table(Path(MIRROR) / file, columns=[name])[name].to_pylist()


@mirrored
@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("nsmc", (131_539, 14_648, 50_000)),
        ("kor_hate", (7_107, 789, 471)),
        ("kor_3i4k", (48_006, 5_408, 6_121)),
        ("kor_sts", (5_746, 1_496, 1_379)),
    ],
)
def test_what_is_left_of_each_set(name, sizes):
    parts = make(name, train=None, test=None).parts(0)
    assert tuple(len(part.first) for part in parts) == sizes


@mirrored
@pytest.mark.parametrize("name", SETS)
def test_no_text_stands_in_two_splits_and_the_test_split_is_the_same_for_every_seed(name):
    entry = make(name, train=None)
    for seed in (0, 1):
        parts = entry.parts(seed)
        texts = [set(part.keys()) for part in parts]
        assert not texts[0] & texts[1] and not texts[0] & texts[2] and not texts[1] & texts[2]
    assert entry.parts(0)[2].keys() == entry.parts(1)[2].keys()
    if name != "kor_sts":
        assert entry.parts(0)[1].keys() != entry.parts(1)[1].keys(), "the validation split is drawn by seed"
        assert entry.parts(1)[1].keys() == parts[1].keys()


@mirrored
def test_1571_test_reviews_of_nsmc_stand_in_its_training_file():
    train, test = (column(f"e9t--nsmc/default/{split}.parquet", "document") for split in ("train", "test"))
    known = set(train)
    assert sum(text in known for text in test) == 1571
    again = set(test)
    assert sum(text in again for text in train) == 3512


@mirrored
def test_the_label_of_nsmc_is_a_function_of_the_rating_which_is_no_task():
    label, rating = (column("e9t--nsmc/default/train.parquet", name) for name in ("label", "rating"))
    assert set(zip(label, rating, strict=True)) == {(0, r) for r in (1, 2, 3, 4)} | {(1, 9), (1, 10)}
    entry = make("nsmc")
    assert [task.name for task in entry.tasks] == ["sentiment"] and "rating" not in entry.file.columns and "평점" in entry.notes


@mirrored
def test_gender_bias_of_kor_hate_says_what_bias_says_and_is_no_task():
    for split in ("train", "test"):
        gender, bias = (column(f"inmoonlight--kor_hate/default/{split}.parquet", n) for n in ("contain_gender_bias", "bias"))
        assert all((g == 1) == (b == 1) for g, b in zip(gender, bias, strict=True))
    entry = make("kor_hate")
    assert [task.name for task in entry.tasks] == ["hate", "bias"] and "contain_gender_bias" in entry.notes


@mirrored
@pytest.mark.parametrize("name", SETS)
def test_inputs_are_token_numbers_of_the_text_alone(name):
    """Two files that differ in their labels only give the same inputs: labels are never inputs."""
    entry = make(name, train=200, test=100)
    splits = entry.load(0)
    x = splits.train.inputs
    assert x.shape == (200, entry.options.length) and x.dtype == torch.int64 and 0 < x.max() < entry.vocabulary
    parts = entry.parts(0)
    assert len(parts[0].first) == 200
    changed = [Texts(part.first, part.second, {t: y * 0 for t, y in part.labels.items()}) for part in parts]
    entry.parts = lambda seed: changed
    assert torch.equal(entry.load(0).train.inputs, x)
    assert (name == "kor_sts") == bool((x == SEPARATOR).any())


@mirrored
def test_the_tokeniser_knows_training_texts_only():
    entry = make("nsmc", train=100, test=500)
    splits = entry.load(0)
    known = {c for c, n in Counter("".join(entry.parts(0)[0].first)).items() if n > 1}
    assert entry.vocabulary == len(known) + 3
    test = entry.parts(0)[2]
    row = next(i for i, text in enumerate(test.first) if text and text[0] not in known)
    assert splits.test.inputs[row, 0] == 1


@mirrored
def test_seeds_are_repeatable_and_training_sets_are_nested():
    small, large = (make("kor_3i4k", train=n, test=100).parts(3)[0].first for n in (50, 500))
    assert large[:50] == small or set(small) <= set(large)
    one, same = make("kor_3i4k", train=50).load(3), make("kor_3i4k", train=50).load(3)
    assert torch.equal(one.train.inputs, same.train.inputs) and torch.equal(one.validation.inputs, same.validation.inputs)


@mirrored
def test_similarity_is_standardised_by_the_training_pairs():
    y = make("kor_sts", train=None).load(0).train.targets["similarity"]
    assert abs(y.mean()) < 1e-5 and abs(y.std() - 1) < 1e-4


@mirrored
@pytest.mark.parametrize("tokens", ["syllables", "jamo", "bpe"])
def test_the_benchmark_has_five_tasks_with_inputs_of_their_own_and_one_vocabulary(tokens):
    entry = make("korean_sentences", train=300, test=100, tokens=tokens)
    splits = entry.load(0)
    names = {task.name: task.metric for task in entry.tasks}
    assert names == {
        "sentiment": "accuracy",
        "hate": "macro_f1",
        "bias": "macro_f1",
        "intention": "accuracy",
        "similarity": "spearman",
    }
    for split, n in ((splits.train, 300), (splits.validation, 100), (splits.test, 100)):
        assert split.sizes() == dict.fromkeys(names, n)
        assert torch.equal(split.inputs["hate"], split.inputs["bias"]), "the same comments, split alike"
        assert all(x.max() < entry.vocabulary and x.shape[1] == 96 for x in split.inputs.values())
    assert not torch.equal(splits.train.inputs["hate"], splits.train.inputs["sentiment"])
    alone = make("kor_hate", train=300, test=100).parts(0)[0].labels["bias"]
    assert torch.equal(splits.train.targets["bias"], alone)


@mirrored
def test_texts_with_markup_stay_data():
    texts = [clean(text) for text in column("e9t--nsmc/default/train.parquet", "document")]
    assert any("<" in text and ">" in text for text in texts), "escaping is the card's work"


def test_what_stands_in_another_part_is_dropped_pairs_as_pairs():
    one = Texts(["a", "b", "b"], ["x", "y", "z"], {"t": torch.arange(3)})
    kept = one.without(Texts(["b"], ["y"], {}))
    assert kept.keys() == [("a", "x"), ("b", "z")] and kept.labels["t"].tolist() == [0, 2]


@pytest.mark.parametrize("name", [*SETS, "korean_sentences", "klue"])
def test_every_set_says_what_must_be_said(name):
    cls = data.get(name)
    assert cls.licence and cls.citation and cls.notes and cls.source and len(cls.sha256) == 64 and cls.sources
    assert all(source.revision in ("main", CONVERTED) for source in cls.sources)
    with pytest.raises(InputError, match=r"data_options\.tokens"):
        cls.Options.parse("data_options", {"tokens": "unigram"})


ROWS = {  # of each config of KLUE, as many as one likes
    "ynat": lambda i: {"title": f"제목 {i} 오늘", "label": i % 7},
    "nli": lambda i: {"premise": f"전제 {i}", "hypothesis": f"가설 {i}", "label": i % 3},
    "sts": lambda i: {
        "sentence1": f"하나 {i}",
        "sentence2": f"둘 {i}",
        "labels": {"label": i % 6.0, "real-label": i % 6.0, "binary-label": 0},
    },
    "ner": lambda i: {"tokens": list(f"서울 {i}"), "ner_tags": [2, 3] + [12] * (len(f"서울 {i}") - 2)},
    "dp": lambda i: {"word_form": ["나는", f"간다{i}."], "pos": ["NP+JX", "VV+EF+SF"], "deprel": ["NP_SBJ", "VP"]},
    "re": lambda i: {
        "sentence": f"서울은 한국의 {i}번째 도시다",
        "label": i % 30,
        "subject_entity": {"word": "서울", "start_idx": 0, "end_idx": 1, "type": "LOC"},
        "object_entity": {"word": "한국", "start_idx": 4, "end_idx": 5, "type": "LOC"},
    },
}


@pytest.mark.parametrize("config", FILES)
def test_every_config_of_klue(config, tmp_path, monkeypatch):
    """With made-up files, their content unpinned: the training files could not be had."""
    monkeypatch.setenv("MTLSTUDY_DATA", str(tmp_path))
    monkeypatch.setitem(FILES[config].splits, "validation", "")
    folder = tmp_path / "klue--klue" / config
    folder.mkdir(parents=True)
    for split, n in (("train", range(100)), ("validation", range(90, 130))):
        pq.write_table(pa.Table.from_pylist([ROWS[config](i) for i in n]), folder / f"{split}.parquet")
    entry = make("klue", config=config)
    splits = entry.load(0)
    assert [len(part.inputs) for part in (splits.train, splits.validation, splits.test)] == [81, 9, 40], "ten stand in test"
    assert entry.tagging == (config in ("ner", "dp")) and splits.train.inputs.max() < entry.vocabulary
    for task in entry.tasks:
        y = splits.train.targets[task.name]
        assert y.shape == (splits.train.inputs.shape if entry.tagging else (81,))
        if task.kind == "multiclass":
            assert y.max() < task.outputs and ((y == -100) == (splits.train.inputs == 0)).all() if entry.tagging else y.min() >= 0
    assert bool((splits.train.inputs == SEPARATOR).any()) == (config in ("nli", "sts", "re")) or entry.tagging


@pytest.mark.skipif(not MIRROR or not (Path(MIRROR) / "klue--klue").is_dir(), reason="MTLSTUDY_DATA has no klue--klue")
@pytest.mark.parametrize(("config", "rows"), [("nli", 3000), ("sts", 519), ("ner", 5000), ("dp", 2000)])
def test_the_validation_files_of_klue_are_its_test_splits(config, rows):
    entry = make("klue", config=config)
    found = entry._sentences("validation") if entry.tagging else entry.read("test")
    assert len(found.words if entry.tagging else found.first) == rows
    if config == "dp":
        assert {tag for tags in found.tags["pos"] for tag in tags} - {""} <= set(POS)
        assert {tag for tags in found.tags["deprel"] for tag in tags} <= set(RELATIONS)
    if config == "nli":
        assert found.labels["inference"].unique().tolist() == [0, 1, 2]
    if not any((Path(MIRROR) / "klue--klue" / config).glob("train*")):
        with pytest.raises(MissingData, match="klue/klue"):
            entry.load(0)


def test_klue_has_one_file_and_one_set_of_tasks_a_config():
    assert set(FILES) == set(TASKS) == set(ROWS) and len(POS) == 45 and len(RELATIONS) == 38
