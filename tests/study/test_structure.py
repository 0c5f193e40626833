"""The structure experiment: what its rows and their summary say."""

import pandas as pd
import pytest
from synthetic_frames import render

from mtlstudy import files
from mtlstudy.data.synthetic import JUDGES
from mtlstudy.study import claims, results, structure
from mtlstudy.study.figures import structure as figures
from mtlstudy.training import store
from mtlstudy.training.tune import Budget


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Single-task, hard, the oracle and an arm on one judge, two tasks and seeds."""
    loss = {"single_task": 2.0, "hard": 1.5, "oracle": 1.0, "nash_share": 1.1, "permuted": 1.4}
    trunks = {"single_task": 8, "hard": 1, "oracle": 2, "nash_share": 2, "permuted": 2}
    rows = [
        {"judge": "two_groups", "arm": arm, "seed": seed, "task": task, "loss": value + seed}
        | {"parameters": 100 * trunks[arm], "ari": 1.0, "coalitions": trunks[arm]}
        | {"cost": 0.5, "lr": 0.01, "dropout": 0.0, "run_id": f"{arm}{seed}"}
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


@pytest.mark.parametrize("judge", JUDGES)
def test_every_arm_is_a_configuration(judge: str) -> None:
    for arm in structure.ARMS:
        c = structure.config(judge, arm)
        if c.sharing == "grouped":
            assert list(c.sharing_options["groups"]) in ([], structure.truth(c))
    assert len({structure.called(arm) for arm in structure.ARMS} - {*structure.ARMS}) == len(
        structure.ARMS
    )
    for profile in structure.PROFILES.values():
        assert set(profile.judges) <= set(JUDGES)
        assert {arm for arms in profile.judges.values() for arm in arms} <= set(structure.ARMS)


def test_it_computes_a_row_a_judge_arm_seed_and_task(monkeypatch: pytest.MonkeyPatch) -> None:
    run = {**structure.RUN, "steps": 20, "evaluations": 2}
    small = structure.Profile(
        {"two_groups": ("single_task", "oracle", "nash_share")}, run, Budget(1, 1, 1), ("lr",)
    )
    monkeypatch.setitem(structure.PROFILES, "quick", small)
    frames = structure.compute("quick")
    found = frames["structure"]
    assert len(found) == 3 * 8 and found["loss"].notna().all()
    forward = found.drop_duplicates("arm").set_index("arm")["forward"]
    assert forward["single_task"] == 160 and forward["oracle"] == 40
    assert found[found["arm"] == "oracle"]["ari"].eq(1).all()
    cost = found.drop_duplicates("arm").set_index("arm")["cost"]
    assert cost["single_task"] == pytest.approx(16 / 9) and cost["oracle"] == pytest.approx(4 / 9)
    decided = frames["coalitions"].query("arm == 'nash_share'")
    assert list(decided["phase"].unique()) == ["start", "branch", "merge"]
    assert len(decided) == 3 * 2 * 8 and decided.query("phase == 'branch'")["coalition"].max() == 7
    valued = decided.dropna(subset="value")
    assert set(valued["phase"]) == {"merge"} and set(valued["stage"]) == {1}
    assert len(frames["cosines"]) == 64 and set(frames["cosines"]["arm"]) == {"nash_share"}
    render(figures.over_time(frames["coalitions"], found), figures.drifts(frames["cosines"]))


def test_what_is_published_is_not_trained_again(monkeypatch, tmp_path) -> None:
    run = {**structure.RUN, "steps": 10, "evaluations": 2}
    arms, budget = ("single_task", "nash_share"), Budget(1, 1, 1)
    for added in (("two_groups",), ("two_groups", "one_teacher")):
        small = structure.Profile(dict.fromkeys(added, arms), run, budget, ("lr",))
        monkeypatch.setitem(structure.PROFILES, "quick", small)
        monkeypatch.setattr(results, "PUBLISHED", tmp_path)
        monkeypatch.setenv("MTLSTUDY_RUNS", str(tmp_path / added[-1]))  # an empty store
        frames = structure.compute("quick")
        trained = {store.read(path)["config"]["data"] for path in store.folders()}
        assert trained == {added[-1]}
        assert list(frames["structure"]["judge"].unique()) == list(added)
        texts = {f"{name}.csv": frame.to_csv(index=False) for name, frame in frames.items()}
        files.publish(tmp_path / "quick", texts)
    monkeypatch.setitem(structure.PROFILES, "quick", small._replace(run={**run, "width": 8}))
    rows = structure.published("quick")["structure"]
    changed = structure.config("two_groups", "nash_share", {**run, "width": 8})
    assert not structure.is_current(rows[rows["arm"] == "nash_share"], changed, budget)


def test_tables_and_verdicts_have_a_row_an_arm_and_a_declared_difference(
    frame: pd.DataFrame,
) -> None:
    arms, tests = (table.frame for table in structure.tables(frame).tables)
    assert len(arms) == 5 and len(tests) == len(structure.judged(frame)) == 4
    assert claims.sentences([*structure.found(frame), *structure.judged(frame)])
    other = frame[frame["arm"] == "permuted"].assign(arm="tag", delta_m=0.0)
    said = structure.found(pd.concat([frame, other], ignore_index=True))
    assert [claim.kind for claim in said].count("structure_others") == frame["judge"].nunique()
    assert structure.called("tag") in claims.sentences(said)[1]
    render(figures.delta_m(frame), figures.front(frame))


@pytest.fixture(scope="module")
def after() -> dict[str, pd.DataFrame]:
    """NashShare and the arms that are made from its runs, and whose values they take over."""
    run = {**structure.RUN, "steps": 40, "evaluations": 2}
    arms = ("single_task", "hard", "oracle", "nash_share", "retrained", "hard_equal_parameters")
    arms = (*arms, "hard_equal_cost", "single_task_equal_cost")
    small = structure.Profile({"two_groups": arms}, run, Budget(1, 1, 2), ("lr", "dropout"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(structure.PROFILES, "quick", small)
        patch.setattr(structure, "published", lambda profile: {})
        return structure.compute("quick")


def test_the_coalitions_that_were_found_are_trained_from_the_start(after) -> None:
    rows = after["structure"].drop_duplicates(["arm", "seed"]).set_index(["arm", "seed"])
    for seed in (0, 1):
        found, again = rows.loc[("nash_share", seed)], rows.loc[("retrained", seed)]
        same = ["coalitions", "ari", "parameters", "lr"]
        assert found[same].equals(again[same]) and again["forward"] == 40 * found["coalitions"]
    decided = after["coalitions"].set_index("arm")
    last = decided.loc["nash_share"].query("phase == 'merge'")
    assert list(last["coalition"]) == list(decided.loc["retrained"]["coalition"])


def test_controls_have_as_many_parameters_or_cost_as_much(after) -> None:
    rows = after["structure"].drop_duplicates(["arm", "seed"]).set_index(["arm", "seed"])
    for seed in (0, 1):
        found = rows.loc[("nash_share", seed)]
        wide = rows.loc[("hard_equal_parameters", seed)]
        assert abs(wide["parameters"] / found["parameters"] - 1) < 0.03
        assert (
            wide["forward"] == 40 and rows.loc[("hard", seed)]["parameters"] <= wide["parameters"]
        )
        for arm in ("hard_equal_cost", "single_task_equal_cost"):
            own = rows.loc[(arm, seed)]
            assert abs(own["forward"] - found["forward"]) <= 8  # a step of eight trunks at most
            assert own["cost"] == pytest.approx(found["cost"], abs=0.05) and own["steps"] != 40


def test_the_width_is_that_of_the_nearest_number_of_parameters() -> None:
    c = structure.config("two_groups", "hard")
    count = {w: 20 * w + w + w * w + w + 8 * (w + 1) for w in range(1, 60)}
    for parameters in (1, 744, 745, 1500, 2000):
        best = min(count, key=lambda w: abs(count[w] - parameters))
        assert structure.nearest_width(c, parameters) == best


def test_what_is_made_from_runs_is_current_as_long_as_they_are(after, monkeypatch) -> None:
    frame = after["structure"]
    profile = structure.PROFILES["quick"]
    arms = ("single_task", "hard", "nash_share", "hard_equal_parameters")
    run = {**structure.RUN, "steps": 40, "evaluations": 2}
    small = profile._replace(judges={"two_groups": arms}, run=run, budget=Budget(1, 1, 2))
    monkeypatch.setitem(structure.PROFILES, "quick", small)
    trained = []

    def stop(profile, judge, arm, jobs):
        trained.append(arm)
        raise KeyError(arm)

    monkeypatch.setattr(structure, "trained", stop)
    monkeypatch.setattr(structure, "published", lambda profile: after)
    assert len(structure.compute("quick")["structure"]) == 4 * 2 * 8 and not trained
    stale = frame.assign(run_id=frame["run_id"].where(frame["arm"] != "hard", "other"))
    monkeypatch.setattr(structure, "published", lambda profile: {**after, "structure": stale})
    arms = ("single_task", "hard_equal_parameters", "hard")
    monkeypatch.setitem(structure.PROFILES, "quick", small._replace(judges={"two_groups": arms}))
    with pytest.raises(KeyError):
        structure.compute("quick")
    assert trained == ["hard_equal_parameters"]  # which rests on hard's
    assert structure.rests_on("retrained")[:2] == ["nash_share", "oracle"]
