"""The run store: one folder a run, written so that a kill at any moment loses at most the work since the last checkpoint.

runs/<run_id>/  run.json (config, provenance, status, results)   metrics.jsonl (a line an evaluation)
                weights.jsonl (a line a recorded step)           checkpoint.pt (atomic)   DONE (digest of the first three)
What is corrupt or foreign is never read as a result: `open_run` refuses it, `quarantine` moves it aside.
"""

import fcntl
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from mtlstudy.training.config import RunConfig
from mtlstudy.errors import InputError
from mtlstudy.registry import entry

DIGESTED = ("run.json", "metrics.jsonl", "weights.jsonl")


def root() -> Path:
    """Where runs are kept: $MTLSTUDY_RUNS, or `runs` in the working directory."""
    return Path(os.environ.get("MTLSTUDY_RUNS", "runs"))


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and run.json."""

    path: Path
    record: dict[str, Any]

    @property
    def config(self) -> RunConfig:
        """The configuration it ran with."""
        return RunConfig(**self.record["config"])

    @property
    def status(self) -> str:
        """ "done" or "diverged"."""
        return str(self.record["status"])

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The records of metrics.jsonl or weights.jsonl."""
        return [json.loads(line) for line in (self.path / f"{name}.jsonl").read_text().splitlines()]


def canonical(record: dict[str, Any]) -> str:
    """A record as readable JSON with sorted keys."""
    return json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def line(record: dict[str, Any]) -> str:
    """A record as one line."""
    return json.dumps(record, sort_keys=True) + "\n"


@contextmanager
def placed(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to; it is moved there at the end, so that the file is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    yield part
    part.replace(path)


def write(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with placed(path) as part, part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def save(path: Path, state: dict[str, Any]) -> None:
    """Save a checkpoint, whole or not at all."""
    with placed(path) as part:
        torch.save(state, part)


def digest(path: Path) -> str:
    """Digest over the files of a run that hold results."""
    parts = [hashlib.sha256((path / name).read_bytes()).hexdigest() for name in DIGESTED]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def fault(path: Path) -> str | None:
    """What is wrong with a run folder, in one line; None for a sound one, finished or resumable."""
    try:
        record = json.loads((path / "run.json").read_text(encoding="utf-8"))
        RunConfig(**record["config"])
        named = record["run_id"]
    except FileNotFoundError:
        return f"{path}: no run.json; not a run of this study"
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, InputError) as error:
        return f"{path}/run.json cannot be read as a run ({type(error).__name__}: {error})"
    if named != path.name:
        return f"{path} holds run {named}; a run folder is named after its run"
    if (path / "DONE").exists():
        missing = [name for name in DIGESTED if not (path / name).exists()]
        if missing:
            return f"{path}: {missing[0]} is missing from a finished run"
        if (path / "DONE").read_text().strip() != digest(path):
            return f"{path}: results do not match the digest in DONE (altered or damaged)"
    return None


def load_run(path: Path) -> Run | None:
    """The finished run in a folder, None where it is not finished. `InputError` where the folder is corrupt or foreign."""
    if not path.exists():
        return None
    wrong = fault(path)
    if wrong:
        raise InputError(f"{wrong}; `mtlstudy verify --quarantine` moves it aside")
    if not (path / "DONE").exists():
        return None
    return Run(path, read(path))


def finish(path: Path, record: dict[str, Any]) -> Run:
    """Write the final run.json and DONE."""
    write(path / "run.json", canonical(record))
    write(path / "DONE", digest(path) + "\n")
    return Run(path, record)


def quarantine(path: Path) -> Path:
    """Move a folder to runs/quarantine, losing nothing; returns its new place."""
    place = path.parent / "quarantine"
    place.mkdir(exist_ok=True)
    target, n = place / path.name, 1
    while target.exists():
        target, n = place / f"{path.name}.{n}", n + 1
    path.rename(target)
    return target


def folders() -> list[Path]:
    """All folders of the store that should be runs."""
    if not root().is_dir():
        return []
    return sorted(p for p in root().iterdir() if p.is_dir() and p.name not in ("quarantine", "studies"))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a run folder or file: a second process that wants the same one waits, and then finds the first one's work done."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / f".{path.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@cache
def provenance(device: str) -> dict[str, str]:
    """Versions, device, platform, commit and date (UTC) under which a run is made."""
    name = torch.cuda.get_device_name() if device == "cuda" else f"CPU ({platform.machine()})"
    packages = {name: version(name) for name in ("torch", "numpy", "scipy", "numba") if find_spec(name)}
    return {
        "mtlstudy": version("mtlstudy"),
        "python": platform.python_version(),
        **packages,
        "device": name,
        "platform": platform.system(),
        "commit": commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def commit() -> str:
    """Short hash of the checkout's commit, marked where files differ from it; "unknown" outside a checkout."""
    try:
        text = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return text.stdout.strip()


def read(path: Path) -> dict[str, Any]:
    """The run.json of a sound folder."""
    record: dict[str, Any] = json.loads((path / "run.json").read_text(encoding="utf-8"))
    return record


def changes(record: dict[str, Any], config: RunConfig) -> list[str]:
    """Why a run is stale: fields, modules and data that have changed since, one line each; empty for a current one."""
    then, now = record["config"], config.model_dump(mode="json")
    found = [f"{key}: {then.get(key)!r} then, {now[key]!r} now" for key in now if then.get(key) != now[key]]
    old, new = record["sources"], config.sources()
    found += [f"mtlstudy.{name} has changed" for name in sorted(old | new) if old.get(name) != new.get(name)]
    if record["data_sha256"] != entry("data", config.data).sha256:
        found.append("the data file has changed")
    return found
