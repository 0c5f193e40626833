"""The reliability campaign: each part tries one promise of the project many times and counts where
it was broken.

A part is a file here with `run(count, seed) -> Outcome`, a line in `PARTS` and a sentence
`reliability_<part>` in book/claims.ko.yml. `make reliability` runs at campaign size those that
tests/test_reliability.py runs at the small count, and writes the record that the book quotes. The
others run the tests themselves, for an hour or more, and are run by name.
"""

import json
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from mtlstudy import files
from mtlstudy.study.recheck import RELIABILITY
from mtlstudy.training import store


class Count(NamedTuple):
    """How often a part tries: in the campaign, and in the tests (seconds; 0: it runs the tests)."""

    campaign: int
    small: int


class Outcome(NamedTuple):
    """What was tried and how often it was wrong; details: further figures by name, for the book's
    sentence. part and seconds are filled in by `run`."""

    tried: int
    failed: int
    details: Mapping[str, float | str] = {}
    part: str = ""
    seconds: float = 0.0


PARTS: dict[str, Count] = {
    "configs": Count(2000, 30),
    "gramians": Count(1_000_000, 2000),
    "repeat": Count(2000, 6),
    "statistics": Count(60_000, 1500),
    "kills": Count(200, 4),
    "mutations": Count(1000, 44),
    "offline": Count(4, 1),
    "mutants": Count(120, 0),
    "coverage": Count(2, 0),
    "bounds": Count(1, 0),
    "suite": Count(10, 0),
}
PROMISES = [part for part, count in PARTS.items() if count.small]


def run(part: str, count: int, seed: int = 0) -> Outcome:
    """Run a part, timed."""
    begin = time.perf_counter()
    outcome: Outcome = import_module(f"reliability.{part}").run(count, seed)
    return outcome._replace(part=part, seconds=round(time.perf_counter() - begin, 1))


def record(outcome: Outcome, file: Path = RELIABILITY) -> None:
    """Put a part into the record, in place of what it said of that part before."""
    origin = store.provenance("cpu")
    made = {name: origin[name] for name in ("date", "processor", "isa", "commit")}
    there = json.loads(files.result(file) or "{}")
    text = store.canonical({**there, outcome.part: {**outcome._asdict(), **made}})
    files.publish(file.parent, {file.name: text})
