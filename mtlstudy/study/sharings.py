"""The comparison of sharing structures: every family under equal weighting, so that what is shared is all that differs.

Declared in advance (one family for Holm): hard sharing against single-task, the structure that is best **on validation** against
single-task, and the same against hard sharing. A family that makes no sense over a data set's tasks refuses, and says why: it is
in the tables as undefined. Over all data sets the pairs are (data set, seed); on one they are the seeds.
"""

from importlib import import_module
from typing import Any

import pandas as pd

from mtlstudy.study import frames
from mtlstudy.study import metrics
from mtlstudy.study import tables
from mtlstudy.training.build import build
from mtlstudy.training.config import RunConfig
from mtlstudy.errors import InputError
from mtlstudy.study.format import DATA, SHARINGS, family
from mtlstudy.registry import entry
from mtlstudy.training.tune import study
from mtlstudy.study import korean_settings
from mtlstudy.study import compare as paired
from mtlstudy.study.compare import select
from mtlstudy.study.sharing_values import aggregate, cells, describe, undefined

__all__ = ["aggregate", "cells", "declared", "refusal", "run", "select", "studies", "tests", "undefined", "values"]

BEST = "*+equal"
HARD = "hard+equal"
DECLARED = {
    "hard_single": (HARD, metrics.BASELINE),
    "best_single": (BEST, metrics.BASELINE),
    "best_hard": (BEST, HARD),
}
FAMILIES = tuple(SHARINGS)
REAL = "korean_tagging"  # its tasks have levels; compared where its files are on this machine
DATA_SETS = ("multi_mnist", "yeast", "synthetic", REAL)
SOURCES = (
    "tuning", "frames", "weighting.equal", "experiments.korean_settings",
    *(f"data.{name}" for name in DATA_SETS), *(f"sharing.{name}" for name in FAMILIES),
)  # fmt: skip


def __getattr__(name: str) -> Any:
    """`figures` (of the results) and `learned` (of what was learned): imported when asked for."""
    if name not in ("figures", "learned"):
        raise AttributeError(name)
    return import_module(f"{__name__}_{name}")


def studies(profile: str) -> list[str]:
    """Names of the studies whose records the results rest on."""
    return [f"{data}.{sharing}.equal.{profile}" for data in here() for sharing in FAMILIES]


def here() -> list[str]:
    """The data sets that are on this machine."""
    return [name for name in DATA_SETS if entry("data", name).available()]


def present() -> dict[str, str]:
    """Which data sets are on this machine: the results rest on that too."""
    return {f"data {name}": "here" if name in here() else "missing" for name in DATA_SETS}


def config(data: str, sharing: str, profile: str) -> RunConfig:
    """The configuration of one data set and family, before tuning."""
    if data in korean_settings.DATA_SETS:
        return korean_settings.config(data, f"{sharing}+equal", profile)
    return RunConfig(data=data, sharing=sharing, profile=profile)


def refusal(config: RunConfig) -> str:
    """Why the sharing family makes no sense over these tasks, in its own words; "" where it does.

    Raises:
        InputError: the model cannot be built for another reason (the data are missing).
    """
    begin = f"sharing = {config.sharing!r}: "
    try:
        build(config)
    except InputError as error:
        if not str(error).startswith(begin):
            raise
        return str(error).removeprefix(begin)
    return ""


def run(profile: str) -> dict[str, pd.DataFrame]:
    """Every study of the comparison (finished runs are read, missing ones trained), as four tidy frames:

    sharing: the metrics of the reported runs; sharing_runs: one row a run, tuning included; sharing_learned: what the models
    learned about sharing; sharing_refused: data, sharing, reason of each combination that makes no sense.
    """
    refused = []
    for data in here():
        for sharing in FAMILIES:
            one = config(data, sharing, profile)
            reason = refusal(one)
            if reason:
                refused.append({"data": data, "sharing": sharing, "reason": reason})
            else:
                study(one)
    metric = frames.load(profile)
    found = {
        "sharing": metric[metric["role"] == "final"],
        "sharing_runs": frames.summary(profile),
        "sharing_learned": frames.learned(profile),
    }
    found = {name: frame[frame["data"].isin(here()) & (frame["weighting"] == "equal")] for name, frame in found.items()}
    return {**found, "sharing_refused": pd.DataFrame(refused, columns=["data", "sharing", "reason"])}


def declared(frame: pd.DataFrame) -> pd.DataFrame:
    """The declared comparisons of Δm; where hard sharing is the best structure, only the first is left."""
    return paired.declared(frame, DECLARED)


def tests(frame: pd.DataFrame) -> pd.DataFrame:
    """`declared` as strings under Korean headings."""
    return tables.declared(declared(frame), family)


def values(frame: pd.DataFrame, summary: pd.DataFrame, learned: pd.DataFrame, refused: pd.DataFrame) -> dict[str, Any]:
    """Everything the texts cite, as strings, with the raw numbers beside it under "number" (see `sharing_values.describe`)."""
    best = {data: paired.best(frame, BEST, data) for data in sorted(set(frame["data"]))}
    pooled = paired.best(frame, BEST)
    found = describe(frame, summary, learned, refused, declared(frame), {**best, "all": pooled})
    lost = [name for name in DATA_SETS if name not in here()]
    found["undefined"] += [f"{DATA[name]}: 파일이 이 기계에 없어 비교에서 빠졌다(`mtlstudy data {name}`)." for name in lost]
    return found
