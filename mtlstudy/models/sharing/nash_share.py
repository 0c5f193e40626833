"""NashShare: tasks branch, bargain over where they drifted, and merge into coalitions.

Source: this study. The bargaining game is that of Navon et al., ICML 2022, arXiv 2202.01017; that
clients of one kind drift alike, from Sattler et al., arXiv 1910.01991 (clustered federated
learning), whose bipartition by cosine is in `cosine_bipartition`.

Everything is shared at first. From `start` on every task trains a copy of its own for `length` of
the steps (a copy is exact: the function does not change). D¹_t and D²_t (P,) are its displacements
in the two halves of that stretch, on a block of P parameters, and C (K, K) their cosines without
the bias of the noise, from different halves. Then

    the partition that maximises Σ_𝒞 v(𝒞)       v(𝒞) = −Σ_{t ∈ 𝒞} log b_t,   C_𝒞𝒞 b = 1 / b

(`mtlstudy.nash.coalition`): a coalition forms where its bargaining value is positive. The copies
of its members merge by their mean, the optimiser's moments as well, and train on. There is no
price a copy, no fork and no search run. What each step bargains over is the run's weighting.
"""

from itertools import pairwise
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from mtlstudy.gradients import cosines
from mtlstudy.models.backbones import Backbone
from mtlstudy.models.sharing._dynamic import Coalitions, Dynamic, named
from mtlstudy.models.sharing.base import Origins, parameters, registry, singletons
from mtlstudy.nash.coalition import Partition, best_partition, split_half_cosines
from mtlstudy.registry import Options as NoOptions

COMMON = 0.04
"""Mean cosine of two tasks above which they still move in common."""


