"""Cross-stitch networks: K trunks whose activations a learned matrix mixes after every stage.

Source: Misra, Shrivastava, Gupta & Hebert, CVPR 2016, arXiv 1604.03539.

    h_t^l = Σ_s α_ts^l f_s^l(h_s^{l−1})                    α^l (K, K), one a stage

f_s^l: task s's stage l. With α = I it is single-task learning. What differs from the paper: the
trunks start from scratch, not from trained single-task networks, and α is trained at the rate of
the other weights, not at one 100 to 1,000 times larger.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlstudy.models.backbones import Backbone
from mtlstudy.models.sharing.base import Sharing, Use, mix, near_identity, registry
from mtlstudy.models.tasks import Inputs
from mtlstudy.registry import Options as NoOptions


@registry.register("cross_stitch")
class CrossStitch(Sharing):
    """K trunks, one K × K mixing matrix a stage; row t of the last one is task t's own."""

    paper = "Misra et al. 2016, arXiv 1604.03539"
    tuned = {"own": (0.9, 0.7)}

    class Options(NoOptions):
        """own: α_tt at the start (the paper: 0.9 is best); the other tasks share the rest."""

        own: Annotated[float, Field(ge=0, le=1)] = 0.9

    alpha: Any

    def build(self, backbone: Backbone) -> None:
        self.stages = self.copies(backbone.stages, self.task_names)
        start = near_identity(len(self.task_names), self.options.own)  # (K, K)
        self.alpha = nn.ModuleList(self.rows(start) for _ in self.stages)

    def represent(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        h = dict.fromkeys(self.task_names, x)
        for l, (stage, alpha) in enumerate(zip(self.stages, self.alpha, strict=True), 1):
            f = torch.stack([stage[task](h[task]) for task in self.task_names])  # (K, N, …)
            mixed = tasks if l == len(self.stages) else self.task_names
            h = {task: mix(alpha[task], f) for task in mixed}  # each (N, …)
        return h

    def usage(self) -> Iterable[Use]:
        yield from super().usage()
        for name, alpha in zip(self.stage_names, self.alpha, strict=True):
            for t in self.task_names:
                yield self.use(name, alpha[t], task=t if alpha is self.alpha[-1] else None)

    def learned(self, inputs: Inputs) -> dict[str, Any]:
        """α of every stage."""
        alpha = [[row[task].tolist() for task in self.task_names] for row in self.alpha]
        by_stage = dict(zip(self.stage_names, alpha, strict=True))
        return {"alpha": by_stage, "tasks": self.task_names}
