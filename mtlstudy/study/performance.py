"""What the chapter on performance shows: the benchmarks (`mtlstudy bench`) of some machine, read and never run.

Nothing is computed while the book is built, since times are of one machine and one day; so this is no experiment of `base`.
A benchmark that was not measured is an empty frame here, and every table, figure and sentence says so.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any

import pandas as pd

from mtlstudy.study import tables as shown
from mtlstudy.bench import record
from mtlstudy.bench import BENCHES
from mtlstudy.study.format import NONE
from mtlstudy.study.performance_advice import RULES, advice
from mtlstudy.study.performance_phrases import values
from mtlstudy.study.performance_targets import targets

__all__ = ["RULES", "advice", "frames", "missing", "stamp", "targets", "values"]


def __getattr__(name: str) -> Any:
    """`figures` and `tables`: how the benchmarks are shown, imported when asked for."""
    if name not in ("figures", "tables"):
        raise AttributeError(name)
    return import_module(f"{__name__}_{'values' if name == 'tables' else name}")


def frames() -> dict[str, pd.DataFrame]:
    """Every benchmark by name, in the tidy schema of `bench.record`; empty where it was not measured."""
    files = {name: record.source(name) for name in BENCHES}
    return {name: pd.read_csv(file) if file.exists() else record.frame([]) for name, file in files.items()}


def missing(found: Mapping[str, pd.DataFrame], profile: str = "quick") -> shown.Prose:
    """A line a benchmark that was not measured, with the command that measures it, and one a thing that a measured one left out,
    in its own words; one line where nothing is missing."""
    absent = "- 벤치마크 {name}: 아직 재지 않았으므로 그 부분은 비어 있다. 재는 명령: `mtlstudy bench {name} --profile {profile}`"
    lines = [shown.prose(absent, name=name, profile=profile) for name, frame in found.items() if frame.empty]
    for name, origin in origins().items():
        lines += [shown.prose("- 벤치마크 {name}에서 뺀 것: {note}.", name=name, note=note) for note in gathered(origin["notes"])]
    return joined(lines or [shown.prose("네 벤치마크를 모두 재었고 뺀 것이 없다.")], "\n")


def joined(lines: Sequence[shown.Prose], between: str) -> shown.Prose:
    """Several sentences as one output."""
    return shown.Prose(between.join(line.markdown for line in lines), "\n".join(line.plain for line in lines))


def gathered(notes: Iterable[str]) -> list[str]:
    """The notes of a benchmark, those that differ only in where something was left out as one.

    >>> gathered(["b needs c", "a is left out of mlp, K = 2: no c", "a is left out of mlp, K = 4: no c"])
    ['b needs c', 'a is left out of mlp, K = 2; mlp, K = 4: no c']
    """
    places: dict[tuple[str, str], list[str]] = {}
    for note in notes:
        what, left, rest = note.partition(" is left out of ")
        where, _, why = rest.partition(": ")
        places.setdefault((what, why), []).extend([where] if left else [])
    return [f"{what} is left out of {'; '.join(there)}: {why}" if there else what for (what, why), there in places.items()]


def origins() -> dict[str, dict[str, Any]]:
    """The provenance of every benchmark that was measured, by name."""
    files = {name: file.with_suffix(".json") for name in BENCHES if (file := record.source(name)).exists()}
    return {name: json.loads(file.read_text(encoding="utf-8")) for name, file in files.items()}


def stamp() -> shown.Prose:
    """The provenance of the chapter, a benchmark a line: each may be of another day and machine."""
    lines = []
    for name, origin in origins().items():
        others = {**origin["packages"], **origin["peers"]}
        told = {**origin, "name": name, "others": ", ".join(f"{key} {value}" for key, value in others.items()) or NONE}
        lines.append(shown.prose(
            "*출처*({name}): 프로필 {profile}, 장치 {device}, CPU {cpu}, 코어 {cores}개 가운데 스레드 {threads}개, 날짜 {date}, "
            "커밋 {commit}, mtlstudy {mtlstudy}, torch {torch}, Python {python}; 견준 것: {others}.", **told))  # fmt: skip
    return joined(lines or [shown.prose("*출처*: 잰 벤치마크가 없다.")], "\n\n")
