"""Damage of every kind to files of every kind: what is read afterwards is what was written, or the
file is named. A number that differs, an error that names nothing, or one that is none of ours is
wrong."""

import json
import logging
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from mtlstudy import RunConfig, files, fit
from mtlstudy.errors import InputError
from mtlstudy.execute import executed, sealed
from mtlstudy.study import benchmarks, plan, recheck, results, words
from mtlstudy.training import store
from mtlstudy.training.evaluation import Selection
from reliability import Outcome

PUBLISHED = words.BOOK / "results"
TINY: dict[str, Any] = {
    "data": "synthetic", "steps": 4, "evaluations": 2, "width": 4, "depth": 1, "batch_size": 10,
    "data_options": {"tasks": 2, "train": 20},
}  # fmt: skip
SEARCHING = {**TINY, "sharing": "sparse", "sharing_options": {"rounds": 2}}


class Kind(NamedTuple):
    """make: fills the working folder; victims: pattern of the files that are damaged; read: what is
    read of them. edited: people write them, so what differs and can be read is right."""

    make: Callable[[], object]
    victims: str
    read: Callable[[], object]
    edited: bool = False


def what(run: store.Run) -> list[object]:
    """All that a run says."""
    record = {key: value for key, value in run.record.items() if key != "provenance"}
    record["summary"] = {
        key: value
        for key, value in run.record["summary"].items()
        if "seconds" not in key and "memory" not in key
    }
    return [store.canonical(record), run.evaluations(), run.observations()]


def train(config: dict[str, Any], seed: int = 0) -> store.Run:
    return fit(RunConfig(seed=seed, **config), progress=False)


def trained(config: dict[str, Any]) -> None:
    """A run, and another one beside it whose files may take the place of its."""
    train(config)
    train(config, seed=1)


def stopped(config: dict[str, Any]) -> None:
    """The same, stopped at the second evaluation."""
    evaluate = Selection.evaluate

    def stop(self: Selection, step: int) -> Any:
        if step == config["steps"]:
            raise KeyboardInterrupt
        return evaluate(self, step)

    with patch.object(Selection, "evaluate", stop):
        for seed in (0, 1):
            try:
                train(config, seed)
            except KeyboardInterrupt:
                continue


def copied(source: Path, target: str) -> Callable[[], object]:
    return lambda: shutil.copytree(source, target)


def tables() -> object:
    """The published rows."""
    results.published.cache_clear()
    results.refused.cache_clear()
    found = {name: frame.to_csv() for name, frame in results.published("quick").items()}
    return found, results.refused("quick")


def notebooks() -> None:
    for name in ("one", "two"):
        cells = [{"cell_type": "code", "source": name, "outputs": [{"text": f"{name} 0.125"}]}]
        notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        files.write(Path(f"{name}.ipynb"), sealed(notebook, name))


def read_words() -> object:
    words.load.cache_clear()
    try:
        return [words.load(str(Path(f"{name}.ko.yml").resolve())) for name in ("words", "claims")]
    finally:
        words.load.cache_clear()


def downloaded() -> object:
    """Rows of a pinned set, from the cache."""
    from mtlstudy.data import _hub

    return _hub.rows(source(), "train").to_pydict()


def source() -> Any:
    from mtlstudy.data import _hub
    from mtlstudy.data._content import digest

    return _hub.Source("some/set", ("text", "label"), 1, splits={"train": digest(rows())})


def rows() -> Any:
    import pyarrow as pa

    return pa.table({"text": [f"text {n}" for n in range(50)], "label": list(range(50))})


def download() -> None:
    import pyarrow.parquet as pq

    file = Path("cache/hub/some--set/default/train.parquet")
    file.parent.mkdir(parents=True)
    pq.write_table(rows(), file)
    downloaded()


def arrays() -> object:
    """An array and a tokenised text, from the cache."""
    from mtlstudy.data import _hub, _text

    texts = [f"word{n % 3} other{n % 5}" for n in range(20)]
    made = {key: _hub.cached_array("images", key, lambda k=key: np.full(9, len(k))) for key in "ab"}
    encoded = [_text.train(texts, kind).encode(texts, 8).tolist() for kind in ("syllables", "bpe")]
    return [array.tolist() for array in made.values()], encoded


def computed() -> object:
    """Tables that are computed beside runs, built here and published; those of today's versions,
    the others would be computed."""
    return [(t, f.to_csv()) for n in current() for t, f in results.computed(n, "quick").items()]


def current() -> list[str]:
    made = {n: json.loads((PUBLISHED / "quick" / f"{n}.json").read_text()) for n in plan.COMPUTED}
    module = {n: import_module(f"mtlstudy.study.{n}") for n in plan.COMPUTED}
    return [n for n in plan.COMPUTED if made[n]["version"] == module[n].VERSION]


def built() -> None:
    """What was computed, here and published; of it what is not current is nobody's."""
    for place in (Path("_build/results/quick"), Path("book/results/quick")):
        texts = dict[str, str]()
        for name in current():
            tables = json.loads((PUBLISHED / "quick" / f"{name}.json").read_text())["tables"]
            for file in (f"{name}.json", *(f"{table}.csv" for table in tables)):
                texts[file] = (PUBLISHED / "quick" / file).read_text()
        files.publish(place, texts)


