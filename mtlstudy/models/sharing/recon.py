"""Recon: the stages where task gradients conflict most often become task-specific; the rest stays
shared.

Source: Shi, Li, Zhang & Zhao, *Recon: Reducing Conflicting Gradients from the Root for Multi-Task
Learning*, ICLR 2023, arXiv 2302.11289.

    s_l = Σ_steps |{(i, j): cos(g_i^l, g_j^l) < S}|       g_i^l: task i's gradient on stage l

A hard-sharing model is trained for a part of the steps while the S-conflict scores s_l are counted;
the stages with the highest ones become task-specific, and the new model is trained from scratch. A
stage without any conflict stays shared. What differs from the paper: a stage of the backbone is the
unit, where there it is a layer.
"""

from collections.abc import Iterator
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from mtlstudy.gradients import cosines
from mtlstudy.models.backbones import Backbone
from mtlstudy.models.sharing.base import Partitioned, Problem, State, registry, singletons
from mtlstudy.models.tasks import Inputs
from mtlstudy.registry import Options as NoOptions


@registry.register("recon")
class Recon(Partitioned):
    """A trunk in which the conflicting stages are K copies.

    structure: {"scores": one a stage, "specific": stages}.
    """

    paper = "Shi et al. 2023, arXiv 2302.11289"
    searches = True
    tuned = {"specific": (1, 2)}

    class Options(NoOptions):
        """specific: stages that become task-specific; severity: S, a cosine (the paper: 0 to
        −0.15); search: share of the training steps on which scores are counted."""

        specific: Annotated[int, Field(ge=0, le=64)] = 1
        severity: Annotated[float, Field(ge=-1, le=0)] = 0.0
        search: Annotated[float, Field(gt=0, le=1)] = 0.25

    def partition(self, backbone: Backbone) -> list[list[list[str]]]:
        specific = self.structure["specific"] if self.structure else []
        together, apart = [self.task_names], singletons(self.task_names)
        return [apart if l in specific else together for l in range(len(backbone.stages))]

    @classmethod
    def search(cls, problem: Problem, options: Any, found: State) -> Iterator[State]:
        if found:
            return
        model = cls(problem.backbone, problem.tasks, problem.heads(), options)
        blocks = [model.stage_names.index(name) for name in model.shared_blocks()]
        scores = torch.zeros(len(model.stage_names), dtype=torch.int64)

        def watch(M: Tensor) -> None:  # (B, K, K)
            conflicts = (cosines(M).cpu() < options.severity).triu(1).sum((1, 2))
            scores[blocks] += conflicts  # stages that have parameters

        problem.train(model, max(1, round(options.search * problem.steps)), watch)
        order = scores.argsort(descending=True, stable=True).tolist()
        specific = sorted(l for l in order[: options.specific] if scores[l] > 0)
        yield {"scores": scores.tolist(), "specific": specific}

    def learned(self, inputs: Inputs) -> dict[str, Any]:
        """Scores of the stages, and which became task-specific."""
        found = self.structure or {"scores": [], "specific": []}
        specific = [self.stage_names[l] for l in found["specific"]]
        return {"scores": list(found["scores"]), "specific": specific, "stages": self.stage_names}
