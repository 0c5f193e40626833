"""A model in parts: each of R processes keeps 1/R of the parameters, their gradients and moments.

Source: Zhao et al., *PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel*, VLDB 2023,
arXiv 2304.11277.

The parameters are gathered for a forward pass and its K backward passes. After each of these FSDP
reduces the gradient and leaves every process its part, a row of J (K, p), p ≈ P / R: no process
ever holds all of J, which is the largest thing in a bargaining step. The parts' Gramians add up to
M as in `mtlstudy.training.parallel`, and the direction is needed in parts only.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from mtlstudy.data.base import Split
from mtlstudy.models.sharing.base import Sharing
from mtlstudy.training.build import adam
from mtlstudy.training.config import RunConfig
from mtlstudy.training.parallel import MicroBatch, ParallelStep, World
from mtlstudy.training.step import StepResult
from mtlstudy.weighting.base import Weighting


class ShardedWorld(World):
    """Processes among which FSDP has dealt out and reduced the gradients already."""

    def reduce_scatter(self, J: Tensor) -> Tensor:
        return J

    def columns(self, sizes: Sequence[int]) -> list[int]:
        return list(sizes)

    def all_gather_direction(self, d: Tensor, P: int) -> Tensor:
        return d

    def all_reduce_each(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        return list(tensors)

    def data_parallel(self, model: nn.Module, losses: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return losses


def sharded_step(
    model: Sharing, weighting: Weighting, config: RunConfig, world: World
) -> "ShardedStep":
    """A step on a sharded copy of the model, with its own optimiser."""
    dealt = copy.deepcopy(model)
    device = next(dealt.parameters()).device
    fully_shard(dealt, mesh=init_device_mesh(device.type, (world.size,)))
    world = ShardedWorld(world.rank, world.size)
    return ShardedStep(
        dealt,
        weighting,
        adam(config, dealt, weighting),
        world=world,
        micro_batches=config.accumulate,
        chunk=config.chunk,
        precision=config.precision,
    )


class ShardedStep(ParallelStep):
    """The step of a sharded model; weightings of the losses and Gramians of the parameters."""

    def __init__(self, model: Sharing, *arguments: Any, **how: Any) -> None:
        super().__init__(model, *arguments, **how)
        self.lengths = [local(p).numel() for p in self.shared]
        blocks = model.shared_blocks().values()
        self.sizes = [sum(local(p).numel() for p in block) for block in blocks]

    def forward(
        self, batch: Split, views: bool = False
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Losses through the model's own call, where FSDP gathers; representations stay inside."""
        with self.autocast():
            outputs = self.model(batch.inputs)
            tasks = self.model.tasks
            losses = [task.loss(outputs[task.name], batch.targets[task.name]) for task in tasks]
        if isinstance(batch, MicroBatch):
            losses = [loss * c for loss, c in zip(losses, batch.share, strict=True)]
        return losses, [], []

    def jacobian(self, batch: Split) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Losses (K,) of this process, its columns of J (K, p), and its parts of the gradients of
        the tasks' own parameters."""
        model, K, device = cast(FSDPModule, self.model), len(self.model.tasks), self.device
        J = torch.zeros(K, sum(self.sizes), device=device) if self.J is None else self.J.zero_()
        self.J = J
        losses = torch.zeros(K, device=device)
        heads = [[torch.zeros_like(local(p)) for p in parameters] for parameters in self.heads]
        for part in self.divide(batch):
            named, _, _ = self.forward(part)
            losses += torch.stack(named).detach()
            for t, loss in enumerate(named):
                self.optimiser.zero_grad()
                model.set_reshard_after_backward(t == K - 1)  # gathered once for all K passes
                scale = torch.full_like(loss, self.world.size)  # FSDP takes the mean
                loss.backward(scale, retain_graph=t < K - 1)
                J[t] += torch.cat([gradient(p).flatten() for p in self.shared])
                pairs = zip(heads[t], self.heads[t], strict=True)
                heads[t] = [total + gradient(p) for total, p in pairs]
        self.optimiser.zero_grad()
        return losses, J, [g for gradients in heads for g in gradients]

    def by_known_weights(self, batch: Split) -> StepResult:
        """Weights that are held take K passes too: the heads' gradients are not scaled by them."""
        return self.by_gramians(batch)

    def match_layout(self, p: Tensor, g: Tensor) -> Tensor:
        """This process's part of a gradient as the gradient of p."""
        assert isinstance(p, DTensor)
        g, size, stride = g.view(local(p).shape), p.shape, p.stride()
        mesh, placements = p.device_mesh, p.placements
        return DTensor.from_local(g, mesh, placements, run_check=False, shape=size, stride=stride)

    def state_dict(self) -> dict[str, Any]:
        """Model and optimiser, gathered: whole in every process."""
        model, optimiser = self.model.state_dict(), self.optimiser.state_dict()
        moments = {
            i: {name: whole(x) for name, x in state.items()}
            for i, state in optimiser["state"].items()
        }
        return {
            "model": {name: whole(x) for name, x in model.items()},
            "optimiser": {**optimiser, "state": moments},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Deal what `state_dict` gathered out again."""
        like = self.model.state_dict()
        model = {name: dealt_like(x, like[name]) for name, x in state["model"].items()}
        self.model.load_state_dict(model)
        parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        moments = {
            i: {name: dealt_like(x, parameters[i]) for name, x in moment.items()}
            for i, moment in state["optimiser"]["state"].items()
        }
        self.optimiser.load_state_dict({**state["optimiser"], "state": moments})


def local(p: Tensor) -> Tensor:
    """This process's part of a parameter, a gradient or a moment."""
    return p.to_local() if isinstance(p, DTensor) else p


def gradient(p: Tensor) -> Tensor:
    """This process's part of a parameter's gradient; 0 where there is none."""
    return torch.zeros_like(local(p)) if p.grad is None else local(p.grad)


def whole(x: Any) -> Any:
    """A tensor that is in parts, gathered; everything else as it is."""
    return x.full_tensor() if isinstance(x, DTensor) else x


def dealt_like(x: Any, like: Tensor) -> Any:
    """A whole tensor in parts as `like` is, where it has its shape."""
    if not (isinstance(like, DTensor) and isinstance(x, Tensor) and x.shape == like.shape):
        return x
    return distribute_tensor(x, like.device_mesh, like.placements)
