"""Runs as tidy pandas frames: what tables and figures read.

Only the runs that a study record names are read, and only while they are current: a run whose code, data or configuration has
changed since is left out, and `mtlstudy status` says why.
"""

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from mtlstudy.training import store as runs
from mtlstudy.gradients import conflict
from mtlstudy.nash.newton import Status
from mtlstudy.training.store import Run

COSTS = ("parameters", "flops", "seconds", "search_steps", "search_seconds", "ms_per_step")
AXES = ("tasks", "stages", "experts")
ALONG = {"beta": "stages", "scores": "stages", "gates": "experts", "spread": "experts"}  # the rest: tasks


def records(profile: str | None = None) -> list[dict[str, Any]]:
    """The records of all studies in the store, sorted by name."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((runs.root() / "studies").glob("*.json"))]
    return [record for record in found if profile in (None, record["config"]["profile"])]


def standard(record: dict[str, Any]) -> bool:
    """Whether a study is the profile's own for its method, and not somebody's variation of it under another name."""
    config = record["config"]
    return bool(record["name"] == ".".join(config[key] for key in ("data", "sharing", "weighting", "profile")))


def current(profile: str, roles: tuple[str, ...] = ("tuning", "final")) -> Iterator[Run]:
    """The finished, current runs of a profile's own studies."""
    for record in filter(standard, records(profile)):
        for role in roles:
            for run_id in record[role]:
                run = runs.load_run(runs.root() / run_id)
                if run is not None and run.config.run_id == run_id:
                    yield run


def _method(run: Run) -> dict[str, Any]:
    c = run.config
    return {"data": c.data, "sharing": c.sharing, "weighting": c.weighting, "seed": c.seed}


def load(profile: str = "quick") -> pd.DataFrame:
    """One row a metric value: data, sharing, weighting, seed, role, status, task, metric, higher_is_better, split, value.

    A diverged run has one row a task and split with value NaN: it is shown, not dropped.
    """
    rows = []
    for run in current(profile):
        config = run.config
        for split in ("train", "validation", "test")[: 2 if config.role == "tune" else 3]:
            for task in config.tasks:
                value = run.record["results"][split][task.name]["metric"] if run.status == "done" else float("nan")
                rows.append(
                    {**_method(run), "role": config.role, "status": run.status, "task": task.name, "metric": task.metric,
                     "higher_is_better": task.higher_is_better, "split": split, "value": value}
                )  # fmt: skip
    return pd.DataFrame(rows)


def summary(profile: str = "quick") -> pd.DataFrame:
    """One row a run: method, seed, role, status, hyperparameters, device, steps, size, FLOPs of an example, time, what the search
    for a structure cost, conflict, unsolved games."""
    rows = []
    for run in current(profile):
        record, config = run.record, run.config
        games = record["summary"]["games"]
        best = [step for step in record["summary"]["best_step"] if step is not None]
        rows.append(
            {**_method(run), "role": config.role, "status": run.status, "lr": config.lr, "dropout": config.dropout,
             "device": record["provenance"]["device"], "date": record["provenance"]["date"],
             "steps": record["summary"]["steps"], "best_step": max(best, default=float("nan")),
             **{name: record["summary"][name] for name in COSTS}, **_conflicts(run),
             "games": sum(games.values()), "unsolved": sum(n for name, n in games.items() if name != "SOLVED"),
             "diverged_step": record.get("diverged_step", float("nan")), "run_id": run.path.name}
        )  # fmt: skip
    return pd.DataFrame(rows)


def _conflicts(run: Run) -> dict[str, float]:
    """Conflict of the whole trunk's gradients, averaged over the recorded steps; NaN where nothing is shared."""
    trunk = [torch.tensor(line["gramian"], dtype=torch.float64).sum(0) for line in run.lines("weights") if line["gramian"]]
    measured = pd.DataFrame([conflict(M) for M in trunk], columns=["cosine", "conflict", "magnitude_ratio"])
    means = {name: float(measured[name].mean()) for name in ("cosine", "conflict")}
    return {**means, "magnitude_ratio": float(measured["magnitude_ratio"].median())}


