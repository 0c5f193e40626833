"""What a data set loads is as its tasks say, or refused in one line that names split, task, row and
value, whoever made it."""

from dataclasses import replace

import pytest
import torch

from mtlstudy import InputError, RunConfig, fit
from mtlstudy.data._check import check, taken
from mtlstudy.data.base import Split, Splits
from mtlstudy.models.tasks import Task
from mtlstudy.registry import entry, names
from mtlstudy.training.store import load_run

N, NAN = 6, float("nan")
TASKS = (
    Task("r", "regression"),
    Task("p", "regression", metric="pearson"),
    Task("b", "binary"),
    Task("c", "multiclass", 3),
)


class Own:
    """A researcher's own data set."""

    name, tagging, tasks = "own", False, TASKS


def split(**changes):
    targets = {
        "r": torch.tensor([0.1, NAN, 0.3, 0.4, 0.5, 0.6]),
        "p": torch.tensor([0.1, NAN, 0.3, 0.4, 0.5, 0.6]),
        "b": torch.tensor([0, 1, NAN, 1, 0, 1.0]),
        "c": torch.tensor([0, 1, 2, -100, 1, 0]),
    }
    x = changes.pop("x", torch.linspace(0, 1, 2 * N).reshape(N, 2))
    return Split(x, {**targets, **changes})


def changed(part, **changes):
    return replace(Splits(split(), split(), split()), **{part: split(**changes)})


def test_what_is_right_passes_with_labels_missing_here_and_there():
    check(Own, changed("test"))
    check(Own, changed("test", c=torch.full((N,), -100)))  # no label in test: undefined, not wrong


REGRESSION = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("train", {"r": REGRESSION[:, None]}, r"train: targets of r have shape \(6, 1\)"),
        ("train", {"r": REGRESSION.double()}, "targets of r are torch.float64"),
        ("test", {"r": REGRESSION.index_fill(0, torch.tensor(3), float("inf"))}, "inf at row 3"),
        ("train", {"r": torch.full((N,), 2.5)}, "targets of r are all 2.5"),
        ("train", {"r": torch.full((N,), NAN)}, "targets of r hold no label"),
        ("validation", {"c": torch.full((N,), -100)}, "validation: targets of c hold no label"),
        ("validation", {"p": torch.tensor([NAN, 2, 2, 2, 2, NAN])}, "p are all 2: the pearson to"),
        (
            "validation",
            {"b": torch.tensor([1, 1, NAN, 1, 1, 1.0])},
            "b are all 1: the auc to select",
        ),
        ("train", {"b": torch.tensor([-1, 1, 1, -1, 1, 1.0])}, "b hold -1 at row 0; allowed: 0, 1"),
        ("train", {"b": torch.tensor([1, 2, 1, 2, 1, 2.0])}, "b hold 2 at row 1"),
        ("test", {"c": torch.tensor([0, 1, 3, 0, 0, 0])}, "c hold 3 at row 2; allowed: 0 to 2"),
        ("test", {"c": torch.tensor([0, -1, 2, 0, 0, 0])}, "c hold -1 at row 1"),
        ("train", {"c": torch.zeros(N)}, "targets of c are torch.float32; allowed: torch.int64"),
        ("train", {"c": torch.zeros(N - 1, dtype=torch.int64)}, r"have shape \(5,\)"),
        ("train", {"d": REGRESSION}, "train has targets for"),
        ("test", {"x": torch.full((N, 2), NAN)}, "test: inputs are not finite at row 0"),
        ("train", {"x": torch.ones(N, 2, dtype=torch.float64)}, "inputs are torch.float64"),
        ("validation", {"x": torch.ones(0, 2)}, "validation: inputs hold no example"),
        ("train", {"x": {"r": torch.ones(N, 2), "b": torch.ones(N, 2)}}, "has inputs for"),
    ],
)
def test_what_is_wrong_is_named_by_split_task_row_and_value(part, changes, message):
    with pytest.raises(InputError, match=message):
        check(Own, changed(part, **changes))


