"""Study-level measures: how a multi-task method stands against one model a task.

They read the tidy metrics frame, one row a value:
``data, sharing, weighting, seed, status, task, metric, higher_is_better, split, value`` (and ``role``, if tuning runs are in it).
A method is the pair ``sharing+weighting``. **Sign**: a positive gain is better than single-task. The Nash-MTL paper
(Navon et al., ICML 2022, arXiv 2202.01017) prints the opposite sign. A diverged run has the value NaN and stays NaN here:
nothing is averaged away; who aggregates over seeds counts what is missing.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from mtlstudy.errors import InputError, unknown

BASELINE = "single_task+equal"
COLUMNS = ("data", "sharing", "weighting", "seed", "task", "metric", "higher_is_better", "split", "value")


def method(frame: pd.DataFrame) -> pd.Series:
    """The method of each row, ``sharing+weighting``."""
    return frame["sharing"].astype(str) + "+" + frame["weighting"].astype(str)


def relative_gain(value: np.ndarray, baseline: np.ndarray, higher_is_better: np.ndarray) -> np.ndarray:
    """Gain over a baseline in percent, positive = better, elementwise; NaN where either side is NaN.

    Raises:
        InputError: a baseline is 0, so that no relative measure exists.

    >>> relative_gain(np.array([0.9, 0.2]), np.array([0.8, 0.25]), np.array([True, False])).round(1).tolist()
    [12.5, 20.0]
    """
    if np.any(baseline == 0):
        raise InputError("baseline = 0: a relative gain is undefined; allowed: any value but 0")
    sign = np.where(higher_is_better, 1.0, -1.0)
    return np.asarray(100.0 * sign * (value - baseline) / np.abs(baseline))


def rows(frame: pd.DataFrame, split: str = "test") -> pd.DataFrame:
    """The final runs' rows of one split with their ``method``; a diverged run's values are NaN.

    Raises:
        InputError: a column is missing, the split does not occur, or a run is there twice.
    """
    missing = [name for name in COLUMNS if name not in frame]
    if missing:
        raise InputError(f"metrics frame: column {missing[0]!r} is missing; needed: {', '.join(COLUMNS)}")
    if split not in set(frame["split"]):
        raise unknown("split", split, set(frame["split"]))
    keep = frame["split"] == split
    if "role" in frame:
        keep &= frame["role"] == "final"
    part = frame[keep].assign(method=method)
    if "status" in part:
        part["value"] = part["value"].where(part["status"] != "diverged")
    twice = part.duplicated(["data", "method", "seed", "task", "metric"])
    if twice.any():
        first = part[twice].iloc[0]
        raise InputError(
            f"metrics frame: {first['method']} on {first['data']}, seed {first['seed']} is there twice; allowed: once"
        )
    return part


def gains(frame: pd.DataFrame, *, baseline: str = BASELINE, split: str = "test") -> pd.DataFrame:
    """Gain of every metric value over the baseline run **of the same seed**: rows(...) with a column ``gain`` (percent).

    A metric that is undefined for a baseline run that did finish (an AUC where a class is absent) leaves that seed's comparison.

    Raises:
        InputError: a data set has no run of the baseline.
    """
    part = rows(frame, split)
    keys = ["data", "seed", "task", "metric"]
    own = part[part["method"] == baseline].set_index(keys)
    base = own["value"].rename("baseline")
    for name in part["data"].unique():
        if name not in base.index.get_level_values("data"):
            raise InputError(f"data = {name!r}: no run of the baseline {baseline!r}; a gain needs one for each seed")
    part = part.join(base, on=keys)
    if "status" in own:
        undefined = own.index[own["value"].isna() & (own["status"] != "diverged")]
        part = part[~pd.MultiIndex.from_frame(part[keys]).isin(undefined)]
    return part.assign(gain=relative_gain(*(part[c].to_numpy() for c in ("value", "baseline", "higher_is_better"))))


def task_gains(frame: pd.DataFrame, *, baseline: str = BASELINE, split: str = "test") -> pd.DataFrame:
    """Mean gain over the metrics of each task: one row a ``data, method, seed, task``."""
    part = gains(frame, baseline=baseline, split=split)
    return part.groupby(["data", "method", "seed", "task"], sort=True)["gain"].mean(skipna=False).reset_index()


def delta_m(frame: pd.DataFrame, over: str = "metrics", *, baseline: str = BASELINE, split: str = "test") -> pd.DataFrame:
    """Δm in percent, one row a ``data, method, seed`` (column ``delta_m``); NaN for a diverged run or baseline.

    over="metrics": the mean over all metrics (Maninis et al., CVPR 2019; the Nash-MTL paper, with the sign turned).
    over="tasks": the mean over tasks of the mean over a task's metrics (LibMTL, Lin & Zhang, JMLR 2023).
    The two part as soon as tasks have unequal numbers of metrics.
    """
    by = ["data", "method", "seed"]
    if over == "metrics":
        part = gains(frame, baseline=baseline, split=split)
    elif over == "tasks":
        part = task_gains(frame, baseline=baseline, split=split)
    else:
        raise unknown("over", over, ("metrics", "tasks"))
    return part.groupby(by, sort=True)["gain"].mean(skipna=False).rename("delta_m").reset_index()


def mean_rank(frame: pd.DataFrame, *, exclude: Sequence[str] = (BASELINE,), split: str = "test") -> pd.DataFrame:
    """Mean rank of each method over the metrics of a data set (1 = best, ties averaged): ``data, method, mean_rank``.

    Ranks are taken on the mean over the seeds that did not diverge, as published tables do; a method whose seeds all
    diverged ranks last. The single-task baseline is not ranked.
    """
    part = rows(frame, split)
    part = part[~part["method"].isin(list(exclude))]
    part = part.assign(score=np.where(part["higher_is_better"], -1.0, 1.0) * part["value"])
    cells = part.groupby(["data", "task", "metric", "method"])["score"].mean()
    rank = cells.groupby(level=["data", "task", "metric"]).rank(method="average", na_option="bottom")
    return rank.groupby(level=["data", "method"]).mean().rename("mean_rank").reset_index()


def negative_transfer(
    frame: pd.DataFrame, interval: Callable[[np.ndarray], tuple[float, float]], *, tolerance: float = 2.0,
    baseline: str = BASELINE, split: str = "test",
) -> pd.DataFrame:  # fmt: skip
    """Share of (task, seed) pairs that are worse than single-task: ``data, method, rate, certain`` (in percent).

    rate: the gain is below ``-tolerance`` percent. certain: besides, the paired interval of that task's gains over the
    seeds lies below 0. Diverged runs enter neither count (they are counted as such); NaN if none is left.
    """
    if tolerance < 0:
        raise InputError(f"tolerance = {tolerance}: allowed: 0 or more (percent)")
    found = []
    for (data, name), part in task_gains(frame, baseline=baseline, split=split).groupby(["data", "method"]):
        left = part.dropna(subset=["gain"])
        worse = left["gain"] < -tolerance
        below = {task for task, g in left.groupby("task")["gain"] if interval(g.to_numpy())[1] < 0}
        certain = worse & left["task"].isin(below)
        found.append((data, name, *(100.0 * share.mean() if len(left) else np.nan for share in (worse, certain))))
    return pd.DataFrame(found, columns=["data", "method", "rate", "certain"])


def generalisation_gap(frame: pd.DataFrame) -> pd.DataFrame:
    """Train minus validation, the sign turned so that positive = better on train: ``data, method, seed, gap``.

    In the metrics' own units, mean over the metrics of a run.
    """
    keys = ["data", "method", "seed", "task", "metric", "higher_is_better"]
    train, validation = (rows(frame, s).set_index(keys)["value"] for s in ("train", "validation"))
    gap = (train - validation).rename("gap").reset_index()
    gap["gap"] *= np.where(gap["higher_is_better"], 1.0, -1.0)
    return gap.groupby(["data", "method", "seed"])["gap"].mean(skipna=False).reset_index()


def reduction(parameters: float, baseline: float) -> float:
    """Parameters saved against K single-task models, in percent.

    >>> reduction(25, 100)
    75.0
    """
    if not baseline > 0:
        raise InputError(f"baseline parameters = {baseline}: allowed: more than 0")
    return 100.0 * (1.0 - parameters / baseline)


def adjusted_rand(found: Sequence[int], truth: Sequence[int]) -> float:
    """Adjusted Rand index of two partitions of the tasks (Hubert & Arabie, J. Classification 1985): 1 = equal, ~0 = chance.

    >>> adjusted_rand([0, 0, 1, 1], [1, 1, 0, 0])
    1.0
    """
    if len(found) != len(truth):
        raise InputError(f"partitions of {len(found)} and {len(truth)} tasks: the lengths must agree")
    from sklearn.metrics import adjusted_rand_score  # here: importing this module must stay cheap

    return float(adjusted_rand_score(list(truth), list(found)))


def oracle_gap_closed(value: float, hard: float, oracle: float) -> float:
    """Share of the way from hard sharing to the oracle structure, in percent; NaN if the oracle is not above hard sharing.

    >>> oracle_gap_closed(30.0, hard=10.0, oracle=50.0)
    50.0
    """
    return 100.0 * (value - hard) / (oracle - hard) if oracle > hard else float("nan")
