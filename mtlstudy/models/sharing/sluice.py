"""Sluice networks: cross-stitch over subspaces of the stages, and a learned mixture of the stages
for each task.

Source: Ruder, Bingel, Augenstein & Søgaard, AAAI 2019, arXiv 1705.08142.

    [h_t1^l … h_tG^l] = α_t^l [f_1^l]_1 … [f_K^l]_G   α_t^l (G, K·G): subspaces mixed across tasks
    z_t = Σ_l β_tl read_l(h_t^l)                      β_t (L): mixture of the stages
    Ω = γ Σ_t Σ_l Σ_{g<g'} ‖G_tg^l (G_tg'^l)ᵀ‖²_F     draws a task's subspaces to be orthogonal

f_s^l is task s's stage, its features cut into G equal subspaces; G_tg are the rows of the stage's
last weight matrix that make subspace g. α starts near its own subspace and β near the last stage,
as published. What differs from the paper: any stages in place of LSTMs; a stage of several parallel
matrices (the text CNN's convolutions) pays no orthogonality, and no embedding does, whose thousands
of rows would outweigh the losses.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlstudy.models.backbones import Backbone
from mtlstudy.models.sharing.base import Sharing, Use, mix, near_identity, registry
from mtlstudy.models.tasks import Inputs
from mtlstudy.registry import Options as NoOptions


@registry.register("sluice")
class Sluice(Sharing):
    """K trunks, α over subspaces after every stage, β over the stages."""

    paper = "Ruder et al. 2019, arXiv 1705.08142"

    class Options(NoOptions):
        """subspaces: G; own: weight of a subspace on itself, and of the last stage, at the start;
        orthogonality: γ."""

        subspaces: Annotated[int, Field(ge=1, le=8)] = 2
        own: Annotated[float, Field(gt=0, le=1)] = 0.9
        orthogonality: Annotated[float, Field(ge=0, le=1e6)] = 1e-3

    alpha: Any
    beta: Any
    reads: Any

    def build(self, backbone: Backbone) -> None:
        stages, names = backbone.stages, self.task_names
        K, L, G, own = len(names), len(stages), self.options.subspaces, self.options.own
        for s in stages:
            if s.width % G:
                reason = f"stage {s.name} has {s.width} features, which {G} subspaces do not divide"
                raise self.refuse(reason)
        self.widths = [stage.width for stage in stages]
        self.stages = self.copies(stages, names)
        self.reads = nn.ModuleList(nn.ModuleDict({t: s.readout() for t in names}) for s in stages)
        start = near_identity(K * G, own).view(K, G, K * G)
        self.alpha = nn.ModuleList(self.rows(start) for _ in stages)
        self.beta = self.rows(near_identity(L, own)[-1].expand(K, L))

    def represent(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        G, names = self.options.subspaces, self.task_names
        h, z = dict.fromkeys(names, x), dict.fromkeys(tasks, torch.zeros((), device=x.device))
        levels = zip(self.stages, self.alpha, self.reads, strict=True)
        for l, (stage, alpha, reads) in enumerate(levels):
            f = [stage[task](h[task]) for task in names]
            axis = 1 if f[0].ndim == 4 else -1  # of the features: (N, C, H, W) or (N, …, d)
            parts = torch.stack([part for out in f for part in out.chunk(G, axis)])  # (K·G, N, …)
            for task in tasks if l == len(self.stages) - 1 else names:
                h[task] = torch.cat(mix(alpha[task], parts).unbind(), axis)
            for task in tasks:
                z[task] = z[task] + self.beta[task][l] * reads[task](h[task])
        return z

    def penalty(self) -> Tensor | None:
        G, gamma = self.options.subspaces, self.options.orthogonality
        terms = []
        for stage, width in zip(self.stages, self.widths, strict=True):
            for copy in stage.values():
                rows = feature_rows(copy, width)
                pairs = combinations(rows.chunk(G), 2) if rows is not None else ()
                terms += [(a @ b.mT).square().sum() for a, b in pairs]  # a, b (width / G, …)
        return gamma * torch.stack(terms).sum() if terms and gamma else None

    def usage(self) -> Iterable[Use]:
        yield from super().usage()
        for name, alpha in zip(self.stage_names, self.alpha, strict=True):
            for t in self.task_names:
                yield self.use(name, alpha[t], task=t if alpha is self.alpha[-1] else None)
        for t in self.task_names:
            yield self.use("read", self.beta[t], *(reads[t] for reads in self.reads), task=t)

    def learned(self, inputs: Inputs) -> dict[str, Any]:
        """α and β."""
        names, stages = self.task_names, self.stage_names
        rows = [torch.cat([row[t] for t in names]).tolist() for row in self.alpha]  # (K·G, K·G)
        found = {"alpha": dict(zip(stages, rows, strict=True)), "stages": stages, "tasks": names}
        return {**found, "beta": {t: self.beta[t].tolist() for t in names}}


def feature_rows(stage: nn.Module, width: int) -> Tensor | None:
    """The stage's last weight matrix with a row a feature (width, …); None where it has none, as an
    embedding."""
    owners = (m for m in reversed(list(stage.modules())) if not isinstance(m, nn.Embedding))
    weights = (p for m in owners for p in m.parameters(recurse=False) if p.ndim > 1)
    return next((p.flatten(1) for p in weights if len(p) == width), None)
