"""Published runs trained again: a sample drawn by the commit, within two minutes, and the whole of
what the store holds (`mtlstudy verify`). A verdict is *same bits*, *within the spread of seeds* (no
test metric further off than the seeds of its method lie apart) or *outside it*.
"""

import hashlib
import json
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from mtlstudy.errors import InputError
from mtlstudy.registry import entry
from mtlstudy.study import plan, results, rows
from mtlstudy.training import store
from mtlstudy.training.config import RunConfig
from mtlstudy.training.loop import fit
from mtlstudy.training.store import Run

SAME, WITHIN, OUTSIDE = "same bits", "within the spread of seeds", "outside it"
SECONDS = 90.0
"""No further run is begun after so much time."""
MOST = 8


def verdict(run: Run, profile: str) -> dict[str, Any]:
    """A run trained here beside the published one of its identity: run_id, data, method, seed,
    verdict, largest (difference of a test metric over the spread of its seeds; 0 for same bits),
    published and here (processor, isa)."""
    tables, c = results.published(profile), run.config
    row = tables["runs"].set_index("run_id").loc[run.path.name]
    origin = run.record["provenance"]
    result = {
        "run_id": run.path.name,
        "data": c.data,
        "method": c.method,
        "seed": c.seed,
        "published": {name: str(row[name]) for name in ("processor", "isa")},
        "here": {name: origin[name] for name in ("processor", "isa")},
    }
    if row["digest"] == run.digest:
        return {**result, "verdict": SAME, "largest": 0.0}
    if row["status"] != run.status:
        return {**result, "verdict": OUTSIDE, "largest": None}
    largest = differences(run, tables)
    return {**result, "verdict": WITHIN if largest <= 1 else OUTSIDE, "largest": largest}


def differences(run: Run, tables: Any) -> float:
    """The largest difference of a test metric from the published one, over the range of that
    metric among the published seeds of the method at the same settings."""
    c, runs, metrics = run.config, tables["runs"], tables["metrics"].set_index(["run_id", "task"])
    row = runs.set_index("run_id").loc[run.path.name]
    alike = runs[
        (runs["data"] == c.data)
        & (runs["sharing"] == c.sharing)
        & (runs["weighting"] == c.weighting)
        & (runs["role"] == "final")
        & (runs["steps"] == row["steps"])
    ]["run_id"]
    worst = 0.0
    for line in rows.metrics(run):
        values = metrics["test"].reindex([(i, line["task"]) for i in alike]).to_numpy(float)
        spread = float(np.nanmax(values) - np.nanmin(values)) if len(values) else 0.0
        off = abs(line["test"] - float(metrics.loc[(run.path.name, line["task"]), "test"]))
        if np.isfinite(off) and off > 0:
            worst = max(worst, off / spread if spread > 0 else np.inf)
    return worst


def drawn(profile: str, commit: str) -> list[RunConfig]:
    """Published reported runs whose data are on this machine, in an order drawn by the commit, data
    sets in turn."""
    known = set(results.published(profile)["runs"]["run_id"])
    by_data: dict[str, list[RunConfig]] = {}
    for cell in plan.cells(profile):
        kind = entry("data", cell.data)
        if not kind.available():
            continue
        try:
            reported = results.resolve(cell, train=False).reported
        except InputError:
            continue
        by_data.setdefault(cell.data, []).extend(c for c in reported if c.run_id in known)
    generator = random.Random(int(hashlib.sha256(commit.encode()).hexdigest()[:8], 16))
    names = sorted(name for name in by_data if by_data[name])
    generator.shuffle(names)
    for name in names:
        generator.shuffle(by_data[name])
    longest = max((len(each) for each in by_data.values()), default=0)
    turns = [
        [each[i] for n in names for each in [by_data[n]] if i < len(each)] for i in range(longest)
    ]
    return [config for turn in turns for config in turn]


def recheck(profile: str, seconds: float = SECONDS, most: int = MOST) -> Path:
    """Train a sample of the published runs again, in a store of its own, and write what came out to
    recheck.json in the build folder."""
    commit, begin = store.commit(), time.perf_counter()
    before, outcomes = os.environ.get("MTLSTUDY_RUNS"), list[dict[str, Any]]()
    with TemporaryDirectory() as folder:
        os.environ["MTLSTUDY_RUNS"] = folder
        try:
            for config in drawn(profile, commit)[:most]:
                if time.perf_counter() - begin > seconds:
                    break
                outcomes.append(verdict(fit(config, progress=False), profile))
        finally:
            os.environ.pop("MTLSTUDY_RUNS")
            if before is not None:
                os.environ["MTLSTUDY_RUNS"] = before
    record = {"commit": commit, "profile": profile, "drawn": outcomes}
    file = store.build_folder() / "recheck.json"
    store.write(file, store.canonical(record))
    return file


def read() -> dict[str, Any]:
    """What the last sample came out as; nothing drawn where there was none."""
    file = store.build_folder() / "recheck.json"
    if not file.exists():
        return {"commit": "", "profile": "", "drawn": []}
    record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return record


def compare(profile: str) -> pd.DataFrame:
    """Every finished run of the store that is published too, with its verdict."""
    known = set(results.published(profile)["runs"]["run_id"])
    found: Sequence[Path] = [path for path in store.folders() if path.name in known]
    runs = [run for path in found if not store.fault(path) and (run := store.load_run(path))]
    columns = ["run_id", "data", "method", "seed", "verdict", "largest"]
    return pd.DataFrame([verdict(run, profile) for run in runs], columns=columns)
