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
from itertools import accumulate as running_sum
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel as DDP

from mtlstudy.data.base import Split
from mtlstudy.errors import InputError
from mtlstudy.gradients import clip_, direction, gramian
from mtlstudy.models.sharing.base import Sharing
from mtlstudy.training import store
from mtlstudy.training.config import RunConfig
from mtlstudy.training.loop import Training, torch_settings
from mtlstudy.training.sampling import Sampler
from mtlstudy.training.search import structure
from mtlstudy.training.step import Step, StepResult
from mtlstudy.weighting.base import Weighting, Weights


@dataclass(frozen=True)
class World:
    """The processes that train together, and this one's place among them."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes, measures and selects."""
        return self.rank == 0

    def all_reduce(self, x: Tensor) -> Tensor:
        """Σ over the processes of x, the same in all of them."""
        if self.size > 1:
            x = x.contiguous()
            dist.all_reduce(x)
        return x

    def all_reduce_each(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The sum over the processes of every tensor, in one exchange."""
        if self.size == 1 or not tensors:
            return list(tensors)
        flat = self.all_reduce(torch.cat([x.reshape(-1) for x in tensors]))
        pieces = flat.split([x.numel() for x in tensors])
        return [piece.view(x.shape) for x, piece in zip(tensors, pieces, strict=True)]

    def reduce_scatter(self, J: Tensor) -> Tensor:
        """J (K, P) → the sum of this process's columns (K, p), p = ⌈P / R⌉, zeros at the end."""
        if self.size == 1:
            return J
        K, P = J.shape
        padded = nn.functional.pad(J, (0, -P % self.size))
        mine = padded.new_empty(K, padded.shape[1] // self.size)
        dist.reduce_scatter(mine, [part.contiguous() for part in padded.chunk(self.size, 1)])
        return mine

    def columns(self, sizes: Sequence[int]) -> list[int]:
        """How many of this process's columns lie in each block (the last one has the zeros)."""
        if self.size == 1:
            return list(sizes)
        each = -(-sum(sizes) // self.size)
        ends = [*running_sum(sizes)]
        ends[-1] = each * self.size
        cuts = [min(max(end - self.rank * each, 0), each) for end in ends]
        return [b - a for a, b in zip([0, *cuts], cuts, strict=False)]

    def all_gather_direction(self, d: Tensor, P: int) -> Tensor:
        """This process's part (p,) of a direction → all of it (P,)."""
        return d if self.size == 1 else torch.cat(self.all_gather(d))[:P]

    def all_gather(self, x: Tensor) -> list[Tensor]:
        """The tensors of all processes (alike in shape), in order."""
        if self.size == 1:
            return [x]
        parts = [torch.empty_like(x) for _ in range(self.size)]
        dist.all_gather(parts, x.contiguous())
        return parts

    def clip_(self, d: Tensor, max_norm: float | None) -> Tensor:
        """d (P,), of which every process has a part, shortened in place to length `max_norm`."""
        if max_norm is None or self.size == 1:
            return clip_(d, max_norm)
        length = self.all_reduce(torch.linalg.vector_norm(d) ** 2).sqrt()
        return d.mul_(max_norm / length.clamp_min(max_norm))

    def barrier(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            dist.barrier()

    def data_parallel(self, model: nn.Module, losses: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """The losses of a model whose backward pass gives the mean gradients over the processes."""
        return losses if self.size == 1 else DDP(Losses(model, losses))


class Losses(nn.Module):
    """The losses of a model as the module that DistributedDataParallel wraps."""

    def __init__(self, model: nn.Module, losses: Callable[[Any], Any]) -> None:
        super().__init__()
        self.model, self.losses = model, losses

    def forward(self, batch: Any) -> Any:
        """Whatever the function gives."""
        return self.losses(batch)


@dataclass(frozen=True)
class MicroBatch(Split):
    """Some examples of a batch, and their share (K,) of its labels."""

    share: Tensor


class ParallelStep(Step):
    """A step that takes its batch in `micro_batches` pieces and shares it with a `world`."""

    def __init__(
        self,
        model: Sharing,
        weighting: Weighting,
        optimiser: torch.optim.Optimizer,
        *,
        micro_batches: int = 1,
        world: World = World(),
        **how: Any,
    ) -> None:
        super().__init__(model, weighting, optimiser, **how)
        self.micro_batches, self.world = micro_batches, world
        self.losses: Callable[[Split], list[Tensor]] = lambda batch: self.forward(batch)[0]
        if weighting.needs == "losses":
            self.losses = world.data_parallel(model, self.losses)

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
        shares = counts / self.world.all_reduce(counts.sum(0)).clamp_min(1)
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
        """Losses (K,), J (K, P) and the gradients of the tasks' own parameters, this process's part
        of each."""
        first, *rest = self.divide(batch)
        losses, J, heads = super().jacobian(first)
        for part in rest:
            self.J = None  # J holds the sum so far
            more = super().jacobian(part)
            losses, J = losses + more[0], J.add_(more[1])
            heads = [a + b for a, b in zip(heads, more[2], strict=True)]
        self.J = J
        return losses, J, heads

    def by_losses(self, batch: Split, observe: bool, per_block: bool) -> StepResult:
        M, world = None, self.world
        if observe and self.shared:
            with torch.random.fork_rng():
                J = world.reduce_scatter(self.jacobian(batch)[1])
            sizes = world.columns(self.sizes) if per_block else None
            M = world.all_reduce(gramian(J, sizes, self.workspace))
        parts = self.divide(batch)
        whole = [self.losses(parts[0])] if len(parts) == 1 else []
        losses = world.all_reduce(torch.stack(whole[0]).detach()) if whole else self._losses(parts)
        weights: Weights = self.weighting(losses)
        a = list(world.size * weights.weights[0].to(losses.dtype))  # DDP takes the mean
        for i, part in enumerate(parts):
            waits = isinstance(self.losses, DDP) and i < len(parts) - 1
            with self.losses.no_sync() if waits else nullcontext():  # type: ignore[attr-defined]
                torch.autograd.backward(whole[0] if whole else self.losses(part), a)
        return StepResult(losses, M, weights)

    def by_jacobian(self, batch: Split, observe: bool) -> StepResult:
        losses, J, heads = self.jacobian(batch)
        losses, J = self.world.all_reduce(losses), self.world.all_reduce(J)
        weights: Weights = self.weighting(losses, None)
        self.set_grads(self.weighting.aggregate(J), heads, None)
        return StepResult(losses, gramian(J, None, self.workspace) if observe else None, weights)

    def by_gramians(self, batch: Split) -> StepResult:
        weighting, world = self.weighting, self.world
        losses, J, heads = self.jacobian(batch)
        losses, J = world.all_reduce(losses), world.reduce_scatter(J)
        sizes = world.columns(self.sizes) if weighting.per_block else [J.shape[1]]
        M = world.all_reduce(gramian(J, sizes, self.workspace)) if weighting.due() else None
        weights = self.weigh(losses, M)
        a = weights.weights.to(J.dtype)  # (B, K)
        d = self.direction_memory()[: J.shape[1]]
        for part, block, a_b in zip(d.split(sizes), J.split(sizes, 1), a, strict=True):
            world.clip_(torch.mv(block.mT, a_b, out=part), weighting.max_norm)
        self.set_grads(world.all_gather_direction(d, sum(self.sizes)), heads, a[0])
        return StepResult(losses, M, weights)

    def by_known_weights(self, batch: Split) -> StepResult:
        parts, world, M = self.divide(batch), self.world, None
        whole = [self.head_gradients(parts[0])] if len(parts) == 1 else []
        if self.weighting.due():
            M = world.all_reduce(self.representation_gramian(whole[0].z, whole[0].to_z))
        losses = world.all_reduce(whole[0].losses) if whole else self._losses(parts)
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
        self.set_grads(clip_(world.all_reduce(d), self.weighting.max_norm), heads, a)
        return StepResult(losses, M, weights)

    def set_grads(self, d: Tensor, heads: list[Tensor], a: Tensor | None) -> None:
        super().set_grads(d, self.world.all_reduce_each(heads), a)

    def losses_again(self, batch: Split) -> Tensor:
        return self._losses(self.divide(batch))

    def _losses(self, parts: Sequence[Split]) -> Tensor:
        """The losses (K,) of the whole batch, without gradients."""
        with torch.no_grad(), torch.random.fork_rng():
            total = torch.stack([torch.stack(self.forward(part)[0]) for part in parts]).sum(0)
        return self.world.all_reduce(total)


class ParallelTraining(Training):
    """The training of one process of a world: each draws its part of the batches, the main one
    evaluates and writes."""

    def __init__(self, config: RunConfig, path: Path, world: World) -> None:
        self.world, self.rank, self.is_main = world, world.rank, world.is_main
        super().__init__(config, path)
        if world.rank:  # each drops out units of its own
            torch.manual_seed(config.seed + 104_729 * world.rank)

    def search(self) -> Any:
        for process in range(self.world.size):  # the main one searches, the others read the result
            if process == self.world.rank:
                found = structure(self.config, self.path, self.loaded)
            self.world.barrier()
        return found

    def make_sampler(self) -> Sampler:
        sampler = super().make_sampler()
        sampler.rank, sampler.world_size = self.world.rank, self.world.size
        return sampler

    def make_step(self, **how: Any) -> Step:
        if self.config.sharded:  # torch's FSDP takes a while to import
            from mtlstudy.training.sharded import sharded_step

            return sharded_step(self.model, self.weighting, self.config, self.world)
        return super().make_step(world=self.world, **how)

    def gather_rng(self, state: Tensor) -> list[Tensor]:
        return self.world.all_gather(state.to(self.train.device))

    def settle_mode(self) -> dict[str, Any]:
        settled = super().settle_mode()
        if "ms" not in settled:
            return settled
        modes = sorted(settled["ms"])  # the main process decides
        mine = torch.tensor(modes.index(settled["mode"]), device=self.train.device)
        return {**settled, "mode": modes[int(self.world.all_gather(mine)[0])]}

    def model_state(self) -> dict[str, Any]:
        state = super().model_state()
        if self.config.sharded:  # the plain copy that evaluates
            self.model.load_state_dict(state["model"])
        return state

    def load_checkpoint(self) -> None:
        super().load_checkpoint()
        self.world.barrier()


def is_main_process() -> bool:
    """Whether this process speaks for all: the first of torchrun's, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def fit_together(config: RunConfig, progress: bool = True) -> store.Run:
    """`fit` in one of `config.processes` processes that torchrun started."""
    path, world = store.root() / config.run_id, join(config.processes, config.device)
    with store.locked(path) if world.is_main else nullcontext():
        world.barrier()
        run = store.load_run(path)
        world.barrier()
        if run is None:
            with torch_settings(config):
                run = ParallelTraining(config, path, world).run(progress)
        world.barrier()
    return run or store.Run(path, store.read(path))


def join(processes: int, device: str) -> World:
    """This process's place as torchrun's environment tells it; `InputError` where it is not what
    the configuration says."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size != processes:
        hint = f"start it with torchrun --nproc-per-node {processes}"
        hint = hint if processes > 1 else "set processes"
        raise InputError(f"processes = {processes}: this is one of {size}; {hint}")
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
    return World(dist.get_rank(), dist.get_world_size())
