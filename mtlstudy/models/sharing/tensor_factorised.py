"""Deep multi-task representation learning by tensor factorisation: the stacked weights are a
product that is learned as such.

Source: Yang & Hospedales, *Deep Multi-Task Representation Learning: A Tensor Factorisation
Approach*, ICLR 2017, arXiv 1605.06391.

    laf:     W_t = L s_t                               L (∏D, r), s_t (r)
    tucker:  W_t = S ×_1 U_1 … ×_n U_n ×_{n+1} u_t     S (r_1, …, r_n, r), U_i (D_i, r_i), u_t (r)
    tt:      W_t = G_1 G_2 … G_n u_t                   G_i (r_{i−1}, D_i, r_i), u_t (r_n)

W_t (D_1, …, D_n) is task t's weight of a layer; the vectors s_t and u_t are task t's, everything
else is shared. As in the paper the factors start as the (truncated) decomposition of K
independently initialised weights; there a threshold on its error sets the ranks, here a share of
the full ranks does. Biases and norms are each task's own.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from mtlstudy.models.backbones import Backbone
from mtlstudy.models.sharing.base import Sharing, Use, matrices, registry, relative_singular_values
from mtlstudy.models.tasks import Inputs
from mtlstudy.registry import Options as NoOptions


@registry.register("tensor_factorised")
class TensorFactorised(Sharing):
    """K trunks whose weights are composed from shared factors just before use."""

    paper = "Yang & Hospedales 2017, arXiv 1605.06391"
    tuned = {"rank": (0.5, 1.0)}

    class Options(NoOptions):
        """form: laf, tucker or tt; rank: share of the full rank along every axis."""

        form: Literal["laf", "tucker", "tt"] = "laf"
        rank: Annotated[float, Field(gt=0, le=1)] = 0.5

    factors: Any

    def build(self, backbone: Backbone) -> None:
        self.stages = self.copies(backbone.stages, self.task_names)
        self.factors = nn.ModuleList()
        for stage in self.stages:
            by_task = [matrices(stage[task]) for task in self.task_names]
            factors = nn.ModuleDict()
            for name in by_task[0]:
                W = torch.stack([weights[name].detach() for weights in by_task], -1)
                form = FORMS[self.options.form]
                factors[name.replace(".", "/")] = form(W, self.options.rank, self.task_names)
            for task, weights in zip(self.task_names, by_task, strict=True):
                for name in weights:
                    replace_by_buffer(stage[task], name)
            self.factors.append(factors)

    def represent(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        z = {}
        for task in tasks:
            h = x
            for stage, factors in zip(self.stages, self.factors, strict=True):
                weights = {name.replace("/", "."): W(task) for name, W in factors.items()}
                h = functional_call(stage[task], weights, (h,))
            z[task] = h
        return z

    def usage(self) -> Iterable[Use]:
        for name, stage, factors in zip(self.stage_names, self.stages, self.factors, strict=True):
            for factor in factors.values():
                yield self.use(name, *factor.shared)
                yield from (self.use(name, factor.own[t], task=t) for t in self.task_names)
            yield from (self.use(name, stage[t], task=t) for t in self.task_names)

    def learned(self, inputs: Inputs) -> dict[str, Any]:
        """Singular values of every stacked weight (∏D, K), as shares of the largest."""
        values = {}
        for name, factors in zip(self.stage_names, self.factors, strict=True):
            for weight, factor in factors.items():
                stacked = torch.stack([factor(task) for task in self.task_names], -1)
                key = f"{name}.{weight.replace('/', '.')}"
                values[key] = relative_singular_values(stacked)
        return {"singular_values": values}


class Factors(nn.Module):
    """`shared` factors and a vector a task; calling it composes a task's weight (D_1, …, D_n)."""

    def __init__(self, W: Tensor, rank: float, tasks: Sequence[str]) -> None:
        """W (D_1, …, D_n, K): what the factors start from."""
        super().__init__()
        self.shape = W.shape[:-1]
        shared, vectors = self.split(W, rank)
        self.shared = nn.ParameterList(nn.Parameter(part.contiguous()) for part in shared)
        rows = zip(tasks, vectors, strict=True)
        self.own = nn.ParameterDict({task: nn.Parameter(v.contiguous()) for task, v in rows})

    def split(self, W: Tensor, rank: float) -> tuple[list[Tensor], Tensor]:
        """Shared factors, and the tasks' vectors (K, r)."""
        raise NotImplementedError


class LAF(Factors):
    """Last axis flattened."""

    def split(self, W: Tensor, rank: float) -> tuple[list[Tensor], Tensor]:
        L, S = factor(W.reshape(-1, W.shape[-1]), rank)
        return [L], S.mT

    def forward(self, task: str) -> Tensor:
        W: Tensor = self.shared[0] @ self.own[task]
        return W.view(self.shape)


class Tucker(Factors):
    """A core and one factor an axis (higher-order SVD)."""

    def split(self, W: Tensor, rank: float) -> tuple[list[Tensor], Tensor]:
        U = [basis(W.movedim(i, 0).reshape(size, -1), rank) for i, size in enumerate(W.shape)]
        core = W
        for u in U:  # contracting the first axis each time leaves the ranks in order
            core = torch.tensordot(core, u, dims=([0], [0]))
        return [core, *U[:-1]], U[-1]

    def forward(self, task: str) -> Tensor:
        core, *U = self.shared
        W: Tensor = core @ self.own[task]
        for u in U:
            W = torch.tensordot(W, u.to(W.dtype), dims=([0], [1]))  # autocast lowers one of them
        return W


class TensorTrain(Factors):
    """A train of cores."""

    def split(self, W: Tensor, rank: float) -> tuple[list[Tensor], Tensor]:
        cores, rest = [], W.reshape(1, -1)
        for size in W.shape[:-1]:
            left, rest = factor(rest.reshape(rest.shape[0] * size, -1), rank)
            cores.append(left.reshape(-1, size, left.shape[-1]))
        return cores, rest.mT

    def forward(self, task: str) -> Tensor:
        W: Tensor = torch.ones(1, 1, device=self.shared[0].device)
        for core in self.shared:
            W = torch.tensordot(W, core.to(W.dtype), dims=1).reshape(-1, core.shape[-1])
        out: Tensor = W @ self.own[task]
        return out.view(self.shape)


FORMS = {"laf": LAF, "tucker": Tucker, "tt": TensorTrain}


def factor(A: Tensor, rank: float) -> tuple[Tensor, Tensor]:
    """A ≈ L R with the best L (m, r), R (r, n), r a share of the full rank, the singular values
    shared evenly."""
    U, s, V = torch.linalg.svd(A, full_matrices=False)
    r = max(1, round(rank * len(s)))
    root = s[:r].sqrt()
    return U[:, :r] * root, root[:, None] * V[:r]


def basis(A: Tensor, rank: float) -> Tensor:
    """The leading left singular vectors (m, r) of A (m, n), r a share of the full rank."""
    U, s, _ = torch.linalg.svd(A, full_matrices=False)
    out: Tensor = U[:, : max(1, round(rank * len(s)))]
    return out


def replace_by_buffer(module: nn.Module, name: str) -> None:
    """Replace a parameter by an empty buffer, for what is composed at each call."""
    path, _, leaf = name.rpartition(".")
    owner = module.get_submodule(path)
    delattr(owner, leaf)
    owner.register_buffer(leaf, torch.empty(0), persistent=False)
