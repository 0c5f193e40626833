"""Real data sets: what each one's file demands is respected. Needs the files: MTLSTUDY_DATA, or a
cache that has them."""

import hashlib
from importlib.util import find_spec
from itertools import chain

import pandas as pd
import pytest
import torch

from mtlstudy import data
from mtlstudy.data import _hub as hub
from mtlstudy.data import adult, korean_tagging, molecules, pairs, tagged
from mtlstudy.errors import InputError

QM8 = data.get("qm8")
TREEBANKS = {"kaist": tagged.KAIST, "gsd": tagged.GSD, "ewt": tagged.EWT}
TAGGING = ("ud_korean", "ud_english", "wnut17", "korean_tagging")
BENCHMARK = ("multi_mnist_full", "multi_fashion", "fashion_mnist_pairs")
NAMES = (*TAGGING, *BENCHMARK, "qm8", "tox21", "adult")


def real(*sources):
    reason = f"needs {', '.join(map(str, sources))}: neither MTLSTUDY_DATA nor a cache has it"
    return pytest.mark.skipif(not hub.available(*sources), reason=reason)


def of(name):
    return pytest.param(name, marks=real(*data.get(name).sources))


def make(name, **options):
    cls = data.get(name)
    return cls(cls.Options(**options))


def sentences(source, split, column="tokens"):
    return hub.rows(source, split)[column].to_pylist()


def parts(splits):
    return (splits.train, splits.validation, splits.test)


# every set


@pytest.mark.parametrize("name", [of(n) for n in NAMES])
def test_fewer_training_examples_leave_the_rest_as_it_is(name):
    few, all_ = make(name, train=50).load(0), make(name).load(0)
    assert len(few.train.inputs) >= 50 > 0 and len(few.train.inputs) < 100
    for a, b in zip(parts(few)[1:], parts(all_)[1:], strict=True):
        assert len(a.inputs) == len(b.inputs)
    again = make(name, train=50).load(1).train.targets  # drawn, not the first 50
    assert any(not torch.equal(y, again[task]) for task, y in few.train.targets.items())


def test_task_names_can_name_modules():
    assert not [task.name for task in make("qm8", targets="all").tasks if "." in task.name]


# tagged sentences


def test_a_long_sentence_goes_on_in_a_further_row():
    words = [["a", "b", "c", "d", "e"], ["a"]]
    numbers = tagged.Vocabulary(words, least=1, by_ending=False)
    split = tagged.tensors(
        tagged.Sentences(words, {"t": [["x", "y", "", "x", "new"], ["y"]]}),
        numbers,
        {"t": ["x", "y"]},
        3,
    )
    assert split.inputs.tolist() == [[2, 3, 4], [5, 6, 0], [2, 0, 0]]
    assert split.targets["t"].tolist() == [[0, 1, -100], [0, -100, -100], [1, -100, -100]]


def test_rare_words_are_read_by_their_ending():
    words = [["often"] * 3, ["walking", "talking", "sing"], ["Ring"]]
    by_ending, by_word = (tagged.Vocabulary(words, least=3, by_ending=e) for e in (True, False))
    assert by_word["often"] == by_ending["often"] == 2
    assert by_word["walking"] == by_word["unseen"] == 1
    assert by_ending["walking"] == by_ending["stocking"] == by_ending.number["a", "ing"]
    assert by_ending["Ring"] == 1  # a capital is another shape, and this one occurs once
    assert len(by_word) == 3 and len(by_ending) == max(by_ending.number.values()) + 1


@pytest.mark.parametrize("name", [of(n) for n in TAGGING])
def test_the_vocabulary_is_of_the_training_sentences_alone(name):
    entry = make(name, tokens="word", least=1)
    splits = entry.load(0)
    used = splits.train.inputs.unique()
    assert set(range(2, entry.vocabulary)) | {0} == set(used.tolist())
    assert (splits.test.inputs == 1).sum() > 0.05 * (splits.test.inputs != 0).sum()


@pytest.mark.parametrize("name", [of(n) for n in TAGGING])
def test_every_word_is_counted_once(name):
    entry = make(name)
    train, validation, test = entry.sentences()
    for split, words in zip(
        parts(entry.load(0)), (train.words, validation.words, test.words), strict=True
    ):
        assert int((split.inputs != 0).sum()) == sum(map(len, words))


@pytest.mark.parametrize("name", [of(n) for n in TAGGING])
def test_no_training_sentence_stands_in_an_evaluation_split(name):
    train, validation, test = (
        {tuple(words) for words in part.words} for part in make(name).sentences()
    )
    assert not train & (validation | test) and not validation & test


