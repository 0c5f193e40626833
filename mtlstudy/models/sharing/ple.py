"""Progressive layered extraction: at every stage shared experts and experts of each task, mixed by gates.

Source: Tang, Liu, Zhao & Gong, *Progressive Layered Extraction (PLE)*, RecSys 2020, doi 10.1145/3383313.3412236.

    h_t^l = Σ_{e ∈ own(t) ∪ shared} softmax(A_t^l v_t)_e f_e^l      task t's gate sees its own experts and the shared ones
    h_0^l = Σ_{e ∈ all} softmax(A_0^l v_0)_e f_e^l                  the shared gate sees all; there is none at the last stage

Experts of task t at stage l take h_t^{l−1}, the shared ones h_0^{l−1}; at the first stage all take x. A stage of the backbone is
a level of the paper (a single level is its CGC). A gate sees v: the input as in `mmoe` at the first stage, afterwards the mean
over places or tokens of the h that its experts take.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlstudy.models.backbones import Backbone
from mtlstudy.models.layers import pooled
from mtlstudy.registry import Options
from mtlstudy.models.tasks import Inputs
from mtlstudy.models.sharing.base import Sharing, Use, mixture, parameters, registry

SHARED = "shared"


@registry.register("ple")
class PLE(Sharing):
    """Own and shared experts a stage; gates for each task and, before the last stage, one for the shared experts."""

    paper = "Tang et al. 2020, doi 10.1145/3383313.3412236"
    tuned = {"shared": (1, 2)}

    class Options(Options):
        """shared: shared experts a stage; own: experts of each task a stage."""

        shared: Annotated[int, Field(ge=1, le=16)] = 1
        own: Annotated[int, Field(ge=1, le=16)] = 1

    gates: Any

    def build(self, backbone: Backbone) -> None:
        self.names = [stage.name for stage in backbone.stages]
        o: Any = self.options
        self.experts = {t: [f"{t}-{i + 1}" for i in range(o.own)] for t in self.sorted}
        self.experts[SHARED] = [f"{SHARED}-{i + 1}" for i in range(o.shared)]
        every = [e for group in self.experts.values() for e in group]
        self.stages = nn.ModuleList(nn.ModuleDict({e: stage.build() for e in every}) for stage in backbone.stages)
        self.gates = nn.ModuleList()
        for l in range(len(self.names)):
            before = backbone.view_width if l == 0 else backbone.stages[l - 1].width
            groups = [*self.sorted, SHARED] if l < len(self.names) - 1 else self.sorted
            gates = {
                g: nn.Sequential(*([backbone.view()] if l == 0 else []), nn.Linear(before, len(self.seen(g)))) for g in groups
            }
            self.gates.append(nn.ModuleDict(gates))

    def seen(self, group: str) -> list[str]:
        """The experts that a gate mixes."""
        groups = [*self.sorted, SHARED] if group == SHARED else [group, SHARED]
        return [e for g in groups for e in self.experts[g]]

    def represent(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        h = dict.fromkeys([*self.sorted, SHARED], x)
        for l, (stage, gates) in enumerate(zip(self.stages, self.gates, strict=True)):
            mixing = tasks if l == len(self.names) - 1 else list(h)
            groups = [*mixing, SHARED] if SHARED not in mixing else mixing
            f = {e: stage[e](h[g]) for g in groups for e in self.experts[g]}
            view = {g: h[g] if l == 0 else pooled(h[g]) for g in mixing}
            h = {g: mixture(gates[g](view[g]), torch.stack([f[e] for e in self.seen(g)], 1)) for g in mixing}
        return h

    def usage(self) -> Iterable[Use]:
        top = len(self.names) - 1
        for l, (name, stage, gates) in enumerate(zip(self.names, self.stages, self.gates, strict=True)):
            shared = [stage[e] for e in self.experts[SHARED]] + ([gates[SHARED]] if l < top else [])
            yield Use(name, self.sorted, parameters(*shared))
            for t in self.sorted:  # what a task owns reaches the others through the shared gate of the same or a later stage
                own, gate = [stage[e] for e in self.experts[t]], gates[t]
                yield Use(f"{name}.{t}" if l == top else name, [t] if l == top else self.sorted, parameters(*own))
                yield Use(f"{name}.{t}" if l >= top - 1 else name, [t] if l >= top - 1 else self.sorted, parameters(gate))

    def learned(self, inputs: Inputs) -> dict[str, Any]:
        """Mean first-stage gate of every task over its own and the shared experts."""
        x = {task: inputs if isinstance(inputs, Tensor) else inputs[task] for task in self.sorted}
        gates = {t: self.gates[0][t](x[t]).softmax(-1).mean(0).tolist() for t in self.sorted}
        return {
            "gates": gates,
            "experts": {t: ["own"] * len(self.experts[t]) + ["shared"] * len(self.experts[SHARED]) for t in gates},
        }
