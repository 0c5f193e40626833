"""Coalitions that are given: one copy of the trunk for each group of tasks.

Source: clustered multi-task learning as of Jacob, Bach & Vert, NeurIPS 2008, arXiv 0809.2085, here
with groups that are known: the oracle where they are the truth. With `start` everything is shared
at first and the groups are entered from exact copies: then it is the oracle that a dynamic family
is fairly compared with, and with every task by itself it is a warm start followed by a split.

    z_t = f_L^{g(t)} ∘ … ∘ f_{s+1}^{g(t)} ∘ f_s ∘ … ∘ f_1 (x)          g(t): the group of task t
"""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from mtlstudy.models.backbones import Backbone
from mtlstudy.models.sharing._dynamic import Coalitions, Dynamic
from mtlstudy.models.sharing.base import Origins, registry, singletons
from mtlstudy.registry import Options as NoOptions


@registry.register("grouped")
class Grouped(Dynamic):
    """A trunk for each group, from the start or entered while it trains."""

    paper = "Jacob et al. 2008, arXiv 0809.2085"

    class Options(NoOptions):
        """groups: the number of every task's group, in the order of the tasks; each task by itself
        where there are none. start: share of the steps for which everything is shared. shared: s,
        the lower stages that stay so."""

        groups: tuple[Annotated[int, Field(ge=0, le=10**6)], ...] = ()
        start: Annotated[float, Field(ge=0, lt=1)] = 0.0
        shared: Annotated[int, Field(ge=0, le=64)] = 0

    def partition(self, backbone: Backbone) -> list[Coalitions]:
        given = self.given()
        return self.together() if self.options.start else given

    def given(self) -> list[Coalitions]:
        """The coalitions of every stage."""
        groups, names = self.options.groups, [task.name for task in self.tasks]
        if groups and len(groups) != len(names):
            raise self.refuse(f"{len(groups)} groups; allowed: {len(names)}, one a task")
        members: dict[int, list[str]] = {}
        for name, group in sorted(zip(names, groups, strict=False)):
            members.setdefault(group, []).append(name)
        coalitions = sorted(members.values()) if groups else singletons(self.task_names)
        return self.above(self.options.shared, coalitions)

    def restructure(self, step: int, steps: int, gramians: Tensor | None) -> Origins | None:
        enters = self.options.start and step == max(1, round(self.options.start * steps))
        return self.decide(step, self.given(), phase="enter") if enters else None
