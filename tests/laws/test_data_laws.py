"""Laws that every data set meets."""

import pytest
import torch

from mtlstudy import RunConfig, data
from mtlstudy.training.build import build
from mtlstudy.cards import card

NAMES = [name for name in data.names() if data.get(name).available()]


ENCODED = {  # sets of which different examples may have the same input: their raw rows are compared in the tests of real data
    "adult": "two people of the same census answers", "qm8": "hashed features", "tox21": "hashed features",
    **dict.fromkeys(("ud_korean", "ud_english", "wnut17", "korean_tagging"), "rare words are read by their endings"),
    **dict.fromkeys(("nsmc", "kor_hate", "kor_3i4k", "kor_sts", "korean_sentences"), "rare letters unknown, long texts cut"),
}  # fmt: skip
print(f"{len(NAMES)} of {len(data.names())} data sets are on this machine")


def inputs(split):
    """Every input tensor of a split."""
    return [split.inputs] if isinstance(split.inputs, torch.Tensor) else list(split.inputs.values())


def own(y):
    """Labels as they are, NaN as 0; real numbers with mean 0 and deviation 1."""
    if y.dtype == torch.int64 or set(y[~y.isnan()].unique().tolist()) <= {0.0, 1.0}:
        return y.nan_to_num()
    return (y - y.nanmean()) / (y - y.nanmean()).square().nanmean().sqrt()


def make(name):
    cls = data.get(name)
    return cls(cls.Options())


@pytest.mark.parametrize("name", NAMES)
def test_splits_hold_every_task_in_the_right_form(name):
    entry = make(name)
    splits = entry.load(0)
    for split in (splits.train, splits.validation, splits.test):
        assert set(split.targets) == {task.name for task in entry.tasks}
        sizes, inputs = split.sizes(), split.inputs
        assert all(torch.isfinite(x).all() for x in ([inputs] if isinstance(inputs, torch.Tensor) else inputs.values()))
        for task in entry.tasks:
            y = split.targets[task.name]
            assert len(y) == sizes.get("", sizes.get(task.name))
            if task.kind == "multiclass":
                assert y.dtype == torch.int64 and y.min() >= -100 and y.max() < task.outputs
            if task.kind == "binary":
                assert set(y[~y.isnan()].unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_splits(name):
    one, same = make(name).load(3), make(name).load(3)
    for a, b in ((one.train, same.train), (one.test, same.test)):
        assert all(torch.equal(x, y) for x, y in zip(inputs(a), inputs(b), strict=True))


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("synthetic", "toy")])
def test_the_test_split_is_the_same_for_every_seed_and_apart_from_train(name):
    """Inputs and targets that are standardised by the training rows differ between seeds, so test rows are compared by their
    labels, regression targets in units of their own."""
    one, other = make(name).load(0), make(name).load(1)
    assert all(torch.allclose(own(one.test.targets[t]), own(other.test.targets[t]), atol=1e-4) for t in one.test.targets)
    for train, test in zip(inputs(one.train), inputs(one.test), strict=True) if name not in ENCODED else ():
        seen = {row.numpy().tobytes() for row in train.flatten(1)}
        assert not seen & {row.numpy().tobytes() for row in test.flatten(1)}


@pytest.mark.parametrize("name", NAMES)
def test_a_model_can_be_built_and_every_loss_is_finite(name):
    entry, splits, model, _ = build(RunConfig(data=name))
    few = splits.train.first(8)
    outputs = model(few.inputs)
    assert all(torch.isfinite(t.loss(outputs[t.name], few.targets[t.name])) for t in entry.tasks)


@pytest.mark.parametrize("name", NAMES)
def test_the_card_says_what_must_be_said(name):
    text, cls = card(name), data.get(name)
    assert cls.title in text and all(task.name in text for task in make(name).tasks)
    assert (cls.sha256 or "생성 데이터") in text


def test_digits_of_multi_mnist_stay_in_one_split():
    from mtlstudy.data.base import divide

    parts = divide(5000, [3500, 500], seed=0)
    assert sorted(torch.cat(parts).tolist()) == list(range(5000))


def test_synthetic_relatedness_is_what_it_says():
    """With ρ = 1 two tasks of one group are functions of one teacher layer; across groups they are unrelated."""
    cls = data.get("synthetic")
    y = cls(cls.Options(rho=1.0, noise=0.0)).load(0).test.targets
    assert cls(cls.Options()).groups() == [0, 1, 0, 1, 0, 1]
    assert set(y) == {f"task{i}" for i in range(1, 7)} and abs(y["task1"].std().item() - 1) < 0.2


def test_an_altered_file_is_refused(monkeypatch):
    from mtlstudy.data.base import embedded
    from mtlstudy.errors import InputError

    with pytest.raises(InputError, match="sha256"):
        embedded("river", "datasets/yeast.csv.gz", "0" * 64)
    with pytest.raises(InputError, match="cannot be read"):
        embedded("river", "datasets/nothing.csv.gz", "0" * 64)
    with pytest.raises(InputError, match="not installed"):
        embedded("no_such_package", "x", "0" * 64)
