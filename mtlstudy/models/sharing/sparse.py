"""Sparse sharing: one trunk, and for each task a binary mask of the weights it uses, found by
iterative magnitude pruning.

Source: Sun, Shao, Li, Liu, Yan, Qiu & Huang, AAAI 2020, arXiv 1911.05034.

    ŷ_t = h_t(f(x; θ ⊙ m_t)),   m_t ∈ {0, 1}^P

Search, for each task from the same θ₀: train by itself, prune the smallest weights of every stage
(not biases and norms), go back to θ₀; after R rounds the density ρ is left (a round keeps ρ^(1/R)).
Then all tasks are trained together from θ₀. Density 1 is hard sharing. Every stage keeps the same
share: embeddings start ten times larger than convolutions, which one threshold would prune away.
What differs from the paper: the density is an option and the last round's mask is taken; there the
round is chosen on validation, and a multi-task warm-up may come first.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from mtlstudy.models.backbones import Backbone
from mtlstudy.models.sharing.base import Partitioned, Problem, Sharing, State, matrices, registry
from mtlstudy.models.tasks import Inputs
from mtlstudy.registry import Options as NoOptions


@registry.register("sparse")
class Sparse(Sharing):
    """One trunk and K masks.

    structure: {"start": θ₀ a stage, "masks": task → one dictionary a stage of weight → bool mask};
    without it nothing is masked.
    """

    paper = "Sun et al. 2020, arXiv 1911.05034"
    searches = True
    tuned = {"density": (0.5, 0.8, 0.3)}

    class Options(NoOptions):
        """density: share of the weights that a task keeps; rounds: of pruning; search: share of the
        training steps a round."""

        density: Annotated[float, Field(gt=0, le=1)] = 0.5
        rounds: Annotated[int, Field(ge=1, le=50)] = 2
        search: Annotated[float, Field(gt=0, le=1)] = 0.2

    def build(self, backbone: Backbone) -> None:
        self.stages = self.copies(backbone.stages, ["shared"])
        found = self.structure
        for l, stage in enumerate(self.trunk()):
            if found:
                stage.load_state_dict(found["start"][l])
            for name, p in matrices(stage).items():
                dense = torch.ones_like(p, dtype=torch.bool)
                masks = [found["masks"][t][l][name] if found else dense for t in self.task_names]
                mask = torch.stack(masks)  # (K, …)
                self.register_buffer(f"mask {l} {name}".replace(".", "/"), mask)
                p.data *= mask.any(0)  # what no task uses is zero, and stays so
        if not self.masks():
            raise self.refuse("this backbone has no weight matrix that could be pruned")

    def trunk(self) -> list[nn.Module]:
        """The shared stages."""
        return [stage["shared"] for stage in self.stages]

    def masks(self) -> list[Tensor]:
        """The masks (K, …) of every weight."""
        return list(self.buffers(recurse=False))

    def mask(self, task: str, l: int, weight: str) -> Tensor:
        """The mask of one weight of stage l for one task."""
        masks = self.get_buffer(f"mask {l} {weight}".replace(".", "/"))
        return masks[self.task_names.index(task)]

    def represent(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        z = {}
        for task in tasks:
            h = x
            for l, stage in enumerate(self.trunk()):
                masked = {n: p * self.mask(task, l, n) for n, p in matrices(stage).items()}
                h = functional_call(stage, masked, (h,))
            z[task] = h
        return z

    def parameter_count(self) -> int:
        """Weights that at least one task uses, biases and heads; the masks are not among them."""
        return super().parameter_count() - int(sum((~m.any(0)).sum() for m in self.masks()))

    @classmethod
    def search(cls, problem: Problem, options: Any, found: State) -> Iterator[State]:
        names = sorted(task.name for task in problem.tasks)
        keep = options.density ** (1 / options.rounds)
        if not found:
            stages = [stage.build() for stage in problem.backbone.stages]
            weights = [matrices(stage) for stage in stages]
            dense = [
                {n: torch.ones_like(p, dtype=torch.bool) for n, p in w.items()} for w in weights
            ]
            start = [stage.state_dict() for stage in stages]
            found = {"start": start, "masks": dict.fromkeys(names, dense), "round": 0}
        for number in range(found["round"], options.rounds if options.density < 1 else 0):
            model = Pruned(problem.backbone, problem.tasks, problem.heads(), options, found)
            problem.train(model, max(1, round(options.search * problem.steps)))
            masks = {task: model.prune(task, keep) for task in names}
            found = {**found, "masks": masks, "round": number + 1}
            yield found
        yield found

    def learned(self, inputs: Inputs) -> dict[str, Any]:
        """Density of every task's mask, overlap between tasks (intersection over union), bits of
        the masks."""
        m = torch.cat([mask.flatten(1) for mask in self.masks()], 1).double()  # (K, P)
        both = m @ m.mT  # (K, K)
        size = both.diagonal()
        overlap = both / (size[:, None] + size - both).clamp_min(1)
        density = dict(zip(self.task_names, m.mean(1).tolist(), strict=True))
        found = {"density": density, "overlap": overlap.tolist(), "tasks": self.task_names}
        return {**found, "mask_bits": m.numel()}


class Pruned(Partitioned):
    """Single-task copies of θ₀ under the present masks: what a round of pruning trains."""

    structure: Any

    def build(self, backbone: Backbone) -> None:
        super().build(backbone)
        for task in self.task_names:
            for l, stage in enumerate(self.stages):
                copy = stage[task]
                copy.load_state_dict(self.structure["start"][l])
                for name, p in matrices(copy).items():
                    mask = self.structure["masks"][task][l][name]
                    p.data *= mask  # a pruned weight is zero, and stays so:
                    p.register_hook(lambda g, mask=mask: g * mask.to(g.device))

    def prune(self, task: str, keep: float) -> list[dict[str, Tensor]]:
        """The masks after this round: the largest `keep` of the weights left, stage by stage."""
        masks = []
        for stage, mask in zip(self.stages, self.structure["masks"][task], strict=True):
            size = {name: p.detach().cpu().abs() for name, p in matrices(stage[task]).items()}
            left = torch.cat([size[n][mask[n]] for n in size]) if size else torch.zeros(1)
            least = left.sort(descending=True).values[max(1, round(keep * len(left))) - 1]
            masks.append({name: mask[name] & (size[name] >= least) for name in size})
        return masks