@pytest.mark.parametrize(
    ("bank", "train", "validation"),
    [
        pytest.param(b, *n, marks=real(TREEBANKS[b]))
        for b, n in {"kaist": (7, 0), "gsd": (121, 28), "ewt": (351, 77)}.items()
    ],
)
def test_how_many_sentences_are_dropped(bank, train, validation):
    name, options = {
        "kaist": ("ud_korean", {}),
        "gsd": ("ud_korean", {"treebank": "gsd"}),
        "ewt": ("ud_english", {}),
    }[bank]
    kept = make(name, **options).sentences()
    dropped = [
        len(sentences(TREEBANKS[bank], s)) - len(k.words)
        for s, k in zip(TREEBANKS[bank].splits, kept, strict=True)
    ]
    assert dropped == [train, validation, 0]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("ud_korean", {"treebank": "kaist_lrec2018"}, marks=real(tagged.KAIST)),
        pytest.param("ud_korean", {"treebank": "gsd"}, marks=real(tagged.GSD)),
        pytest.param("ud_english", {}, marks=real(tagged.EWT)),
        pytest.param("korean_tagging", {}, marks=real(tagged.KAIST, tagged.GSD)),
        pytest.param("wnut17", {}, marks=real(tagged.WNUT)),
    ],
)
def test_the_label_sets_are_those_of_the_training_sentences(name, options):
    entry = make(name, **options)
    tags = entry.sentences()[0].tags
    assert {t: len(set(chain.from_iterable(rows)) - {""}) for t, rows in tags.items()} == {
        t.name: t.outputs for t in entry.tasks
    }
    few = make(name, **options, train=50).load(0)
    assert all(
        torch.equal(y, few.test.targets[t]) for t, y in entry.load(0).test.targets.items()
    )  # numbered by all of them


@real(tagged.KAIST)
def test_a_label_that_only_the_test_has_is_left_out():
    test = make("ud_korean").load(0).test
    assert (
        sum(tag == "clf" for row in sentences(tagged.KAIST, "test", "deprel") for tag in row) == 1
    )
    assert int(((test.inputs != 0) & (test.targets["deprel"] == -100)).sum()) == 1
    assert not ((test.inputs != 0) & (test.targets["upos"] == -100)).any()


@real(tagged.KAIST)
def test_xpos_is_the_first_morphemes_tag_and_tasks_go_from_low_to_high():
    whole = {tag for row in sentences(tagged.KAIST, "train", "xpos") for tag in row}
    assert len(whole) == 1975 and len({tagged.first_tag(tag) for tag in whole}) == 44
    for name in ("ud_korean", "ud_english", "korean_tagging"):
        levels = [task.level for task in make(name).tasks]
        assert levels == sorted(levels) and 0 < levels[0] < levels[1] < levels[2] == 1


@real(tagged.KAIST, tagged.GSD)
def test_the_two_korean_tests_share_training_and_validation():
    near, far = make("korean_tagging").load(0), make("korean_tagging", test="gsd").load(0)
    for a, b in ((near.train, far.train), (near.validation, far.validation)):
        assert torch.equal(a.inputs, b.inputs) and all(
            torch.equal(y, b.targets[t]) for t, y in a.targets.items()
        )
    train, validation, gsd = make("korean_tagging", test="gsd").sentences()
    known = {tuple(words) for part in (train, validation) for words in part.words}
    assert len(gsd.words) == 989 and not known & {tuple(words) for words in gsd.words}
    assert all(
        float((y[far.test.inputs != 0] != -100).float().mean()) > 0.999
        for y in far.test.targets.values()
    )


@real(tagged.KAIST, tagged.GSD)
def test_every_tag_of_both_korean_treebanks_has_a_class():
    found = {}
    for source in (tagged.KAIST, tagged.GSD):
        rows = chain.from_iterable(sentences(source, split, "xpos") for split in source.splits)
        found[source.config] = {tagged.first_tag(tag) for tag in chain.from_iterable(rows)}
    assert not found["ko_kaist_lrec2018"] & found["ko_gsd"]  # which is why there are classes
    assert found["ko_kaist_lrec2018"] | found["ko_gsd"] <= {*korean_tagging.CLASS, "", "NA"}
    assert len(korean_tagging.CLASS) == sum(
        len(tags.split()) for tags in korean_tagging.CLASSES.values()
    )


