"""Where an experiment's results lie, and when they are computed anew.

An experiment is a module here with `run(profile)` → one frame, or several by name; `values(*frames)` → nested dict of strings for
the texts; `SOURCES`, the modules beside its own whose code it rests on; `studies(profile)`, the study records it reads; where its
data may be missing also `present()`, which of them are there.
`_build/results/<profile>/` holds its csv files (in the experiment's order, fixed float format: a diff reads) and values.json.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from mtlstudy.training import store as runs
from mtlstudy.study import tables
from mtlstudy.training.config import PROFILES, resolve_device, source_digests
from mtlstudy.errors import unknown

EXPERIMENTS = ("solver", "toy", "comparison", "sharing", "korean")
PUBLISHED = Path("book/results")
VOLATILE = ["seconds", "search_seconds", "ms_per_step", "device", "date", "run_id"]  # differ between machines and days


def folder(profile: str) -> Path:
    """Where a profile's computed results lie."""
    if profile not in PROFILES:
        raise unknown("profile", profile, PROFILES)
    return runs.root().parent / "_build" / "results" / profile


def experiment(name: str) -> ModuleType:
    """The module of an experiment; `InputError` with the nearest spelling for an unknown one."""
    if name not in EXPERIMENTS:
        raise unknown("experiment", name, EXPERIMENTS)
    return import_module(f"mtlstudy.experiments.{name}")


def table(name: str, profile: str = "quick") -> pd.DataFrame:
    """A table of an experiment, such as "solver" or "comparison_runs"; computed first where it is missing or stale."""
    place, owner = folder(profile), name.split("_")[0]
    module = experiment(owner)
    mark = place / f"{owner}.json"
    if not mark.exists() or json.loads(mark.read_text())["rests_on"] != _rests_on(owner, profile):
        found = module.run(profile)
        frames: Mapping[str, pd.DataFrame] = found if isinstance(found, dict) else {owner: found}
        for part, frame in frames.items():
            runs.write(place / f"{part}.csv", frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
        written = [pd.read_csv(place / f"{part}.csv") for part in frames]  # texts quote what is in the files
        origin = provenance(profile, written)
        tables.merge_values(place / "values.json", owner, module.values(*written))
        tables.merge_values(place / "values.json", "provenance", origin)
        runs.write(mark, runs.canonical({"rests_on": _rests_on(owner, profile), "provenance": origin, "tables": sorted(frames)}))
    file = place / f"{name}.csv"
    if not file.exists():
        raise unknown("table", name, json.loads(mark.read_text())["tables"])
    return pd.read_csv(file)


def _rests_on(owner: str, profile: str) -> dict[str, str]:
    """Digests of the code and of the study records that an experiment's results rest on, and which of its data were there."""
    module = experiment(owner)
    files = {name: runs.root() / "studies" / f"{name}.json" for name in module.studies(profile)}
    digests = {name: sha256(file.read_bytes()).hexdigest()[:16] for name, file in files.items() if file.exists()}
    there: dict[str, str] = getattr(module, "present", dict)()
    return {**source_digests(f"experiments.{owner}", *module.SOURCES), **digests, **there}


def values(profile: str = "quick") -> dict[str, Any]:
    """What the texts of a profile quote: experiment → nested strings, and "provenance"."""
    found: dict[str, Any] = json.loads((folder(profile) / "values.json").read_text(encoding="utf-8"))
    return found


def provenance(profile: str, written: list[pd.DataFrame]) -> dict[str, Any]:
    """Under what the results came about: profile, seeds, device, date (UTC), versions, commit."""
    devices = sorted({d for frame in written if "device" in frame for d in frame["device"].dropna()})
    seeds = list(range(PROFILES[profile].seeds))
    here = runs.provenance(resolve_device("auto"))
    return {**here, "profile": profile, "seeds": seeds, "device": ", ".join(devices) or here["device"],
            "date": datetime.now(UTC).strftime("%Y-%m-%d")}  # fmt: skip


def compare(profile: str, tolerance: float = 1e-3) -> list[str]:
    """Computed against published tables, a line a table: identical, or how many numbers differ by more than the tolerance
    (relative), columns of time apart."""
    lines = []
    for file in sorted((PUBLISHED / profile).glob("*.csv")):
        mine = folder(profile) / file.name
        if not mine.exists():
            lines.append(f"{file.name}: not computed here yet")
            continue
        a, b = (pd.read_csv(path).drop(columns=VOLATILE, errors="ignore") for path in (file, mine))
        if a.shape != b.shape or list(a) != list(b):
            lines.append(f"{file.name}: {a.shape} published, {b.shape} here")
            continue
        numbers = a.select_dtypes("number").columns
        far = ((a[numbers] - b[numbers]).abs() > tolerance * a[numbers].abs().clip(lower=1e-9)).to_numpy().sum()
        words = (a.drop(columns=numbers).fillna("") != b.drop(columns=numbers).fillna("")).to_numpy().sum()
        lines.append(f"{file.name}: {far} of {a[numbers].size} numbers and {words} words differ from the published ones")
    return lines
