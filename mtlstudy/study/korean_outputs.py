"""What the reported runs of the Korean benchmarks predict at their selected checkpoints: confusion, further metrics and splits.

A finished run keeps its checkpoint, and in it the states that validation selected. They are loaded and held against the test
metric that the run recorded; nothing is trained or selected here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from mtlstudy.study import frames
from mtlstudy.training.build import build, chosen
from mtlstudy.data.base import Data, Split
from mtlstudy.data.tagged import Tagged
from mtlstudy.errors import InputError
from mtlstudy.training.evaluation import predict
from mtlstudy.training.store import Run
from mtlstudy.models.sharing.base import Sharing
from mtlstudy.models.tasks import Task
from mtlstudy.study.korean_settings import FURTHER, METHODS

MOST_CLASSES = 40
TOLERANCE = 5e-3
"""How far a recorded test metric may lie from the recomputed one: a few examples, on another device."""
CLASSES = {
    "sentiment": ("negative", "positive"),
    "hate": ("hate", "offensive", "none"),
    "bias": ("none", "gender", "others"),
    "intention": ("fragment", "statement", "question", "command", "rhetorical question", "rhetorical command", "intonation"),
}
ALSO = {"spearman": "pearson"}
"""Metric → another that is customary besides."""
KEYS = ["data", "sharing", "weighting"]
FURTHER_COLUMNS = [*KEYS, "seed", "test", "task", "metric", "value"]
CONFUSION_COLUMNS = [*KEYS, "task", "true", "predicted", "count"]


def outputs(run: Run, model: Sharing, tasks: Sequence[Task], split: Split) -> dict[str, Tensor]:
    """Output of every task on a split at the run's selected checkpoint (one a task where nothing is shared).

    Raises:
        InputError: the run has no checkpoint any more.
    """
    file = run.path / "checkpoint.pt"
    if not file.exists():
        raise InputError(f"{file} is missing; delete {run.path} and the run is made anew")
    best = torch.load(file, map_location=run.config.device, weights_only=True)["best"]
    names = [task.name for task in tasks]
    found: dict[str, Tensor] = {}
    for group, state in zip([[name] for name in names] if model.independent else [names], best, strict=True):
        model.load_state_dict(state["state"])
        model.eval()
        with torch.no_grad():
            found |= predict(model, split, group)
    return found


def classes(data: Data) -> dict[str, list[str]]:
    """Names of the classes of every multiclass task, in the order of their numbers."""
    if isinstance(data, Tagged):
        train, *_ = data.sentences()
        return {task: sorted(set(chain.from_iterable(tags)) - {""}) for task, tags in train.tags.items()}
    return {task.name: list(CLASSES[task.name]) for task in data.tasks if task.kind == "multiclass"}


def measured(profile: str, data_sets: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Of the reported runs that did not diverge: further metrics (`FURTHER_COLUMNS`), one row a value, and confusion counts
    (`CONFUSION_COLUMNS`) on the customary test split, summed over the seeds, where they are not 0."""
    metric_rows: list[dict[str, Any]] = []
    counts: list[pd.DataFrame] = []
    for run in frames.current(profile, ("final",)):
        c = run.config
        if c.data in data_sets and f"{c.sharing}+{c.weighting}" in METHODS and run.status == "done":
            for test, task, output, target, names in _tested(run):
                head = {"data": c.data, "sharing": c.sharing, "weighting": c.weighting, "test": test, "task": task.name}
                for metric in [*([task.metric] if test != "test" else []), *([ALSO[task.metric]] if task.metric in ALSO else [])]:
                    value = replace(task, metric=metric).measure(output, target)
                    metric_rows.append({**head, "seed": c.seed, "metric": metric, "value": value})
                if test == "test" and task.kind == "multiclass" and task.outputs <= MOST_CLASSES:
                    counts.append(confusion(*task.labelled(output, target), names).assign(**head))
    further = pd.DataFrame(metric_rows, columns=FURTHER_COLUMNS)
    if not counts:
        return further, pd.DataFrame(columns=CONFUSION_COLUMNS)
    keys = [name for name in CONFUSION_COLUMNS if name != "count"]
    return further, pd.concat(counts).groupby(keys, sort=True)["count"].sum().reset_index()[CONFUSION_COLUMNS]


def _tested(run: Run) -> Iterator[tuple[str, Task, Tensor, Tensor, list[str]]]:
    """Test split, task, output, target and class names of everything that a run is tested on."""
    config = run.config
    data, splits, model, _ = build(config)
    tests = {"test": splits.test}
    for name, options in FURTHER.get(config.data, {}).items():
        kind, other = chosen("data", config.but(data_options={**config.data_options, **options}))
        tests[name] = kind(other).load(config.seed).test.to(torch.device(config.device))
    names = classes(data)
    for test, split in tests.items():
        found = outputs(run, model, data.tasks, split)
        for task in data.tasks:
            output, target = found[task.name], split.targets[task.name]
            if test == "test":
                recorded, again = run.record["results"]["test"][task.name]["metric"], task.measure(output, target)
                if abs(recorded - again) > TOLERANCE:
                    raise InputError(f"{run.path}: the checkpoint gives {task.metric} {again:.4f} on {task.name}; "
                                     f"the results say {recorded:.4f} (`mtlstudy verify`)")  # fmt: skip
            yield test, task, output, target, names.get(task.name, [])


def confusion(output: Tensor, target: Tensor, names: Sequence[str]) -> pd.DataFrame:
    """Counts of true and predicted class by name, where they are not 0. output (n, classes), target (n,).

    >>> confusion(torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 1.0]]), torch.tensor([0, 1, 1]), ["a", "b"]).to_numpy().tolist()
    [['a', 'a', 1], ['b', 'a', 1], ['b', 'b', 1]]
    """
    K = output.shape[-1]
    names = [*names, *map(str, range(len(names), K))]
    table = torch.bincount(target.cpu() * K + output.argmax(-1).cpu(), minlength=K * K).view(K, K)
    cells = [(names[i], names[j], int(table[i, j])) for i, j in table.nonzero().tolist()]
    return pd.DataFrame(cells, columns=["true", "predicted", "count"])
