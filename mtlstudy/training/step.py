"""One training step: losses → task gradients → Gramian → weights → direction → optimiser.

Shapes: K tasks, z (N, d), J (K, P) task gradients on the shared parameters, M (B, K, K) Gramians of
B blocks, d (P,) direction. On an accelerator the host never waits for it here. Micro-batches and
several processes are in `mtlstudy.training.parallel`, and change nothing here.
"""

from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._functorch import config as functorch

from mtlstudy.data.base import Split
from mtlstudy.errors import InputError
from mtlstudy.gradients import (
    WORKSPACE,
    Mode,
    clip_,
    direction,
    gramian,
    representation_gradients,
    separate,
    task_gradients,
)
from mtlstudy.models.sharing._dynamic import carry
from mtlstudy.models.sharing.base import Sharing
from mtlstudy.nash import Status
from mtlstudy.weighting.base import Weighting, Weights


class StepResult(NamedTuple):
    """losses (K,); gramians (B, K, K), None where none was computed; the weights that were used."""

    losses: Tensor
    gramians: Tensor | None
    weights: Weights


class HeadGradients(NamedTuple):
    """losses (K,) detached, K representations z, ∂L_t/∂z_t, gradients of the tasks' parameters."""

    losses: Tensor
    z: list[Tensor]
    to_z: list[Tensor]
    heads: list[Tensor]