@pytest.mark.parametrize("width", [torch.float64, torch.bfloat16])
def test_harmless_widths_are_taken(width):
    x = torch.linspace(0, 1, 2 * N).reshape(N, 2).to(width)
    whole = {"b": [0, 1, 1, 1, 0, 1], "c": [0, 1, 2, 1, 1, 0], "p": [3, 1, 2, 3, 1, 2]}
    labels = {name: torch.tensor(y).short() for name, y in whole.items()}
    made = taken(TASKS, split(x=x, r=REGRESSION.to(width), **labels))
    check(Own, Splits(made, made, made))
    assert {y.dtype for y in made.targets.values()} == {torch.float32, torch.int64}
    assert torch.equal(made.inputs, x.float()) and made.targets["b"].tolist() == [0, 1, 1, 1, 0, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"c": torch.tensor([0, 1, 2, 1, 1, 0.0])}, "c are torch.float32; allowed: torch.int64"),
        ({"r": REGRESSION.to(torch.complex64)}, "r are torch.complex64"),
        ({"r": REGRESSION.double() * 1e300}, "r hold inf at row"),
    ],
)
def test_what_would_lose_its_meaning_is_not_taken(changes, message):
    made = taken(TASKS, split(**changes))
    with pytest.raises(InputError, match=message):
        check(Own, Splits(made, made, made))


def test_two_tasks_of_one_name_are_refused():
    twice = type("Twice", (Own,), {"tasks": (*TASKS, Task("r", "binary"))})
    with pytest.raises(InputError, match="of names that differ"):
        check(twice, changed("test"))


BAD_NAMES = ("", "a.b", "a+b", "a|b", "<script>", "a\nb", "\u202eab", "$x$", "x" * 300, " a")
TAKEN = ("type", "values", "keys", "forward", "training", "shared", "__init__")


@pytest.mark.parametrize("name", BAD_NAMES + TAKEN)
def test_a_name_that_a_model_or_a_page_cannot_carry_is_refused(name):
    odd = type("Odd", (Own,), {"tasks": (*TASKS[:3], Task(name, "regression"))})
    with pytest.raises(InputError) as error:
        check(odd, changed("test"))
    said = str(error.value)
    assert "allowed: up to 60 letters" in said and said.isprintable() and len(said) < 250


@pytest.mark.parametrize("name", ["\uacfc\uc81c", "NR-AR_1", "x" * 60, "\u05d0\u05d1", "1"])
@pytest.mark.parametrize("family", names("sharing"))
def test_a_name_in_any_script_trains_and_is_read_again(name, family, monkeypatch, store):
    tasks = tuple(Task(n, "regression", level=0.5) for n in (name, "b", "c"))
    monkeypatch.setattr(entry("data", "synthetic"), "tasks", tasks)
    options = {"tasks": 3, "train": 20, "inputs": 4}
    more = {"sharing_options": {"depths": {name: 1}}} if family == "hierarchical" else {}
    config = RunConfig(
        data="synthetic", data_options=options, sharing=family, steps=1, width=4, **more
    )
    run = fit(config, progress=False)
    again = load_run(run.path)
    assert name in again.record["results"]["test"] and again.digest == run.digest


def test_a_run_is_refused_before_it_trains(monkeypatch, store):
    kind = entry("data", "synthetic")
    load = kind.load

    def broken(self, seed):
        splits = load(self, seed)
        first = next(iter(splits.train.targets.values()))
        first[:] = first[0]
        return splits

    monkeypatch.setattr(kind, "load", broken)
    with pytest.raises(InputError, match=r"train: targets of .* are all"):
        fit(RunConfig(data="synthetic", steps=1, evaluations=1), progress=False)


def test_one_missing_score_leaves_the_others_of_its_task(monkeypatch):
    sts = entry("data", "kor_sts")
    scores = torch.tensor([0.0, NAN, 2.0, 4.0])
    part = type("Part", (), {"labels": {"similarity": scores}})()
    (y,) = sts(sts.Options()).targets(part, part).values()
    assert torch.isfinite(y).tolist() == [True, False, True, True]
    assert y.nanmean().abs() < 1e-6
