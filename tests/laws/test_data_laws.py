"""Laws that every data set meets."""

import math
from functools import cache
from pathlib import Path

import pytest
import torch
import yaml

from mtlstudy import InputError, RunConfig, data, fit
from mtlstudy.data.base import Splits, divide, draw, embedded
from mtlstudy.data.synthetic import JUDGES

NAMES = [name for name in data.names() if data.get(name).available()]
WORDS = Path(__file__).parents[2] / "book/words.ko.yml"
SAME_INPUTS = {  # sets of which different examples may have the same input, and why
    "adult": "two people of the same census answers",
    **dict.fromkeys(("qm8", "tox21"), "hashed features"),
    **dict.fromkeys(
        ("ud_korean", "ud_english", "wnut17", "korean_tagging"), "rare words by their endings"
    ),
    **dict.fromkeys(
        ("nsmc", "kor_hate", "kor_3i4k", "kor_sts", "korean_sentences"),
        "rare letters unknown, long texts cut",
    ),
}
GENERATED = ("synthetic", "toy", *JUDGES)
print(f"{len(NAMES)} of {len(data.names())} data sets are on this machine")


def make(name, **options):
    cls = data.get(name)
    return cls(cls.Options(**options))


@pytest.fixture(scope="module", params=NAMES)
def loaded(request):
    """Name, entry and splits of seed 0; every set is loaded once for the laws on its splits."""
    entry = make(request.param)
    return request.param, entry, entry.load(0)


@cache
def words():
    return yaml.safe_load(WORDS.read_text(encoding="utf-8"))["data"]


def parts(splits: Splits):
    return splits.train, splits.validation, splits.test


def in_own_units(y):
    """Labels as they are, NaN as 0; real numbers with mean 0 and deviation 1."""
    if y.dtype == torch.int64 or set(y[~y.isnan()].unique().tolist()) <= {0.0, 1.0}:
        return y.nan_to_num()
    return (y - y.nanmean()) / (y - y.nanmean()).square().nanmean().sqrt()


def test_splits_hold_every_task_in_the_right_form(loaded):
    _, entry, splits = loaded
    for split in parts(splits):
        assert set(split.targets) == {task.name for task in entry.tasks}
        sizes = split.sizes()
        assert all(torch.isfinite(x).all() and len(x) for x in split.pools().values())
        for task in entry.tasks:
            y = split.targets[task.name]
            assert len(y) == sizes.get("", sizes.get(task.name))
            if task.kind == "multiclass":
                assert y.dtype == torch.int64 and 0 <= y.max() < task.outputs
                assert not ((y < 0) & (y != -100)).any()
                x = split.pools().get("", split.pools().get(task.name))
                assert y.shape == (x.shape if entry.tagging else x.shape[:1])
            if task.kind == "binary":
                assert set(y[~y.isnan()].unique().tolist()) == {0.0, 1.0}
    assert not [task.name for task in entry.tasks if "." in task.name], "they name modules"


def test_the_same_seed_gives_the_same_splits(loaded):
    name, _, splits = loaded
    for a, b in zip(parts(splits), parts(make(name).load(0)), strict=True):
        assert all(torch.equal(x, b.pools()[pool]) for pool, x in a.pools().items())
        assert all(
            torch.equal(y.nan_to_num(), b.targets[t].nan_to_num()) for t, y in a.targets.items()
        )


def test_the_test_split_is_the_same_for_every_seed_and_apart_from_train(loaded):
    """Inputs and targets that are standardised by the training rows differ between seeds, so test
    rows are compared by their labels, regression targets in units of their own."""
    name, _, splits = loaded
    if name in GENERATED:
        return
    other = make(name).load(1).test
    for task, y in splits.test.targets.items():
        assert torch.allclose(in_own_units(y), in_own_units(other.targets[task]), atol=1e-4)
    for pool, train in splits.train.pools().items() if name not in SAME_INPUTS else ():
        seen = {row.numpy().tobytes() for row in train.flatten(1)}
        assert not seen & {row.numpy().tobytes() for row in splits.test.pools()[pool].flatten(1)}


