"""Running a benchmark and writing it: `_build/bench/<name>.csv`, and under what it came about in
`<name>.json` beside it. The schema is that of `mtlstudy.study.benchmarks`."""

import os
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from mtlstudy import files
from mtlstudy.bench.peers import peer
from mtlstudy.study import benchmarks, plan
from mtlstudy.training import store
from mtlstudy.training.config import resolve_device

SHOWN = (
    *("part", "problem", "method", "K", "ms", "ratio"),
    *("memory_mb", "residual", "failed", "silent"),
)
PACKAGES = ("torchjd", "cvxpy", "clarabel", "ecos")
IGNORED = ("Solution may be inaccurate", "You are solving a parameterized problem", ".*ECOS")
"""What a solver says of its answer is counted, not printed."""


def measure(
    name: str, profile: str, device: str, peers: Sequence[Path]
) -> tuple[pd.DataFrame, Path, list[str]]:
    """Run a benchmark on one thread and write it: its frame, the csv's path, what was left out.

    peers: checkouts (see `peers.peer`). Raises `InputError` for an unknown name, profile, device or
    peer.
    """
    plan.profile_named(profile)
    benchmarks.source(name)  # or an `InputError` with the nearest spelling
    module = import_module(f"mtlstudy.bench.{name}")
    device, others = resolve_device(device), [peer(path) for path in peers]
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        for message in IGNORED:
            warnings.filterwarnings("ignore", message=message)
        table, notes = module.run(profile, device, others)
    versions = {other.name: other.version() for other in others}
    return table, write(name, table, provenance(profile, device, versions, notes)), notes


def shown(table: pd.DataFrame) -> list[list[str]]:
    """The rows for a terminal, under `SHOWN`: a ratio with its quartiles, failures of cases."""
    lines = []
    for row in table.astype(object).where(table.notna(), "").to_dict("records"):
        if "" not in (row["ratio"], row["ratio_low"], row["ratio_high"]):
            row["ratio"] = f"{row['ratio']:.3g} [{row['ratio_low']:.3g}, {row['ratio_high']:.3g}]"
        if row["failed"] != "":
            row["failed"] = f"{row['failed']}/{row['cases']}"
        cells = (row[name] for name in SHOWN)
        lines.append([f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in cells])
    return lines


def write(name: str, table: pd.DataFrame, origin: Mapping[str, Any]) -> Path:
    """Write the csv and its json; the csv's path."""
    text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    texts = {f"{name}.csv": text, f"{name}.json": store.canonical(origin)}
    return files.publish(benchmarks.folder(), texts)[0]


def provenance(
    profile: str, device: str, peers: Mapping[str, str], notes: Iterable[str]
) -> dict[str, Any]:
    """Versions, hardware, profile, command line; peers: name → version of each checkout; notes:
    what was left out, and why."""
    return {
        **store.provenance(device),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "profile": profile,
        "packages": {name: version(name) for name in PACKAGES if find_spec(name)},
        "peers": dict(peers),
        "notes": list(notes),
        "command": command(sys.argv),
    }


def command(arguments: list[str]) -> str:
    """A command line without the folders of its paths.

    >>> command(["/usr/bin/mtlstudy", "bench", "solver", "--peer", "/home/me/nash-mtl"])
    'mtlstudy bench solver --peer nash-mtl'
    """
    return " ".join(Path(word).name if "/" in word else word for word in arguments)