def weights(profile: str = "quick") -> pd.DataFrame:
    """One row a recorded step, block and task of the reported runs; the K weights of a block are scaled to mean 1."""
    rows = []
    for run in current(profile, ("final",)):
        tasks = [task.name for task in run.config.tasks]
        for line in run.lines("weights"):
            for block, (a, status) in enumerate(zip(line["weights"], line["status"], strict=True)):
                total = sum(a) or 1.0
                for task, weight in zip(tasks, a, strict=True):
                    rows.append(
                        {**_method(run), "step": line["step"], "block": block, "task": task,
                         "weight": weight * len(a) / total, "status": Status(status).name}
                    )  # fmt: skip
    return pd.DataFrame(rows)


def learning_curves(profile: str = "quick") -> pd.DataFrame:
    """One row an evaluation, split and task of the reported runs: step, loss, metric value."""
    rows = []
    for run in current(profile, ("final",)):
        for line in run.lines("metrics"):
            for split in ("train", "validation"):
                for task, measured in line[split].items():
                    rows.append(
                        {**_method(run), "step": line["step"], "split": split, "task": task, "loss": measured["loss"],
                         "value": measured["metric"]}
                    )  # fmt: skip
    return pd.DataFrame(rows)


def gramians(data: str, weighting: str = "nash", profile: str = "quick") -> list[Tensor]:
    """Recorded Gramians of the reported runs in training order: one tensor (steps, K, K) a seed."""
    found = []
    for run in current(profile, ("final",)):
        if (run.config.data, run.config.sharing, run.config.weighting) == (data, "hard", weighting):
            lines = [line["gramian"] for line in run.lines("weights") if line["gramian"]]
            found.append(torch.tensor(lines, dtype=torch.float64).sum(1))
    return found


def learned(profile: str = "quick") -> pd.DataFrame:
    """What the reported runs learned about sharing, a number a row: method, seed, kind, part, row, column, value.

    kind: the name under which the family gives it ("alpha", "gates", "overlap", …); part: a stage, where there is one such a
    stage; row and column: task, stage or expert, as far as it has them; places without a name are numbered from 1.
    """
    rows = [{**_method(run), **cell} for run in current(profile, ("final",)) for cell in cells(run.record.get("learned", {}))]
    return pd.DataFrame(rows, columns=["data", "sharing", "weighting", "seed", "kind", "part", "row", "column", "value"])


def cells(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The numbers of what one model learned (`Sharing.learned`) with kind, part, row and column.

    >>> [(c["part"], c["row"], c["column"]) for c in cells({"alpha": {"fc": [[0.9, 0.1]]}, "tasks": ["a", "b"]})]
    [('fc', '1', 'a'), ('fc', '1', 'b')]
    """
    for kind, value in found.items():
        if kind not in AXES:
            for path, one in _leaves(value, found.get(ALONG.get(kind, "tasks"), [])):
                yield {"kind": kind, "part": path[0] if len(path) > 2 else "",
                       "row": path[-2] if len(path) > 1 else path[0] if path else "",
                       "column": path[-1] if len(path) > 1 else "", "value": one}  # fmt: skip


def _leaves(value: Any, names: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], float]]:
    """Every number below a value, with the names on the way to it; a text stands for itself with the value 1."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _leaves(part, names, (*path, str(name)))
    elif isinstance(value, list) and all(isinstance(item, str) for item in value):
        yield from (((*path, item), 1.0) for item in value)
    elif isinstance(value, list):
        for name, part in zip(_names(len(value), names, path), value, strict=True):
            yield from _leaves(part, names, (*path, name))
    else:
        yield path, float(value)


def _names(n: int, names: Any, path: tuple[str, ...]) -> list[str]:
    """Names of n places: the given ones (a list, or one by the name that the path ends with), their subspaces, or numbers."""
    known = names.get(path[-1], []) if isinstance(names, dict) else names
    if len(known) == n:
        return [name if known.count(name) == 1 else f"{name} {known[: i + 1].count(name)}" for i, name in enumerate(known)]
    if known and n % len(known) == 0:
        return [f"{name} {g + 1}" for name in known for g in range(n // len(known))]
    return [str(i + 1) for i in range(n)]
