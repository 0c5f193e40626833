"""A model in parts: each of R processes keeps 1/R of the parameters, their gradients and moments.

Source: Zhao et al., *PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel*, VLDB 2023,
arXiv 2304.11277.

The parameters are gathered for a forward pass and its K backward passes. After each of these FSDP
reduces the gradient and leaves every process its part, a row of J (K, p), p ≈ P / R: no process
ever holds all of J, which is the largest thing in a bargaining step. The parts' Gramians add up to
M as in `mtlstudy.training.parallel`, and the direction is needed in parts only.
"""

import copy
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils._pytree import tree_map

from mtlstudy.data.base import Split
from mtlstudy.models.sharing.base import Sharing
from mtlstudy.training.parallel import ParallelStep
from mtlstudy.training.step import Step, StepResult


def shard(model: Sharing) -> Sharing:
    """A copy of a model whose parameters are in parts, one a process."""
    parts = copy.deepcopy(model)
    device = next(parts.parameters()).device
    fully_shard(parts, mesh=init_device_mesh(device.type, (dist.get_world_size(),)))
    register_fsdp_forward_method(parts, "encode")  # where FSDP gathers
    return parts


class ShardedStep(ParallelStep):
    """The step of a sharded model, for weightings of the losses and of Gramians of the parameters.

    plain: the whole model, which evaluates and so takes the parameters of every `state_dict`.
    """

    replicated = False
    combine = Step.combine  # a direction and the heads' gradients stay in parts,
    set_grads = Step.set_grads  # which FSDP has reduced

    def __init__(self, model: Sharing, *arguments: Any, plain: Sharing, **how: Any) -> None:
        super().__init__(model, *arguments, **how)
        self.plain = plain
        self.lengths = [local(p).numel() for p in self.shared]
        blocks = model.shared_blocks().values()
        self.sizes = [sum(local(p).numel() for p in block) for block in blocks]

    def jacobian(self, batch: Split) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Losses (K,) of this process, its columns of J (K, p), and its parts of the gradients of
        the tasks' own parameters."""
        model, K, device = cast(FSDPModule, self.model), len(self.model.tasks), self.device
        if self.J is None:
            self.J = torch.empty(K, sum(self.sizes), device=device)
        losses, J = torch.zeros(K, device=device), self.J.zero_()
        heads = [[torch.zeros_like(local(p)) for p in parameters] for parameters in self.heads]
        for part in self.divide(batch):
            of_tasks = self.forward(part)[0]
            losses += torch.stack(of_tasks).detach()
            for t, loss in enumerate(of_tasks):
                self.optimiser.zero_grad()
                model.set_reshard_after_backward(t == K - 1)  # gathered once for all K passes
                scale = torch.full_like(loss, self.processes)  # FSDP takes the mean
                loss.backward(scale, retain_graph=t < K - 1)
                J[t] += torch.cat([gradient(p).flatten() for p in self.shared])
                pairs = zip(heads[t], self.heads[t], strict=True)
                heads[t] = [total + gradient(p) for total, p in pairs]
        self.optimiser.zero_grad()
        return self.all_reduce(losses), J, [g for gradients in heads for g in gradients]

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
        state: dict[str, Any] = tree_map(whole, super().state_dict())
        self.plain.load_state_dict(state["model"])
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Deal what `state_dict` gathered out again."""
        set_model_state_dict(
            self.model, state["model"], options=StateDictOptions(full_state_dict=True)
        )
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
