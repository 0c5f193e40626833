"""Where a benchmark's results lie: `_build/bench/<name>.csv`, and under what they came about in `<name>.json` beside it.

One schema for all: `part` says what is compared, `method` by what; ms of a step, a call or a matrix (as the module says), `ratio`
to `BASELINE[part]` of the module, each with its quartiles; `residual` of M a = 1/a; cases, failed and silent as counted there.
What does not apply is empty.
"""

import os
import platform
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import torch

from mtlstudy.training import store as runs
from mtlstudy.training.config import PROFILES, resolve_device
from mtlstudy.errors import InputError, unknown
from mtlstudy.bench import BENCHES
from mtlstudy.bench.peers import peer

COLUMNS = (
    "part", "problem", "method", "K", "parameters", "length", "batch", "ms", "ms_low", "ms_high", "ratio", "ratio_low",
    "ratio_high", "memory_mb", "residual", "cases", "failed", "silent", "repeats",
)  # fmt: skip
SHOWN = ("part", "problem", "method", "K", "ms", "ratio", "memory_mb", "residual", "failed", "silent")
COUNTS = ("K", "parameters", "length", "batch", "cases", "failed", "silent", "repeats")
PUBLISHED = Path(__file__).parents[2] / "book" / "results" / "bench"  # of the checkout, wherever a notebook runs
PACKAGES = ("torchjd", "cvxpy", "clarabel", "ecos")


def size(part: str) -> str:
    """The column of what grows in a part of the benchmark "scale"."""
    return "K" if part == "solver" else part


def benchmark(name: str) -> ModuleType:
    """The module of a benchmark; `InputError` with the nearest spelling for an unknown one."""
    if name not in BENCHES:
        raise unknown("benchmark", name, BENCHES)
    return import_module(f"mtlstudy.bench.{name}")


def measure(name: str, profile: str, device: str, peers: Sequence[Path]) -> tuple[pd.DataFrame, Path, list[str]]:
    """Run a benchmark on one thread and write it: its frame, the csv's path, and what was left out.

    peers: checkouts (see `peers.peer`). Raises `InputError` for an unknown name, profile, device or peer.
    """
    if profile not in PROFILES:
        raise unknown("profile", profile, PROFILES)
    module, device, others = benchmark(name), resolve_device(device), [peer(path) for path in peers]
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        for said in ("Solution may be inaccurate", "You are solving a parameterized problem", ".*ECOS"):
            warnings.filterwarnings("ignore", message=said)  # what a solver says of its answer is counted, not printed
        table, notes = module.run(profile, device, others)
    path = write(name, table, provenance(profile, device, {other.name: other.version() for other in others}, notes))
    return table, path, notes


def shown(table: pd.DataFrame) -> list[list[str]]:
    """The rows for a terminal, under `SHOWN`: a ratio with its quartiles, failures of cases."""
    lines = []
    for row in table.astype(object).where(table.notna(), None).to_dict("records"):
        whole = None not in (row["ratio"], row["ratio_low"], row["ratio_high"])
        spread = f"{row['ratio']:.3g} [{row['ratio_low']:.3g}, {row['ratio_high']:.3g}]" if whole else row["ratio"]
        failed = None if row["failed"] is None else f"{row['failed']}/{row['cases']}"
        cells = [*(row[name] for name in SHOWN[:5]), spread, row["memory_mb"], row["residual"], failed, row["silent"]]
        lines.append(["" if cell is None else f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in cells])
    return lines


def folder() -> Path:
    """Where computed benchmarks lie: beside the run store."""
    return runs.root().parent / "_build" / "bench"


def frame(rows: Iterable[Mapping[Any, Any]]) -> pd.DataFrame:
    """Rows in the schema, what they lack left empty.

    >>> frame([{"part": "single", "method": "newton", "K": 2}])[["part", "K", "ratio"]].to_dict("records")
    [{'part': 'single', 'K': 2, 'ratio': nan}]
    """
    made = pd.DataFrame(list(rows))
    strange = [name for name in made.columns if name not in COLUMNS]
    if strange:
        raise InputError(f"columns {strange}: allowed: {', '.join(COLUMNS)}")
    made = made.reindex(columns=list(COLUMNS))
    return made.astype(dict.fromkeys(COUNTS, "Int64"))


def write(name: str, table: pd.DataFrame, origin: Mapping[str, Any]) -> Path:
    """Write the csv and its json; the csv's path."""
    path = folder() / f"{name}.csv"
    runs.write(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    runs.write(path.with_suffix(".json"), runs.canonical(dict(origin)))
    return path


def source(name: str) -> Path:
    """Where the csv of a benchmark is: the one computed here, else the published one, whether or not that is there."""
    benchmark(name)
    computed = folder() / f"{name}.csv"
    return computed if computed.exists() else PUBLISHED / f"{name}.csv"


def provenance(profile: str, device: str, peers: Mapping[str, str], notes: Iterable[str]) -> dict[str, Any]:
    """Versions, hardware, profile, command line; peers: name → version of each checkout; notes: what was left out, and why."""
    return {
        **runs.provenance(device), "cpu": processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads(),
        "profile": profile, "packages": {name: found for name in PACKAGES if (found := installed(name))}, "peers": dict(peers),
        "notes": list(notes), "command": command(sys.argv),
    }  # fmt: skip


def command(arguments: list[str]) -> str:
    """A command line without the folders of its paths.

    >>> command(["/usr/bin/mtlstudy", "bench", "solver", "--peer", "/home/me/nash-mtl"])
    'mtlstudy bench solver --peer nash-mtl'
    """
    return " ".join(Path(word).name if "/" in word else word for word in arguments)


def installed(package: str) -> str | None:
    """The version of a package, None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def processor() -> str:
    """The CPU's model name, as the system tells it."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text(encoding="utf-8").splitlines() if table.exists() else []
    found = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return found[0] if found else platform.processor() or platform.machine()
