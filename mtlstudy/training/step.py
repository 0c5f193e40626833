"""One training step: task losses, the weights that a weighting gives them, and the gradients that follow.

Shapes: K tasks, z (N, d), J (K, P) task gradients on the shared parameters, M (B, K, K) Gramians of B blocks. A batch may be
taken in several parts (gradient accumulation) and by several processes: every loss is scaled by its part of the labels, so that
sums over the parts and processes are those of the whole batch. On an accelerator the host never waits for it here.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel as DDP

from mtlstudy.data.base import Split
from mtlstudy.training.parallel import ALONE, Team
from mtlstudy.errors import InputError
from mtlstudy.gradients import AT_ONCE, Mode, apart, direction, gramian, representation_gradients, task_gradients
from mtlstudy.nash.newton import Status
from mtlstudy.models.sharing.base import Sharing
from mtlstudy.models.tasks import Inputs
from mtlstudy.weighting.base import JacobianWeighting, LossWeighting, Weighting, Weights

Part = tuple[Split, Tensor | None]
"""Some examples of a batch, and their share (K,) of its labels (None: they are the whole batch)."""


class Step:
    """The model, its weighting and its optimiser; calling it trains on one batch.

    mode, chunk: how the task gradients are taken (see `gradients`). precision: of the forward pass; gradients are those of the
    float32 parameters, unscaled, and the Gramian is in float64 always. accumulate: parts in which a batch is taken.
    compile: the trunk goes through torch.compile. team: the processes that train together.
    """

    def __init__(
        self, model: Sharing, weighting: Weighting, optimiser: torch.optim.Optimizer, *, mode: Mode = "sequential",
        chunk: int = 4, precision: str = "float32", accumulate: int = 1, compile: bool = False, team: Team = ALONE,
    ) -> None:  # fmt: skip
        self.model, self.weighting, self.optimiser = model, weighting, optimiser
        self.mode, self.chunk, self.precision, self.accumulate, self.team = mode, chunk, precision, accumulate, team
        self.compile = compile
        blocks = model.shared_blocks()
        self.shared = [p for block in blocks.values() for p in block]
        self.lengths = [p.numel() for p in self.shared]
        self.sizes = [sum(p.numel() for p in block) for block in blocks.values()]
        self.own = [model.own_parameters(task.name) for task in model.tasks]
        self.level = getattr(weighting.options, "level", "parameters")
        self.bound: float | None = getattr(weighting.options, "max_norm", None)
        self.weighted = getattr(weighting.options, "head_gradients", "own") == "weighted"
        self.device = next(model.parameters()).device
        self.encode = compiled(model.encode) if compile else model.encode
        self.losses: Callable[[Part], Any] = self.forward
        if isinstance(weighting, LossWeighting):  # one backward pass, whose gradients are summed up as it goes
            self.losses = team.summing(model, self.forward)
        self.J: Tensor | None = None  # the last task gradients and direction: their memory is used again
        self.d: Tensor | None = None
        self.room = torch.empty(AT_ONCE["cpu"], dtype=torch.float64) if self.device.type == "cpu" else None
        self.counts = torch.zeros(len(Status), dtype=torch.int64, device=self.device)  # bargaining games by status
        self.calls, self.lost = 0, torch.full((), -1, device=self.device)  # the first call that was not finite

    def __call__(self, batch: Split, observe: bool = False, per_block: bool = False) -> tuple[Tensor, Tensor | None, Weights]:
        """Losses (K,), Gramians (B, K, K) where they were computed (when observed also for weightings that need none, one a block
        with `per_block`), and the weights that were used. Where a loss or Gramian is not finite nothing is changed."""
        if not self.model.training:
            self.model.train()
        self.optimiser.zero_grad()
        parts = self.divided(batch)
        if isinstance(self.weighting, LossWeighting):
            losses, M, chosen = self.by_losses(parts, observe, per_block)
        elif isinstance(self.weighting, JacobianWeighting):
            losses, M, chosen = self.by_jacobian(parts, observe)
        elif self.weighting.per_block or (self.weighting.due() and self.level == "parameters"):
            losses, M, chosen = self.by_gramians(parts)
        else:
            losses, M, chosen = self.by_known_weights(parts)
        finite = torch.isfinite(losses).all() if M is None else torch.isfinite(losses).all() & torch.isfinite(M).all()
        penalty = self.model.penalty()
        if penalty is not None:  # the family's own, never weighted
            penalty.backward()
        self.update(finite)
        if self.weighting.looks_again:
            self.weighting.look(self.glance(parts))
        return losses, M, chosen

    def update(self, finite: Tensor) -> None:
        """The optimiser's step; where `finite` is false it leaves everything as it is."""
        self.lost = torch.where((self.lost < 0) & ~finite, self.calls, self.lost)
        self.calls += 1
        if getattr(self.optimiser, "_step_supports_amp_scaling", False):  # fused: decided where the gradients are
            self.optimiser.found_inf = (~finite).float()  # type: ignore[attr-defined]
            self.optimiser.step()
        elif bool(finite):
            self.optimiser.step()

    def divided(self, batch: Split) -> list[Part]:
        """The parts in which the batch is taken."""
        if self.accumulate == self.team.size == 1:
            return [(batch, None)]
        sizes = batch.sizes()
        rows = {pool: torch.arange(n, device=self.device).tensor_split(self.accumulate) for pool, n in sizes.items()}
        parts = [batch.batch({pool: some[i] for pool, some in rows.items()}) for i in range(self.accumulate)]
        tasks = self.model.tasks
        counts = torch.stack([torch.stack([t.count(part.targets[t.name]) for t in tasks]) for part in parts])  # (parts, K)
        shares = counts / self.team.total(counts.sum(0)).clamp_min(1)
        return list(zip(parts, shares, strict=True))

    def forward(self, part: Part, told_apart: bool = False) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Loss, scaled by its share, and representation of every task; and what each head read, told `apart` or not."""
        (batch, share), model = part, self.model
        with torch.autocast(self.device.type, torch.bfloat16) if self.precision == "bfloat16" else nullcontext():
            outputs, z, read = self.outputs(batch.inputs, told_apart)
            losses = [task.loss(outputs[task.name], batch.targets[task.name]) for task in model.tasks]
        return losses if share is None else [loss * c for loss, c in zip(losses, share, strict=True)], z, read

    def outputs(self, inputs: Inputs, told_apart: bool) -> tuple[dict[str, Tensor], list[Tensor], list[Tensor]]:
        """Output and representation of every task, and what each head read."""
        names = [task.name for task in self.model.tasks]
        found = self.encode(inputs)
        z = [found[name] for name in names]
        read = apart(z) if told_apart else z
        return {name: self.model.heads[name](rep) for name, rep in zip(names, read, strict=True)}, z, read

    def glance(self, parts: Sequence[Part]) -> Tensor:
        """The losses (K,) of the whole batch, without gradients; random numbers are drawn as they will be again."""
        with torch.no_grad(), torch.random.fork_rng():
            return self.team.total(torch.stack([torch.stack(self.forward(part)[0]) for part in parts]).sum(0))

    def pull(self, part: Part) -> "Pulled":
        """Forward, and each loss differentiated through its own head, all in one pass."""
        named, z, read = self.forward(part, told_apart=True)
        to_z, to_own = representation_gradients(named, read, self.own)
        return Pulled(torch.stack(named).detach(), z, to_z, [g for grads in to_own for g in grads])

    def jacobian(self, parts: Sequence[Part]) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Losses (K,), J (K, P) and the gradients of the tasks' own parameters in a row, this process's part of each."""
        sums: tuple[Tensor, Tensor, list[Tensor]] | None = None
        for part in parts:
            losses, z, to_z, own = self.pull(part)
            J = task_gradients(z, to_z, self.shared, self.mode, chunk=self.chunk, out=self.J if sums is None else None)
            if sums is not None:
                losses, J, own = sums[0] + losses, sums[1].add_(J), [a + b for a, b in zip(sums[2], own, strict=True)]
            else:
                self.J = J
            sums = losses, J, own
        assert sums is not None
        return sums

    def by_losses(self, parts: list[Part], observe: bool, per_block: bool) -> tuple[Tensor, Tensor | None, Weights]:
        """One backward pass: the weights are ∂ objective / ∂ L at the losses of the whole batch."""
        M = None
        if observe and self.shared:
            with torch.random.fork_rng():
                J = self.team.scatter(self.jacobian(parts)[1])
            M = self.team.total(gramian(J, self.team.portion(self.sizes) if per_block else None, self.room))
        whole = [self.losses(parts[0])[0]] if len(parts) == 1 else []
        losses = self.team.total(torch.stack(whole[0]).detach()) if whole else self.glance(parts)
        chosen: Weights = self.weighting(losses)
        weights = list(self.team.size * chosen.weights[0].to(losses.dtype))  # DDP takes the mean over the processes
        for i, part in enumerate(parts):
            with self.losses.no_sync() if isinstance(self.losses, DDP) and i < len(parts) - 1 else nullcontext():
                torch.autograd.backward(whole[0] if whole else self.losses(part)[0], weights)
        return losses, M, chosen

    def by_jacobian(self, parts: list[Part], observe: bool) -> tuple[Tensor, Tensor | None, Weights]:
        """The direction is made of J itself."""
        assert isinstance(self.weighting, JacobianWeighting)
        losses, J, own = self.jacobian(parts)
        losses, J = self.team.total(losses), self.team.total(J)
        chosen = self.weighting(losses, None)
        self.put(self.weighting.aggregate(J), own, None)
        return losses, gramian(J, None, self.room) if observe else None, chosen

    def by_gramians(self, parts: list[Part]) -> tuple[Tensor, Tensor | None, Weights]:
        """K passes through the trunk, and the stored J reused for the direction."""
        weighting, team = self.weighting, self.team
        losses, J, own = self.jacobian(parts)
        losses, J = team.total(losses), team.scatter(J)
        sizes = team.portion(self.sizes) if weighting.per_block else [J.shape[1]]
        M = team.total(gramian(J, sizes, self.room)) if weighting.due() else None
        chosen = self.weigh(losses, M)
        a = chosen.weights.to(J.dtype)  # (B, K)
        d = self.directed()[: J.shape[1]]
        for part, block, weights in zip(d.split(sizes), J.split(sizes, 1), a, strict=True):
            team.clip(torch.mv(block.mT, weights, out=part), self.bound)
        self.put(team.gather(d, sum(self.sizes)), own, a[0])
        return losses, M, chosen

    def by_known_weights(self, parts: list[Part]) -> tuple[Tensor, Tensor | None, Weights]:
        """One pass through the trunk: the weights are held from an earlier game, or follow from the representations."""
        M, d, own = None, self.directed(), list[Tensor]()
        whole = [self.pull(parts[0])] if len(parts) == 1 else []
        if self.weighting.due():
            z, to_z = whole[0].z, whole[0].to_z
            if any(rep is not z[0] for rep in z):
                raise InputError("level = 'representation': the tasks have no common representation here; allowed: parameters")
            M = self.team.total(gramian(torch.stack([v.flatten() for v in to_z])))
        losses = self.team.total(whole[0].losses) if whole else self.glance(parts)
        chosen = self.weigh(losses, M)
        a = chosen.weights[0].to(losses.dtype)
        for i, piece in enumerate(whole or map(self.pull, parts)):
            vectors = [(a[t] * v).to(v.dtype) for t, v in enumerate(piece.to_z)]
            if i == 0:
                direction(piece.z, vectors, self.shared, out=d)
                own = piece.own
            else:
                d += direction(piece.z, vectors, self.shared)
                own = [x + y for x, y in zip(own, piece.own, strict=True)]
        self.put(ALONE.clip(self.team.total(d), self.bound), own, a)
        return losses, M, chosen

    def directed(self) -> Tensor:
        """Where the direction (P,) is written."""
        if self.d is None:
            self.d = torch.empty(sum(self.sizes), device=self.device)
        return self.d

    def weigh(self, losses: Tensor, M: Tensor | None) -> Weights:
        """The weighting's answer; games are counted by their status."""
        chosen: Weights = self.weighting(losses, M)
        if M is not None:
            self.counts.index_add_(0, chosen.status, torch.ones_like(chosen.status))
        return chosen

    def put(self, d: Tensor, own: list[Tensor], a: Tensor | None) -> None:
        """Set the gradients: d (P,) on the shared parameters, each task's own ones as they are or scaled by its weight a_t."""
        for p, g in zip(self.shared, d.split(self.lengths), strict=True):
            p.grad = self.laid(p, g)
        tasks = [(t, p) for t, parameters in enumerate(self.own) for p in parameters]
        for (t, p), g in zip(tasks, self.team.add_up(own), strict=True):
            p.grad = self.laid(p, a[t] * g if a is not None and self.weighted else g)

    def laid(self, p: Tensor, g: Tensor) -> Tensor:
        """A gradient in the shape and memory layout of its parameter, as fused optimisers take it."""
        g = g.view(p.shape)
        return g if g.stride() == p.stride() else torch.empty_like(p).copy_(g)

    def state_dict(self) -> dict[str, Any]:
        """The model and the optimiser, for a checkpoint."""
        return {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put them back."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])


class Pulled(NamedTuple):
    """Losses (K,) detached, K representations z, ∂L_t/∂z_t, and the gradients of the tasks' own parameters in a row."""

    losses: Tensor
    z: list[Tensor]
    to_z: list[Tensor]
    own: list[Tensor]


def compiled(encode: Callable[..., Any]) -> Callable[..., Any]:
    """The trunk through torch.compile; its graph is differentiated K times, so its buffers must outlive the first."""
    import torch._functorch.config as functorch

    functorch.donated_buffer = False
    return torch.compile(encode)
