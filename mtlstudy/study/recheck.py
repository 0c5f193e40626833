"""Published runs trained again: a sample drawn by the commit, within two minutes, and the whole of
what the store holds (`mtlstudy verify`). A verdict is *same bits*, *within the spread of seeds* (no
test metric further off than the seeds of its method lie apart) or *outside it*.
"""

import hashlib
import json
import random
import time
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mtlstudy import files
from mtlstudy.errors import InputError
from mtlstudy.study import plan, results, rows
from mtlstudy.training import store, tune
from mtlstudy.training.config import RunConfig
from mtlstudy.training.loop import fit
from mtlstudy.training.store import Run

SAME, WITHIN, OUTSIDE = "same bits", "within the spread of seeds", "outside it"
RELIABILITY = results.PUBLISHED / "reliability.json"
"""What `make reliability` counted: part → tried, failed, details, seconds, and under what."""
SECONDS = 90.0
"""No further run is begun after so much time."""
MOST = 8


def verdict(run: Run, profile: str) -> dict[str, Any]:
    """A run trained here beside the published one of its identity: run_id, data, method, seed,
    verdict, largest (difference of a test metric over the spread of its seeds; 0 for same bits),
    published and here (processor, isa)."""
    tables, c = results.published(profile), run.config
    row = tables["runs"].set_index("run_id", drop=False).T[run.path.name]
    origin = run.record["provenance"]
    result = {
        "run_id": run.path.name,
        "data": c.data,
        "method": c.method,
        "seed": c.seed,
        "published": {name: str(row[name]) for name in ("processor", "isa")},
        "here": {name: origin[name] for name in ("processor", "isa")},
    }
    if row["status"] != run.status:
        return {**result, "verdict": OUTSIDE, "largest": None}
    new, seeds = measured(run), published_of_seeds(row, tables).astype(float)
    old = seeds.T[run.path.name].reindex(new.index)
    if row["digest"] == run.digest and np.allclose(new, old, rtol=1e-8, atol=0, equal_nan=True):
        return {**result, "verdict": SAME, "largest": 0.0}
    if (new.isna() != old.isna()).any():  # defined on one side alone
        return {**result, "verdict": OUTSIDE, "largest": None}
    spread, off = (seeds.max() - seeds.min()).fillna(0.0)["test"], (new - old).abs()["test"]
    ratios = (off / spread)[np.isfinite(off) & (off > 0)]
    largest = float(ratios.max()) if len(ratios) else 0.0
    return {**result, "verdict": WITHIN if largest <= 1 else OUTSIDE, "largest": largest}


def measured(run: Run) -> pd.Series:
    """What is compared of a run, by (split, task): its metrics; of a tuning run its score alone."""
    if run.config.role == "tune":
        return pd.Series({("test", ""): tune.score(run)})
    lines = list(rows.metrics(run))
    return pd.Series({(split, row["task"]): row[split] for row in lines for split in rows.SPLITS})


def published_of_seeds(row: pd.Series, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The same of the published runs of a method at the same settings, a row a run: the other seeds
    of a reported run, the other candidates of a tuning run."""
    runs, settings = tables["runs"], ["data", "sharing", "weighting", "role", "steps"]
    alike = runs[(runs[settings] == row[settings]).all(axis=1)].set_index("run_id")
    if row["role"] == "tune":
        return pd.DataFrame({("test", ""): alike["score"]})
    metrics = tables["metrics"][tables["metrics"]["run_id"].isin(alike.index)]
    return metrics.pivot(index="run_id", columns="task", values=list(rows.SPLITS))


def drawn(profile: str, commit: str) -> list[RunConfig]:
    """Published reported runs whose data are on this machine, and quickly loaded, in an order drawn
    by the commit, data sets in turn."""
    known = set(results.published(profile)["runs"]["run_id"])
    by_data: dict[str, list[RunConfig]] = {}
    for cell in plan.cells(profile):
        if is_near(cell) and results.is_tuned(cell):
            reported = results.resolve(cell).reported
            by_data.setdefault(cell.data, []).extend(c for c in reported if c.run_id in known)
    generator = random.Random(int(hashlib.sha256(commit.encode()).hexdigest()[:8], 16))
    names = sorted(name for name in by_data if by_data[name])
    generator.shuffle(names)
    for name in names:
        generator.shuffle(by_data[name])
    turns = zip_longest(*(by_data[name] for name in names))
    return [config for turn in turns for config in turn if config is not None]


def is_near(cell: plan.Cell) -> bool:
    """Whether a cell's data are on this machine, and quickly loaded."""
    data = cell.config.data_set()
    return bool(data.available() and data.prepared())


def recheck(profile: str, seconds: float = SECONDS) -> Path:
    """Train a sample of the published runs again, in a store of its own, and write what came out to
    `file`: `MOST` runs, as many as the time allows where the arithmetic is the portable one."""
    if not 0 <= seconds < float("inf"):
        raise InputError(f"seconds = {seconds}: allowed: a finite number ≥ 0")
    commit, begin = store.commit(), time.perf_counter()
    outcomes = list[dict[str, Any]]()
    with store.empty():
        for config in drawn(profile, commit)[: None if store.is_portable() else MOST]:
            if time.perf_counter() - begin > seconds:
                break
            outcomes.append(verdict(fit(config, progress=False), profile))
    target = file(profile, store.is_portable())
    record = {"commit": commit, "profile": profile, "drawn": outcomes}
    files.publish(target.parent, {target.name: store.canonical(record)})
    return target


def file(profile: str, portable: bool) -> Path:
    """Where a sample's record is: recheck.json in the build folder, or, trained by the portable
    arithmetic, portable.json among the published results."""
    if portable:
        return results.PUBLISHED / profile / "portable.json"
    return store.build_folder() / "recheck.json"


def read(profile: str, portable: bool = False) -> list[dict[str, Any]]:
    """The outcomes of the last sample; none where there was none."""
    text = files.result(file(profile, portable))
    drawn: list[dict[str, Any]] = json.loads(text)["drawn"] if text else []
    return drawn


def compare(profile: str) -> pd.DataFrame:
    """Every finished run of the store that is published too, with its verdict."""
    known = set(results.published(profile)["runs"]["run_id"])
    ours = [path for path in store.folders() if path.name in known]
    runs = [run for path in ours if (run := store.finished(path))]
    columns = ["run_id", "data", "method", "seed", "verdict", "largest"]
    compared = pd.DataFrame([verdict(run, profile) for run in runs], columns=columns)
    return compared.astype({"largest": float})
