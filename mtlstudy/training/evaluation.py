"""Measuring a model on a split, and which of its states are reported: the best on validation.

Test is opened here alone, once, at the end of a run of a reported seed.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mtlstudy.data.base import Split, Splits
from mtlstudy.models.sharing.base import Sharing
from mtlstudy.models.tasks import Task

CHUNK = {"cpu": 128, "cuda": 4096}
"""Examples at once: on a CPU what stays in the cache is faster, on a GPU few launches are."""
TRAIN_EXAMPLES = 200
"""Training examples on which the training metric is measured along the way."""
MOST_CLASSES = 40
"""Classes up to which a task's confusion matrix is recorded."""


class Measures(TypedDict):
    """loss; metric in its own unit; score: the metric, signed so that larger is better; also:
    further metrics by name."""

    loss: float
    metric: float
    score: float
    also: NotRequired[dict[str, float]]


class Evaluation(TypedDict):
    """A line of metrics.jsonl: after `step` steps; score: mean over tasks, on validation."""

    step: int
    train: dict[str, Measures]
    validation: dict[str, Measures]
    score: float


class Confusion(TypedDict):
    """counts (classes, classes): of the true class (row) and the predicted one (column)."""

    classes: list[str]
    counts: list[list[int]]


def measure(model: Sharing, tasks: Sequence[Task], split: Split) -> dict[str, Measures]:
    """Every task's measures on a split, in evaluation mode."""
    outputs = predict(model, split, [task.name for task in tasks])
    return {
        task.name: measures(task, outputs[task.name], split.targets[task.name]) for task in tasks
    }


def measures(task: Task, output: Tensor, target: Tensor) -> Measures:
    """The measures of one task. output (N, …), target (N,) or (N, T)."""
    target = target.to(output.device)
    value = task.measure(output, target)
    score = value if task.higher_is_better else -value
    result: Measures = {"loss": float(task.loss(output, target)), "metric": value, "score": score}
    if task.also:
        result["also"] = {name: task.measure(output, target, name) for name in task.also}
    return result


def predict(model: Sharing, split: Split, names: Sequence[str]) -> dict[str, Tensor]:
    """Output (N, …) of these tasks on their examples of a split, without gradients."""
    model.eval()
    device = next(model.parameters()).device
    chunk = CHUNK.get(device.type, 4096)
    x = split.inputs
    groups = [(x, names)] if isinstance(x, Tensor) else [(x[name], [name]) for name in names]
    outputs: dict[str, Tensor] = {}
    with torch.no_grad():
        for inputs, group in groups:
            z = [model.represent(part.to(device), group) for part in inputs.split(chunk)]
            outputs |= {n: torch.cat([model.heads[n](rep[n]) for rep in z]) for n in group}
    return outputs


def flops(model: Sharing, split: Split) -> float | None:
    """Floating-point operations of one example's forward pass through everything it needs; of a
    multi-input problem, of one example a task. Counted by torch on matrix products and convolutions
    of the first examples; None where torch cannot count them."""
    few, n = split.first(8), min([8, *split.sizes().values()])
    try:
        with FlopCounterMode(display=False) as counter:
            predict(model, few, [task.name for task in model.tasks])
    except RuntimeError:  # measuring never ends a run: the counter wraps some views wrongly
        return None
    return float(counter.get_total_flops() / n)


def mean(values: Sequence[float]) -> float:
    """Mean; NaN, undefined, where one of the values is: a mean over fewer tasks is another one."""
    return sum(values) / len(values)


class Selection:
    """The best state so far of every group of tasks that select together: all of them, or each by
    itself where nothing is shared. `best` is what a checkpoint holds."""

    def __init__(self, model: Sharing, splits: Splits) -> None:
        self.model, self.splits = model, splits
        self.train = splits.train.first(TRAIN_EXAMPLES)
        names = [task.name for task in model.tasks]
        self.groups = [[name] for name in names] if model.independent else [names]
        self.best: list[dict[str, Any]] = [{} for _ in self.groups]

    def evaluate(self, step: int) -> Evaluation:
        """Measure the model as it is after `step` steps; keep states better than the best. A state
        with an undefined metric is never better."""
        model = self.model
        train = measure(model, model.tasks, self.train)
        validation = measure(model, model.tasks, self.splits.validation)
        scores = {name: value["score"] for name, value in validation.items()}
        for names, best in zip(self.groups, self.best, strict=True):
            score = mean([scores[name] for name in names])
            if score > best.get("score", float("-inf")):
                state = copy.deepcopy(model.state_dict())
                best |= {"score": score, "step": step, "state": state}
        score = mean(list(scores.values()))
        return {"step": step, "train": train, "validation": validation, "score": score}

    def undefined(self) -> list[str]:
        """The tasks of groups that selected no state: in every evaluation a metric was undefined,
        and the model's last state is what is reported."""
        pairs = zip(self.groups, self.best, strict=True)
        return [name for names, best in pairs if "state" not in best for name in names]

    def results(self, tests: Mapping[str, Split]) -> dict[str, dict[str, Measures]]:
        """Split → task → measures at the selected states, on train, validation and `tests`; the
        model is left in the last of the states."""
        splits = {"train": self.splits.train, "validation": self.splits.validation, **tests}
        results: dict[str, dict[str, Measures]] = {name: {} for name in splits}
        for tasks in self.selected():
            for name, split in splits.items():
                results[name] |= measure(self.model, tasks, split)
        return results

    def confusions(self, split: Split, classes: Mapping[str, list[str]]) -> dict[str, Confusion]:
        """Confusion of every multiclass task of at most `MOST_CLASSES` classes."""
        counted: dict[str, Confusion] = {}
        for task, output in self.multiclass(split, MOST_CLASSES):
            output, target = task.labelled(output, split.targets[task.name].to(output.device))
            K = task.outputs
            cells = torch.bincount(target * K + output.argmax(-1), minlength=K * K).view(K, K)
            names = [*classes.get(task.name, []), *map(str, range(K))][:K]
            counted[task.name] = {"classes": names, "counts": cells.tolist()}
        return counted

    def multiclass(self, split: Split, most: int) -> Iterator[tuple[Task, Tensor]]:
        """Every multiclass task of at most so many classes, with its output on a split in the state
        that its group selected."""
        for tasks in self.selected():
            few = [t for t in tasks if t.kind == "multiclass" and t.outputs <= most]
            outputs = predict(self.model, split, [task.name for task in few]) if few else {}
            yield from ((task, outputs[task.name]) for task in few)

    def selected(self) -> Any:
        """Each group's tasks, with the model in the state that the group selected."""
        for names, best in zip(self.groups, self.best, strict=True):
            if "state" in best:
                self.model.load_state_dict(best["state"])
            yield [task for task in self.model.tasks if task.name in names]