@real(tagged.WNUT)
def test_wnut17_is_measured_by_macro_f1_and_its_tags_are_in_the_right_order():
    entry = make("wnut17")
    y = entry.load(0).test.targets["ner"]
    there = y[y != -100]
    outside = sorted(tagged.TAGS).index("O")
    assert entry.tasks[0].metric == "macro_f1" and float((there == outside).float().mean()) > 0.9
    output = torch.zeros(*y.shape, 13)
    output[..., outside] = 1  # "O" everywhere: right nine times in ten, and worth nothing
    assert entry.tasks[0].measure(output, y) < 0.08
    for row in sentences(tagged.WNUT, "train", "ner_tags"):
        tags = [tagged.TAGS[tag] for tag in row]
        assert all(
            a[2:] == b[2:] for a, b in zip(["O", *tags], tags, strict=False) if b.startswith("I-")
        )


# pairs of images


def test_multi_mnist_is_what_it_was():
    whole = hashlib.sha256()
    for seed in (0, 5):
        for split in parts(make("multi_mnist", train=700).load(seed)):
            for tensor in (split.inputs, *split.targets.values()):
                whole.update(tensor.numpy().tobytes())
    assert whole.hexdigest() == "1d2a439df97fe72bc3f2246aa41276e9b22d8b95ac3d993f2ec2723ef49188b5"


@real(pairs.MNIST, pairs.FASHION_MNIST)
def test_no_image_is_used_in_two_splits(monkeypatch):
    used, draw = [], pairs.overlay
    monkeypatch.setattr(
        pairs, "overlay", lambda *a: used.append((a[0][0], set(a[1].tolist()))) or draw(*a)
    )
    make("fashion_mnist_pairs", train=100).load(0)
    (seen, train), (same, validation), (test, _) = used
    assert (
        seen is same
        and not train & validation
        and (len(train), len(validation)) == (50_000, 10_000)
    )
    first = {image.tobytes() for image in seen.images.numpy()}
    assert not first & {image.tobytes() for image in test.images.numpy()}


@real(pairs.MNIST, pairs.FASHION_MNIST)
def test_the_digit_is_left_and_the_garment_right():
    test = make("fashion_mnist_pairs", train=10).load(0).test
    rows = torch.randint(10_000, (2, 10_000), generator=torch.Generator().manual_seed(0))
    for number, source, (down, across), free in (
        (0, pairs.MNIST, (0, 0), (slice(0, 8), slice(0, 28))),
        (1, pairs.FASHION_MNIST, (8, 8), (slice(20, 28), slice(0, 28))),
    ):
        stored = pairs.images(source, "test")
        assert torch.equal(test.targets[("digit", "garment")[number]], stored.labels[rows[number]])
        canvas = test.inputs[:100, 0, down : down + 28, across : across + 28][
            :, free[0], free[1]
        ]  # where the other is not
        assert torch.allclose(
            canvas, (stored.images[rows[number][:100]][:, free[0], free[1]] / 255 - 0.15) / 0.3
        )


@pytest.mark.parametrize("name", [of(n) for n in BENCHMARK])
def test_the_vision_benchmark_has_two_tasks_of_ten_classes(name):
    splits = make(name).load(0)
    assert [len(s.inputs) for s in parts(splits)] == [
        20_000,
        5000,
        10_000,
    ] and splits.train.inputs.shape[1:] == (1, 36, 36)
    assert all(set(y.tolist()) == set(range(10)) for y in splits.test.targets.values())


# molecules


def test_ngrams_tell_aromatic_carbon_from_other_carbon():
    x = molecules.features(("cc", "CC", "cc"), "ngrams")
    assert x.shape == (3, 1024) and torch.equal(x[0], x[2]) and not torch.equal(x[0], x[1])
    assert torch.isclose(x[0].max(), torch.tensor(3.0).log())  # the character twice


def test_equal_smiles_are_never_in_two_splits():
    smiles = tuple(f"m{i // 3}" for i in range(300))
    for seed in (0, 1):
        found = molecules.divide_molecules(smiles, 0.2, 0.1, seed)
        assert sorted(torch.cat(found).tolist()) == list(range(300)) and [
            len(p) for p in found
        ] == [210, 30, 60]
        groups = [{smiles[i] for i in part.tolist()} for part in found]
        assert not groups[0] & groups[1] and not groups[2] & (groups[0] | groups[1])


