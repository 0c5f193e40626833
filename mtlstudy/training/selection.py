"""Which states of a run are reported: the best on validation, and what they reach on every split. Test is opened here alone."""

import copy
from typing import Any

from mtlstudy.data.base import Splits
from mtlstudy.training.evaluation import mean, measure
from mtlstudy.models.sharing.base import Sharing

EVALUATED = 200  # training examples on which the training metric is measured on the way


class Selection:
    """The best state so far of every group of tasks that select together: all of them, or each by itself where nothing is
    shared. `best` is what a checkpoint holds."""

    def __init__(self, model: Sharing, splits: Splits) -> None:
        self.model, self.splits, self.seen = model, splits, splits.train.first(EVALUATED)
        names = [task.name for task in model.tasks]
        self.groups = [[name] for name in names] if model.independent else [names]
        self.best: list[dict[str, Any]] = [{} for _ in self.groups]

    def evaluate(self, step: int) -> dict[str, Any]:
        """One line of metrics.jsonl, of the model as it is after `step` steps; a state that is better than the best is kept."""
        model = self.model
        line: dict[str, Any] = {"step": step, "train": measure(model, model.tasks, self.seen)}
        line["validation"] = measure(model, model.tasks, self.splits.validation)
        scores = {name: value["score"] for name, value in line["validation"].items()}
        line["score"] = mean(list(scores.values()))
        for names, best in zip(self.groups, self.best, strict=True):
            score = mean([scores[name] for name in names])
            if score > best.get("score", float("-inf")):
                best |= {"score": score, "step": step, "state": copy.deepcopy(model.state_dict())}
        return line

    def results(self, test: bool) -> dict[str, dict[str, dict[str, float]]]:
        """Split → task → measures at the selected states; the model is left in the last of them."""
        splits = {"train": self.splits.train, "validation": self.splits.validation}
        if test:
            splits["test"] = self.splits.test
        results: dict[str, dict[str, dict[str, float]]] = {name: {} for name in splits}
        for names, best in zip(self.groups, self.best, strict=True):
            if "state" in best:
                self.model.load_state_dict(best["state"])
            own = [task for task in self.model.tasks if task.name in names]
            for split, examples in splits.items():
                results[split] |= measure(self.model, own, examples)
        return results
