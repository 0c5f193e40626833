"""Soft parameter sharing: every task has a trunk of its own, and a penalty draws the trunks
together.

Sources: Duong et al., ACL 2015, doi 10.3115/v1/P15-2139 (L2); Ruder 2017, arXiv 1706.05098.

    Σ_t L_t + λ Σ_{s<t} Σ_l ‖θ_s^l − θ_t^l‖²   ("l2")   or with ‖·‖₁ ("l1")

λ → 0 is single-task learning, λ → ∞ hard sharing. What differs from the paper: there the second
language's parser is drawn to one trained before; here all are trained together, from one and the
same initial trunk (corresponding units then mean the same).
"""

from itertools import combinations
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from mtlstudy.models.backbones import Backbone
from mtlstudy.models.sharing.base import Partitioned, parameters, registry
from mtlstudy.models.tasks import Inputs
from mtlstudy.registry import Options as NoOptions


@registry.register("soft")
class Soft(Partitioned):
    """K trunks tied by a penalty; each task's loss reaches its own trunk only."""

    paper = "Duong et al. 2015; Ruder 2017, arXiv 1706.05098"
    bargains = False
    tuned = {"strength": (1e-3, 1e-2, 1e-4)}

    class Options(NoOptions):
        """strength: λ; norm: l2 (squared) or l1."""

        strength: Annotated[float, Field(ge=0, le=1e6)] = 1e-3
        norm: Literal["l2", "l1"] = "l2"

    def build(self, backbone: Backbone) -> None:
        super().build(backbone)
        for stage in self.stages:
            first, *others = stage.values()
            for other in others:
                other.load_state_dict(first.state_dict())

    def trunks(self) -> list[Tensor]:
        """θ_t of every task, flattened (P,)."""
        by_task = [parameters(*(stage[t] for stage in self.stages)) for t in self.task_names]
        return [torch.cat([p.reshape(-1) for p in trunk]) for trunk in by_task]

    def penalty(self) -> Tensor | None:
        gaps = [s - t for s, t in combinations(self.trunks(), 2)]
        squared = self.options.norm == "l2"
        sizes = [gap.square().sum() if squared else gap.abs().sum() for gap in gaps]
        return torch.stack(sizes).sum() * self.options.strength if sizes else None

    def learned(self, inputs: Inputs) -> dict[str, Any]:
        """Distances between the trunks, as a share of their mean length."""
        trunks = torch.stack(self.trunks())  # (K, P)
        distance = torch.cdist(trunks, trunks) / trunks.norm(dim=1).mean()
        return {"distance": distance.tolist(), "tasks": self.task_names}
