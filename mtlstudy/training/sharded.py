"""A model in parts: each of R processes keeps 1/R of the parameters, of their gradients and of Adam's moments, by torch's FSDP.

Source: Zhao et al., *PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel*, VLDB 2023, arXiv 2304.11277.

The parameters are gathered for a forward pass and its K backward passes. After each of these FSDP reduces the gradient and leaves
every process its part, a row of J (K, p), p ≈ P / R: no process ever holds all of J, which is the largest thing in a bargaining
step. The parts' Gramians add up to M as in `distributed`, and the direction is needed in parts only.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from mtlstudy.training.parallel import Team
from mtlstudy.models.sharing.base import Sharing
from mtlstudy.training.step import Part, Step
from mtlstudy.models.tasks import Inputs
from mtlstudy.weighting.base import Weights


class Parts(Team):
    """A team among which FSDP has dealt out and reduced the gradients already."""

    def scatter(self, J: Tensor) -> Tensor:
        """This process's columns, as they are."""
        return J

    def portion(self, sizes: Sequence[int]) -> list[int]:
        """The columns that this process has of each block, as they are."""
        return list(sizes)

    def gather(self, d: Tensor, P: int) -> Tensor:
        """This process's part of the direction is all that it needs."""
        return d

    def add_up(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Sums already."""
        return list(tensors)

    def summing(self, model: nn.Module, losses: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """FSDP takes the mean by itself."""
        return losses


def shard(model: Sharing, team: Team) -> Sharing:
    """Deal the parameters of a model, alike in every process, out among the team; in place."""
    device = next(model.parameters()).device
    fully_shard(model, mesh=init_device_mesh(device.type, (team.size,)))
    return model


class ShardedStep(Step):
    """The step of a model that `shard` has dealt out; weightings of the losses and Gramians of the parameters."""

    def __init__(self, model: Sharing, *arguments: Any, team: Team, **how: Any) -> None:
        super().__init__(model, *arguments, team=Parts(team.rank, team.size), **how)
        self.lengths = [local(p).numel() for p in self.shared]
        self.sizes = [sum(local(p).numel() for p in block) for block in model.shared_blocks().values()]

    def outputs(self, inputs: Inputs, told_apart: bool) -> tuple[dict[str, Tensor], list[Tensor], list[Tensor]]:
        """Every task's output through the model's own call, where FSDP gathers; representations stay inside."""
        return self.model(inputs), [], []

    def jacobian(self, parts: Sequence[Part]) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Losses (K,) of this process, its columns of J (K, p), and its parts of the gradients of the tasks' own parameters."""
        model, K, device = cast(FSDPModule, self.model), len(self.model.tasks), self.device
        self.J = J = torch.zeros(K, sum(self.sizes), device=device) if self.J is None else self.J.zero_()
        losses = torch.zeros(K, device=device)
        own = [[torch.zeros_like(local(p)) for p in parameters] for parameters in self.own]
        for part in parts:
            named, _, _ = self.forward(part)
            losses += torch.stack(named).detach()
            for t, loss in enumerate(named):
                self.optimiser.zero_grad()
                model.set_reshard_after_backward(t == K - 1)  # gathered once for all K passes
                loss.backward(torch.full_like(loss, self.team.size), retain_graph=t < K - 1)  # FSDP takes the mean
                J[t] += torch.cat([gradient(p).flatten() for p in self.shared])
                own[t] = [sum_ + gradient(p) for sum_, p in zip(own[t], self.own[t], strict=True)]
        self.optimiser.zero_grad()
        return losses, J, [g for gradients in own for g in gradients]

    def by_known_weights(self, parts: list[Part]) -> tuple[Tensor, Tensor | None, Weights]:
        """Weights that are held take K passes as well: the heads' gradients are not scaled by them."""
        return self.by_gramians(parts)

    def laid(self, p: Tensor, g: Tensor) -> Tensor:
        """This process's part of a gradient as the gradient of p."""
        assert isinstance(p, DTensor)
        part = g.view(local(p).shape)
        return DTensor.from_local(part, p.device_mesh, p.placements, run_check=False, shape=p.shape, stride=p.stride())

    def state_dict(self) -> dict[str, Any]:
        """Model and optimiser, gathered: whole in every process."""
        model, optimiser = self.model.state_dict(), self.optimiser.state_dict()
        moments = {i: {name: whole(x) for name, x in state.items()} for i, state in optimiser["state"].items()}
        return {"model": {name: whole(x) for name, x in model.items()}, "optimiser": {**optimiser, "state": moments}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Deal what `state_dict` gathered out again."""
        held = self.model.state_dict()
        self.model.load_state_dict({name: dealt(x, held[name]) for name, x in state["model"].items()})
        parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        moments = {i: {n: dealt(x, parameters[i]) for n, x in kept.items()} for i, kept in state["optimiser"]["state"].items()}
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


def dealt(x: Any, like: Tensor) -> Any:
    """A whole tensor in parts as `like` is, where it has its shape."""
    if not (isinstance(like, DTensor) and isinstance(x, Tensor) and x.shape == like.shape):
        return x
    return distribute_tensor(x, like.device_mesh, like.placements)
