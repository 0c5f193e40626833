"""Hierarchical sharing: every task is read out at its own depth, and higher tasks see what lower ones are read from.

Source: Søgaard & Goldberg, *Deep multi-task learning with low level tasks supervised at lower layers*, ACL 2016, doi
10.18653/v1/P16-2038; Sanh, Wolf & Ruder, *A Hierarchical Multi-task Approach*, AAAI 2019, arXiv 1811.06031.

    z_t = read_t(f_{l_t} ∘ … ∘ f_1(x)) + Σ_{s: l_s < l_t} A_st z_s             l_t: task t's depth, A_st (d, d): the short-cut

The depths are `depths`, or follow from the tasks' `level`; where no task has a level below the top there is no hierarchy, and the
family is refused. Equal depths are hard sharing. What differs from the papers: the short-cut adds a linear map of the lower
task's representation, where Sanh et al. concatenate it with the word embedding.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor, nn

from mtlstudy.models.backbones import Backbone
from mtlstudy.errors import unknown
from mtlstudy.registry import Options
from mtlstudy.models.tasks import Inputs
from mtlstudy.models.sharing.base import Sharing, Use, parameters, refuse, registry


@registry.register("hierarchical")
class Hierarchical(Sharing):
    """One trunk with read-outs at several depths."""

    paper = "Søgaard & Goldberg 2016; Sanh et al. 2019, arXiv 1811.06031"

    class Options(Options):
        """depths: stage (1 = first) at which each task is read; shortcut: whether higher tasks see lower ones."""

        depths: dict[str, Annotated[int, Field(ge=1)]] | None = None
        shortcut: bool = True

    shortcuts: Any
    reads: Any

    def build(self, backbone: Backbone) -> None:
        self.depth = self.depths(backbone)
        used = backbone.stages[: max(self.depth.values())]
        self.names = [stage.name for stage in used]
        self.stages = nn.ModuleList(nn.ModuleDict({"shared": stage.build()}) for stage in used)
        self.reads = nn.ModuleDict({t: backbone.stages[self.depth[t] - 1].read() for t in self.sorted})
        d = backbone.width
        self.shortcuts = nn.ModuleDict(
            {t: nn.ModuleDict({s: nn.Linear(d, d, bias=False) for s in self.below(t)}) for t in self.sorted if self.below(t)}
        )

    def depths(self, backbone: Backbone) -> dict[str, int]:
        """Each task's depth, 1 to L."""
        L, given = len(backbone.stages), self.options.depths
        if given is None:
            if all(task.level == 1 for task in self.tasks):
                raise refuse(self.name, "these tasks have no order of levels, so it would be hard sharing; give depths")
            return {task.name: max(1, math.ceil(task.level * L)) for task in self.tasks}
        for task in given:
            if task not in self.sorted:
                raise unknown("sharing_options.depths", task, self.sorted)
        wrong = [f"{task} = {depth}" for task, depth in given.items() if depth > L]
        if wrong:
            raise refuse(self.name, f"depths: {wrong[0]}, but the backbone has {L} stages; allowed: 1 to {L}")
        return {task: given.get(task, L) for task in self.sorted}

    def below(self, task: str) -> list[str]:
        """The tasks that this one sees."""
        seen = [s for s in self.sorted if self.depth[s] < self.depth[task]]
        return seen if self.options.shortcut else []

    def represent(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        needed = {s for t in tasks for s in [t, *self.below(t)]}
        z: dict[str, Tensor] = {}
        h = x
        for l, stage in enumerate(self.stages[: max(self.depth[t] for t in tasks)], 1):
            h = stage["shared"](h)
            at = {t: self.reads[t](h) for t in sorted(needed) if self.depth[t] == l}
            for t in at:
                for s in self.below(t):
                    at[t] = at[t] + self.shortcuts[t][s](z[s])
            z |= at
        return {t: z[t] for t in tasks}

    def usage(self) -> Iterable[Use]:
        for l, (name, stage) in enumerate(zip(self.names, self.stages, strict=True), 1):
            yield Use(name, [t for t in self.sorted if self.depth[t] >= l], parameters(stage))
        for t in self.sorted:
            above = [u for u in self.sorted if t in self.below(u)]
            ways = [self.shortcuts[t]] if t in self.shortcuts else []
            yield Use(f"read.{t}", sorted([t, *above]), parameters(self.reads[t], *ways))

    def learned(self, inputs: Inputs) -> dict[str, Any]:
        """Depth of every task."""
        return {"depth": dict(sorted(self.depth.items())), "stages": self.names}
