"""The overfitting experiment: what is trained at a size, what is paired with what, what is said."""

from collections.abc import Callable

import pandas as pd
import pytest
import torch
from synthetic_frames import render

from mtlstudy import InputError, RunConfig, files
from mtlstudy.registry import entry
from mtlstudy.study import claims, overfitting, plan, results
from mtlstudy.study.figures import overfitting as figures
from mtlstudy.study.overfitting import Part
from mtlstudy.study.words import name, word
from mtlstudy.training import store
from mtlstudy.training.build import load

SIZES, FACTORS = (96, 384, 1534), ("size", "dropout", "decay")


def made(
    test: Callable[[str, int, str, int], float], sizes=SIZES, seeds=7, data="yeast", **columns
) -> pd.DataFrame:
    """A frame of three methods and two tasks; test: (method, size, regularisation, seed) → test
    value, NaN for a run that diverged."""
    head = {"data": data, "metric": "auc", "higher_is_better": True, "best": 0.5}
    rows = []
    for size in sizes:
        for how in ("none", "dropout", "decay"):
            for method in ("single_task+equal", "hard+equal", "mmoe+equal"):
                for seed in range(seeds):
                    value = test(method, size, how, seed)
                    own = {"size": size, "regularisation": how, "method": method, "seed": seed}
                    own |= {"status": "done" if value == value else "diverged", "test": value}
                    own |= {"train": value + 0.3, "validation": value + 0.1}
                    rows += [{**head, **own, "task": task} for task in ("a", "b")]
    return pd.DataFrame(rows).assign(**columns)


def constant(method: str, size: int, how: str, seed: int) -> float:
    return 0.5 + 0.01 * seed


@pytest.mark.parametrize("size", [96, 384])
def test_fewer_genes_are_among_the_more_and_the_others_stay(size: int) -> None:
    for seed in (0, 3):
        c = RunConfig(data="yeast", seed=seed)
        (_, few), (_, all_) = load(c.but(data_options={"train": size})), load(c)
        assert few.train.sizes() == {"": size} and all_.train.sizes() == {"": 1534}
        for task, y in all_.train.targets.items():
            assert torch.equal(few.train.targets[task], y[:size])
            for part in ("validation", "test"):
                assert torch.equal(
                    getattr(few, part).targets[task], getattr(all_, part).targets[task]
                )


def test_the_option_leaves_the_runs_without_it_as_they_were() -> None:
    plain = RunConfig(data="yeast")
    assert plain.data_options == {} and plain.but(data_options={"train": None}) == plain
    assert plain.but(data_options={"train": 96}).run_id != plain.run_id
    with pytest.raises(InputError, match=r"data_options\.train = 1535"):
        plain.but(data_options={"train": 1535})


@pytest.mark.skipif(not entry("data", "kor_sts").available(), reason="no data on this machine")
@pytest.mark.parametrize("data", ["kor_hate", "kor_sts"])
def test_fewer_texts_are_among_the_more_and_the_others_stay(data: str) -> None:
    kind = entry("data", data)
    few, many = (kind(kind.Options(train=n, pool=22_000)).parts(1) for n in (500, 2000))
    assert few[0].keys() == many[0].keys()[:500] and len(many[0]) == 2000
    assert few[1].keys() == many[1].keys() and few[2].keys() == many[2].keys()


def test_the_full_plan_trains_at_the_selected_rate_and_takes_over_published_runs() -> None:
    runs = list(overfitting.planned("full"))
    assert len({c.run_id for _, c in runs}) == len(runs)
    for head, c in runs:
        assert c.data_options["train"] == head["size"] and c.role == "final"
        selected = results.resolve(plan.Cell(c.data, c.method, "full")).selected
        assert selected and c.lr == selected["lr"]
        if head["regularisation"] == "tuned":
            assert c.dropout == selected["dropout"] and c.weight_decay == 0
    known = set(results.published("full")["runs"]["run_id"])
    there = {(h["data"], h["size"]) for h, c in runs if c.run_id in known}
    assert there == {("korean_sentences", 4000)}
    for part in overfitting.PROFILES["full"].values():
        assert plan.BASELINE in part.methods and {*part.regularised} <= {*overfitting.REGULARISED}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path):
    """A plan of eight runs at the values published for profile quick; nothing of it published."""
    fields = {"steps": 10, "evaluations": 2, "width": 8}
    part = Part((32, 1534), (plan.BASELINE, plan.HARD), ("none", "dropout"), 1, fields)
    monkeypatch.setitem(overfitting.PROFILES, "quick", {"yeast": part})
    empty = pd.DataFrame(columns=overfitting.MEASURED)
    monkeypatch.setattr(overfitting, "published", lambda profile: empty)
    monkeypatch.setenv("MTLSTUDY_RUNS", str(tmp_path / "runs"))
    return part