class Step:
    """The model, its weighting and its optimiser; calling it trains on one batch.

    mode, chunk: how the task gradients are taken (see `mtlstudy.gradients`). precision: of the
    forward pass; gradients are those of the float32 parameters, and the Gramian is in float64
    always. compile: the trunk goes through torch.compile.
    """

    def __init__(
        self,
        model: Sharing,
        weighting: Weighting,
        optimiser: torch.optim.Optimizer,
        *,
        mode: Mode = "sequential",
        chunk: int = 4,
        precision: str = "float32",
        compile: bool = False,
    ) -> None:
        self.model, self.weighting, self.optimiser = model, weighting, optimiser
        self.mode, self.chunk, self.precision, self.compile = mode, chunk, precision, compile
        self.device = next(model.parameters()).device
        self.encode = model.encode
        if compile:  # its graph is differentiated K times: its buffers must outlive the first
            self.encode = functorch.patch(donated_buffer=False)(torch.compile(model.encode))
        self.find_blocks()
        cpu = self.device.type == "cpu"
        self.workspace = torch.empty(WORKSPACE["cpu"], dtype=torch.float64) if cpu else None
        self.games = torch.zeros(len(Status), dtype=torch.int64, device=self.device)  # by status
        self.calls = 0
        self.diverged = torch.full((), -1, device=self.device)  # the first call not finite

    def find_blocks(self) -> None:
        """The model's parameters by block and by task, as its structure is now."""
        blocks = self.model.shared_blocks()
        self.shared = [p for block in blocks.values() for p in block]
        self.lengths = [p.numel() for p in self.shared]
        self.sizes = [sum(p.numel() for p in block) for block in blocks.values()]
        self.heads = [self.model.task_parameters(task.name) for task in self.model.tasks]
        for name, p in self.model.named_parameters(remove_duplicate=False):
            own = name.startswith("heads.")
            if own and p.requires_grad and any(p is q for q in self.shared):
                reason = "is a parameter of the trunk too, and its gradient would be lost"
                raise InputError(f"{name} {reason}; allowed: parameters of one of them")
        self.J: Tensor | None = None  # memory of J and d, used again at every step
        self.d: Tensor | None = None

    def restructure(self, steps: int, result: StepResult) -> None:
        """Let the model change its structure after one of `steps` steps. The optimiser's moments of
        a new parameter are the means of those that it stems from, as the parameter is itself."""
        origins = self.model.restructure(self.calls, steps, result.gramians)
        if origins is None:
            return
        carry(self.optimiser, origins, list(self.model.parameters()))
        self.renew()

    def renew(self) -> None:
        """Train the parameters of the model's present structure."""
        self.optimiser.param_groups[0]["params"] = list(self.model.parameters())
        self.find_blocks()
        self.weighting.resize(len(self.sizes))

    def __call__(self, batch: Split, observe: bool = False, per_block: bool = False) -> StepResult:
        """Train on a batch. observe: compute Gramians for weightings that need none too, one a
        block with `per_block`. Where a loss or Gramian is not finite nothing is changed. A task
        without a label in the batch is absent: its head stays as it is, and the others are weighed
        as if it were not there."""
        if not self.model.training:
            self.model.train()
        self.optimiser.zero_grad()
        here = [t for t, task in enumerate(self.model.tasks) if task.name not in batch.absent]
        if not here:
            return self.nothing()
        self.weighting.attend(here)
        result = self.backward(batch, observe, per_block)
        served = {p for t in here for p in self.heads[t]}
        for p in {p for head in self.heads for p in head} - served if batch.absent else ():
            p.grad = None
        penalty = self.model.penalty()
        if penalty is not None:  # the family's own, never weighted
            penalty.backward()
        self.update(result)
        if self.weighting.sees_losses_again:
            self.weighting.after_step(self.losses_again(batch))
        return result

    def nothing(self) -> StepResult:
        """What a batch without any label does."""
        self.calls += 1
        none = torch.zeros(1, len(self.model.tasks), device=self.device)
        return StepResult(none[0], None, Weights(none.double(), none.new_zeros(1).long()))

    def backward(self, batch: Split, observe: bool, per_block: bool) -> StepResult:
        """Set every parameter's gradient, in the way that the weighting needs."""
        weighting = self.weighting
        if weighting.needs == "losses":
            M = self.observed(batch, per_block) if observe and self.shared else None
            return self.by_losses(batch, M)
        if weighting.needs == "jacobian":
            return self.by_jacobian(batch, observe)
        if weighting.per_block or (weighting.due() and weighting.level == "parameters"):
            return self.by_gramians(batch)
        return self.by_known_weights(batch)

    def forward(
        self, batch: Split, views: bool = False
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Loss and representation z of every task, and what each head read: z, or views of it."""
        tasks, low = self.model.tasks, self.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16) if low else nullcontext():
            encoded = self.encode(batch.inputs)
            z = [encoded[task.name] for task in tasks]
            read = separate(z) if views else z
            outputs = [self.model.heads[t.name](rep) for t, rep in zip(tasks, read, strict=True)]
            losses = [
                task.loss(output, batch.targets[task.name])
                for task, output in zip(tasks, outputs, strict=True)
            ]
        return losses, z, read

    def head_gradients(self, batch: Split) -> HeadGradients:
        """Forward, and each loss differentiated through its own head, all in one pass."""
        losses, z, read = self.forward(batch, views=True)
        to_z, heads = representation_gradients(losses, read, self.heads)
        flat = [g for gradients in heads for g in gradients]
        return HeadGradients(torch.stack(losses).detach(), z, to_z, flat)

    def jacobian(self, batch: Split) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Losses (K,), J (K, P) and the gradients of the tasks' own parameters in a row."""
        losses, z, to_z, heads = self.head_gradients(batch)
        self.J = task_gradients(z, to_z, self.shared, self.mode, chunk=self.chunk, out=self.J)
        return losses, self.J, heads

    def observed(self, batch: Split, per_block: bool) -> Tensor:
        """The Gramians (B, K, K) for weightings that need none."""
        with torch.random.fork_rng():
            return self.gramians(self.jacobian(batch)[1], per_block)

    def gramians(self, J: Tensor, per_block: bool) -> Tensor:
        """M (B, K, K) of J (K, P): one a block, or one (1, K, K)."""
        return gramian(J, self.sizes if per_block else None, self.workspace)

    def by_losses(self, batch: Split, M: Tensor | None) -> StepResult:
        """One backward pass: the weights are ∂ objective / ∂ L at the losses. M: recorded."""
        losses = self.forward(batch)[0]
        values = torch.stack(losses).detach()
        weights: Weights = self.weighting(values)
        torch.autograd.backward(losses, list(weights.weights[0].to(values.dtype)))
        return StepResult(values, M, weights)

    def by_jacobian(self, batch: Split, observe: bool) -> StepResult:
        """The direction is made of J itself."""
        losses, J, heads = self.jacobian(batch)
        weights: Weights = self.weighting(losses, None)
        self.set_grads(self.weighting.aggregate(J), heads, None)
        return StepResult(losses, gramian(J, None, self.workspace) if observe else None, weights)

    def by_gramians(self, batch: Split) -> StepResult:
        """K passes through the trunk, and the stored J reused for the direction."""
        losses, J, heads = self.jacobian(batch)
        M = self.gramians(J, self.weighting.per_block) if self.weighting.due() else None
        weights = self.weigh(losses, M)
        a = weights.weights.to(J.dtype)  # (B, K)
        self.set_grads(self.combine(J, a), heads, a[0])
        return StepResult(losses, M, weights)

    def combine(self, J: Tensor, a: Tensor) -> Tensor:
        """d (P,): Σ_t a_bt J_t on every block b, clipped there. J (K, P), a (B, K)."""
        sizes = self.sizes if self.weighting.per_block else [J.shape[1]]
        d = self.direction_memory()[: J.shape[1]]
        for part, block, a_b in zip(d.split(sizes), J.split(sizes, 1), a, strict=True):
            self.clip_(torch.mv(block.mT, a_b, out=part))
        return d

    def clip_(self, d: Tensor) -> Tensor:
        """A direction no longer than the weighting's `max_norm`, shortened in place."""
        return clip_(d, self.weighting.max_norm)

    def by_known_weights(self, batch: Split) -> StepResult:
        """One pass through the trunk: the weights are held from an earlier game, or follow from the
        gradients of the representations."""
        losses, z, to_z, heads = self.head_gradients(batch)
        M = self.representation_gramian(z, to_z) if self.weighting.due() else None
        weights = self.weigh(losses, M)
        a = weights.weights[0].to(losses.dtype)
        vectors = [(a[t] * v).to(v.dtype) for t, v in enumerate(to_z)]
        d = direction(z, vectors, self.shared, out=self.direction_memory())
        self.set_grads(clip_(d, self.weighting.max_norm), heads, a)
        return StepResult(losses, M, weights)

    def representation_gramian(self, z: list[Tensor], to_z: list[Tensor]) -> Tensor:
        """M (1, K, K) of ∂L_t/∂z. `InputError` where the tasks have no common representation."""
        if any(rep is not z[0] for rep in z):
            reason = "the tasks have no common representation here; allowed: parameters"
            raise InputError(f"level = 'representation': {reason}")
        return gramian(torch.stack([v.flatten() for v in to_z]))

    def weigh(self, losses: Tensor, M: Tensor | None) -> Weights:
        """The weighting's answer; games are counted by their status."""
        weights: Weights = self.weighting(losses, M)
        if M is not None:
            self.games.index_add_(0, weights.status, torch.ones_like(weights.status))
        return weights

    def direction_memory(self) -> Tensor:
        """Where the direction (P,) is written."""
        if self.d is None:
            self.d = torch.empty(sum(self.lengths), dtype=self.shared[0].dtype, device=self.device)
        return self.d

    def set_grads(self, d: Tensor, heads: list[Tensor], a: Tensor | None) -> None:
        """Set the gradients: d (P,) on the shared parameters, each task's own ones as they are or
        scaled by its weight a_t, added up where a head serves several tasks."""
        for p, g in zip(self.shared, d.split(self.lengths), strict=True):
            p.grad = self.match_layout(p, g)
        tasks = [(t, p) for t, parameters in enumerate(self.heads) for p in parameters]
        scaled, sums = a if self.weighting.scales_heads else None, dict[nn.Parameter, Tensor]()
        for (t, p), g in zip(tasks, heads, strict=True):
            weighted = g if scaled is None else scaled[t] * g
            sums[p] = sums[p] + weighted if p in sums else weighted
        for own, g in sums.items():
            own.grad = self.match_layout(own, g)

    def match_layout(self, p: Tensor, g: Tensor) -> Tensor:
        """A gradient in the shape and memory layout of its parameter, as fused optimisers need."""
        g = g.view(p.shape)
        return g if g.stride() == p.stride() else torch.empty_like(p).copy_(g)

    def update(self, result: StepResult) -> None:
        """The optimiser's step; where a loss, weight or Gramian is not finite it leaves
        everything."""
        finite = torch.isfinite(result.losses).all()
        if self.weighting.needs != "jacobian":  # there the weights are not what moves the model
            finite = finite & torch.isfinite(result.weights.weights).all()
        if result.gramians is not None:
            finite = finite & torch.isfinite(result.gramians).all()
        self.diverged = torch.where((self.diverged < 0) & ~finite, self.calls, self.diverged)
        self.calls += 1
        if getattr(self.optimiser, "_step_supports_amp_scaling", False):  # fused: on the device
            self.optimiser.found_inf = (~finite).float()  # type: ignore[attr-defined]
            self.optimiser.step()
        elif bool(finite):
            self.optimiser.step()

    def losses_again(self, batch: Split) -> Tensor:
        """The losses (K,) without gradients; random numbers are drawn as they will be again."""
        with torch.no_grad(), torch.random.fork_rng():
            return torch.stack(self.forward(batch)[0])

    def set_rate(self, lr: float) -> None:
        """The learning rate of the steps that follow."""
        for group in self.optimiser.param_groups:
            group["lr"] = lr

    def state_dict(self) -> dict[str, Any]:
        """The model and the optimiser, for a checkpoint."""
        return {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore them."""
        self.model.load_state_dict(state["model"])
        if self.model.changes:
            self.renew()
        self.optimiser.load_state_dict(state["optimiser"])
