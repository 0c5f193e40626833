"""Hierarchical sharing: every task is read out at its own depth, and higher tasks see what lower
ones are read from.

Sources: Søgaard & Goldberg, ACL 2016, doi 10.18653/v1/P16-2038; Sanh, Wolf & Ruder, AAAI 2019,
arXiv 1811.06031.

    z_t = read_t(f_{l_t} ∘ … ∘ f_1(x)) + Σ_{s: l_s < l_t} A_st z_s    l_t: depth, A_st (d, d)

The depths l_t are `depths`, or follow from the tasks' `level`; where no task has a level below the
top there is no hierarchy, and the family is refused. Equal depths are hard sharing. What differs
from the papers: the short-cut A_st adds a linear map of the lower task's representation, where Sanh
et al. concatenate it with the word embedding.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor, nn

from mtlstudy.errors import unknown
from mtlstudy.models.backbones import Backbone
from mtlstudy.models.sharing.base import Sharing, Use, parameters, registry
from mtlstudy.models.tasks import Inputs
from mtlstudy.registry import Options as NoOptions


@registry.register("hierarchical")
class Hierarchical(Sharing):
    """One trunk with read-outs at several depths."""

    paper = "Søgaard & Goldberg 2016; Sanh et al. 2019, arXiv 1811.06031"

    class Options(NoOptions):
        """depths: stage (1 = first) at which each task is read; shortcut: whether higher tasks see
        lower ones."""

        depths: dict[str, Annotated[int, Field(ge=1, le=64)]] | None = None
        shortcut: bool = True

    shortcuts: Any
    reads: Any

    def build(self, backbone: Backbone) -> None:
        self.depth = self.depths(backbone)
        used, d = backbone.stages[: max(self.depth.values())], backbone.width
        self.stage_names = [stage.name for stage in used]
        self.stages = self.copies(used, ["shared"])
        reads = {t: used[self.depth[t] - 1].readout() for t in self.task_names}
        self.reads, self.shortcuts = nn.ModuleDict(reads), nn.ModuleDict()
        for t in self.task_names:
            maps = {s: nn.Linear(d, d, bias=False) for s in self.lower(t)}
            self.shortcuts[t] = nn.ModuleDict(maps)

    def depths(self, backbone: Backbone) -> dict[str, int]:
        """Each task's depth, 1 to L."""
        L, given = len(backbone.stages), self.options.depths
        if given is None:
            if all(task.level == 1 for task in self.tasks):
                reason = "these tasks have no order of levels, so it would be hard sharing"
                raise self.refuse(f"{reason}; give depths")
            return {task.name: max(1, math.ceil(task.level * L)) for task in self.tasks}
        for task, depth in given.items():
            if task not in self.task_names:
                raise unknown("sharing_options.depths", task, self.task_names)
            if depth > L:
                reason = f"depths: {task} = {depth}, but the backbone has {L} stages"
                raise self.refuse(f"{reason}; allowed: 1 to {L}")
        return {task: given.get(task, L) for task in self.task_names}

    def lower(self, task: str) -> list[str]:
        """The tasks that this one sees."""
        depth, names = self.depth, self.task_names if self.options.shortcut else []
        return [s for s in names if depth[s] < depth[task]]

    def represent(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        needed = {s for t in tasks for s in [t, *self.lower(t)]}
        h, z = x, dict[str, Tensor]()
        for l, stage in enumerate(self.stages[: max(self.depth[t] for t in tasks)], 1):
            h = stage["shared"](h)
            for t in sorted(t for t in needed if self.depth[t] == l):
                z[t] = self.reads[t](h)  # (N, d)
                for s in self.lower(t):
                    z[t] = z[t] + self.shortcuts[t][s](z[s])
        return {t: z[t] for t in tasks}

    def usage(self) -> Iterable[Use]:
        for l, (name, stage) in enumerate(zip(self.stage_names, self.stages, strict=True), 1):
            yield Use(name, [t for t in self.task_names if self.depth[t] >= l], parameters(stage))
        for t in self.task_names:
            seen_by = [u for u in self.task_names if u == t or t in self.lower(u)]
            yield Use(f"read.{t}", seen_by, parameters(self.reads[t], self.shortcuts[t]))

    def learned(self, inputs: Inputs) -> dict[str, Any]:
        """Depth of every task."""
        return {"depth": dict(sorted(self.depth.items())), "stages": self.stage_names}