@registry.register("nash_share")
class NashShare(Dynamic):
    """Shared, then a copy a task, then a copy a coalition.

    marks: where the tasks' copies were at the beginning and in the middle of the stretch, (K, P) by
    stage; of signal "gradient" the sum (K, K) of cosines. round: stretches so far.
    """

    paper = "this study"

    class Options(NoOptions):
        """start, length: of the stretch, as shares of the steps. rounds: stretches, `length` apart.
        moment: every round is made ("fixed"), or further ones only while the tasks still move in
        common ("common"). shared: lower stages that stay shared. per_block: a game a stage by its
        own drifts; otherwise the lowest that branches decides for all. signal: by what coalitions
        form; "gradient": cosines of gradients in the same stretch, all shared; controls: "permuted"
        (the coalitions found, their members permuted), "random" (as many, of random members)."""

        start: Annotated[float, Field(gt=0, lt=1)] = 0.3
        length: Annotated[float, Field(gt=0, lt=1)] = 0.15
        rounds: Annotated[int, Field(ge=1, le=10)] = 1
        moment: Literal["fixed", "common"] = "fixed"
        shared: Annotated[int, Field(ge=0, le=64)] = 0
        per_block: bool = False
        signal: Literal["drift", "gradient", "permuted", "random"] = "drift"

        @model_validator(mode="after")
        def _ends(self) -> "NashShare.Options":
            if (end := self.start + (2 * self.rounds - 1) * self.length) > 1:
                raise ValueError(f"start + (2 rounds − 1) length = {end:g}: must be ≤ 1")
            return self

    def partition(self, backbone: Backbone) -> list[Coalitions]:
        self.above(self.options.shared, [])  # refuses more stages than there are
        self.marks: list[dict[int, Tensor]] = []
        self.round = 0
        return self.together()

    def restructure(self, step: int, steps: int, gramians: Tensor | None) -> Origins | None:
        o = self.options
        length = max(2, round(o.length * steps))
        begin = max(1, round(o.start * steps)) + 2 * self.round * length
        if o.signal == "gradient":
            return self.by_gradients(step, begin, begin + length, gramians)
        if self.round < o.rounds and step in (begin, begin + length // 2):
            self.marks.append(self.positions())
            apart = self.above(o.shared, singletons(self.task_names))
            return self.decide(step, apart, phase="branch") if step == begin else None
        return self.bargain(step) if self.marks and step == begin + length else None

    def positions(self) -> dict[int, Tensor]:
        """Where the tasks' copies are: (K, P) of every stage with a game."""
        found: dict[int, Tensor] = {}
        for l in range(self.options.shared, len(self.stages)):
            key = {task: self.key(c) for c in self.partitions[l] for task in c}
            copies = [parameters(self.stages[l][key[task]]) for task in self.task_names]
            if copies[0] and (self.options.per_block or not found):
                rows = [torch.cat([p.detach().flatten() for p in copy]) for copy in copies]
                found[l] = torch.stack(rows)
        return found

    def bargain(self, step: int) -> Origins:
        """Merge the copies into the coalitions that are worth most."""
        begin, middle, end = [*self.marks, self.positions()]
        C = {l: split_half_cosines(middle[l] - begin[l], end[l] - middle[l]).cpu() for l in end}
        self.marks, self.round = [], self.round + 1
        if self.options.moment == "common" and self.round < self.options.rounds:
            if common(next(iter(C.values()))) > COMMON:
                return self.decide(step, self.together(), phase="rejoin", cosines=plain(C))
            self.round = self.options.rounds
        return self.form(step, C)

    def by_gradients(
        self, step: int, begin: int, end: int, gramians: Tensor | None
    ) -> Origins | None:
        """Sum the cosines of the whole trunk's gradients over the stretch, then form coalitions."""
        if self.round or not begin < step <= end:
            return None
        if gramians is None:
            raise self.refuse("signal = 'gradient' needs a weighting that takes task gradients")
        l, seen = self.options.shared, cosines(gramians.sum(0)).cpu()
        self.marks = [{l: self.marks[0][l] + seen if self.marks else seen}]
        if step < end:
            return None
        C, self.marks, self.round = self.marks[0][l], [], 1
        return self.form(step, {l: C / C.diagonal().clamp_min(1)})

    def form(self, step: int, C: dict[int, Tensor]) -> Origins:
        """The coalitions of these cosines (K, K), by stage; a stage without a game takes those of
        the one below it."""
        games = {l: self.control(self.best(c)) for l, c in C.items()}
        game, partitions = next(iter(games.values())), self.together()
        for l in range(self.options.shared, len(partitions)):
            game = games.get(l, game)
            partitions[l] = named(game.coalitions, self.task_names)
        values = [game.values for game in games.values()]
        return self.decide(step, partitions, phase="merge", cosines=plain(C), values=values)

    def best(self, C: Tensor) -> Partition:
        """The partition of greatest value of cosines C (K, K)."""
        return best_partition(C)

    def control(self, found: Partition) -> Partition:
        """What was found; or its members permuted, or as many coalitions of random ones."""
        K, n, signal = len(self.task_names), len(found.coalitions), self.options.signal
        if signal not in ("permuted", "random"):
            return found
        tasks = iter(torch.randperm(K).tolist())
        sizes = [len(c) for c in found.coalitions]
        if signal == "random":
            cuts = sorted(torch.randperm(K - 1)[: n - 1].tolist()) if K > 1 else []
            sizes = [b - a for a, b in pairwise([-1, *cuts, K - 1])]
        drawn = [tuple(sorted(next(tasks) for _ in range(size))) for size in sizes]
        return Partition(sorted(drawn), [0.0 for _ in drawn])

    def get_extra_state(self) -> dict[str, Any]:
        return {**super().get_extra_state(), "marks": self.marks, "round": self.round}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        self.marks, self.round = state["marks"], state["round"]


def common(C: Tensor) -> float:
    """The mean cosine of two tasks, of C (K, K); 0 for one task."""
    K = len(C)
    return float(C.sum() - C.trace()) / max(K * (K - 1), 1)


def plain(matrices: dict[int, Tensor]) -> list[list[list[float]]]:
    """Matrices as nested lists, to four digits."""
    return [[[round(float(x), 4) for x in row] for row in M] for M in matrices.values()]
