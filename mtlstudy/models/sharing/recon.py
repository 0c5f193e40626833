"""Recon: the stages where task gradients conflict most often become task-specific; the rest stays shared.

Source: Shi, Li, Zhang & Zhao, *Recon: Reducing Conflicting Gradients from the Root for Multi-Task Learning*, ICLR 2023, arXiv
2302.11289.

    s_l = Σ_steps |{(i, j): cos(g_i^l, g_j^l) < S}|         the S-conflict score of stage l, g_i^l: task i's gradient on it

A hard-sharing model is trained for a part of the steps while the scores are counted; the stages with the highest ones become
task-specific, and the new model is trained from scratch. A stage without any conflict stays shared. What differs from the paper:
a stage of the backbone is the unit, where there it is a layer.
"""

from collections.abc import Iterator
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from mtlstudy.models.backbones import Backbone
from mtlstudy.gradients import cosines
from mtlstudy.registry import Options
from mtlstudy.models.tasks import Inputs
from mtlstudy.models.sharing.base import Partitioned, Problem, alone, registry


@registry.register("recon")
class Recon(Partitioned):
    """A trunk in which the conflicting stages are K copies. structure: {"scores": one a stage, "specific": stages}."""

    paper = "Shi et al. 2023, arXiv 2302.11289"
    searches = True
    tuned = {"specific": (1, 2)}

    class Options(Options):
        """specific: stages that become task-specific; severity: S, a cosine (the paper: 0 to −0.15); search: share of the
        training steps on which scores are counted."""

        specific: Annotated[int, Field(ge=0)] = 1
        severity: Annotated[float, Field(ge=-1, le=0)] = 0.0
        search: Annotated[float, Field(gt=0, le=1)] = 0.25

    def partition(self, backbone: Backbone) -> list[list[list[str]]]:
        specific = self.structure["specific"] if self.structure else []
        return [alone(self.sorted) if l in specific else [self.sorted] for l in range(len(backbone.stages))]

    @classmethod
    def search(cls, problem: Problem, options: Any, found: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if found:
            return
        model = cls(problem.backbone, problem.tasks, problem.heads(), options)
        blocks = [model.names.index(name) for name in model.shared_blocks()]  # stages that have parameters
        scores = torch.zeros(len(model.names), dtype=torch.int64)

        def watch(M: Tensor) -> None:  # (B, K, K)
            conflicts = (cosines(M).cpu() < options.severity).triu(1).sum((1, 2))
            scores[blocks] += conflicts

        problem.train(model, max(1, round(options.search * problem.steps)), watch)
        order = scores.argsort(descending=True, stable=True).tolist()
        specific = sorted(l for l in order[: options.specific] if scores[l] > 0)
        yield {"scores": scores.tolist(), "specific": specific}

    def learned(self, inputs: Inputs) -> dict[str, Any]:
        """Scores of the stages, and which became task-specific."""
        found = self.structure or {"scores": [], "specific": []}
        return {"scores": list(found["scores"]), "specific": [self.names[l] for l in found["specific"]], "stages": self.names}
