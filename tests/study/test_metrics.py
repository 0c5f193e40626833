import math

import numpy as np
import pandas as pd
import pytest
from synthetic_frames import results

from mtlstudy.errors import InputError
from mtlstudy.study import metrics


def frame(
    values: dict[tuple[str, int, str, str], tuple[float, float]], up: set[str]
) -> pd.DataFrame:
    """{(method, seed, task, metric): (validation, test)} as a metrics frame of the data set "d"."""
    rows = []
    for (method, seed, task, metric), pair in values.items():
        sharing, weighting = method.split("+")
        head = {"data": "d", "sharing": sharing, "weighting": weighting, "seed": seed}
        head |= {"role": "final", "task": task, "metric": metric, "higher_is_better": metric in up}
        for split, value in zip(("validation", "test"), pair, strict=True):
            status = "diverged" if math.isnan(value) else "done"
            rows.append({**head, "status": status, "split": split, "value": value})
    return pd.DataFrame(rows)


@pytest.fixture
def small() -> pd.DataFrame:
    """Task a has two metrics, task b one: the two definitions of delta m part."""
    s, h = "single_task+equal", "hard+nash"
    return frame(
        {
            (s, 0, "a", "accuracy"): (0.5, 0.5),
            (s, 0, "a", "error"): (2.0, 2.0),
            (s, 0, "b", "error"): (1.0, 1.0),
            (h, 0, "a", "accuracy"): (0.6, 0.6),
            (h, 0, "a", "error"): (1.0, 1.0),
            (h, 0, "b", "error"): (1.1, 1.1),
        },
        {"accuracy"},
    )


def test_delta_m_by_hand(small: pd.DataFrame) -> None:
    # gains: +20 %, +50 %, −10 %
    over_metrics = metrics.delta_m(small).set_index("method")["delta_m"]
    over_tasks = metrics.delta_m(small, "tasks").set_index("method")["delta_m"]
    assert over_metrics["hard+nash"] == pytest.approx((20 + 50 - 10) / 3)
    assert over_tasks["hard+nash"] == pytest.approx((35 - 10) / 2)
    assert over_metrics["single_task+equal"] == 0


def test_baseline_is_paired_by_seed() -> None:
    s, h = "single_task+equal", "hard+nash"
    pairs = {(s, 0, "a", "m"): (1, 1.0), (s, 1, "a", "m"): (1, 2.0)}
    pairs |= {(h, 0, "a", "m"): (1, 1.1), (h, 1, "a", "m"): (1, 1.8)}
    got = metrics.delta_m(frame(pairs, {"m"}))
    assert got[got["method"] == h]["delta_m"].tolist() == pytest.approx([10.0, -10.0])


def test_scale_of_a_metric_does_not_matter(small: pd.DataFrame) -> None:
    scaled = small.assign(value=small["value"] * np.where(small["metric"] == "error", 1000.0, 1.0))
    pd.testing.assert_frame_equal(metrics.delta_m(small), metrics.delta_m(scaled))


def test_diverged_run_stays_nan_and_ranks_last() -> None:
    frame = results(diverged=[("yeast", "hard+nash", 1)]).metrics
    delta = metrics.delta_m(frame).set_index(["data", "method", "seed"])["delta_m"]
    assert math.isnan(delta["yeast", "hard+nash", 1])
    assert delta.isna().sum() == 1
    lost = frame.assign(value=frame["value"].where(frame["weighting"] != "nash"))
    lost.loc[lost["weighting"] == "nash", "status"] = "diverged"
    rank = metrics.mean_rank(lost).set_index(["data", "method"])["mean_rank"]
    assert rank["yeast", "hard+nash"] == 7


def test_a_mean_over_tasks_with_an_undefined_metric_is_undefined_and_says_which() -> None:
    frame = results().metrics
    undefined = (frame["data"] == "yeast") & (frame["seed"] == 0) & (frame["task"] == "class14")
    frame.loc[undefined, "value"] = np.nan  # a class is absent from that split, for every method
    for over in ("metrics", "tasks"):
        delta = metrics.delta_m(frame, over).set_index(["data", "seed"])["delta_m"]
        assert delta["yeast", 0].isna().all() and not delta.drop(("yeast", 0)).isna().any()
    lost = metrics.undefined(frame)
    assert set(lost["task"]) == {"class14"} and set(lost["seed"]) == {0}
    assert metrics.undefined(results(diverged=[("yeast", "hard+nash", 1)]).metrics).empty
    rate = metrics.negative_transfer(frame).set_index(["data", "method"])["rate"]
    assert not rate.isna().any()  # a share of the (task, seed) pairs that have a gain


def test_a_task_with_an_undefined_metric_has_no_gain_and_no_gap(small: pd.DataFrame) -> None:
    """The mean is not that of the metrics that are left."""
    lost = small["metric"].eq("error") & small["task"].eq("a") & small["sharing"].eq("hard")
    broken = small.assign(value=small["value"].mask(lost))
    gain = metrics.task_gains(broken).set_index(["method", "task"])["gain"]
    assert math.isnan(gain["hard+nash", "a"])
    assert gain["hard+nash", "b"] == pytest.approx(-10)
    shown = pd.concat([broken, broken[broken["split"] == "validation"].assign(split="train")])
    gap = metrics.generalisation_gap(shown).set_index("method")["gap"]
    assert math.isnan(gap["hard+nash"]) and gap["single_task+equal"] == 0


