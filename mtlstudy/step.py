"""One training step: task losses, the weights that a weighting gives them, and the gradients that follow.

Shapes: K tasks, z (N, d), J (K, P) task gradients on the shared parameters, M (B, K, K) Gramians of B blocks.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .data.base import Split
from .errors import InputError
from .gradients import direction, gramian, representation_gradients, task_gradients
from .nash import Status
from .sharing.base import Sharing
from .weighting.base import JacobianWeighting, LossWeighting, Weighting, Weights


class Step:
    """The model, its weighting and its optimiser; calling it trains on one batch."""

    def __init__(self, model: Sharing, weighting: Weighting, optimiser: torch.optim.Optimizer) -> None:
        self.model, self.weighting, self.optimiser = model, weighting, optimiser
        blocks = model.shared_blocks()
        self.shared = [p for block in blocks.values() for p in block]
        self.sizes = [sum(p.numel() for p in block) for block in blocks.values()]
        self.own = [model.own_parameters(task.name) for task in model.tasks]
        self.counts = torch.zeros(len(Status), dtype=torch.int64)  # bargaining games by status

    def __call__(self, batch: Split, observe: bool = False, per_block: bool = False) -> tuple[Tensor, Tensor | None, Weights]:
        """Losses (K,), Gramians (B, K, K) where they were computed (always when observed, one a block with `per_block`), and the
        weights that were used. Where a loss is not finite nothing is changed."""
        self.model.train()
        named, z = self.losses(batch)
        losses = torch.stack(named).detach()
        self.optimiser.zero_grad()
        finite, M = bool(torch.isfinite(losses).all()), None
        if isinstance(self.weighting, LossWeighting):
            if observe and self.shared:
                J, _ = self.jacobian(named, z, [[]] * len(named), keep_graph=True)
                M = gramian(J, self.sizes if per_block else None)
            chosen = self.weighting(losses)
            if finite:
                self.weighting.objective(torch.stack(named)).backward()
        elif isinstance(self.weighting, JacobianWeighting):
            J, to_own = self.jacobian(named, z, self.own)
            M = gramian(J) if observe else None
            chosen = self.weighting(losses, None)
            self.put(self.weighting.aggregate(J), to_own, None)
        else:
            M, chosen = self.bargain(named, losses, z)
        if finite:
            penalty = self.model.penalty()
            if penalty is not None:  # the family's own, never weighted
                penalty.backward()
            self.optimiser.step()
        if self.weighting.looks_again:
            with torch.no_grad():
                self.weighting.look(torch.stack(self.losses(batch)[0]))
        return losses, M, chosen

    def losses(self, batch: Split) -> tuple[list[Tensor], list[Tensor]]:
        """Loss and representation of every task on a batch."""
        model, z = self.model, self.model.encode(batch.inputs)
        losses = [task.loss(model.heads[task.name](z[task.name]), batch.targets[task.name]) for task in model.tasks]
        return losses, [z[task.name] for task in model.tasks]

    def jacobian(
        self, named: list[Tensor], z: list[Tensor], own: Sequence[Sequence[nn.Parameter]], keep_graph: bool = False
    ) -> tuple[Tensor, list[list[Tensor]]]:
        """J (K, P) and the gradients of each task's own parameters."""
        to_z, to_own = representation_gradients(named, z, own)
        return task_gradients(z, to_z, self.shared, keep_graph=keep_graph), to_own

    def bargain(self, named: list[Tensor], losses: Tensor, z: list[Tensor]) -> tuple[Tensor | None, Weights]:
        """Gradients for a weighting that asks for Gramians: K passes through the trunk, the stored J reused for the step."""
        weighting = self.weighting
        to_z, to_own = representation_gradients(named, z, self.own)
        level = getattr(weighting.options, "level", "parameters")
        J, M = None, None
        if level == "representation":
            if any(rep is not z[0] for rep in z):
                raise InputError("level = 'representation': the tasks have no common representation here; allowed: parameters")
            if weighting.due():
                M = gramian(torch.stack([v.flatten() for v in to_z]))
        elif weighting.due() or weighting.per_block:
            J = task_gradients(z, to_z, self.shared)
            M = gramian(J, self.sizes if weighting.per_block else None) if weighting.due() else None
        chosen: Weights = weighting(losses, M)
        if M is not None:
            self.counts += torch.bincount(chosen.status.cpu(), minlength=len(Status))
        a = chosen.weights.to(losses.dtype)  # (B, K)
        if J is not None:
            parts = J.split(self.sizes, 1) if weighting.per_block else [J]
            directions = [a[b] @ part for b, part in enumerate(parts)]
        else:  # the weights are known: one backward pass over their sum
            directions = [direction(z, [a[0, t] * v for t, v in enumerate(to_z)], self.shared)]
        bound = getattr(weighting.options, "max_norm", None)
        weighted = getattr(weighting.options, "head_gradients", "own") == "weighted"
        self.put(torch.cat([clip(part, bound) for part in directions]), to_own, a[0] if weighted else None)
        return M, chosen

    def put(self, d: Tensor, to_own: list[list[Tensor]], scale: Tensor | None) -> None:
        """Set the gradients: d (P,) on the shared parameters, each task's own ones as they are or scaled by its weight."""
        for p, part in zip(self.shared, d.split([p.numel() for p in self.shared]), strict=True):
            p.grad = part.view_as(p)
        for t, (parameters, grads) in enumerate(zip(self.own, to_own, strict=True)):
            for p, g in zip(parameters, grads, strict=True):
                p.grad = g if scale is None else scale[t] * g


def clip(d: Tensor, bound: float | None) -> Tensor:
    """d (P,) shortened to length `bound` where it is longer."""
    return d if bound is None else d * (bound / torch.linalg.vector_norm(d).clamp_min(bound))
