"""What the Korean experiments train: data sets, methods, settings by profile, and which of the data are on this machine."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mtlstudy.study import metrics
from mtlstudy.training.config import RunConfig
from mtlstudy.data._hub import MissingData, Source, _find, available
from mtlstudy.registry import entry
from mtlstudy.training.tune import study

DATA_SETS = ("korean_sentences", "korean_tagging")
METHODS = (metrics.BASELINE, "hard+equal", "hard+nash")
FURTHER: Mapping[str, Mapping[str, dict[str, Any]]] = {"korean_tagging": {"gsd": {"test": "gsd"}}}
"""Data set → further test split → the data options that give it in place of the test split, the training split unchanged."""
MODEL: Mapping[str, dict[str, Any]] = {
    "korean_sentences": {"width": 24, "batch_size": 32},
    "korean_tagging": {"width": 32, "batch_size": 64},
}
EXAMPLES: Mapping[str, Mapping[str, dict[str, Any]]] = {
    "quick": {"korean_sentences": {"train": 3000, "test": 1000, "length": 64}, "korean_tagging": {"train": 4000}},
    "full": {"korean_sentences": {"train": None, "test": None}, "korean_tagging": {"train": None}},
}


def config(data: str, method: str, profile: str) -> RunConfig:
    """The configuration of one data set and method, before tuning."""
    sharing, weighting = method.split("+")
    options = EXAMPLES[profile][data]
    return RunConfig(data=data, sharing=sharing, weighting=weighting, profile=profile, data_options=options, **MODEL[data])


def arguments(data: str, profile: str) -> str:
    """The same settings for the command line, `mtlstudy run --data … --set … --set …`.

    >>> arguments("korean_tagging", "quick")
    '--set width=32 --set batch_size=64 --set data.train=4000'
    """
    options = {f"data.{name}": value for name, value in EXAMPLES[profile][data].items()}
    return " ".join(f"--set {name}={value}" for name, value in {**MODEL[data], **options}.items())


def train(data: str, profile: str) -> None:
    """Every study of a data set; finished runs are read."""
    for method in METHODS:
        study(config(data, method, profile))


def here() -> list[str]:
    """The data sets whose files are all on this machine."""
    return [data for data in DATA_SETS if entry("data", data).available()]


def missing() -> list[dict[str, str]]:
    """One record a split that is nowhere: data, source, split, megabytes of the source's download, and what the loader says."""
    found = []
    for data in DATA_SETS:
        for source in entry("data", data).sources:
            for split, digest in source.splits.items():
                one = replace(source, splits={split: digest})
                if not available(one):
                    found.append({"data": data, "source": str(source), "split": split, "megabytes": f"{source.megabytes:g}",
                                  "said": _said(one, split)})  # fmt: skip
    return found


def _said(source: Source, split: str) -> str:
    try:
        _find(source, split)  # not `rows`: its library writes to stderr when a notebook imports it
    except MissingData as error:
        return str(error)
    return ""  # put there meanwhile
