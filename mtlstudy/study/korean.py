"""The Korean benchmarks: hard sharing with equal and with Nash weighting against single-task models, and these against simple
baselines on the same examples.

Declared in advance, on each data set: hard sharing against single-task, and Nash against equal weighting. A data set whose files
are not on this machine is left out, and every table and text says so.
"""

from importlib import import_module
from typing import Any

import pandas as pd

from mtlstudy.study import frames
from mtlstudy.study import metrics
from mtlstudy.study import tables
from mtlstudy.study import korean_baselines
from mtlstudy.study import korean_outputs
from mtlstudy.study import korean_settings
from mtlstudy.study import compare as paired
from mtlstudy.study.korean_phrases import describe
from mtlstudy.study.korean_settings import DATA_SETS, METHODS
from mtlstudy.study.korean_values import declared, missing, name, sanity, scores

__all__ = ["declared", "missing", "of", "present", "run", "sanity", "scores", "studies", "tests", "values"]

TABLES = ("korean", "korean_runs", "korean_curves", "korean_further", "korean_confusion", "korean_baselines", "korean_missing")
SOURCES = (
    "tuning", "frames", "sharing.single_task", "sharing.hard", "weighting.equal", "weighting.nash",
    *(f"data.{name}" for name in DATA_SETS),
)  # fmt: skip
METHOD = ["data", "sharing", "weighting", "seed"]
EMPTY = {
    "korean": [*METHOD, "role", "status", "task", "metric", "higher_is_better", "split", "value"],
    "korean_runs": [*METHOD, "role", "status", "lr", "device", "steps", "cosine", "conflict"],
    "korean_curves": [*METHOD, "step", "split", "task", "loss", "value"],
}


def __getattr__(name: str) -> Any:
    """`figures`: imported when asked for."""
    if name != "figures":
        raise AttributeError(name)
    return import_module(f"{__name__}_{name}")


def studies(profile: str) -> list[str]:
    """Names of the studies whose records the results rest on."""
    return [f"{data}.{method.replace('+', '.')}.{profile}" for data in DATA_SETS for method in METHODS]


def present() -> dict[str, str]:
    """Which data sets are on this machine: the results rest on that too."""
    here = korean_settings.here()
    return {f"data {name}": "here" if name in here else "missing" for name in DATA_SETS}


def run(profile: str) -> dict[str, pd.DataFrame]:
    """Every study of the data sets that are here (finished runs are read, missing ones trained), as tidy frames:

    korean: the metrics of the reported runs; korean_runs: one row a run, tuning included; korean_curves: metrics over the steps;
    korean_further: further metrics and test splits; korean_confusion: counts of true and predicted class; korean_baselines;
    korean_missing: a row a file that was nowhere. With no data set here all but the last are empty.
    """
    here = korean_settings.here()
    for data in here:
        korean_settings.train(data, profile)
    found = {part: pd.DataFrame(columns=columns) for part, columns in EMPTY.items()}
    if here:
        found = {"korean": frames.load(profile), "korean_runs": frames.summary(profile),
                 "korean_curves": frames.learning_curves(profile)}  # fmt: skip
        found = {part: frame[frame["data"].isin(here) & metrics.method(frame).isin(METHODS)] for part, frame in found.items()}
        found["korean"] = found["korean"][found["korean"]["role"] == "final"]
    further, confusion = korean_outputs.measured(profile, here)
    lost = pd.DataFrame(korean_settings.missing(), columns=["data", "source", "split", "megabytes", "said"])
    return {**found, "korean_further": further, "korean_confusion": confusion,
            "korean_baselines": korean_baselines.measured(profile, here), "korean_missing": lost}  # fmt: skip


def of(frame: pd.DataFrame, data: str, seeds: str = "") -> pd.DataFrame:
    """The rows of one data set, and of some reported seeds ("0,1" or "0-2"); none where the data set was missing.

    Raises:
        InputError: a seed that the results do not hold.
    """
    own = frame[frame["data"] == data]
    return own if own.empty or "seed" not in own else paired.select(own, seeds=seeds)


def tests(frame: pd.DataFrame) -> pd.DataFrame:
    """The declared comparisons as strings under Korean headings; without results, one row that says so."""
    if frame.empty:
        return pd.DataFrame([{"자료": "자료 없음"}])
    return tables.declared(declared(frame), name)


def values(
    frame: pd.DataFrame, runs: pd.DataFrame, curves: pd.DataFrame, further: pd.DataFrame, confusion: pd.DataFrame,
    baselines: pd.DataFrame, lost: pd.DataFrame,
) -> dict[str, Any]:  # fmt: skip
    """{data: {"label", "findings": [sentences], "missing": [sentences], "number": {…}}}; see `korean_phrases.describe`."""
    return {data: describe(frame, runs, curves, further, baselines, lost, data) for data in DATA_SETS}
