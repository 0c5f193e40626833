"""Sparse sharing: one trunk, and for each task a binary mask of the weights it uses, found by iterative magnitude pruning.

Source: Sun, Shao, Li, Liu, Yan, Qiu & Huang, *Learning Sparse Sharing Architectures for Multiple Tasks*, AAAI 2020, arXiv
1911.05034.

    ŷ_t = h_t(f(x; θ ⊙ m_t)),   m_t ∈ {0, 1}^P

Search, for each task from the same θ₀: train alone, prune the smallest weights of every stage, go back to θ₀; after R rounds the
density ρ is left (a round keeps ρ^(1/R)). Then all tasks are trained together from θ₀, each through its mask. Density 1 is hard
sharing. Biases and norms are not pruned. Every stage keeps the same share: embeddings start ten times larger than convolutions,
and one threshold for all stages would prune the latter away. What differs from the paper: the density is an option and the last
round's mask is taken; there the round is chosen on validation, and a multi-task warm-up may come first.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from mtlstudy.models.backbones import Backbone
from mtlstudy.registry import Options
from mtlstudy.models.tasks import Inputs
from mtlstudy.models.sharing.base import Partitioned, Problem, Sharing, Use, matrices, parameters, registry

Masks = Mapping[str, Sequence[Mapping[str, Tensor]]]  # task → stage → weight → bool


@registry.register("sparse")
class Sparse(Sharing):
    """One trunk and K masks. structure: {"start": θ₀ a stage, "masks": `Masks`}; without it nothing is masked."""

    paper = "Sun et al. 2020, arXiv 1911.05034"
    searches = True
    tuned = {"density": (0.5, 0.8, 0.3)}

    class Options(Options):
        """density: share of the weights that a task keeps; rounds: of pruning; search: share of the training steps a round."""

        density: Annotated[float, Field(gt=0, le=1)] = 0.5
        rounds: Annotated[int, Field(ge=1, le=50)] = 2
        search: Annotated[float, Field(gt=0, le=1)] = 0.2

    def build(self, backbone: Backbone) -> None:
        self.names = [stage.name for stage in backbone.stages]
        self.stages = nn.ModuleList(nn.ModuleDict({"shared": stage.build()}) for stage in backbone.stages)
        found = self.structure or {}
        for l, stage in enumerate(self._stages()):
            if found:
                stage.load_state_dict(found["start"][l])
            for name, p in matrices(stage).items():
                kept = [found["masks"][t][l][name] if found else torch.ones_like(p, dtype=torch.bool) for t in self.sorted]
                for task, mask in zip(self.sorted, kept, strict=True):
                    self.register_buffer(self._name(task, l, name), mask.clone())
                p.data *= torch.stack(kept).any(0)  # what no task uses is zero, and stays so

    def _stages(self) -> list[nn.Module]:
        return [stage["shared"] for stage in self.stages]

    def _name(self, task: str, l: int, weight: str) -> str:
        return f"mask/{task}/{l}/{weight}".replace(".", "/")

    def mask(self, task: str, l: int, weight: str) -> Tensor:
        """The mask of one weight for one task."""
        return self.get_buffer(self._name(task, l, weight))

    def represent(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        z = {}
        for task in tasks:
            h = x
            for l, stage in enumerate(self._stages()):
                masked = {name: p * self.mask(task, l, name) for name, p in matrices(stage).items()}
                h = functional_call(stage, masked, (h,))
            z[task] = h
        return z

    def usage(self) -> Iterable[Use]:
        for name, stage in zip(self.names, self._stages(), strict=True):
            yield Use(name, self.sorted, parameters(stage))

    def parameter_count(self) -> int:
        """Weights that at least one task uses, biases and heads; the masks take `mask_bits` bits besides."""
        return super().parameter_count() - int(sum((~m.any(0)).sum() for m in self.masks().values()))

    def mask_bits(self) -> int:
        """Bits of all masks."""
        return sum(m.numel() for m in self.masks().values())

    def masks(self) -> dict[str, Tensor]:
        """Weight → masks (K, …) of all tasks."""
        return {
            f"{l}.{name}": torch.stack([self.mask(task, l, name) for task in self.sorted])
            for l, stage in enumerate(self._stages()) for name in matrices(stage)
        }  # fmt: skip

    @classmethod
    def search(cls, problem: Problem, options: Any, found: dict[str, Any]) -> Iterator[dict[str, Any]]:
        keep, names = options.density ** (1 / options.rounds), sorted(task.name for task in problem.tasks)
        if not found:
            stages = [stage.build() for stage in problem.backbone.stages]
            ones = [{name: torch.ones_like(p, dtype=torch.bool) for name, p in matrices(stage).items()} for stage in stages]
            found = {"start": [stage.state_dict() for stage in stages], "masks": dict.fromkeys(names, ones), "round": 0}
        for number in range(found["round"], options.rounds if options.density < 1 else 0):
            model = Pruned(problem.backbone, problem.tasks, problem.heads(), options, found)
            problem.train(model, max(1, round(options.search * problem.steps)))
            found = {**found, "masks": {task: model.prune(task, keep) for task in names}, "round": number + 1}
            yield found
        yield found

    def learned(self, inputs: Inputs) -> dict[str, Any]:
        """Density of every task's mask, overlap between tasks (intersection over union), bits of the masks."""
        flat = torch.cat([m.flatten(1) for m in self.masks().values()], 1).double()  # (K, P)
        both = flat @ flat.mT
        size = both.diagonal()
        overlap = both / (size[:, None] + size[None, :] - both).clamp_min(1)
        density = dict(zip(self.sorted, flat.mean(1).tolist(), strict=True))
        return {"density": density, "overlap": overlap.tolist(), "tasks": self.sorted, "mask_bits": self.mask_bits()}


class Pruned(Partitioned):
    """Single-task copies of θ₀ under the present masks: what a round of pruning trains."""

    def build(self, backbone: Backbone) -> None:
        super().build(backbone)
        found: Any = self.structure
        for task in self.sorted:
            for l, stage in enumerate(self.stages):
                copy = stage[task]
                copy.load_state_dict(found["start"][l])
                for name, p in matrices(copy).items():
                    mask = found["masks"][task][l][name]
                    p.data *= mask
                    p.register_hook(lambda g, mask=mask: g * mask.to(g.device))  # a pruned weight stays zero

    def prune(self, task: str, keep: float) -> list[dict[str, Tensor]]:
        """The masks after this round: the largest `keep` of the weights left, stage by stage."""
        found: Any = self.structure
        masks = []
        for stage, mask in zip(self.stages, found["masks"][task], strict=True):
            size = {name: p.detach().cpu().abs() for name, p in matrices(stage[task]).items()}
            left = torch.cat([size[name][mask[name]] for name in size]) if size else torch.zeros(1)
            least = left.sort(descending=True).values[max(1, round(keep * len(left))) - 1]
            masks.append({name: mask[name] & (size[name] >= least) for name in size})
        return masks
