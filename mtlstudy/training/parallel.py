"""A batch in several micro-batches, and several processes that train one model together.

Every loss is scaled by its micro-batch's and process's part of the labels, so that sums are those
of the whole batch. Shapes: R processes, K tasks, P shared parameters, J (K, P), M (B, K, K). What a
step of several processes exchanges through torch.distributed:

    losses and counts       2 K numbers                                     all-reduce
    task gradients          J: a process keeps the sum of P / R columns     reduce-scatter
    Gramian                 M, the sum of what the columns give: B K²       all-reduce, once
    direction               the P / R columns of Σ_t a_t J_t                all-gather

Every process has the same M, so the same weights: nothing else has to be agreed on.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel as DDP

from mtlstudy import files
from mtlstudy.data.base import Split
from mtlstudy.errors import InputError
from mtlstudy.gradients import clip_, direction
from mtlstudy.models.sharing.base import Sharing
from mtlstudy.training import store
from mtlstudy.training.config import RunConfig
from mtlstudy.training.loop import Training, torch_settings
from mtlstudy.training.step import Step, StepResult
from mtlstudy.weighting.base import Weighting, Weights


@dataclass(frozen=True)
class MicroBatch(Split):
    """Some examples of a batch, and their share (K,) of its labels."""

    share: Tensor


class Losses(nn.Module):
    """The losses of a model as the module that DistributedDataParallel wraps."""

    def __init__(self, model: nn.Module, forward: Callable[[Split], Any]) -> None:
        super().__init__()
        self.model, self.step_forward = model, forward

    def forward(self, batch: Split) -> list[Tensor]:
        """K losses."""
        losses: list[Tensor] = self.step_forward(batch)[0]
        return losses


class ParallelStep(Step):
    """A step that takes its batch in `micro_batches` pieces, and that `processes` take together."""

    replicated: ClassVar[bool] = True
    """Whether every process has all parameters."""

    def __init__(
        self,
        model: Sharing,
        weighting: Weighting,
        optimiser: torch.optim.Optimizer,
        *,
        micro_batches: int = 1,
        processes: int = 1,
        **how: Any,
    ) -> None:
        super().__init__(model, weighting, optimiser, **how)
        self.micro_batches, self.processes = micro_batches, processes
        self.losses: nn.Module = Losses(model, self.forward)
        if processes > 1 and self.replicated:
            self.sizes = columns(self.sizes, dist.get_rank(), processes)
            if weighting.needs == "losses":
                self.losses = DDP(self.losses)

    def all_reduce(self, x: Tensor) -> Tensor:
        """Σ over the processes of x, the same in all of them."""
        if self.processes > 1:
            x = x.contiguous()
            dist.all_reduce(x)
        return x

    def divide(self, batch: Split) -> list[MicroBatch]:
        """The micro-batches of a batch."""
        n, tasks = self.micro_batches, self.model.tasks
        rows = {
            pool: torch.arange(size, device=self.device).tensor_split(n)
            for pool, size in batch.sizes().items()
        }
        parts = [batch.batch({pool: some[i] for pool, some in rows.items()}) for i in range(n)]
        counts = torch.stack(
            [torch.stack([t.count(part.targets[t.name]) for t in tasks]) for part in parts]
        )  # (n, K)
        shares = counts / self.all_reduce(counts.sum(0)).clamp_min(1)
        pairs = zip(parts, shares, strict=True)
        return [MicroBatch(part.inputs, part.targets, share) for part, share in pairs]

    def forward(
        self, batch: Split, views: bool = False
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """As for `Step`; the losses of a micro-batch are scaled by its share."""
        losses, z, read = super().forward(batch, views)
        if isinstance(batch, MicroBatch):
            losses = [loss * c for loss, c in zip(losses, batch.share, strict=True)]
        return losses, z, read

    def jacobian(self, batch: Split) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Losses (K,) and J of the whole batch, of which a process has its columns (K, p), or all
        where the weighting needs J itself; its part of the gradients of the tasks' own parameters.
        """
        first, *rest = self.divide(batch)
        losses, J, heads = super().jacobian(first)
        for part in rest:
            self.J = None  # J holds the sum so far
            more = super().jacobian(part)
            losses, J = losses + more[0], J.add_(more[1])
            heads = [a + b for a, b in zip(heads, more[2], strict=True)]
        self.J = J
        whole = self.processes == 1 or self.weighting.needs == "jacobian"
        J = self.all_reduce(J) if whole else self.reduce_scatter(J)
        return self.all_reduce(losses), J, heads

    def reduce_scatter(self, J: Tensor) -> Tensor:
        """J (K, P) → the sum of this process's columns (K, p), p = ⌈P / R⌉, zeros at the end."""
        R = self.processes
        padded = nn.functional.pad(J, (0, -J.shape[1] % R))
        mine = padded.new_empty(len(J), padded.shape[1] // R)
        dist.reduce_scatter(mine, [part.contiguous() for part in padded.chunk(R, 1)])
        return mine

    def gramians(self, J: Tensor, per_block: bool) -> Tensor:
        return self.all_reduce(super().gramians(J, per_block))

    def clip_(self, d: Tensor) -> Tensor:
        """The same of a direction of which every process has a part."""
        bound = self.weighting.max_norm
        if bound is None or self.processes == 1:
            return super().clip_(d)
        length = self.all_reduce(torch.linalg.vector_norm(d) ** 2).sqrt()
        return d.mul_(bound / length.clamp_min(bound))

    def combine(self, J: Tensor, a: Tensor) -> Tensor:
        d = super().combine(J, a)
        if self.processes == 1:
            return d
        whole = d.new_empty(self.processes * len(d))
        dist.all_gather_into_tensor(whole, d)
        return whole[: sum(self.lengths)]

    def by_losses(self, batch: Split, M: Tensor | None) -> StepResult:
        parts = self.divide(batch)
        whole = self.losses(parts[0]) if len(parts) == 1 else None
        losses = self.all_reduce(torch.stack(whole).detach()) if whole else self.losses_again(batch)
        weights: Weights = self.weighting(losses)
        a = list(self.processes * weights.weights[0].to(losses.dtype))  # DDP takes the mean
        for i, part in enumerate(parts):
            waits = isinstance(self.losses, DDP) and i < len(parts) - 1
            with self.losses.no_sync() if waits else nullcontext():  # type: ignore[operator]
                torch.autograd.backward(whole or self.losses(part), a)
        return StepResult(losses, M, weights)

    def by_known_weights(self, batch: Split) -> StepResult:
        parts, M = self.divide(batch), None
        whole = [self.head_gradients(parts[0])] if len(parts) == 1 else []
        if self.weighting.due():
            M = self.all_reduce(self.representation_gramian(whole[0].z, whole[0].to_z))
        losses = self.all_reduce(whole[0].losses) if whole else self.losses_again(batch)
        weights = self.weigh(losses, M)
        a, d, heads = weights.weights[0].to(losses.dtype), self.direction_memory(), list[Tensor]()
        for i, piece in enumerate(whole or map(self.head_gradients, parts)):
            vectors = [(a[t] * v).to(v.dtype) for t, v in enumerate(piece.to_z)]
            if i == 0:
                direction(piece.z, vectors, self.shared, out=d)
                heads = piece.heads
            else:
                d += direction(piece.z, vectors, self.shared)
                heads = [x + y for x, y in zip(heads, piece.heads, strict=True)]
        self.set_grads(clip_(self.all_reduce(d), self.weighting.max_norm), heads, a)
        return StepResult(losses, M, weights)

    def set_grads(self, d: Tensor, heads: list[Tensor], a: Tensor | None) -> None:
        """The same; every process has its part of the sums of the tasks' own gradients."""
        if self.processes > 1 and heads:  # in one exchange
            flat = self.all_reduce(torch.cat([g.reshape(-1) for g in heads]))
            pieces = flat.split([g.numel() for g in heads])
            heads = [piece.view(g.shape) for g, piece in zip(heads, pieces, strict=True)]
        super().set_grads(d, heads, a)

    def losses_again(self, batch: Split) -> Tensor:
        with torch.no_grad(), torch.random.fork_rng():
            parts = [torch.stack(self.forward(part)[0]) for part in self.divide(batch)]
        return self.all_reduce(torch.stack(parts).sum(0))


def columns(sizes: Sequence[int], rank: int, processes: int) -> list[int]:
    """How many of a process's columns of J lie in each block (the last one has the zeros)."""
    each = -(-sum(sizes) // processes)
    edges = [0, *accumulate(sizes[:-1]), each * processes]
    cuts = [min(max(edge - rank * each, 0), each) for edge in edges]
    return [b - a for a, b in pairwise(cuts)]


class ParallelTraining(Training):
    """The training of one of several processes: each draws its part of the batches, the main one
    searches, evaluates and writes."""

    def __init__(self, config: RunConfig, path: Path) -> None:
        self.rank = dist.get_rank()
        self.is_main = self.rank == 0
        super().__init__(config, path)
        self.sampler.rank, self.sampler.world_size = self.rank, config.processes
        if self.rank:  # each drops out units of its own
            torch.manual_seed(config.seed + 104_729 * self.rank)

    def search(self) -> dict[str, Any] | None:
        if self.is_main:
            found = super().search()
        dist.barrier()
        return found if self.is_main else super().search()  # the others read what was found

    def load_checkpoint(self) -> None:
        try:
            super().load_checkpoint()
        finally:
            dist.barrier()  # all have read it before the main one may move it

    def gather_rng(self, state: Tensor) -> list[Tensor]:
        states = [state] * self.config.processes
        dist.all_gather_object(states, state)
        return states

    def settle_mode(self) -> dict[str, Any]:
        settled = [super().settle_mode()]
        dist.broadcast_object_list(settled)  # the main process decides
        return settled[0]


def is_main_process() -> bool:
    """Whether this process speaks for all: the first of torchrun's, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def fit_together(config: RunConfig, progress: bool = True) -> store.Run:
    """`fit` in one of `config.processes` processes that torchrun started."""
    join(config.processes, config.device)
    path = store.root() / config.run_id
    is_main = dist.get_rank() == 0
    with files.locked(path) if is_main else nullcontext():
        run = files.healed(store.load_run, path) if is_main else None
        dist.barrier()
        run = run or store.load_run(path)
        dist.barrier()
        if run is None:
            with torch_settings(config):
                run = ParallelTraining.begun(config, path).run(progress)
        dist.barrier()
    return run or store.Run(path, store.read(path))


def join(processes: int, device: str) -> None:
    """Take this process's place as torchrun's environment tells it; `InputError` where there are
    not as many as the configuration says."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size != processes:
        hint = f"start it with torchrun --nproc-per-node {processes}"
        raise InputError(f"processes = {processes}: this is one of {size}; {hint}")
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
