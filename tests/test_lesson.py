"""The first chapter's data and its few functions."""

import numpy as np
import pandas as pd
import pytest
import torch

import mtlstudy as ms
from mtlstudy.study import lesson
from mtlstudy import data


def load(seed=0):
    cls = data.get("diabetes")
    return cls(cls.Options()).load(seed)


def test_no_label_is_an_input():
    """The inputs are the other nine measurements, as scikit-learn's own loader gives them; none of them tells sex or age."""
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
        y = torch.cat([part.targets[task] for part in (splits.train, splits.validation, splits.test)])
        assert all(abs(np.corrcoef(column, y)[0, 1]) < 0.6 for column in x.T.numpy())


def test_rows_are_divided_and_the_unit_of_age_does_not_depend_on_the_seed():
    one, other = load(0), load(1)
    assert [len(part.inputs) for part in (one.train, one.validation, one.test)] == [260, 82, 100]
    assert all(torch.equal(one.test.targets[t], other.test.targets[t]) for t in ("sex", "age"))
    assert not torch.equal(one.train.targets["age"], other.train.targets["age"])
    assert torch.allclose(one.train.inputs.mean(0), torch.zeros(9), atol=1e-5)
    both = torch.cat([one.train.targets["age"], one.validation.targets["age"]])
    assert both.mean().abs() < 1e-5 and both.std().item() == pytest.approx(1, abs=1e-4)


def frame(shift):
    rows = [("single_task+equal", 0.0), ("hard+equal", shift)]
    return pd.DataFrame([
        {"method": method, "seed": seed, "task": task, "metric": metric, "higher_is_better": up, "parameters": 10,
         "value": 0.7 + 0.01 * seed + (gain if up else -gain) * (1 + 0.1 * seed)}
        for method, gain in rows for seed in range(8) for task, metric, up in (("sex", "auc", True), ("age", "mae", False))
    ])  # fmt: skip


def test_sentences_say_what_the_interval_allows():
    better, worse = lesson.sentences(frame(0.05)), lesson.sentences(frame(-0.05))
    assert len(better) == 2 and all("더 좋다" in line for line in better) and all("더 나쁘다" in line for line in worse)
    noisy = frame(0.0)
    noisy.loc[noisy["method"] == "hard+equal", "value"] += np.tile([0.02, -0.02], 8)
    mixed = noisy.assign(value=noisy["value"].where(noisy["seed"] % 2 == 0, noisy["value"] - 0.03))
    mixed.loc[(mixed["method"] == "hard+equal"), "value"] = 0.7 + 0.05 * np.sin(np.arange(16))
    assert any("말할 수 없다" in line for line in lesson.sentences(mixed))


def test_tables_name_the_base_and_the_direction():
    table = lesson.table(frame(0.05))
    gains = ["sex: 나아진 정도 [구간]", "age: 나아진 정도 [구간]"]
    assert table.loc[0, "방법"] == "단일 과제" and set(table.loc[0, gains]) == {"기준"}
    assert {"sex, AUC (↑)", "age, MAE (↓)"} <= set(table) and table.loc[1, "age: 나아진 정도 [구간]"].startswith("+")
    one = lesson.table(frame(0.05).query("method == 'hard+equal' and seed == 0"))
    assert list(one) == ["방법", "매개변수", "sex, AUC (↑)", "age, MAE (↓)"]
    assert len(lesson.figure(frame(0.01)).axes) == 2 and len(lesson.spread(frame(0.01))) == 2


def test_runs_are_those_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("MTLSTUDY_RUNS", str(tmp_path))
    config = ms.RunConfig(data="diabetes", sharing="hard", depth=1, width=8, steps=4)
    trained = lesson.runs(config, [("single_task", "equal"), ("cross_stitch", "equal"), ("hard", "nash")], 2)
    found = lesson.results(trained)
    assert len(found) == 12 and found["value"].notna().all()
    assert set(found["method"]) == {"single_task+equal", "cross_stitch+equal", "hard+nash"}
    assert lesson.provenance(trained)["seeds"] == [0, 1]
    assert "seed" not in ms.stamp(lesson.provenance(trained)).plain and "시드 0, 1" in ms.stamp(lesson.provenance(trained)).plain
    assert lesson.about(config).loc[0, "학습 / 검증 / 시험"] == "260 / 82 / 100"
