"""The structure experiment: what its rows and their summary say."""

import pandas as pd
import pytest

from mtlstudy.study import structure
from mtlstudy.training.tune import Budget


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Single-task, hard, the oracle and an arm on one judge, two tasks and seeds."""
    loss = {"single_task": 2.0, "hard": 1.5, "oracle": 1.0, "nash_share": 1.1}
    trunks = {"single_task": 8, "hard": 1, "oracle": 2, "nash_share": 2}
    rows = [
        {"judge": "two_groups", "arm": arm, "seed": seed, "task": task, "loss": value + seed}
        | {"parameters": 100 * trunks[arm], "ari": 1.0, "coalitions": trunks[arm]}
        | {"forward": 1.0, "backward": 1.0}
        for arm, value in loss.items()
        for seed in (0, 1)
        for task in ("a", "b")
    ]
    return pd.DataFrame(rows)


def test_gains_are_over_single_task_of_the_same_seed(frame: pd.DataFrame) -> None:
    table = structure.gains(frame).set_index(["arm", "seed"])
    assert table["delta_m"]["hard", 0] == pytest.approx(25)
    assert table["delta_m"]["oracle", 1] == pytest.approx(100 / 3)
    assert table["share"]["oracle", 0] == 0.25


def test_the_gap_is_that_between_hard_and_oracle(frame: pd.DataFrame) -> None:
    table = structure.summary(frame).set_index("arm")
    assert table["gap_closed"]["oracle"] == pytest.approx(100)
    assert table["gap_closed"]["hard"] == 0 and 70 < table["gap_closed"]["nash_share"] < 90
    level = structure.summary(frame.assign(loss=1.0))
    assert level["gap_closed"].isna().all()


@pytest.mark.parametrize("judge", structure.PROFILES["full"].judges)
def test_every_arm_is_a_configuration(judge: str) -> None:
    for arm in structure.ARMS:
        c = structure.config(judge, arm)
        if c.sharing == "grouped":
            assert list(c.sharing_options["groups"]) in ([], structure.truth(c))
    assert set(structure.PROFILES["quick"].arms) <= set(structure.ARMS)


def test_it_computes_a_row_a_judge_arm_seed_and_task(monkeypatch: pytest.MonkeyPatch) -> None:
    run = {**structure.RUN, "steps": 20, "evaluations": 2}
    small = structure.Profile(
        ("two_groups",), ("single_task", "oracle", "nash_share"), run, Budget(1, 1, 1), ("lr",)
    )
    monkeypatch.setitem(structure.PROFILES, "quick", small)
    found = structure.compute("quick")["structure"]
    assert len(found) == 3 * 8 and found["loss"].notna().all()
    forward = found.drop_duplicates("arm").set_index("arm")["forward"]
    assert forward["single_task"] == 160 and forward["oracle"] == 40
    assert found[found["arm"] == "oracle"]["ari"].eq(1).all()
