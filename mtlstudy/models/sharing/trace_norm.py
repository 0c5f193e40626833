"""Trace-norm regularised deep MTL: the trunks' weights, stacked over the tasks, are drawn to low
rank.

Source: Yang & Hospedales, ICLR workshop 2017, arXiv 1606.04038.

    Σ_t L_t + λ Σ_l Σ_i ‖W^l_(i)‖_*        W^l (D_1, …, D_n, K); ‖·‖_*: sum of singular values

W^l is a layer's weight of all tasks. Its unfoldings (i): "last": the one (∏D, K); "tucker": one an
axis; "tt": (D_1…D_i, D_{i+1}…K) for every i. λ → 0 is single-task learning. Every layer's weights
are tied; biases and norms are each task's own, as in the paper's experiments.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from mtlstudy.models.sharing.base import Partitioned, matrices, registry, relative_singular_values
from mtlstudy.models.tasks import Inputs
from mtlstudy.registry import Options as NoOptions


@registry.register("trace_norm")
class TraceNorm(Partitioned):
    """K trunks whose stacked weights pay nuclear norms."""

    paper = "Yang & Hospedales 2017, arXiv 1606.04038"
    bargains = False
    tuned = {"strength": (1e-3, 1e-2, 1e-4)}

    class Options(NoOptions):
        """strength: λ; unfolding: which matrices of the stacked weights pay."""

        strength: Annotated[float, Field(ge=0, le=1e6)] = 1e-3
        unfolding: Literal["last", "tucker", "tt"] = "last"

    def stacked(self) -> Iterator[tuple[str, Tensor]]:
        """The name of each weight and W (D_1, …, D_n, K)."""
        for name, stage in zip(self.stage_names, self.stages, strict=True):
            by_task = [matrices(stage[task]) for task in self.task_names]
            for weight in by_task[0]:
                yield f"{name}.{weight}", torch.stack([copy[weight] for copy in by_task], -1)

    def penalty(self) -> Tensor | None:
        unfolded = [u for _, W in self.stacked() for u in unfoldings(W, self.options.unfolding)]
        norms = [torch.linalg.svdvals(u).sum() for u in unfolded]
        return torch.stack(norms).sum() * self.options.strength if norms else None

    def learned(self, inputs: Inputs) -> dict[str, Any]:
        """Singular values of every stacked weight (∏D, K), as shares of the largest."""
        return {"singular_values": {n: relative_singular_values(W) for n, W in self.stacked()}}


def unfoldings(W: Tensor, kind: str) -> list[Tensor]:
    """The matrices of W (D_1, …, D_n, K) that pay: see the module."""
    if kind == "tucker":
        return [W.movedim(i, 0).reshape(W.shape[i], -1) for i in range(W.ndim)]
    first = W.ndim - 1 if kind == "last" else 1
    return [W.reshape(W.shape[:i].numel(), -1) for i in range(first, W.ndim)]
