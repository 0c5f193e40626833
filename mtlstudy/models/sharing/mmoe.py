"""Multi-gate mixture of experts: E trunks serve all tasks, and each task has a gate that mixes them
for every example.

Source: Ma, Zhao, Yi, Chen, Hong & Chi, KDD 2018, doi 10.1145/3219819.3220007.

    z_t = Σ_e softmax(A_t v(x))_e f_e(x)      f_e: expert e, a whole trunk; A_t (E, |v|)

v(x), what the gate sees, is the input itself for vectors, coarse pixels for images, the mean of
small embeddings for token numbers. The experts start from independent initial weights, which makes
them differ. One expert is hard sharing.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlstudy.models.backbones import Backbone
from mtlstudy.models.sharing.base import Sharing, Use, gate_values, mixture, registry, run
from mtlstudy.models.tasks import Inputs
from mtlstudy.registry import Options as NoOptions


@registry.register("mmoe")
class MMoE(Sharing):
    """E expert trunks, K gates."""

    paper = "Ma et al. 2018, doi 10.1145/3219819.3220007"
    tuned = {"experts": (3, 6)}

    class Options(NoOptions):
        """experts: E."""

        experts: Annotated[int, Field(ge=1, le=64)] = 3

    gates: Any

    def build(self, backbone: Backbone) -> None:
        E: int = self.options.experts
        self.experts = [f"expert{e + 1}" for e in range(E)]
        self.stages = self.copies(backbone.stages, self.experts)
        self.gates = nn.ModuleDict()
        for task in self.task_names:
            v = backbone.gate_input()
            self.gates[task] = nn.Sequential(v, nn.Linear(backbone.gate_width, E))

    def represent(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        trunks = [run([stage[e] for stage in self.stages], x) for e in self.experts]
        f = torch.stack(trunks, 1)  # (N, E, …)
        return {task: mixture(self.gates[task](x), f) for task in tasks}

    def usage(self) -> Iterable[Use]:
        yield from super().usage()
        for task in self.task_names:
            yield self.use("gate", self.gates[task], task=task)

    def learned(self, inputs: Inputs) -> dict[str, Any]:
        """Mean gate of every task (E), and its standard deviation over the examples."""
        gates = gate_values(self.gates, inputs)
        mean = {task: gate.mean(0).tolist() for task, gate in gates.items()}
        ddof = min(len(next(iter(gates.values()))) - 1, 1)  # of one example the spread is 0
        spread = {task: gate.std(0, correction=ddof).tolist() for task, gate in gates.items()}
        return {"gates": mean, "spread": spread, "experts": self.experts}
