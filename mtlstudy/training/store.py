"""The run store: one folder a run, written so that a kill at any moment loses at most the work
since the last checkpoint.

runs/<run_id>/  run.json (config, provenance, status, results)   metrics.jsonl (an evaluation each)
                weights.jsonl (a recorded step each)             checkpoint.pt (state of a run)
                DONE (digest of the first three)
All that a run has written is in its checkpoint too, lines included: while it is not finished
nothing else is read. What is corrupt or foreign is never read as a result: `fault` names it,
`load_run` refuses it, `mtlstudy.files.aside` moves it.
"""

import hashlib
import io
import json
import logging
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from tempfile import TemporaryDirectory
from typing import Any, NotRequired, TypedDict
from unittest.mock import patch

import torch

from mtlstudy import files
from mtlstudy.errors import InputError
from mtlstudy.training import identity
from mtlstudy.training.config import RunConfig
from mtlstudy.training.evaluation import Confusion, Evaluation, Measures

log = logging.getLogger("mtlstudy")
SEALED = ("run.json", "metrics.jsonl", "weights.jsonl")
STATES = ("checkpoint.pt", "search.pt")
RUN_ID = re.compile(r"[0-9a-f]{16}")
PORTABLE = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
}
"""Environment under which torch, MKL and oneDNN take the same instructions on every x86-64
processor; it has to stand before they are loaded (`mtlstudy --portable …`)."""


class Summary(TypedDict):
    """What a run cost. parameters: as used; flops: of one example, None if uncounted; seconds: of
    wall time on a machine that did other things too, so never a result; games: by status."""

    parameters: int
    flops: float | None
    steps: int
    seconds: float
    search_steps: int
    search_seconds: float
    best_step: list[int | None]
    peak_memory_mb: float
    games: dict[str, int]


class RunRecord(TypedDict):
    """run.json. results: split → task → measures; learned: what the family learned of sharing."""

    run_id: str
    config: dict[str, Any]
    versions: dict[str, int]
    content: str
    status: str
    provenance: dict[str, str]
    differentiation: NotRequired[dict[str, Any]]
    diverged_step: NotRequired[int]
    results: NotRequired[dict[str, dict[str, Measures]]]
    confusion: NotRequired[dict[str, Confusion]]
    learned: NotRequired[dict[str, Any]]
    summary: NotRequired[Summary]


class Observation(TypedDict):
    """A line of weights.jsonl. losses (K,), weights (B, K), status (B,), gramian (B, K, K)."""

    step: int
    losses: list[float]
    weights: list[list[float]]
    status: list[int]
    gramian: list[list[list[float]]] | None


def root() -> Path:
    """Where runs are kept: $MTLSTUDY_RUNS, or `runs` in the working directory; `InputError` where
    a file is in its place."""
    folder = Path(os.environ.get("MTLSTUDY_RUNS") or "runs").expanduser()
    if any(place.is_file() for place in (folder, *folder.parents)):
        raise InputError(f"MTLSTUDY_RUNS = {folder}: a file is in its place; allowed: a folder")
    return folder


@contextmanager
def empty() -> Iterator[None]:
    """An empty store of its own for the time of the block, removed afterwards."""
    with TemporaryDirectory() as folder, patch.dict(os.environ, MTLSTUDY_RUNS=folder):
        yield


