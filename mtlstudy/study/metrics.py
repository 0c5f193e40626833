"""How a multi-task method stands against one model a task.

Everything reads the tidy metrics frame, one row a value, with the columns `COLUMNS`. A method is
the pair ``sharing+weighting``. **Sign**: a positive gain is better than single-task; the Nash-MTL
paper (Navon et al., ICML 2022, arXiv 2202.01017) prints the opposite sign. A diverged run has the
value NaN and stays NaN: who aggregates over seeds counts what is missing.
"""

import numpy as np
import pandas as pd

from mtlstudy.errors import InputError, unknown
from mtlstudy.study.plan import BASELINE
from mtlstudy.study.statistics import interval

COLUMNS = (
    *("data", "sharing", "weighting", "seed", "role", "status"),
    *("task", "metric", "higher_is_better", "split", "value"),
)
TOLERANCE = 2.0
"""Losses up to so many percent are not called negative transfer."""


def method(frame: pd.DataFrame) -> pd.Series:
    """The method of each row, ``sharing+weighting``."""
    return frame["sharing"].astype(str) + "+" + frame["weighting"].astype(str)


def rows(frame: pd.DataFrame, split: str = "test") -> pd.DataFrame:
    """The final runs' rows of one split with their ``method``; a diverged run's values are NaN.

    Raises:
        InputError: a column is missing, the split does not occur, or a run is there twice.
    """
    missing = [name for name in COLUMNS if name not in frame]
    if missing:
        needed = ", ".join(COLUMNS)
        raise InputError(f"metrics frame: column {missing[0]!r} is missing; needed: {needed}")
    if split not in set(frame["split"]):
        raise unknown("split", split, set(frame["split"]))
    part = frame[(frame["split"] == split) & (frame["role"] == "final")].assign(method=method)
    part["value"] = part["value"].where(part["status"] != "diverged")
    twice = part.duplicated(["data", "method", "seed", "task", "metric"])
    if twice.any():
        first = part[twice].iloc[0]
        which = f"{first['method']} on {first['data']}, seed {first['seed']}"
        raise InputError(f"metrics frame: {which} is there twice; allowed: once")
    return part


def gains(frame: pd.DataFrame, split: str = "test") -> pd.DataFrame:
    """`rows` with a column ``gain``: percent over the single-task run **of the same seed**; NaN
    where a side is NaN: diverged, or undefined (see `undefined`).

    Raises:
        InputError: a data set has no run of the baseline, or a baseline is 0.
    """
    part = rows(frame, split)
    keys = ["data", "seed", "task", "metric"]
    base = part[part["method"] == BASELINE].set_index(keys)
    lost = set(part["data"]) - set(base.index.get_level_values("data"))
    if lost:
        reason = f"no run of the baseline {BASELINE!r}; a gain needs one for each seed"
        raise InputError(f"data = {min(lost)!r}: {reason}")
    if (base["value"] == 0).any():
        raise InputError("baseline = 0: a relative gain is undefined; allowed: any value but 0")
    part = part.join(base["value"].rename("baseline"), on=keys)
    sign = np.where(part["higher_is_better"], 100.0, -100.0)
    return part.assign(gain=sign * (part["value"] - part["baseline"]) / part["baseline"].abs())


def undefined(frame: pd.DataFrame) -> pd.DataFrame:
    """`rows` of the test metrics that are undefined for runs that did finish (an AUC where a class
    is absent, a correlation with a constant): every mean over tasks of these runs is, too."""
    part = rows(frame)
    return part[part["value"].isna() & (part["status"] != "diverged")]


def task_gains(frame: pd.DataFrame, split: str = "test") -> pd.DataFrame:
    """Mean gain over the metrics of each task: one row a ``data, method, seed, task``."""
    by = gains(frame, split).groupby(["data", "method", "seed", "task"], sort=True)["gain"]
    return by.mean(skipna=False).reset_index()


def delta_m(frame: pd.DataFrame, over: str = "metrics", split: str = "test") -> pd.DataFrame:
    """Δm in percent (``delta_m``), one row a ``data, method, seed``; NaN for a diverged run, and
    where a metric is undefined.

    over="metrics": the mean over all metrics (Maninis et al., CVPR 2019; the Nash-MTL paper, with
    the sign turned). over="tasks": the mean over tasks of the mean over a task's metrics (LibMTL,
    Lin & Zhang, JMLR 2023). The two differ as soon as tasks have unequal numbers of metrics.
    """
    measures = {"metrics": gains, "tasks": task_gains}
    if over not in measures:
        raise unknown("over", over, measures)
    by = measures[over](frame, split).groupby(["data", "method", "seed"], sort=True)["gain"]
    return by.mean(skipna=False).rename("delta_m").reset_index()


def mean_rank(frame: pd.DataFrame, split: str = "test") -> pd.DataFrame:
    """Mean rank of each method over a data set's metrics (1 = best): ``data, method, mean_rank``.

    Ties are averaged. Ranks are taken on the mean over the seeds that have a value, as published
    tables do; a method whose seeds all diverged ranks last. The single-task baseline is not ranked.
    """
    part = rows(frame, split)
    part = part[part["method"] != BASELINE]
    part = part.assign(score=np.where(part["higher_is_better"], -1.0, 1.0) * part["value"])
    cells = part.groupby(["data", "task", "metric", "method"])["score"].mean()
    by = cells.groupby(level=["data", "task", "metric"])
    rank = by.rank(method="average", na_option="bottom")
    return rank.groupby(level=["data", "method"]).mean().rename("mean_rank").reset_index()


def negative_transfer(frame: pd.DataFrame) -> pd.DataFrame:
    """Share of (task, seed) pairs that are worse than single-task, in percent.

    One row a ``data, method``. ``rate``: the gain is below -`TOLERANCE`. ``certain``: besides, the
    paired interval of that task's gains over the seeds lies below 0. Diverged runs enter neither
    count (they are counted as such); NaN if none is left.
    """
    keys = ["data", "method"]
    left = task_gains(frame)
    high = left.groupby([*keys, "task"])["gain"].transform(lambda gain: interval(gain).high)
    left["rate"] = left["gain"] < -TOLERANCE
    left["certain"] = left["rate"] & (high < 0)
    worse = left[["rate", "certain"]].mul(100.0).where(left["gain"].notna())
    return worse.groupby([left[key] for key in keys]).mean().reset_index()


def generalisation_gap(frame: pd.DataFrame) -> pd.DataFrame:
    """Train minus validation in the metrics' own units, positive = better on train, mean over the
    metrics of a run: ``data, method, seed, gap``."""
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
