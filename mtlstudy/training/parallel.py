"""Several processes that train one model together, each on its part of every batch, through torch.distributed.

Shapes: R processes, K tasks, P shared parameters, J (K, P), M (B, K, K). Every loss is scaled by this process's part of the
labels, so that sums over the processes are those of the joined batch. What a step exchanges:

    losses and counts       2 K numbers                                    all-reduce
    task gradients          J: each process keeps the sum of P / R columns   reduce-scatter
    Gramian                 M, the sum of what the columns give: B K²         all-reduce, once
    direction               the P / R columns of Σ_t a_t J_t                 all-gather

Every process has the same M, so the same weights: nothing else has to be agreed on. Alone, nothing is exchanged.
"""

import os
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel as DDP

from mtlstudy.errors import InputError


class Team:
    """One process of R; by default the only one."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @property
    def leads(self) -> bool:
        """Whether this process writes, measures and selects."""
        return self.rank == 0

    def total(self, x: Tensor) -> Tensor:
        """Σ over the processes of x, in all of them alike."""
        if self.size > 1:
            x = x.contiguous()
            dist.all_reduce(x)
        return x

    def scatter(self, J: Tensor) -> Tensor:
        """J (K, P) → the sum over the processes of this one's columns (K, p), p = ⌈P / R⌉ with zeros at the end."""
        if self.size == 1:
            return J
        K, P = J.shape
        padded = nn.functional.pad(J, (0, -P % self.size))
        mine = padded.new_empty(K, padded.shape[1] // self.size)
        dist.reduce_scatter(mine, [part.contiguous() for part in padded.chunk(self.size, 1)])
        return mine

    def portion(self, sizes: Sequence[int]) -> list[int]:
        """How many of this process's columns lie in each block (the last one has the zeros)."""
        if self.size == 1:
            return list(sizes)
        each = -(-sum(sizes) // self.size)
        ends = [*accumulate(sizes)]
        ends[-1] = each * self.size
        cuts = [min(max(end - self.rank * each, 0), each) for end in ends]
        return [b - a for a, b in zip([0, *cuts], cuts, strict=False)]

    def gather(self, d: Tensor, P: int) -> Tensor:
        """This process's part (p,) of a direction → all of it (P,)."""
        if self.size == 1:
            return d
        parts = [torch.empty_like(d) for _ in range(self.size)]
        dist.all_gather(parts, d.contiguous())
        return torch.cat(parts)[:P]

    def add_up(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The sum over the processes of every tensor, in one exchange."""
        if self.size == 1 or not tensors:
            return list(tensors)
        flat = self.total(torch.cat([x.reshape(-1) for x in tensors]))
        return [part.view(x.shape) for x, part in zip(tensors, flat.split([x.numel() for x in tensors]), strict=True)]

    def clip(self, d: Tensor, bound: float | None) -> Tensor:
        """d (P,), of which every process has a part, shortened in place to length `bound` where it is longer."""
        if bound is None:
            return d
        length: Tensor = torch.linalg.vector_norm(d)
        if self.size > 1:
            length = self.total(length**2).sqrt()
        return d.mul_(bound / length.clamp_min(bound))

    def collect(self, x: Tensor) -> list[Tensor]:
        """The tensors of all processes (alike in shape), in order."""
        parts = [torch.empty_like(x) for _ in range(self.size)]
        if self.size == 1:
            return [x]
        dist.all_gather(parts, x.contiguous())
        return parts

    def summing(self, model: nn.Module, losses: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """The losses of a model, whose backward pass gives the mean over the processes of every gradient: through torch's DDP."""
        return losses if self.size == 1 else DDP(Losses(model, losses))

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            dist.barrier()


class Losses(nn.Module):
    """The losses of a model as the module that DistributedDataParallel wraps."""

    def __init__(self, model: nn.Module, losses: Callable[[Any], Any]) -> None:
        super().__init__()
        self.model, self.losses = model, losses

    def forward(self, part: Any) -> Any:
        """Whatever the function gives."""
        return self.losses(part)


ALONE = Team()


def leads() -> bool:
    """Whether this process speaks for all: the first one, and the only one."""
    return os.environ.get("RANK", "0") == "0"


def join(processes: int, device: str) -> Team:
    """This process's place, as torchrun's environment tells it; `InputError` where it is not what the configuration says."""
    found = int(os.environ.get("WORLD_SIZE", "1"))
    if found != processes:
        hint = f"start it with torchrun --nproc-per-node {processes}" if processes > 1 else "set processes"
        raise InputError(f"processes = {processes}: this is one of {found}; {hint}")
    if processes == 1:
        return ALONE
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
    return Team(dist.get_rank(), dist.get_world_size())