def test_it_computes_a_row_a_run_and_task(tiny: Part) -> None:
    frame = overfitting.compute("quick")["overfitting"]
    assert len(frame) == 8 * 14 and frame["run_id"].nunique() == 8
    assert frame[["validation", "test"]].notna().all(axis=None)
    assert set(frame["size"]) == {32, 1534} and set(frame["dropout"]) == {0, 0.3}
    assert set(frame["best"]) <= {0.5, 1.0}
    of_one = frame[frame["size"] == 1534].groupby("task")["train"]
    assert of_one.nunique().gt(1).all()  # four runs, not one four times
    sizes = {}
    for path in store.folders():
        run = store.load_run(path)
        sizes[path.name] = load(run.config)[1].train.sizes()[""]
    assert sizes == dict(zip(frame["run_id"], frame["size"], strict=True))


def test_the_published_frame_is_read_as_it_was_made(tiny: Part, monkeypatch, tmp_path) -> None:
    frame = overfitting.compute("quick")["overfitting"]
    monkeypatch.undo()
    monkeypatch.setattr(results, "PUBLISHED", tmp_path)
    files.publish(tmp_path / "quick", {"overfitting.csv": frame.to_csv(index=False)})
    again = overfitting.published("quick")
    assert list(again["run_id"]) == list(frame["run_id"]) and list(again) == overfitting.MEASURED
    assert overfitting.published("full").empty


def test_what_is_published_is_not_trained_again(tiny: Part, trained, monkeypatch) -> None:
    frame = overfitting.compute("quick")["overfitting"]
    some = frame[frame["size"] == 32]
    monkeypatch.setattr(overfitting, "published", lambda profile: some[overfitting.MEASURED])
    monkeypatch.setenv("MTLSTUDY_RUNS", str(store.root()) + "-empty")
    trained.clear()
    again = overfitting.compute("quick")["overfitting"]
    assert set(trained) == set(frame["run_id"]) - set(some["run_id"]) and len(trained) == 4
    pd.testing.assert_frame_equal(again, frame, check_dtype=False)
    trained.clear()
    monkeypatch.setattr(overfitting, "published", lambda profile: frame[overfitting.MEASURED])
    whole = overfitting.compute("quick")["overfitting"]
    assert not trained
    pd.testing.assert_frame_equal(whole, frame, check_dtype=False)


def test_gains_are_over_single_task_of_the_same_setting_and_seed() -> None:
    base = {(96, "none"): 0.5, (96, "dropout"): 0.4}

    def test(method: str, size: int, how: str, seed: int) -> float:
        value = base.get((size, how), 0.6) + 0.1 * seed
        return value * 1.1 if method == "hard+equal" else value

    frame = made(test)
    runs = overfitting.by_run(frame).set_index("method")
    assert runs.loc["hard+equal", "delta_m"].round(9).eq(10).all()
    assert runs.loc["mmoe+equal", "delta_m"].eq(0).all()
    assert runs["gap"].round(9).eq(0.2).all() and len(runs) == 3 * 3 * 3 * 7
    lower = overfitting.by_run(frame.assign(higher_is_better=False)).set_index("method")
    assert lower.loc["hard+equal", "delta_m"].round(9).eq(-10).all()
    assert lower["gap"].round(9).eq(-0.2).all()


