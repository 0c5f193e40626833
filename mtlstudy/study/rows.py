"""What a finished run says, as rows of the published tables: a run, a run and task.

Weights and curves are published as summaries, a column a tenth of the steps. Times are not: a run's
own clock runs on a machine that does other things too.
"""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import Any

import pandas as pd
import torch

from mtlstudy.gradients import conflict
from mtlstudy.study import plan
from mtlstudy.study.frames import cells
from mtlstudy.training import tune
from mtlstudy.training.store import Observation, Run

ORIGIN = (
    "device", "processor", "isa", "platform", "date", "commit", "python", "torch", "mtlstudy"
)  # fmt: skip
"""What is published of a run's provenance."""
SPLITS = ("train", "validation", "test")
TABLES: dict[str, tuple[str, ...]] = {
    "runs": (
        "run_id", "data", "sharing", "weighting", "seed", "role", "status", "score", "lr",
        "dropout", "options", "steps", "best_step", "parameters", "flops", "search_steps",
        "cosine", "conflict", "magnitude_ratio", "weight_ratio", "games", "unsolved",
        "diverged_step", "digest", *ORIGIN,
    ),
    "metrics": ("run_id", "task", "metric", "higher_is_better", *SPLITS),
    "weights": ("run_id", "task"),
    "curves": ("run_id", "task", "split"),
    "learned": ("run_id", "kind", "part", "row", "column", "value"),
    "further": ("run_id", "test", "task", "metric", "value"),
    "confusion": ("run_id", "task", "true", "predicted", "count"),
}  # fmt: skip
"""Table → its columns; weights and curves have a column a share of the steps besides."""
TEXTS = ("run_id", "task", "part", "row", "column", "true", "predicted", "digest", *ORIGIN)
"""Columns of texts, some of which look like numbers."""
TENTHS = 10


def of(run: Run) -> dict[str, list[dict[str, Any]]]:
    """The rows of a run, by table; a tuning run has one, in "runs"."""
    lines = run.observations()
    rows: dict[str, Iterable[dict[str, Any]]] = {"runs": [summary(run, lines)]}
    if run.config.role == "final":
        rows |= {
            "metrics": metrics(run),
            "weights": weights(run, lines),
            "curves": curves(run),
            "further": further(run),
            "confusion": confusion(run),
            "learned": cells(run.record.get("learned", {})),
        }
    own = {"run_id": run.path.name}
    return {name: [own | row for row in rows.get(name, ())] for name in TABLES}


def summary(run: Run, lines: Sequence[Observation]) -> dict[str, Any]:
    """The row of the run itself: method, hyperparameters, size, conflict, games, provenance."""
    record, c = run.record, run.config
    done, origin = record["summary"], record["provenance"]
    best = [step for step in done["best_step"] if step is not None]
    unsolved = sum(n for name, n in done["games"].items() if name != "SOLVED")
    options: dict[str, Any] = {"sharing": c.sharing_options, "weighting": c.weighting_options}
    options = {kind: given for kind, given in options.items() if given}
    options |= {} if c.schedule == "constant" else {"schedule": c.schedule}
    options |= {"only": c.only} if c.only else {}
    return {
        "data": c.data, "sharing": c.sharing, "weighting": c.weighting,
        "seed": c.seed, "role": c.role, "status": run.status, "score": tune.score(run), "lr": c.lr,
        "dropout": c.dropout, "options": json.dumps(options, sort_keys=True),
        "steps": done["steps"], "best_step": max(best, default=math.nan),
        "parameters": done["parameters"],
        "flops": math.nan if done["flops"] is None else done["flops"],
        "search_steps": done["search_steps"],
        **conflicts(lines), "weight_ratio": weight_ratio(lines),
        "games": sum(done["games"].values()), "unsolved": unsolved,
        "diverged_step": record.get("diverged_step", math.nan), "digest": run.digest,
        **{name: origin[name] for name in ORIGIN},
    }  # fmt: skip


def conflicts(lines: Sequence[Observation]) -> dict[str, float]:
    """Conflict of the whole trunk's gradients over the recorded steps (mean cosine and share of
    negative ones, median ratio of norms); NaN where nothing is shared."""
    recorded = (line["gramian"] for line in lines if line["gramian"])
    trunk = [conflict(torch.tensor(M, dtype=torch.float64).sum(0)) for M in recorded]
    how = {"cosine": "mean", "conflict": "mean", "magnitude_ratio": "median"}
    found = pd.DataFrame(trunk, columns=list(how)).agg(how)
    return {name: float(found[name]) for name in how}


