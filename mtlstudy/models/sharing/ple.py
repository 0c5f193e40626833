"""Progressive layered extraction: at every stage shared experts and experts of each task, mixed by
gates.

Source: Tang, Liu, Zhao & Gong, RecSys 2020, doi 10.1145/3383313.3412236.

    h_t^l = Σ_{e ∈ own(t) ∪ shared} softmax(A_t^l v_t)_e f_e^l    a task's gate: own, shared experts
    h_0^l = Σ_{e ∈ all} softmax(A_0^l v_0)_e f_e^l                the shared gate: all experts

The shared gate ends before the last stage. Experts of task t at stage l take h_t^{l−1}, the shared
ones h_0^{l−1}; at the first stage all take x. A stage of the backbone is a level of the paper (a
single level is its CGC). A gate sees v: the input as in `mmoe` at the first stage, afterwards the
mean over pixels or tokens of the h that its experts take.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlstudy.models.backbones import Backbone
from mtlstudy.models.layers import mean_pool
from mtlstudy.models.sharing.base import Sharing, Use, gate_values, mixture, registry
from mtlstudy.models.tasks import Inputs
from mtlstudy.registry import Options as NoOptions

SHARED = "shared"


@registry.register("ple")
class PLE(Sharing):
    """Own and shared experts a stage; a gate a task and, before the last stage, a shared one."""

    paper = "Tang et al. 2020, doi 10.1145/3383313.3412236"
    tuned = {"shared": (1, 2)}

    class Options(NoOptions):
        """shared: shared experts a stage; own: experts of each task a stage."""

        shared: Annotated[int, Field(ge=1, le=16)] = 1
        own: Annotated[int, Field(ge=1, le=16)] = 1

    gates: Any

    def build(self, backbone: Backbone) -> None:
        o, groups = self.options, [*self.task_names, SHARED]
        size = dict.fromkeys(self.task_names, o.own) | {SHARED: o.shared}
        self.experts = {g: [f"{g}-{i + 1}" for i in range(size[g])] for g in groups}
        self.stages = self.copies(backbone.stages, self.inputs_of_gate(SHARED))
        self.gates = nn.ModuleList()
        for l in range(len(backbone.stages)):
            before = backbone.stages[l - 1].width if l else backbone.gate_width
            gates = nn.ModuleDict()
            for g in groups if l < len(backbone.stages) - 1 else self.task_names:
                v = [] if l else [backbone.gate_input()]
                gates[g] = nn.Sequential(*v, nn.Linear(before, len(self.inputs_of_gate(g))))
            self.gates.append(gates)

    def inputs_of_gate(self, group: str) -> list[str]:
        """The experts that a gate mixes."""
        groups = list(self.experts) if group == SHARED else [group, SHARED]
        return [e for g in groups for e in self.experts[g]]

    def represent(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        h = dict.fromkeys([*self.task_names, SHARED], x)
        for l, (stage, gates) in enumerate(zip(self.stages, self.gates, strict=True), 1):
            mixed = tasks if l == len(self.stages) else list(h)
            groups = dict.fromkeys([*mixed, SHARED])
            f = {e: stage[e](h[g]) for g in groups for e in self.experts[g]}  # each (N, …)
            v = {g: h[g] if l == 1 else mean_pool(h[g]) for g in mixed}
            stacked = {g: torch.stack([f[e] for e in self.inputs_of_gate(g)], 1) for g in mixed}
            h = {g: mixture(gates[g](v[g]), stacked[g]) for g in mixed}
        return h

    def usage(self) -> Iterable[Use]:
        levels = zip(self.stage_names, self.stages, self.gates, strict=True)
        for l, (name, stage, gates) in enumerate(levels, 1):
            last, before_last = l == len(self.stages), l >= len(self.stages) - 1
            gate = [] if last else [gates[SHARED]]
            yield self.use(name, *(stage[e] for e in self.experts[SHARED]), *gate)
            for t in self.task_names:  # reaches the others through a shared gate, if one follows
                own = [stage[e] for e in self.experts[t]]
                yield self.use(name, *own, task=t if last else None)
                yield self.use(name, gates[t], task=t if before_last else None)

    def learned(self, inputs: Inputs) -> dict[str, Any]:
        """Mean first-stage gate of every task over its own and the shared experts."""
        gates = gate_values({t: self.gates[0][t] for t in self.task_names}, inputs)
        own, shared = ["own"] * self.options.own, ["shared"] * self.options.shared
        return {
            "gates": {t: gate.mean(0).tolist() for t, gate in gates.items()},
            "experts": {t: own + shared for t in gates},
        }
