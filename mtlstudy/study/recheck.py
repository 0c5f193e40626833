"""Published runs trained again: a sample drawn by the commit, within two minutes, and the whole of
what the store holds (`mtlstudy verify`). A verdict is *same bits*, *within the spread of seeds* (no
test metric further off than the seeds of its method lie apart) or *outside it*.
"""

import hashlib
import json
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mtlstudy.errors import InputError
from mtlstudy.registry import entry
from mtlstudy.study import plan, results, rows
from mtlstudy.training import store, tune
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
    if row["status"] != run.status:
        return {**result, "verdict": OUTSIDE, "largest": None}
    if row["digest"] == run.digest and as_published(run, tables):
        return {**result, "verdict": SAME, "largest": 0.0}
    largest = differences(run, tables)
    return {**result, "verdict": WITHIN if largest <= 1 else OUTSIDE, "largest": largest}


def measured(run: Run) -> pd.DataFrame:
    """What is compared of a run, a row a task: its metrics; of a tuning run its score alone."""
    if run.config.role == "tune":
        return pd.DataFrame([{"task": "", "test": tune.score(run)}])
    return pd.DataFrame(rows.metrics(run))[["task", "train", "validation", "test"]]


def published_rows(run_ids: Sequence[str], role: str, tables: Mapping[str, pd.DataFrame]) -> Any:
    """The same of published runs, with their run_id."""
    if role == "tune":
        frame = tables["runs"].assign(task="", test=tables["runs"]["score"])
        frame = frame[["run_id", "task", "test"]]
    else:
        frame = tables["metrics"][["run_id", "task", "train", "validation", "test"]]
    return frame[frame["run_id"].isin(run_ids)]


def as_published(run: Run, tables: Mapping[str, pd.DataFrame]) -> bool:
    """Whether every number that is published of a run is the run's, to the printed digits."""
    old = published_rows([run.path.name], run.config.role, tables).drop(columns="run_id")
    both = measured(run).merge(old, on="task", how="outer", suffixes=("", "_old"))
    splits = [column for column in old if column != "task"]
    pairs = [(both[s].to_numpy(float), both[f"{s}_old"].to_numpy(float)) for s in splits]
    return all(np.allclose(a, b, rtol=1e-8, atol=0, equal_nan=True) for a, b in pairs)


def differences(run: Run, tables: Mapping[str, pd.DataFrame]) -> float:
    """The largest difference of a test metric from the published one, over the range of that
    metric among the published seeds of the method at the same settings; of a tuning run that of its
    score, over the range among the candidates."""
    c, runs = run.config, tables["runs"]
    steps = runs.set_index("run_id").loc[run.path.name, "steps"]
    alike = runs[
        (runs["data"] == c.data)
        & (runs["sharing"] == c.sharing)
        & (runs["weighting"] == c.weighting)
        & (runs["role"] == c.role)
        & (runs["steps"] == steps)
    ]["run_id"]
    old = published_rows(list(alike), c.role, tables)
    worst = 0.0
    for task, value in measured(run)[["task", "test"]].itertuples(index=False):
        values = old[old["task"] == task].set_index("run_id")["test"].astype(float)
        spread = float(values.max() - values.min())
        off = abs(value - values[run.path.name])
        if np.isfinite(off) and off > 0:
            worst = max(worst, off / spread if spread > 0 else np.inf)
    return float(worst)


def drawn(profile: str, commit: str) -> list[RunConfig]:
    """Published reported runs whose data are on this machine, in an order drawn by the commit, data
    sets in turn."""
    known = results.published_ids(profile)
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
    outcomes = list[dict[str, Any]]()
    with store.empty():
        for config in drawn(profile, commit)[:most]:
            if time.perf_counter() - begin > seconds:
                break
            outcomes.append(verdict(fit(config, progress=False), profile))
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
    known = results.published_ids(profile)
    found: Sequence[Path] = [path for path in store.folders() if path.name in known]
    runs = [run for path in found if not store.fault(path) and (run := store.load_run(path))]
    columns = ["run_id", "data", "method", "seed", "verdict", "largest"]
    found_here = pd.DataFrame([verdict(run, profile) for run in runs], columns=columns)
    return found_here.astype({"largest": float})