@real(*QM8.sources)
def test_qm8_has_twelve_targets_that_differ_and_twenty_molecules_twice():
    smiles, y = molecules._table(*QM8.sources)
    column = dict(zip(molecules.TARGETS["all"], y.T, strict=True))
    assert all(torch.equal(column[f"{p}-PBE0"], column[f"{p}-PBE0b"]) for p in molecules.PROPERTIES)
    assert len(make("qm8").tasks) == 12 and len(make("qm8", targets="all").tasks) == 16
    e1 = torch.corrcoef(torch.stack([column["E1-CC2"], column["E1-PBE0"], column["E1-CAM"]]))
    assert (
        e1.min() > 0.97
        and {t.name for t in make("qm8", targets="spread").tasks} & {"E1-PBE0", "E1-CAM"} == set()
    )
    twice = pd.Series(smiles)[pd.Series(smiles).duplicated()]
    place = torch.empty(len(smiles), dtype=torch.int64)
    for number, part in enumerate(molecules.divide_molecules(smiles, 0.1, 0.1, 3)):
        place[part] = number
    assert len(twice) == 20 and all(
        len({int(place[i]) for i, t in enumerate(smiles) if t == s}) == 1 for s in twice
    )


@real(*QM8.sources)
def test_qm8_is_standardised_by_its_training_molecules():
    train = make("qm8", train=500).load(0).train
    assert all(
        abs(float(y.mean())) < 1e-4 and abs(float(y.std()) - 1) < 1e-4
        for y in train.targets.values()
    )


@real(*data.get("tox21").sources)
def test_tox21_keeps_missing_labels_missing():
    entry = make("tox21")
    splits = entry.load(0)
    missing = torch.cat(
        [torch.stack(list(s.targets.values())).isnan().flatten() for s in parts(splits)]
    )
    assert missing.float().mean() == pytest.approx(0.1707, abs=5e-4) and len(missing) == 12 * 7831
    for task in entry.tasks:
        y = splits.test.targets[task.name]
        output = torch.randn(len(y), 1, generator=torch.Generator().manual_seed(0))
        assert torch.isfinite(task.loss(output, y)) and 0.3 < task.measure(output, y) < 0.7


def test_morgan_without_rdkit_is_one_clear_line(monkeypatch):
    monkeypatch.setattr(molecules, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"features = 'morgan': needs rdkit .*chemistry.* ngrams"):
        molecules.features(("C",), "morgan")


@pytest.mark.skipif(find_spec("rdkit") is None, reason="needs the optional package rdkit")
def test_morgan_fingerprints():
    x = molecules.features(
        ("CCO", "OCC", "NC(=O)NC1N=C(O[AlH3](O)O)NC1=O"), "morgan"
    )  # the last: a valence rdkit objects to
    assert (
        x.shape == (3, 2048)
        and torch.equal(x[0], x[1])
        and set(x.unique().tolist()) == {0.0, 1.0}
        and x[2].sum() > 5
    )
    with pytest.raises(InputError, match="cannot read the SMILES"):
        molecules.features(("C1CC",), "morgan")


# adult


@real(adult.FILE)
def test_no_label_of_adult_is_an_input():
    inputs = {*adult.NUMBERS, *adult.SKEWED, *adult.WORDS}
    assert not inputs & set(adult.DROPPED) and inputs | set(adult.DROPPED) == set(
        adult.FILE.columns
    )
    assert {"income", "marital.status", "relationship", "education", "education.num"} <= set(
        adult.DROPPED
    )
    frame = adult.people("train")
    values = sum(frame[word].nunique() for word in adult.WORDS)
    widths = {
        make("adult", train=train).load(seed).train.inputs.shape[1]
        for seed in (0, 1)
        for train in (None, 100)
    }
    assert widths == {4 + values}  # the same for every seed and size


@real(adult.FILE)
def test_nobody_of_adult_stands_in_training_and_test_or_twice():
    train, test = adult.people("train"), adult.people("test")
    assert (
        len(test) == 16_281
        and not train.duplicated().any()
        and train.merge(test.drop_duplicates()).empty
    )
    splits = make("adult").load(0)
    assert (
        len(splits.train.inputs) + len(splits.validation.inputs) == len(train)
        and len(splits.validation.inputs) == 3000
    )
    numbers = splits.train.inputs[:, :4]
    assert torch.allclose(numbers.mean(0), torch.zeros(4), atol=1e-4) and torch.allclose(
        numbers.std(0), torch.ones(4), atol=1e-4
    )


@real(adult.FILE)
def test_adults_labels_are_right():
    test, frame = make("adult").load(0).test, adult.people("test")
    for task, label in {
        "income": frame["income"].eq(">50K"),
        "marital": frame["marital.status"].eq("Never-married"),
        "education": frame["education"].isin(["Bachelors", "Masters", "Prof-school", "Doctorate"]),
    }.items():
        assert test.targets[task].tolist() == label.astype(float).tolist()
