"""The first chapter's data and its few functions."""

import numpy as np
import pandas as pd
import pytest
import torch

import mtlstudy as ms
from mtlstudy import data
from mtlstudy.study import lesson, results, tables
from mtlstudy.study.claims import sentences
from mtlstudy.study.words import word


def load(seed=0):
    cls = data.get("diabetes")
    return cls(cls.Options()).load(seed)


def test_no_label_is_an_input():
    """The inputs are the other nine measurements, as scikit-learn's own loader gives them; none of
    them tells sex or age."""
    from sklearn.datasets import load_diabetes

    raw = load_diabetes(scaled=False)
    others = np.column_stack([raw.data[:, 2:], raw.target])
    splits = load(3)
    x = torch.cat([part.inputs for part in (splits.train, splits.validation, splits.test)])
    assert raw.feature_names[:2] == ["age", "sex"] and x.shape == (442, 9)
    expected = (others - others.mean(0)) / others.std(0)
    ours = ((x - x.mean(0)) / x.std(0, correction=0)).numpy()
    assert np.allclose(np.sort(ours, 0), np.sort(expected, 0), atol=1e-3)
    for task in ("sex", "age"):
        y = torch.cat(
            [part.targets[task] for part in (splits.train, splits.validation, splits.test)]
        )
        assert all(abs(np.corrcoef(column, y)[0, 1]) < 0.6 for column in x.T.numpy())


def test_rows_are_divided_and_the_unit_of_age_does_not_depend_on_the_seed():
    one, other = load(0), load(1)
    assert [len(part.inputs) for part in (one.train, one.validation, one.test)] == [260, 82, 100]
    assert all(torch.equal(one.test.targets[t], other.test.targets[t]) for t in ("sex", "age"))
    assert not torch.equal(one.train.targets["age"], other.train.targets["age"])
    assert torch.allclose(one.train.inputs.mean(0), torch.zeros(9), atol=1e-5)
    both = torch.cat([one.train.targets["age"], one.validation.targets["age"]])
    assert both.mean().abs() < 1e-5 and both.std().item() == pytest.approx(1, abs=1e-4)


def compared(gain: float, noise: float = 0.1) -> lesson.Compared:
    """Two methods on two tasks, eight seeds; hard sharing is `gain` better, give or take."""
    wave = np.sin(np.arange(8))
    rows = [
        {
            "method": method,
            "seed": seed,
            "task": task,
            "metric": metric,
            "higher_is_better": up,
            "value": 0.7 + 0.01 * seed + (better if up else -better) * (1 + noise * wave[seed]),
        }
        for method, better in (("single_task+equal", 0.0), ("hard+equal", gain))
        for seed in range(8)
        for task, metric, up in (("sex", "auc", True), ("age", "mae", False))
    ]
    runs = [("single_task", "equal", 20), ("hard", "equal", 10)]
    columns = ["sharing", "weighting", "parameters"]
    return lesson.Compared(pd.DataFrame(rows), pd.DataFrame(runs, columns=columns))


@pytest.mark.parametrize(
    ("gain", "noise", "outcome"),
    [(0.05, 0.1, "up"), (-0.05, 0.1, "down"), (0.01, 9.0, "unclear")],
)
def test_claims_say_what_the_interval_allows(gain: float, noise: float, outcome: str) -> None:
    claims = lesson.claims(compared(gain, noise))
    assert [claim.outcome for claim in claims] == 2 * [outcome] + 2 * ["counted"]
    assert len(sentences(claims)) == 4 and claims[0].figures["seeds"] == "8"
    assert claims[2].figures["methods"] != claims[2].figures["seeds"]


def test_tables_name_the_base_and_the_direction() -> None:
    table = lesson.table(compared(0.05))
    gains = [word("lesson.gain", task=task) for task in ("sex", "age")]
    assert set(table.loc[0, gains]) == {word("text.baseline")}
    assert {"sex, AUC (↑)", "age, MAE (↓)"} <= set(table)
    assert all(text.startswith("+0.05") for text in table.loc[1, gains])
    method, parameters = (word(f"lesson.columns.{key}") for key in ("method", "parameters"))
    assert table[parameters].tolist() == ["20", "10"]
    scores, runs = compared(0.05)
    one = scores[(scores["method"] == "hard+equal") & (scores["seed"] == 0)]
    alone = lesson.table(lesson.Compared(one, runs))
    assert list(alone) == [method, parameters, "sex, AUC (↑)", "age, MAE (↓)"]
    assert "±" not in alone.iloc[0, 2]
    figure = lesson.figure(compared(0.01))
    figure.canvas.draw()
    assert [ax.get_title() for ax in figure.axes] == ["sex", "age"]


def test_runs_are_those_asked_for() -> None:
    config = ms.RunConfig(data="diabetes", sharing="hard", depth=1, width=8, steps=4)
    methods = "single_task+equal,cross_stitch+equal,hard+nash"
    scores, runs = lesson.compared(config, methods, 2)
    assert len(scores) == 12 and scores["value"].notna().all()
    assert list(scores["method"].unique()) == methods.split(",")
    stamp = tables.stamp(results.provenance(runs, "quick"))
    assert "0, 1" in stamp.plain
    again = lesson.compared(config, methods, 2)
    assert scores.equals(again.scores)
    sizes = lesson.about(config)[word("lesson.columns.sizes")]
    assert sizes.tolist() == 2 * ["260 / 82 / 100"]
