"""Task affinity groupings: a look one step ahead says which task's update lowers whose loss; the
groups in which that helps most train by themselves.

Source: Fifty, Amid, Zhao, Yu, Anil & Finn, *Efficiently Identifying Task Groupings for Multi-Task
Learning*, NeurIPS 2021, arXiv 2109.04617.

    Z_ij = 1 − L_j(θ − η ∇L_i(θ)) / L_j(θ)      θ: the shared parameters, η: the learning rate

Z (K, K) is averaged over every tenth step of a run that shares everything. The partition into at
most n groups that maximises Σ_j mean_{i ∈ 𝒢(j), i ≠ j} Z_ij is found exactly and trained from new
weights. As in the published code a task alone has no affinity, so that no group is of one task.
What differs from the paper: groups do not overlap, where there a task may train in several groups
and be served by one; dynamic programming over subsets takes the place of branch and bound.
"""

from itertools import combinations
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.func import functional_call

from mtlstudy.models.sharing._dynamic import Searched, named
from mtlstudy.models.sharing.base import Problem, Sharing, State, registry
from mtlstudy.nash.coalition import EXACT, Coalition, best_of
from mtlstudy.registry import Options as NoOptions

ALONE = -1e4
"""Affinity onto a task that no other trains with."""


@registry.register("tag")
class Tag(Searched):
    """A trunk for each group of tasks that help one another."""

    paper = "Fifty et al. 2021, arXiv 2109.04617"
    tuned = {"groups": (2, 3)}

    class Options(NoOptions):
        """groups: the most there may be; every: steps from one look ahead to the next; search:
        share of the training steps that the shared run takes (the paper: all)."""

        groups: Annotated[int, Field(ge=1, le=EXACT)] = 2
        every: Annotated[int, Field(ge=1, le=10**9)] = 10
        search: Annotated[float, Field(gt=0, le=1)] = 1.0

    @classmethod
    def find(cls, problem: Problem, options: Any, steps: int) -> State:
        model = cls(problem.backbone, problem.tasks, problem.heads(), options)
        K = len(model.tasks)
        if K > EXACT:
            raise model.refuse(f"{K} tasks; allowed: at most {EXACT}")
        seen: list[Tensor] = []

        def look(step: int, batch: Any) -> None:
            if step % options.every == 0:
                seen.append(affinities(model, batch, problem.lr))

        problem.train(model, steps, before=look)
        Z = torch.stack(seen).nan_to_num(0, 0, 0).mean(0)  # (K, K)
        groups = named(best_of(worths(Z), options.groups).coalitions, model.task_names)
        passes = {"forward": steps + (K + 1) * len(seen), "backward": steps + K * len(seen)}
        coalitions = [groups for _ in model.stage_names]
        return {"coalitions": coalitions, "affinities": Z.tolist(), **passes}


def affinities(model: Sharing, batch: Any, lr: float) -> Tensor:
    """Z (K, K) on a batch, of the tasks in the order of their names; nothing is changed, and every
    loss is taken with the same units dropped out."""
    tasks = sorted(model.tasks, key=lambda task: task.name)
    shared = {p for block in model.shared_blocks().values() for p in block}
    theta = {name: p for name, p in model.named_parameters() if p in shared}

    def losses(parameters: dict[str, Any]) -> list[Tensor]:
        with torch.random.fork_rng():
            outputs = functional_call(model, parameters, (batch.inputs,))
        return [task.loss(outputs[task.name], batch.targets[task.name]) for task in tasks]

    now, rows = losses(theta), []
    for loss in now:
        g = torch.autograd.grad(loss, list(theta.values()), retain_graph=True)
        with torch.no_grad():
            step = zip(theta.items(), g, strict=True)
            ahead = losses({name: p - lr * g_p for (name, p), g_p in step})
        rows.append(1 - torch.stack(ahead) / torch.stack(now).detach())
    return torch.stack(rows).double().cpu()


def worths(Z: Tensor) -> dict[Coalition, float]:
    """Of every group: the sum over its tasks of the mean affinity of the others onto them.

    >>> worths(torch.tensor([[9.0, 1.0], [2.0, 9.0]]))
    {(0,): -10000.0, (1,): -10000.0, (0, 1): 3.0}
    """
    K = len(Z)
    onto = Z - torch.diag(Z.diagonal())
    found: dict[Coalition, float] = {(t,): ALONE for t in range(K)}
    for size in range(2, K + 1):
        for c in combinations(range(K), size):
            found[c] = float(onto[list(c)][:, list(c)].sum()) / (size - 1)
    return found
