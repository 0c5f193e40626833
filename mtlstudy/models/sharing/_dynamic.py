"""Partitions that change while a model trains: copies branch, coalitions merge.

A copy that branches is exact, so the function does not change by a bit. A coalition's copy is the
mean of its members', and so are the moments that the optimiser holds (see `Step.restructure`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from mtlstudy.models.backbones import Backbone
from mtlstudy.models.sharing.base import (
    Origins,
    Partitioned,
    Problem,
    State,
    parameters,
    trainable,
)
from mtlstudy.models.tasks import Inputs

Coalitions = list[list[str]]


class Dynamic(Partitioned):
    """A partitioned family that implements `restructure`.

    history: what was decided, in order; plain values. Every stage is bargained over, also a copy
    that serves one task for a while, so that a step has the same length in every structure.
    """

    changes = True

    def build(self, backbone: Backbone) -> None:
        super().build(backbone)
        self.history: list[dict[str, Any]] = []
        self.note(0, phase="start")

    def together(self) -> list[Coalitions]:
        """Every stage shared by all."""
        return [[self.task_names] for _ in self.stage_names]

    def above(self, shared: int, coalitions: Coalitions) -> list[Coalitions]:
        """The first `shared` stages shared by all, the others by coalitions."""
        L = len(self.stage_names)
        if shared >= L:
            raise self.refuse(f"shared = {shared}; allowed: 0 to {L - 1}")
        return [*self.together()[:shared], *[coalitions] * (L - shared)]

    def decide(self, step: int, partitions: Sequence[Coalitions], **why: Any) -> Origins:
        """Take these coalitions, a list for each stage, and note it with the reasons."""
        origins = self.regroup(partitions)
        self.note(step, **why)
        return origins

    def note(self, step: int, **why: Any) -> None:
        """Add the present structure to the history."""
        now = {"step": step, "trunks": self.trunks(), "coalitions": self.partitions}
        self.history.append({**now, **why})

    def shared_blocks(self) -> dict[str, list[nn.Parameter]]:
        blocks = {use.block: trainable(use.parameters) for use in self.usage()}
        return {block: trained for block, trained in blocks.items() if trained}

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        return trainable(self.heads[task].parameters())

    def regroup(self, partitions: Sequence[Coalitions]) -> Origins:
        """New copies for these coalitions, and what each of their parameters is the mean of."""
        origins: dict[nn.Parameter, list[nn.Parameter]] = {p: [p] for p in self.heads.parameters()}
        for stage, old, new in zip(self.stages, self.partitions, partitions, strict=True):
            of_task = {task: stage[self.key(c)] for c in old for task in c}
            stage.clear()
            for c in new:
                members = [of_task[task] for task in sorted(c)]
                members = members[:1] if len(set(members)) == 1 else members
                stage[self.key(c)] = copy = mean_of(members)
                of_members = zip(*(parameters(m) for m in members), strict=True)
                origins |= zip(parameters(copy), map(list, of_members), strict=True)
        self.partitions = [[list(c) for c in coalitions] for coalitions in partitions]
        return origins

    def trunks(self) -> float:
        """Trunks that an input goes through: distinct paths at a stage, a mean over the stages."""
        coalition = [{t: self.key(c) for c in stage for t in c} for stage in self.partitions]
        paths = [
            {tuple(c[t] for c in coalition[: l + 1]) for t in self.task_names}
            for l in range(len(coalition))
        ]
        return sum(map(len, paths)) / len(paths)

    def get_extra_state(self) -> dict[str, Any]:
        """What torch saves with the parameters, and restores before them: see `set_extra_state`."""
        return {"partitions": self.partitions, "history": self.history}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """The structure that the parameters are of. What was decided is not forgotten when a state
        from before it is restored."""
        if state["partitions"] != self.partitions:
            self.regroup(state["partitions"])
        self.history = max(self.history, state["history"], key=len)

    def learned(self, inputs: Inputs) -> dict[str, Any]:
        """The coalitions of every stage, and what was decided on the way."""
        coalitions = dict(zip(self.stage_names, self.partitions, strict=True))
        return {"coalitions": coalitions, "decisions": self.history}


class Searched(Dynamic):
    """A family whose coalitions a search finds, and which then trains them from new weights.

    structure: {"coalitions": those of every stage, "forward", "backward": passes through a trunk
    that the search took} and what else it found; without it everything is shared.
    """

    changes = False
    searches = True

    @classmethod
    def search(cls, problem: Problem, options: Any, found: State) -> Iterator[State]:
        if not found:
            yield cls.find(problem, options, max(1, round(options.search * problem.steps)))

    @classmethod
    def find(cls, problem: Problem, options: Any, steps: int) -> State:
        """The structure, by a search of so many steps, in one piece."""
        raise NotImplementedError

    def partition(self, backbone: Backbone) -> list[Coalitions]:
        found: list[Coalitions] = self.structure["coalitions"] if self.structure else []
        return found or self.together()

    def learned(self, inputs: Inputs) -> dict[str, Any]:
        """As for `Dynamic`, and what the search found and took."""
        known = {"coalitions", "steps", "seconds"}  # said elsewhere in the record
        found = {k: v for k, v in (self.structure or {}).items() if k not in known}
        return {**super().learned(inputs), "search": found}


def named(coalitions: Iterable[Sequence[int]], names: Sequence[str]) -> Coalitions:
    """Coalitions of task numbers as task names."""
    return [[names[t] for t in c] for c in coalitions]


def mean_of(modules: Sequence[nn.Module]) -> nn.Module:
    """A new module whose parameters and buffers are the means of theirs; of one an exact copy."""
    copy = deepcopy(modules[0])
    states = [module.state_dict() for module in modules]
    copy.load_state_dict({name: mean([s[name] for s in states]) for name in states[0]})
    copy.zero_grad()
    return copy


def mean(tensors: Sequence[Tensor]) -> Tensor:
    """Their mean; of one, or of whole numbers, the first."""
    first = tensors[0]
    if len(tensors) == 1 or not first.is_floating_point():
        return first.clone()
    return torch.empty_like(first).copy_(torch.stack(list(tensors)).mean(0))  # in its layout


def carry(
    optimiser: torch.optim.Optimizer, origins: Origins, parameters: list[nn.Parameter]
) -> None:
    """Train these parameters from now on, in the optimiser's first group; the moments of a new one
    are the means of those that it stems from, as the parameter is itself."""
    states, group = optimiser.state, optimiser.param_groups[0]
    means: dict[Tensor, Any] = {
        p: {name: mean([states[q][name] for q in old]) for name in states[old[0]]}
        for p, old in origins.items()
    }
    for p in group["params"]:
        states.pop(p, None)
    states.update(means)
    group["params"] = parameters


def trunk_passes(
    decisions: Iterable[Mapping[str, Any]], tasks: int, steps: int, *, exact: bool
) -> tuple[float, float]:
    """Forward and backward passes through a trunk that a run took, single-input.

    decisions: with the "step" from which there were so many "trunks", the first one at 0. exact:
    whether every task's gradient is taken (K backward passes whatever the structure) or one a copy.
    """
    since, trunks, forward = 0, 0.0, 0.0
    for decision in decisions:
        forward += trunks * (decision["step"] - since)
        since, trunks = decision["step"], decision["trunks"]
    forward += trunks * (steps - since)
    return forward, float(tasks * steps) if exact else forward
