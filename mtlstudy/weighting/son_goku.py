"""SON-GOKU: tasks whose gradients interfere get different colours, and a step is of one colour.

Source: Patapati & Srinivasan, *Graph Coloring for Multi-Task Learning*, 2025, arXiv 2509.16959.

    C ← β C + (1 − β) cos(g_s, g_t),   an edge where C_st < threshold,   a_t = 1 if colour(t) = k

C (K, K) is renewed every `update_every` steps, and the graph of its edges coloured greedily, the
tasks of most edges first (Welsh–Powell). From step to step the colours k take turns, so that m
colours give every task one step in m. What differs from the paper: the cosines are averaged, where
there the gradients are, which need not be kept then; a task at rest has gradient 0, so that the
optimiser's moments still move its head.
"""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from mtlstudy.gradients import cosines
from mtlstudy.nash import Status
from mtlstudy.weighting.base import GameOptions, Weighting, Weights, registry


@registry.register("son_goku")
class SonGoku(Weighting):
    """Weight 1 for the tasks of the step's colour, 0 for the others. The state: the mean cosines C
    (K, K), and the colours, on the host, which waits for the device where it colours the graph."""

    paper = "Patapati & Srinivasan 2025, arXiv 2509.16959"
    scales_heads = True
    C: Tensor

    class Options(GameOptions):
        """update_every: steps between two colourings; beta: β; threshold: mean cosine below which
        two tasks interfere."""

        update_every: Annotated[int, Field(ge=1, le=10**9)] = 32
        beta: Annotated[float, Field(ge=0, lt=1)] = 0.9
        threshold: Annotated[float, Field(ge=-1, le=1)] = 0.0

    def __init__(self, tasks: int, blocks: int, options: "SonGoku.Options") -> None:
        super().__init__(tasks, blocks, options)
        self.update_every, self.beta = options.update_every, options.beta
        self.threshold = options.threshold
        self.register_buffer("C", torch.zeros(tasks, tasks, dtype=torch.float64))
        self.colours = [0] * tasks

    def due(self) -> bool:
        return self.step % self.update_every == 0

    def forward(self, losses: Tensor, gramians: Tensor | None) -> Weights:
        if gramians is not None:
            M, beta = gramians[0], self.beta if self.step else 0.0
            seen = M.diagonal() > 0  # a task without gradient keeps what was known of it
            mean = beta * self.C + (1 - beta) * cosines(M)
            self.C = torch.where(seen & seen[:, None], mean, self.C)
            edges = (self.threshold > self.C).fill_diagonal_(False)
            self.colours = coloured(edges.tolist())
        here = range(self.K) if self.present is None else self.present.tolist()
        turns = sorted({self.colours[t] for t in here})
        turn, self.step = turns[self.step % len(turns)], self.step + 1
        active = [[float(t in here and self.colours[t] == turn) for t in range(self.K)]]
        solved = torch.full((1,), int(Status.SOLVED), device=losses.device)
        return Weights(torch.tensor(active, dtype=torch.float64, device=losses.device), solved)

    def get_extra_state(self) -> dict[str, Any]:
        return {**super().get_extra_state(), "extra": self.colours}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        self.colours = list(state["extra"])


def coloured(edges: list[list[bool]]) -> list[int]:
    """A colour for every node of a graph, no two neighbours alike: greedily, from the node of most
    edges on.

    >>> coloured([[False, True, False], [True, False, True], [False, True, False]])
    [1, 0, 1]
    """
    colours: dict[int, int] = {}
    for node in sorted(range(len(edges)), key=lambda t: -sum(edges[t])):
        taken = {colours[other] for other in colours if edges[node][other]}
        colours[node] = next(k for k in range(len(edges)) if k not in taken)
    return [colours[node] for node in range(len(edges))]