def test_rows_are_in_order_whatever_the_order_of_the_runs() -> None:
    frame = results().metrics
    shuffled = frame.sample(frac=1, random_state=0)
    for measure in (metrics.task_gains, metrics.delta_m):
        found = measure(shuffled)
        pd.testing.assert_frame_equal(found, measure(frame))
        keys = [name for name in ("data", "method", "seed", "task") if name in found]
        assert found[keys].apply(tuple, axis=1).is_monotonic_increasing


def test_mean_rank_averages_ties() -> None:
    s = "single_task+equal"
    cells = {(s, 0, "a", "m"): (1, 1.0)} | {
        (f"hard+{w}", 0, "a", "m"): (1, v) for w, v in zip("xyz", (3.0, 3.0, 1.0), strict=True)
    }
    rank = metrics.mean_rank(frame(cells, {"m"})).set_index("method")["mean_rank"]
    assert rank.to_dict() == {"hard+x": 1.5, "hard+y": 1.5, "hard+z": 3.0}


def test_mean_rank_sums_to_the_same_for_any_values() -> None:
    frame = results().metrics
    assert metrics.mean_rank(frame).groupby("data")["mean_rank"].mean().to_numpy() == pytest.approx(
        [4.0, 4.0]
    )


def transfer(cells) -> pd.DataFrame:  # type: ignore[no-untyped-def]
    return metrics.negative_transfer(frame(cells, {"m"})).set_index("method")


def test_negative_transfer_needs_more_than_the_tolerance() -> None:
    s, h = "single_task+equal", "hard+nash"
    cells = {}
    for seed, value in enumerate((0.97, 0.99, 0.96)):
        cells |= {(s, seed, "a", "m"): (1, 1.0), (h, seed, "a", "m"): (1, value)}
    got = transfer(cells)
    assert got.loc[h, "rate"] == pytest.approx(
        200 / 3
    )  # −3 % and −4 %; −1 % is within the tolerance
    assert got.loc[h, "certain"] == pytest.approx(200 / 3)
    cells[h, 1, "a", "m"] = (1, 1.01)  # now the interval holds 0
    got = transfer(cells)
    assert (got.loc[h, "rate"], got.loc[h, "certain"]) == (pytest.approx(200 / 3), 0)
    cells[h, 1, "a", "m"] = (1, 1.0)  # and now it ends there
    assert transfer(cells).loc[h, "certain"] == 0
    at = {(s, 0, "a", "m"): (1, 100.0), (h, 0, "a", "m"): (1, 98.0)}
    assert transfer(at).loc[h, "rate"] == 0  # the tolerance itself is no negative transfer


def test_generalisation_gap_is_positive_when_train_is_better() -> None:
    frame = results().metrics
    assert (
        metrics.generalisation_gap(frame)
        .groupby("data")["gap"]
        .mean()
        .between(0.0899, 0.0901)
        .all()
    )


def test_generalisation_gap_by_hand() -> None:
    h = "hard+nash"
    found = frame({(h, 0, "a", "up"): (0.5, 0.0), (h, 0, "b", "down"): (3.0, 0.0)}, {"up"})
    train = frame({(h, 0, "a", "up"): (0.9, 0.0), (h, 0, "b", "down"): (1.0, 0.0)}, {"up"})
    train = train[train["split"] == "validation"].assign(split="train")
    gap = metrics.generalisation_gap(pd.concat([found, train]))
    assert gap["gap"].tolist() == pytest.approx([(0.4 + 2.0) / 2])


def test_more_parameters_are_a_negative_reduction() -> None:
    assert metrics.reduction(200, 100) == -100 and metrics.reduction(1, 1) == 0
    assert metrics.reduction(0.5, 0.8) == pytest.approx(37.5)  # in any unit
    with pytest.raises(InputError, match="baseline parameters = 0"):
        metrics.reduction(1, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f[f["sharing"] != "single_task"], "no run of the baseline"),
        (lambda f: f.drop(columns="task"), "'task' is missing"),
        (lambda f: pd.concat([f, f]), "is there twice"),
        (lambda f: f.assign(value=0.0), "baseline = 0"),
        (lambda f: f[f["split"] != "test"], "split = 'test' is unknown"),
    ],
)
def test_bad_frames_are_refused_in_one_line(small: pd.DataFrame, change, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=message) as caught:
        metrics.delta_m(change(small))
    assert "\n" not in str(caught.value)


def test_a_run_that_is_there_twice_is_named(small: pd.DataFrame) -> None:
    last = small[small["split"] == "test"].iloc[[-1]]
    with pytest.raises(InputError, match=r"hard\+nash on d, seed 0 is there twice"):
        metrics.rows(pd.concat([small, last]))


def test_bad_arguments_are_refused(small: pd.DataFrame) -> None:
    for call in (
        lambda: metrics.delta_m(small, "task"),
        lambda: metrics.reduction(1, 0),
    ):
        with pytest.raises(InputError):
            call()