def test_a_diverged_run_is_counted_and_no_value_and_a_lacking_class_costs_the_gap_alone() -> None:
    frame = made(
        lambda m, n, how, seed: (
            float("nan") if (m, n, how, seed) == ("hard+equal", 96, "none", 2) else 0.5
        )
    )
    frame.loc[(frame["task"] == "b") & (frame["size"] == 96), "train"] = float("nan")
    runs = overfitting.by_run(frame)
    lost = runs[runs["diverged"]]
    assert len(lost) == 1 and lost["delta_m"].isna().all() and lost["gap"].isna().all()
    left = runs[~runs["diverged"]]
    assert left["delta_m"].notna().all() and left["gap"].round(9).eq(0.2).all()
    table = overfitting.summary(runs, "size").set_index(["method", "size"])
    assert table.loc[("hard+equal", 96), "diverged"] == 1
    assert table.loc[("hard+equal", 96), "runs"] == 21
    tests = overfitting.tested(frame).set_index(["a", "b"])
    assert tests["n"]["hard+equal@96", "hard+equal@1534"] == 6
    assert tests["n"]["mmoe+equal@96", "mmoe+equal@1534"] == 7


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda n, how, seed: 0.02 * (n == 96), {"size": "up"}),
        (lambda n, how, seed: -0.02 * (n == 96), {"size": "down"}),
        (lambda n, how, seed: 0.02 * (how == "dropout"), {"dropout": "down"}),
        (lambda n, how, seed: -0.02 * (how == "decay"), {"decay": "up"}),
        (lambda n, how, seed: 0.02 * (n == 384), {}),
        (
            lambda n, how, seed: float("nan"),
            dict.fromkeys(("size", "dropout", "decay"), "untested"),
        ),
    ],
)
def test_the_verdicts_follow_the_numbers(change, expected: dict[str, str]) -> None:
    def test(method: str, size: int, how: str, seed: int) -> float:
        noise = 1e-3 * ((7 * seed + size + len(how)) % 5)
        return 0.5 + noise + (change(size, how, seed) if method != plan.BASELINE else 0)

    def wavering(method: str, size: int, how: str, seed: int) -> float:
        sign = 1 if (seed + SIZES.index(size) + len(how)) % 2 else -1
        return test(method, size, how, seed) + 1e-3 * sign * (method != plan.BASELINE)

    frame = made(wavering)
    outcomes = {}
    for row, claim in zip(
        overfitting.tested(frame).to_dict("records"), overfitting.judged(frame), strict=True
    ):
        outcomes.setdefault(row["factor"], set()).add(claim.outcome)
        wanted = "overfitting_size" if row["factor"] == "size" else "overfitting_regularised"
        assert claim.kind == wanted and claim.sentence()
    assert {f: "unclear" for f in outcomes} | expected == {
        f: "/".join(o) for f, o in outcomes.items()
    }


def test_holm_is_over_the_methods_of_a_question() -> None:
    frame = made(lambda m, n, how, seed: 0.5 + 0.1 * (m != plan.BASELINE) / n * (1 + seed))
    tests = overfitting.tested(frame)
    assert len(tests) == 3 * 2
    size = tests[tests["factor"] == "size"]
    assert size["p"].eq(size["smallest_p"]).all() and size["p_holm"].eq(2 * size["p"]).all()


def test_tables_sentences_and_gainedare_of_every_data_set() -> None:
    frame = pd.concat(
        [
            made(lambda m, n, how, seed: 0.5 + seed / 100 + (m == plan.HARD) / n),
            made(
                lambda m, n, how, seed: 0.5 + 0.1 * (m == plan.HARD) * (n == 500),
                sizes=(500, 4000),
                data="korean_sentences",
            ).query("regularisation == 'none' and method != 'mmoe+equal'"),
        ]
    )
    frame.loc[frame["data"] == "korean_sentences", "regularisation"] = "tuned"
    frame["task"] = frame["task"].replace({"a": "hate", "b": "bias"})
    *by, tests = (table.frame for table in overfitting.tables(frame).tables)
    assert [len(table) for table in by] == [9, 9, 4] and len(tests) == 3 * 2 + 1
    said = overfitting.found(frame)
    assert len(said) == 5 and "nan" not in "".join(claims.sentences(said))
    gained = said[-1].figures
    assert gained["few_above"] == f"{name('task', 'hate')}, {name('task', 'bias')}"
    assert gained["many_above"] == gained["few_below"] == word("text.none")
    render(figures.delta_m(frame), figures.gap(frame), figures.tasks(frame, "korean_sentences"))
    render(figures.tasks(frame, "adult"))
