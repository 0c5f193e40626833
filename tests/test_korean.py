"""The Korean text sets: their traps, and what they yield."""

import os
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from mtlstudy import RunConfig, data, fit
from mtlstudy.data._hub import MissingData
from mtlstudy.data._text import SEPARATOR, clean
from mtlstudy.data.klue import FILES, NAMES, TASKS
from mtlstudy.data.sentences import Texts
from mtlstudy.errors import InputError

SETS = ("nsmc", "kor_hate", "kor_3i4k", "kor_sts")
MIRROR = os.environ.get("MTLSTUDY_DATA")
mirrored = pytest.mark.skipif(
    not (MIRROR and data.get("korean_sentences").available()),
    reason="MTLSTUDY_DATA has not the Korean sets",
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
    one, other = entry.parts(0), entry.parts(1)
    for parts in (one, other):
        texts = [set(part.keys()) for part in parts]
        assert not texts[0] & texts[1] and not texts[0] & texts[2] and not texts[1] & texts[2]
    assert one[2].keys() == other[2].keys()
    if name != "kor_sts":
        assert one[1].keys() != other[1].keys(), "the validation split is drawn by seed"
        assert entry.parts(1)[1].keys() == other[1].keys()


@mirrored
def test_1571_test_reviews_of_nsmc_stand_in_its_training_file():
    train, test = (
        column(f"e9t--nsmc/default/{split}.parquet", "document") for split in ("train", "test")
    )
    known = set(train)
    assert sum(text in known for text in test) == 1571
    again = set(test)
    assert sum(text in again for text in train) == 3512


@mirrored
def test_the_label_of_nsmc_is_a_function_of_the_rating_which_is_no_task():
    label, rating = (
        column("e9t--nsmc/default/train.parquet", name) for name in ("label", "rating")
    )
    assert set(zip(label, rating, strict=True)) == {(0, r) for r in (1, 2, 3, 4)} | {
        (1, 9),
        (1, 10),
    }
    entry = make("nsmc")
    assert [task.name for task in entry.tasks] == ["sentiment"] and "rating" not in entry.sources[
        0
    ].columns


@mirrored
def test_gender_bias_of_kor_hate_says_what_bias_says_and_is_no_task():
    for split in ("train", "test"):
        gender, bias = (
            column(f"inmoonlight--kor_hate/default/{split}.parquet", n)
            for n in ("contain_gender_bias", "bias")
        )
        assert all((g == 1) == (b == 1) for g, b in zip(gender, bias, strict=True))
    entry = make("kor_hate")
    assert [task.name for task in entry.tasks] == [
        "hate",
        "bias",
    ] and "contain_gender_bias" not in entry.sources[0].columns


@mirrored
@pytest.mark.parametrize("name", SETS)
def test_inputs_are_token_numbers_of_the_text_alone(name):
    """Two files that differ in their labels only give the same inputs: labels are never inputs."""
    entry = make(name, train=200, test=100)
    splits = entry.load(0)
    x = splits.train.inputs
    assert (
        x.shape == (200, entry.options.length)
        and x.dtype == torch.int64
        and 0 < x.max() < entry.vocabulary
    )
    parts = entry.parts(0)
    assert len(parts[0].first) == 200
    changed = [
        Texts(part.first, part.second, {t: y * 0 for t, y in part.labels.items()}) for part in parts
    ]
    entry.parts = lambda seed: changed
    assert torch.equal(entry.load(0).train.inputs, x)
    assert (name == "kor_sts") == bool((x == SEPARATOR).any())


@mirrored
def test_the_tokeniser_knows_training_texts_only():
    entry = make("nsmc", train=100, test=500)
    splits, (train, _, test) = entry.load(0), entry.parts(0)
    known = {c for c, n in Counter("".join(train.first)).items() if n > 1}
    assert entry.vocabulary == len(known) + 3
    row = next(i for i, text in enumerate(test.first) if text and text[0] not in known)
    assert splits.test.inputs[row, 0] == 1


@mirrored
def test_seeds_are_repeatable_and_training_sets_are_nested():
    small, large = (make("kor_3i4k", train=n, test=100).parts(3)[0].first for n in (50, 500))
    assert large[:50] == small or set(small) <= set(large)
    one, same = make("kor_3i4k", train=50).load(3), make("kor_3i4k", train=50).load(3)
    assert torch.equal(one.train.inputs, same.train.inputs) and torch.equal(
        one.validation.inputs, same.validation.inputs
    )


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
        assert torch.equal(split.inputs["hate"], split.inputs["bias"]), (
            "the same comments, split alike"
        )
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
def test_an_unknown_tokeniser_is_refused(name):
    with pytest.raises(InputError, match=r"data_options\.tokens"):
        data.get(name).Options.parse("data_options", {"tokens": "unigram"})


def test_similarity_is_reported_by_both_correlations():
    (task,) = make("kor_sts").tasks
    assert task.metric == "spearman" and task.also == ("pearson",)
    assert make("korean_sentences").tasks[-1] == task


def test_classes_have_the_names_of_their_papers():
    names = make("korean_sentences").classes()
    assert list(names) == ["sentiment", "hate", "bias", "intention"]
    assert names["hate"] == ["hate", "offensive", "none"] and len(names["intention"]) == 7
    assert names["bias"] == make("kor_hate").classes()["bias"] == ["none", "gender", "others"]
    assert make("klue", config="dp").classes() == {t: NAMES[t] for t in ("pos", "deprel")}
    assert make("klue", config="nli").classes() == {"inference": ["0", "1", "2"]}


ROWS = {  # of each config of KLUE, as many as one likes
    "ynat": lambda i: {"title": f"title {i} today", "label": i % 7},
    "nli": lambda i: {"premise": f"premise {i}", "hypothesis": f"claim {i}", "label": i % 3},
    "sts": lambda i: {
        "sentence1": f"one {i}",
        "sentence2": f"two {i}",
        "labels": {"label": i % 6.0, "real-label": i % 6.0, "binary-label": 0},
    },
    "ner": lambda i: {
        "tokens": list(f"Seoul {i}"),
        "ner_tags": [2, 3] + [12] * (len(f"Seoul {i}") - 2),
    },
    "dp": lambda i: {
        "word_form": ["I", f"go{i}."],
        "pos": ["NP+JX", "VV+EF+SF"],
        "deprel": ["NP_SBJ", "VP"],
    },
    "re": lambda i: {
        "sentence": f"Seoul is city {i} of Korea",
        "label": i % 30,
        "subject_entity": {"word": "Seoul", "start_idx": 0, "end_idx": 4, "type": "LOC"},
        "object_entity": {"word": "Korea", "start_idx": 18, "end_idx": 22, "type": "LOC"},
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
        pq.write_table(
            pa.Table.from_pylist([ROWS[config](i) for i in n]), folder / f"{split}.parquet"
        )
    entry = make("klue", config=config)
    splits = entry.load(0)
    assert [len(part.inputs) for part in (splits.train, splits.validation, splits.test)] == [
        81,
        9,
        40,
    ], "ten stand in test"
    assert (
        entry.tagging == (config in ("ner", "dp")) and splits.train.inputs.max() < entry.vocabulary
    )
    for task in entry.tasks:
        y = splits.train.targets[task.name]
        assert y.shape == (splits.train.inputs.shape if entry.tagging else (81,))
        if task.kind == "multiclass":
            assert (
                y.max() < task.outputs and ((y == -100) == (splits.train.inputs == 0)).all()
                if entry.tagging
                else y.min() >= 0
            )
    assert (
        bool((splits.train.inputs == SEPARATOR).any()) == (config in ("nli", "sts", "re"))
        or entry.tagging
    )
    run = fit(RunConfig(data="klue", steps=4, width=8, data_options={"config": config}), False)
    assert run.status == "done" and len(run.record["results"]["test"]) == len(entry.tasks)
    before = entry.content()
    rows = [ROWS[config](i) for i in reversed(range(100))]
    pq.write_table(pa.Table.from_pylist(rows), folder / "train.parquet")
    assert entry.content() != before == run.record["content"], "by what the file holds"
    (folder / "train.parquet").unlink()
    with pytest.raises(MissingData, match="train is missing"):
        entry.content()


@pytest.mark.skipif(
    not MIRROR or not (Path(MIRROR) / "klue--klue").is_dir(),
    reason="MTLSTUDY_DATA has no klue--klue",
)
@pytest.mark.parametrize(
    ("config", "rows"), [("nli", 3000), ("sts", 519), ("ner", 5000), ("dp", 2000)]
)
def test_the_validation_files_of_klue_are_its_test_splits(config, rows):
    entry = make("klue", config=config)
    found = entry.sentences("validation") if entry.tagging else entry.read("test")
    assert len(found.words if entry.tagging else found.first) == rows
    if config == "dp":
        assert {tag for tags in found.tags["pos"] for tag in tags} - {""} <= set(NAMES["pos"])
        assert {tag for tags in found.tags["deprel"] for tag in tags} <= set(NAMES["deprel"])
    if config == "nli":
        assert found.labels["inference"].unique().tolist() == [0, 1, 2]
    if not any((Path(MIRROR) / "klue--klue" / config).glob("train*")):
        with pytest.raises(MissingData, match="klue/klue"):
            entry.load(0)


def test_klue_has_one_file_and_one_set_of_tasks_a_config():
    assert set(FILES) == set(TASKS) == set(ROWS) and [
        len(NAMES[task]) for task in ("ner", "pos", "deprel")
    ] == [13, 45, 38]
