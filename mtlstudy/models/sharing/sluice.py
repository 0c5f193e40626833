"""Sluice networks: cross-stitch over subspaces of the stages, and a learned mixture of the stages for each task.

Source: Ruder, Bingel, Augenstein & Søgaard, *Latent Multi-Task Architecture Learning*, AAAI 2019, arXiv 1705.08142.

    [h_t1^l … h_tG^l] = α_t^l [f_1^l]_1 … [f_K^l]_G        α_t^l (G, K·G): subspaces mixed across tasks
    z_t = Σ_l β_tl read_l(h_t^l)                           β_t (L): mixture of the stages
    Ω = γ Σ_t Σ_l Σ_{g<g'} ‖G_tg^l (G_tg'^l)ᵀ‖²_F           subspaces of one task are drawn to be orthogonal

f_s^l is task s's stage, its features cut into G equal subspaces; G_tg are the rows of the stage's last weight matrix that make
subspace g. α starts near its own subspace and β near the last stage, as published. What differs from the paper: any stages in
place of LSTMs; a stage of several parallel matrices (the text CNN's windows) pays no orthogonality, and no embedding does, whose
thousands of rows would outweigh the losses.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlstudy.models.backbones import Backbone
from mtlstudy.models.layers import axis
from mtlstudy.registry import Options
from mtlstudy.models.tasks import Inputs
from mtlstudy.models.sharing.base import Sharing, Use, matrices, mixed, parameters, refuse, registry


@registry.register("sluice")
class Sluice(Sharing):
    """K trunks, α over subspaces after every stage, β over the stages."""

    paper = "Ruder et al. 2019, arXiv 1705.08142"

    class Options(Options):
        """subspaces: G; own: weight of a subspace on itself, and of the last stage, at the start; orthogonality: γ."""

        subspaces: Annotated[int, Field(ge=1, le=8)] = 2
        own: Annotated[float, Field(gt=0, le=1)] = 0.9
        orthogonality: Annotated[float, Field(ge=0)] = 1e-3

    alpha: Any
    beta: Any
    reads: Any

    def build(self, backbone: Backbone) -> None:
        G: int = self.options.subspaces
        for stage in backbone.stages:
            if stage.width % G:
                raise refuse(self.name, f"stage {stage.name} has {stage.width} features, which {G} subspaces do not divide")
        self.names, self.widths = [s.name for s in backbone.stages], [s.width for s in backbone.stages]
        self.stages = nn.ModuleList(nn.ModuleDict({t: s.build() for t in self.sorted}) for s in backbone.stages)
        self.reads = nn.ModuleList(nn.ModuleDict({t: s.read() for t in self.sorted}) for s in backbone.stages)
        K, L, own = len(self.sorted), len(self.names), self.options.own
        start = near(torch.eye(K * G), own).view(K, G, K * G)
        self.alpha = nn.ModuleList(
            nn.ParameterDict({t: nn.Parameter(start[i].clone()) for i, t in enumerate(self.sorted)}) for _ in self.names
        )
        last = near(torch.eye(L), own)[-1]
        self.beta = nn.ParameterDict({t: nn.Parameter(last.clone()) for t in self.sorted})

    def represent(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        G: int = self.options.subspaces
        h, z = dict.fromkeys(self.sorted, x), dict.fromkeys(tasks, torch.zeros((), device=x.device))
        for l, (stage, alpha, reads) in enumerate(zip(self.stages, self.alpha, self.reads, strict=True)):
            f = [stage[task](h[task]) for task in self.sorted]
            parts = torch.stack([part for out in f for part in out.chunk(G, axis(out))])  # (K·G, N, …)
            wanted = tasks if l == len(self.names) - 1 else self.sorted
            for task in wanted:
                h[task] = torch.cat(mixed(alpha[task], parts).unbind(), axis(f[0]))
            for task in tasks:
                z[task] = z[task] + self.beta[task][l] * reads[task](h[task])
        return z

    def penalty(self) -> Tensor | None:
        G, gamma = self.options.subspaces, self.options.orthogonality
        terms = []
        for stage, width in zip(self.stages, self.widths, strict=True):
            for copy in stage.values():
                subspaces = rows(copy, width)
                if subspaces is not None:
                    terms += [(a @ b.mT).square().sum() for a, b in combinations(subspaces.chunk(G), 2)]
        return gamma * torch.stack(terms).sum() if terms and gamma else None

    def usage(self) -> Iterable[Use]:
        for l, (name, stage, alpha) in enumerate(zip(self.names, self.stages, self.alpha, strict=True)):
            yield Use(name, self.sorted, parameters(stage))
            last = l == len(self.names) - 1
            for t in self.sorted:
                yield Use(f"{name}.{t}" if last else name, [t] if last else self.sorted, [alpha[t]])
        for t in self.sorted:
            yield Use(f"read.{t}", [t], [self.beta[t], *parameters(*(reads[t] for reads in self.reads))])

    def learned(self, inputs: Inputs) -> dict[str, Any]:
        """α and β."""
        alpha = [torch.cat([row[t] for t in self.sorted]).tolist() for row in self.alpha]
        beta = {t: self.beta[t].tolist() for t in self.sorted}
        return {"alpha": dict(zip(self.names, alpha, strict=True)), "beta": beta, "stages": self.names, "tasks": self.sorted}


def near(identity: Tensor, own: float) -> Tensor:
    """A square matrix with `own` on the diagonal and the rest spread evenly; the identity where it has one entry."""
    n = len(identity)
    return identity if n == 1 else identity * own + (1 - identity) * (1 - own) / (n - 1)


def rows(stage: nn.Module, width: int) -> Tensor | None:
    """The stage's last weight matrix with a row a feature (width, …); None where it has none, as an embedding."""
    for module in reversed(list(stage.modules())):
        for weight in matrices(module).values() if not list(module.children()) else ():
            if weight.shape[0] == width and not isinstance(module, nn.Embedding):
                return weight.flatten(1)
    return None
