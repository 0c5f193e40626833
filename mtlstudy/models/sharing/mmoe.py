"""Multi-gate mixture of experts: E trunks serve all tasks, and each task has a gate that mixes them for every example.

Source: Ma, Zhao, Yi, Chen, Hong & Chi, *Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts*,
KDD 2018, doi 10.1145/3219819.3220007.

    z_t = Σ_e softmax(A_t v(x))_e f_e(x)                   f_e: expert e, a whole trunk; v(x): what the gate sees; A_t (E, |v|)

v(x) is the input itself for vectors, coarse pixels for images, the mean of small embeddings for token numbers. The experts start
from independent initial weights, which makes them differ. One expert is hard sharing.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlstudy.models.backbones import Backbone
from mtlstudy.registry import Options
from mtlstudy.models.tasks import Inputs
from mtlstudy.models.sharing.base import Sharing, Use, mixture, parameters, run, registry


@registry.register("mmoe")
class MMoE(Sharing):
    """E expert trunks, K gates."""

    paper = "Ma et al. 2018, doi 10.1145/3219819.3220007"
    tuned = {"experts": (3, 6)}

    class Options(Options):
        """experts: E."""

        experts: Annotated[int, Field(ge=1, le=64)] = 3

    gates: Any

    def build(self, backbone: Backbone) -> None:
        self.names = [stage.name for stage in backbone.stages]
        E: int = self.options.experts
        self.experts = [f"expert{e + 1}" for e in range(E)]
        self.stages = nn.ModuleList(nn.ModuleDict({e: stage.build() for e in self.experts}) for stage in backbone.stages)
        self.gates = nn.ModuleDict(
            {task: nn.Sequential(backbone.view(), nn.Linear(backbone.view_width, E)) for task in self.sorted}
        )

    def represent(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        f = torch.stack([run([stage[e] for stage in self.stages], x) for e in self.experts], 1)  # (N, E, …)
        return {task: mixture(self.gates[task](x), f) for task in tasks}

    def usage(self) -> Iterable[Use]:
        for name, stage in zip(self.names, self.stages, strict=True):
            yield Use(name, self.sorted, parameters(stage))
        for task in self.sorted:
            yield Use(f"gate.{task}", [task], parameters(self.gates[task]))

    def learned(self, inputs: Inputs) -> dict[str, Any]:
        """Mean gate of every task (E), and how far it varies between examples (standard deviation)."""
        x = {task: inputs if isinstance(inputs, Tensor) else inputs[task] for task in self.sorted}
        gates = {task: self.gates[task](x[task]).softmax(-1) for task in self.sorted}
        spread = {task: gate.std(0).tolist() for task, gate in gates.items()}
        return {"gates": {task: gate.mean(0).tolist() for task, gate in gates.items()}, "spread": spread, "experts": self.experts}
