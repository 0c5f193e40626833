"""Branched networks: tasks share a stage where single-task networks represent the examples alike.

Source: Vandenhende, Georgoulis, De Brabandere & Van Gool, *Branched Multi-Task Networks: Deciding
What Layers To Share*, BMVC 2020, arXiv 1904.02920.

    R_t^l = 1 − corr(f_t^l(x_1), …, f_t^l(x_N))        A_st^l = Spearman(R_s^l, R_t^l)

f_t^l: stage l of task t's own network; R (N, N): how differently it represents two examples. Of the
trees within a budget of parameters, tasks that part never meeting again, the one of least cost

    Σ_l mean over the clusters 𝒞 of stage l of  max_{s, t ∈ 𝒞} 1 − A_st^l

is found by a beam search from the top down and trained from new weights. What differs from the
paper: a stage of the backbone is the unit; clusters are those of complete linkage, which merges by
that very maximum, where there they are spectral. The passes of the N examples through the trained
networks, less than a hundredth of the search, are not counted in its cost.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from mtlstudy.errors import InputError
from mtlstudy.models.sharing._dynamic import Searched, named
from mtlstudy.models.sharing.base import Partitioned, Problem, State, parameters, registry
from mtlstudy.nash.coalition import Coalition
from mtlstudy.registry import Options as NoOptions

BEAM = 10
"""Unfinished trees that are kept."""


@registry.register("branched")
class Branched(Searched):
    """A tree of stages, from the similarity of representations."""

    paper = "Vandenhende et al. 2020, arXiv 1904.02920"
    tuned = {"trunks": (2.0, 3.0)}

    class Options(NoOptions):
        """trunks: the most parameters, in trunks; examples: N; search: share of the training steps
        for which the single-task networks train (the paper: all)."""

        trunks: Annotated[float, Field(ge=1, le=64)] = 2.0
        examples: Annotated[int, Field(ge=3, le=5000)] = 500
        search: Annotated[float, Field(gt=0, le=1)] = 1.0

    @classmethod
    def find(cls, problem: Problem, options: Any, steps: int) -> State:
        apart = Partitioned(problem.backbone, problem.tasks, problem.heads(), options)
        K = len(apart.tasks)
        x = problem.examples(options.examples)
        if len(x) < 3:  # their pairs are what is correlated
            reason = f"{len(x)} training examples; allowed: at least 3"
            raise InputError(f"sharing = {cls.name!r}: {reason}")
        problem.train(apart, steps)
        A = affinities(apart, x)
        first = apart.task_names[0]
        sizes = [sum(p.numel() for p in parameters(stage[first])) for stage in apart.stages]
        tree = best_tree([1 - a for a in A], sizes, options.trunks * sum(sizes))
        coalitions = [named(stage, apart.task_names) for stage in tree]
        passes = {"forward": K * steps, "backward": K * steps}
        return {"coalitions": coalitions, "affinities": [a.tolist() for a in A], **passes}


def affinities(apart: Partitioned, x: Tensor) -> list[Tensor]:
    """A (K, K) of every stage, of single-task networks on examples x (N, …)."""
    by_stage: list[list[Tensor]] = [[] for _ in apart.stages]
    pairs = torch.ones(len(x), len(x), dtype=torch.bool).triu(1)
    apart.eval()
    with torch.no_grad():
        for task in apart.task_names:
            h = x
            for stage, ranks in zip(apart.stages, by_stage, strict=True):
                h = stage[task](h)
                R = torch.corrcoef(h.flatten(1).double()).cpu().nan_to_num(0)[pairs]
                ranks.append(R.argsort(stable=True).argsort().double())
    found = [torch.corrcoef(torch.stack(ranks)).view(len(ranks), -1) for ranks in by_stage]
    return [A.nan_to_num(0) for A in found]  # so few examples that nothing varies


def best_tree(D: Sequence[Tensor], sizes: Sequence[int], budget: float) -> list[list[Coalition]]:
    """Clusters of task numbers for every stage: the tree of least cost within the budget.

    D: dissimilarities (K, K) of every stage; sizes: parameters of a copy of each.

    >>> D = torch.tensor([[0.0, 0.1, 0.9], [0.1, 0.0, 0.8], [0.9, 0.8, 0.0]])
    >>> best_tree([D, D], sizes=[10, 10], budget=30)
    [[(0, 1, 2)], [(0, 1), (2,)]]
    """
    apart: list[Coalition] = [(t,) for t in range(len(D[0]))]
    beam = [(0.0, 0, [apart])]  # cost, parameters, stages so far and what they come from
    for l in reversed(range(len(D))):
        grown = []
        for cost, used, tree in beam:
            for clusters in merged(D[l], tree[0]):
                now = used + len(clusters) * sizes[l]
                if now + sum(sizes[:l]) <= budget:
                    grown.append((cost + spread(D[l], clusters), now, [clusters, *tree]))
        beam = sorted(grown)[:BEAM]
    return beam[0][2][:-1]


def merged(D: Tensor, clusters: list[Coalition]) -> Iterator[list[Coalition]]:
    """These clusters, then with the two merged whose union is the least wide, to one cluster."""
    yield clusters
    while len(clusters) > 1:
        unions = {tuple(sorted(a + b)): (a, b) for a, b in combinations(clusters, 2)}
        union = min(unions, key=lambda c: (width(D, c), c))
        clusters = sorted([*(c for c in clusters if c not in unions[union]), union])
        yield clusters


def width(D: Tensor, cluster: Coalition) -> float:
    """The greatest dissimilarity of two of its tasks."""
    return float(D[list(cluster)][:, list(cluster)].max()) if len(cluster) > 1 else 0.0


def spread(D: Tensor, clusters: list[Coalition]) -> float:
    """The mean width of the clusters."""
    return sum(width(D, c) for c in clusters) / len(clusters)