def measured() -> object:
    return [f.to_csv() for f in benchmarks.frames().values()], benchmarks.origins()


KINDS: dict[str, Kind] = {
    "finished": Kind(lambda: trained(TINY), "runs/*/*", lambda: what(train(TINY))),
    "unfinished": Kind(lambda: stopped(TINY), "runs/*/*", lambda: what(train(TINY))),
    "search": Kind(lambda: stopped(SEARCHING), "runs/*/*.pt", lambda: what(train(SEARCHING))),
    "published": Kind(copied(PUBLISHED / "quick", "book/results/quick"), "book/**/*.csv", tables),
    "portable": Kind(
        copied(PUBLISHED / "quick", "book/results/quick"),
        "book/**/portable.json",
        lambda: recheck.read("quick", portable=True),
    ),
    "computed": Kind(built, "_build/**/[!.]*", computed),
    "measured": Kind(copied(PUBLISHED / "bench", "_build/bench"), "_build/**/[!.]*", measured),
    "notebook": Kind(notebooks, "*.ipynb", lambda: executed(Path("one.ipynb"))),
    "download": Kind(download, "cache/**/*", downloaded),
    "cache": Kind(arrays, "cache/**/*", arrays),
    "words": Kind(
        lambda: [shutil.copy(file, ".") for file in words.BOOK.glob("*.ko.yml")],
        "*.yml",
        read_words,
        edited=True,
    ),
}


def damage(content: bytes, other: bytes, draw: random.Random) -> tuple[str, bytes | None]:
    """One damage to a file's content: its name, and the content then (None: removed)."""
    at = draw.randrange(len(content) + 1)
    name = draw.choice(["cut", "emptied", "removed", "flipped", "zeros", "swapped", "moved"])
    if name == "flipped" and content:
        at = draw.randrange(len(content))
        flip = bytes([content[at] ^ (1 << draw.randrange(8))])
        return name, content[:at] + flip + content[at + 1 :]
    return (
        name,
        {
            "cut": content[:at],
            "removed": None,
            "zeros": content[:at] + bytes(len(content) - at),  # half written before a power cut
            "swapped": other,
            "moved": content[at:] + content[:at],
        }.get(name, b""),
    )


@contextmanager
def world(kind: Kind) -> Iterator[Callable[[], None]]:
    """A working folder of its own with the kind's files in it; a function that brings it back to
    how it was."""
    before = Path.cwd()
    places = {"MTLSTUDY_RUNS": "runs", "MTLSTUDY_BUILD": "_build", "MTLSTUDY_CACHE": "cache"}
    with TemporaryDirectory() as folder, patch.dict(os.environ, places):
        os.environ.pop("MTLSTUDY_DATA", None)
        whole, work = Path(folder, "whole"), Path(folder, "work")
        work.mkdir()
        try:
            os.chdir(work)
            kind.make()
            shutil.copytree(work, whole)

            def again() -> None:
                for name in os.listdir(work):
                    shutil.rmtree(work / name) if Path(name).is_dir() else Path(name).unlink()
                shutil.copytree(whole, work, dirs_exist_ok=True)

            yield again
        finally:
            os.chdir(before)
            results.published.cache_clear()
            results.refused.cache_clear()


def tried(kind: Kind, victim: Path, truth: object) -> str:
    """How reading ends: "named", "harmless", or what is wrong."""
    said = StringIO()
    handler, log = logging.StreamHandler(said), logging.getLogger("mtlstudy")
    log.addHandler(handler)
    try:
        found = kind.read()
    except InputError as error:
        said.write(str(error))
        found = truth
        if "\n" in str(error):
            return f"more than a line: {error}"
    except Exception as error:  # noqa: BLE001 – whatever comes out is what is looked for
        return f"{type(error).__name__}: {error}"
    finally:
        log.removeHandler(handler)
    named = any(name in said.getvalue() for name in (victim.name, victim.parent.name) if name)
    is_absent = found is None and (named or not victim.exists())
    if found != truth and not (kind.edited or is_absent):
        return "a wrong value" + (", named" if named else "")
    if said.getvalue() and not named:
        return f"not named: {said.getvalue()}"
    return "named" if said.getvalue() else "harmless"


def run(count: int, seed: int) -> Outcome:
    """`count` damages, the kinds in turn."""
    draw, ends, wrong = random.Random(seed), Counter[str](), list[str]()
    for i, (name, kind) in enumerate(KINDS.items()):
        with world(kind) as again:
            truth = kind.read()
            again()
            victims = [p for p in sorted(Path().glob(kind.victims)) if p.is_file()]
            for _ in range(i, count, len(KINDS)):
                victim = draw.choice(victims)
                alike = [p for p in victims if p.suffix == victim.suffix and p != victim]
                other = draw.choice(alike or [victim]).read_bytes()
                how, content = damage(victim.read_bytes(), other, draw)
                victim.unlink() if content is None else victim.write_bytes(content)
                end = tried(kind, victim, truth)
                ends[end if end in ("named", "harmless") else "wrong"] += 1
                if end not in ("named", "harmless"):
                    wrong.append(f"{name} {victim} {how}: {end}")
                again()
    for line in wrong:
        print(line)
    figures = {"kinds": len(KINDS), "named": ends["named"], "harmless": ends["harmless"]}
    return Outcome(count, ends["wrong"], figures)