def test_every_class_has_a_name(loaded):
    _, entry, _ = loaded
    many = {task.name: task.outputs for task in entry.tasks if task.kind == "multiclass"}
    names = entry.classes()
    assert {task: len(names[task]) for task in names} == many
    assert all(len(set(one)) == len(one) for one in names.values())


def test_further_test_splits_have_the_form_of_the_test_split(loaded):
    name, entry, splits = loaded
    further = entry.further(0)
    assert set(further) == ({"gsd"} if name == "korean_tagging" else set())
    for split in further.values():
        assert split.form() == splits.test.form() and set(split.targets) == set(splits.test.targets)


def test_four_steps(loaded, monkeypatch):
    """With the first examples of each split, under a seed that no other test trains with."""
    name, entry, splits = loaded

    def load(self, seed):
        self.vocabulary = entry.vocabulary
        return Splits(*(split.first(200) for split in parts(splits)))  # rare classes among them

    monkeypatch.setattr(data.get(name), "load", load)
    run = fit(RunConfig(data=name, steps=4, width=8, seed=99), progress=False)
    results = run.record["results"]["test"]
    assert run.status == "done" and run.record["summary"]["steps"] == 4
    assert set(results) == {task.name for task in entry.tasks}
    assert all(math.isfinite(result["loss"]) for result in results.values())


@pytest.mark.parametrize("name", data.names())
def test_the_card_says_what_must_be_said(name):
    cls = data.get(name)
    assert cls.citation and cls.source and cls.__doc__ and cls.name == name
    if WORDS.exists():  # the book's words: not beside an installed package
        about = words().get(name, {})
        assert set(about) == {"title", "licence", "notes"} and all(about.values()), WORDS
    assert all(file.revision in ("main", "refs/convert/parquet") for file in cls.sources)
    named = [text for text in vars(cls).values() if isinstance(text, str)]
    assert all(text.isascii() or not any("\uac00" <= c <= "\ud7a3" for c in text) for text in named)


@pytest.mark.parametrize("name", data.names())
def test_content_is_that_of_the_pins_or_of_the_embedded_file(name):
    cls = data.get(name)
    if name == "klue":
        assert any("" in file.splits.values() for file in cls.sources), "see test_korean"
        return
    assert all(len(sha) == 64 for file in cls.sources for sha in file.splits.values())
    if cls.sources:
        assert len(make(name).content()) == 64
    else:
        assert make(name).content() == (cls.sha256 or "generated")


def test_content_is_of_what_the_options_read():
    kaist, gsd = (make("ud_korean", treebank=t).content() for t in ("kaist_lrec2018", "gsd"))
    assert kaist != gsd and make("korean_tagging").content() not in (kaist, gsd)


def test_divisions():
    parts = divide(5000, [3500, 500], seed=0)
    assert sorted(torch.cat(parts).tolist()) == list(range(5000))
    one, other = draw(100, 20, 10, 0), draw(100, 20, 10, 1)
    assert [len(part) for part in one] == [70, 10, 20] and torch.equal(one[2], other[2])
    assert sorted(torch.cat(one).tolist()) == list(range(100)) and not torch.equal(one[1], other[1])


def test_synthetic_relatedness_is_what_it_says():
    """With ρ = 1 two tasks of one group are functions of one teacher layer; across groups they are
    unrelated."""
    y = make("synthetic", rho=1.0, noise=0.0).load(0).test.targets
    assert make("synthetic").groups() == [0, 1, 0, 1, 0, 1]
    assert set(y) == {f"task{i}" for i in range(1, 7)} and abs(y["task1"].std().item() - 1) < 0.2


def test_an_altered_file_is_refused():
    with pytest.raises(InputError, match="sha256"):
        embedded("river", "datasets/yeast.csv.gz", "0" * 64)
    with pytest.raises(InputError, match="cannot be read"):
        embedded("river", "datasets/nothing.csv.gz", "0" * 64)
    with pytest.raises(InputError, match="not installed"):
        embedded("no_such_package", "x", "0" * 64)


def test_a_backbone_that_does_not_fit_is_refused():
    entry = make("diabetes")
    with pytest.raises(InputError, match=r"backbone = 'cnn': the inputs of diabetes are vectors"):
        entry.backbone(entry.load(0), name="cnn", width=8, depth=2, dropout=0.0)