def weight_ratio(lines: Sequence[Observation]) -> float:
    """Largest over smallest task weight of a step, median over recorded steps and blocks."""
    ratios = [max(a) / min(a) for line in lines for a in line["weights"] if a and min(a) > 0]
    return median(ratios) if ratios else math.nan


def metrics(run: Run) -> Iterator[dict[str, Any]]:
    """A row a task: its metric on every split, empty for a diverged run."""
    results = run.record.get("results", {})
    for task in run.config.tasks:
        head = {"task": task.name, "metric": task.metric}
        values = {s: results[s][task.name]["metric"] if results else math.nan for s in SPLITS}
        yield {**head, "higher_is_better": task.higher_is_better, **values}


def further(run: Run) -> Iterator[dict[str, Any]]:
    """Further metrics, and all metrics on further test splits."""
    for test, measured in run.record.get("results", {}).items():
        if test in ("train", "validation"):
            continue
        for task in run.config.tasks:
            row = measured[task.name]
            own = {} if test == "test" else {task.metric: row["metric"]}
            for metric, value in {**own, **row.get("also", {})}.items():
                yield {"test": test, "task": task.name, "metric": metric, "value": value}


def confusion(run: Run) -> Iterator[dict[str, Any]]:
    """Counts of true and predicted class on the test split, where they are not 0. Published for
    plain hard sharing alone, which the figures show."""
    if run.config.method != plan.HARD:
        return
    for task, table in run.record.get("confusion", {}).items():
        names = table["classes"]
        for true, counts in zip(names, table["counts"], strict=True):
            for predicted, count in zip(names, counts, strict=True):
                if count:
                    yield {"task": task, "true": true, "predicted": predicted, "count": count}


def weights(run: Run, lines: Sequence[Observation]) -> Iterator[dict[str, Any]]:
    """A row a task: its weight relative to the step's median task, a column a tenth of the steps
    (median over its recorded steps and blocks; 0 for a task out of the game)."""
    steps = run.config.steps
    binned: dict[int, list[list[float]]] = {}
    for line in lines:
        for a in line["weights"]:
            middle = median(a) if a else 0.0
            if middle > 0:
                tenth = min(line["step"] * TENTHS // steps, TENTHS - 1)
                binned.setdefault(tenth, []).append([w / middle for w in a])
    for t, task in enumerate(run.config.tasks) if binned else ():
        values = {
            f"{(tenth + 0.5) / TENTHS:.2f}": median(a[t] for a in each)
            for tenth, each in sorted(binned.items())
        }
        yield {"task": task.name, **values}


def curves(run: Run) -> Iterator[dict[str, Any]]:
    """A row a task and split: its metric, a column a tenth of the steps (the last in it)."""
    steps, table = run.config.steps, dict[tuple[str, str], dict[str, float]]()
    for line in run.evaluations():
        share = f"{math.ceil(line['step'] * TENTHS / steps) / TENTHS:.2f}"
        for split, measured in (("train", line["train"]), ("validation", line["validation"])):
            for task, measures in measured.items():
                table.setdefault((task, split), {})[share] = measures["metric"]
    for (task, split), values in table.items():
        yield {"task": task, "split": split, **values}


def melted(frame: pd.DataFrame, value: str) -> pd.DataFrame:
    """A wide table with a row a share of the steps: columns ``share`` and `value`."""
    shares = [column for column in frame if str(column)[:1].isdigit()]
    heads = [column for column in frame if column not in shares]
    long = frame.melt(heads, shares, "share", value).dropna(subset=[value])
    return long.assign(share=long["share"].astype(float)).reset_index(drop=True)


def melted_metrics(metrics: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The tidy frame that `mtlstudy.study.metrics` reads: a row a metric value, with its split."""
    wide = metrics.merge(runs[["run_id", "role", "status"]], on="run_id", how="left")
    rest = [column for column in wide if column not in SPLITS]
    long = wide.melt(rest, list(SPLITS), "split", "value")
    return long.assign(higher_is_better=long["higher_is_better"].astype(bool))