def build_folder() -> Path:
    """Where what is built goes: $MTLSTUDY_BUILD, or `_build` in the working directory."""
    return Path(os.environ.get("MTLSTUDY_BUILD") or "_build").expanduser()


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and run.json."""

    path: Path
    record: RunRecord

    @property
    def config(self) -> RunConfig:
        """The configuration it ran with, on whatever device there is here."""
        return configured(self.record)

    @property
    def status(self) -> str:
        """ "done" or "diverged"."""
        return self.record["status"]

    def observations(self) -> list[Observation]:
        """The lines of weights.jsonl."""
        return self._lines("weights")

    def evaluations(self) -> list[Evaluation]:
        """The lines of metrics.jsonl."""
        return self._lines("metrics")

    def _lines(self, name: str) -> list[Any]:
        text = (self.path / f"{name}.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    @property
    def digest(self) -> str:
        """16 hex digits of the results to the last bit: equal for equal bits."""
        text = json.dumps(self.record.get("results", self.status), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def canonical(record: Mapping[str, Any]) -> str:
    """A record as readable JSON with sorted keys."""
    return json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def line(record: Mapping[str, Any]) -> str:
    """A record as one line."""
    return json.dumps(record, sort_keys=True) + "\n"


def save(path: Path, state: dict[str, Any]) -> None:
    """Save a state, whole or not at all."""
    memory = io.BytesIO()
    torch.save(state, memory)
    files.put(path, memory.getvalue())


def load(path: Path, device: str = "cpu") -> dict[str, Any] | None:
    """A state that was saved under this name in this run; None where there is none. `Damaged` where
    it is not what was saved, or holds more than tensors and plain values: nothing is executed."""
    content = files.get(path)
    if content is None:
        return None
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(content), device, weights_only=True)
    except UnpicklingError:
        raise files.Damaged(path, "holds more than tensors and plain values") from None
    return state


def seal(contents: Iterable[bytes]) -> str:
    """Digest over the contents of `SEALED`, the files of a run that hold results."""
    parts = [hashlib.sha256(content).hexdigest() for content in contents]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def fault(path: Path) -> str | None:
    """What is wrong with a run folder, in one line; None for a sound one, done or resumable."""
    try:
        check(path)
    except files.Damaged as damage:
        return str(damage)
    return None


def check(path: Path) -> RunRecord:
    """The record of a run folder. `Damaged` where the folder is corrupt or foreign: what of a
    finished run is sealed and what an unfinished one goes on from is read and checked."""
    try:
        record = read(path)
        if lacks := RunRecord.__required_keys__ - record.keys():
            raise KeyError(", ".join(sorted(lacks)))
        configured(record)
        named = identity.name(record["config"], record["content"], record["versions"])
    except FileNotFoundError:
        raise files.Damaged(path, "has no run.json; it is not a run of this study") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"cannot be read as a run ({type(error).__name__}: {error})"
        raise files.Damaged(path / "run.json", what) from None
    if record["run_id"] != path.name:
        what = f"holds run {record['run_id']}; a run folder is named after its run"
        raise files.Damaged(path, what)
    if not (path / "DONE").exists():
        if named != path.name:
            raise files.Damaged(path / "run.json", f"describes run {named}, not {path.name}")
        for name in STATES:
            files.get(path / name)
        return record
    if missing := [name for name in SEALED if not (path / name).exists()]:
        raise files.Damaged(path, f"is finished, but {missing[0]} is missing")
    digest = seal((path / name).read_bytes() for name in SEALED)
    if (path / "DONE").read_bytes() != f"{digest}\n".encode():
        raise files.Damaged(path, "does not match the digest in DONE (altered or damaged)")
    return record


def load_run(path: Path) -> Run | None:
    """The finished run in a folder, None where it is not finished. `Damaged` where the folder is
    corrupt or foreign."""
    if not is_begun(path):
        return None
    record = check(path)
    return Run(path, record) if (path / "DONE").exists() else None


def finished(path: Path) -> Run | None:
    """The same for those who only read: a corrupt or foreign folder is named, and not read."""
    try:
        return load_run(path)
    except files.Damaged as damage:
        log.warning("%s; it is not read", damage)
        return None


def finish(path: Path, record: RunRecord, lines: Mapping[str, str]) -> Run:
    """Write the final files and DONE, which seals what is in memory here; lines: file name → its
    text."""
    texts = {"run.json": canonical(record), **lines}
    for name, text in texts.items():
        files.write(path / name, text)
    files.write(path / "DONE", seal(texts[name].encode() for name in SEALED) + "\n")
    return Run(path, record)


def folders() -> list[Path]:
    """The folders of the store that are named like runs; nothing else in it is ever touched."""
    if not root().is_dir():
        return []
    named = (p for p in root().iterdir() if p.is_dir() and RUN_ID.fullmatch(p.name))
    return sorted(path for path in named if is_begun(path))


def is_begun(path: Path) -> bool:
    """Whether there is a run folder with more in it than a kill in the first moment leaves."""
    return path.is_dir() and any(not file.name.startswith(".") for file in path.iterdir())


@cache
def provenance(device: str) -> dict[str, str]:
    """Versions, device, processor, commit and date (UTC) under which a run is made."""
    packages = {n: version(n) for n in ("torch", "numpy", "scipy", "numba") if find_spec(n)}
    return {
        "mtlstudy": version("mtlstudy"),
        "python": platform.python_version(),
        **packages,
        "device": torch.cuda.get_device_name() if device == "cuda" else "CPU",
        "processor": processor(),
        "isa": "portable" if is_portable() else torch.backends.cpu.get_cpu_capability(),
        "platform": platform.system(),
        "commit": commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def is_portable() -> bool:
    """Whether this process computes by `PORTABLE`."""
    return all(os.environ.get(name) == value for name, value in PORTABLE.items())


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*: (.+)$", info.read_text(), re.M) if info.exists() else []
    return names[0] if names else platform.processor() or platform.machine()


def commit() -> str:
    """Short hash of the checkout's commit, marked where files differ; "unknown" outside one."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        text = subprocess.run([*command, "--exclude=*"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return text.stdout.strip()


def read(path: Path) -> RunRecord:
    """The run.json of a sound folder."""
    record: RunRecord = json.loads((path / "run.json").read_bytes())
    return record


def changes(record: RunRecord) -> list[str]:
    """Why a run is stale, part by part, one line each; empty for a current one."""
    return identity.changes(record, configured(record).model_dump(mode="json"))


def configured(record: RunRecord) -> RunConfig:
    """The configuration of a run, on whatever device there is here; fields that there are no more
    (see `changes`) left out."""
    known = {key: value for key, value in record["config"].items() if key in RunConfig.model_fields}
    return RunConfig(**{**known, "device": "auto"})
