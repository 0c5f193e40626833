"""Cross-stitch networks: K trunks whose activations are mixed after every stage by a learned matrix.

Source: Misra, Shrivastava, Gupta & Hebert, *Cross-Stitch Networks for Multi-Task Learning*, CVPR 2016, arXiv 1604.03539.

    h_t^l = Σ_s α_ts^l f_s^l(h_s^{l−1})                    α^l (K, K), one a stage

What differs from the paper: the trunks start from scratch, not from trained single-task networks, and α is trained at the rate of
the other weights, not at one 100 to 1,000 times larger. With α = I it is single-task learning.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlstudy.models.backbones import Backbone
from mtlstudy.registry import Options
from mtlstudy.models.tasks import Inputs
from mtlstudy.models.sharing.base import Sharing, Use, mixed, parameters, registry


@registry.register("cross_stitch")
class CrossStitch(Sharing):
    """K trunks, one K × K mixing matrix a stage; row t of the last one is task t's own."""

    paper = "Misra et al. 2016, arXiv 1604.03539"
    tuned = {"own": (0.9, 0.7)}

    class Options(Options):
        """own: α_tt at the start (the paper: 0.9 is best); the other tasks share the rest equally."""

        own: Annotated[float, Field(ge=0, le=1)] = 0.9

    alpha: Any

    def build(self, backbone: Backbone) -> None:
        self.names = [stage.name for stage in backbone.stages]
        self.stages = nn.ModuleList(nn.ModuleDict({task: stage.build() for task in self.sorted}) for stage in backbone.stages)
        K = len(self.sorted)
        own: float = self.options.own if K > 1 else 1.0
        start = torch.eye(K) * own + (1 - torch.eye(K)) * (1 - own) / max(K - 1, 1)  # (K, K)
        rows = [{task: nn.Parameter(start[t].clone()) for t, task in enumerate(self.sorted)} for _ in self.names]
        self.alpha = nn.ModuleList(nn.ParameterDict(row) for row in rows)

    def represent(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        h = dict.fromkeys(self.sorted, x)
        for last, stage, alpha in zip(self._last(), self.stages, self.alpha, strict=True):
            f = torch.stack([stage[task](h[task]) for task in self.sorted])  # (K, N, …)
            wanted = tasks if last else self.sorted
            h = {task: mixed(alpha[task], f) for task in wanted}
        return h

    def usage(self) -> Iterable[Use]:
        for last, name, stage, alpha in zip(self._last(), self.names, self.stages, self.alpha, strict=True):
            yield Use(name, self.sorted, parameters(stage))
            for task in self.sorted:
                yield Use(f"{name}.{task}" if last else name, [task] if last else self.sorted, [alpha[task]])

    def _last(self) -> list[bool]:
        return [l == len(self.names) - 1 for l in range(len(self.names))]

    def learned(self, inputs: Inputs) -> dict[str, Any]:
        """α of every stage."""
        alpha = [[row[task].tolist() for task in self.sorted] for row in self.alpha]
        return {"alpha": dict(zip(self.names, alpha, strict=True)), "tasks": self.sorted}
