"""Deep multi-task representation learning by tensor factorisation: the stacked weights are a product that is learned as such.

Source: Yang & Hospedales, *Deep Multi-Task Representation Learning: A Tensor Factorisation Approach*, ICLR 2017, arXiv
1605.06391.

    laf:     W_t = L s_t                               L (∏D, r), s_t (r)
    tucker:  W_t = S ×_1 U_1 … ×_n U_n ×_{n+1} u_t     S (r_1, …, r_n, r), U_i (D_i, r_i), u_t (r)
    tt:      W_t = G_1 G_2 … G_n u_t                   G_i (r_{i−1}, D_i, r_i), u_t (r_n)

W_t (D_1, …, D_n) is task t's weight of a layer; the vectors s_t and u_t are task t's, everything else is shared. As in the paper
the factors start as the (truncated) decomposition of K independently initialised weights; there a threshold on its error sets
the ranks, here a share of the full ranks does. Biases and norms are each task's own.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from mtlstudy.models.backbones import Backbone
from mtlstudy.registry import Options
from mtlstudy.models.tasks import Inputs
from mtlstudy.models.sharing.base import Sharing, Use, matrices, parameters, registry


@registry.register("tensor_factorised")
class TensorFactorised(Sharing):
    """K trunks whose weights are composed from shared factors just before use."""

    paper = "Yang & Hospedales 2017, arXiv 1605.06391"
    tuned = {"rank": (0.5, 1.0)}

    class Options(Options):
        """form: laf, tucker or tt; rank: share of the full rank along every axis."""

        form: Literal["laf", "tucker", "tt"] = "laf"
        rank: Annotated[float, Field(gt=0, le=1)] = 0.5

    factors: Any

    def build(self, backbone: Backbone) -> None:
        self.names = [stage.name for stage in backbone.stages]
        self.stages, self.factors = nn.ModuleList(), nn.ModuleList()
        for stage in backbone.stages:
            copies = {task: stage.build() for task in self.sorted}
            names = list(matrices(copies[self.sorted[0]]))
            W = {name: torch.stack([matrices(copy)[name].detach() for copy in copies.values()], -1) for name in names}
            o: Any = self.options
            own = {name.replace(".", "/"): FORMS[o.form](W[name], o.rank, self.sorted) for name in names}
            for copy in copies.values():
                for name in names:
                    vacate(copy, name)
            self.stages.append(nn.ModuleDict(copies))
            self.factors.append(nn.ModuleDict(own))

    def represent(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        z = {}
        for task in tasks:
            h = x
            for stage, factors in zip(self.stages, self.factors, strict=True):
                composed = {name.replace("/", "."): factor(task) for name, factor in factors.items()}
                h = functional_call(stage[task], composed, (h,))
            z[task] = h
        return z

    def usage(self) -> Iterable[Use]:
        for name, stage, factors in zip(self.names, self.stages, self.factors, strict=True):
            for factor in factors.values():
                yield Use(name, self.sorted, list(factor.shared))
                yield from (Use(f"{name}.{task}", [task], [factor.own[task]]) for task in self.sorted)
            yield from (Use(f"{name}.{task}", [task], parameters(stage[task])) for task in self.sorted)

    def learned(self, inputs: Inputs) -> dict[str, Any]:
        """Singular values of every stacked weight (∏D, K), as shares of the largest."""
        found = {}
        for name, factors in zip(self.names, self.factors, strict=True):
            for weight, factor in factors.items():
                stacked = torch.stack([factor(task).detach().reshape(-1) for task in self.sorted], -1)
                values = torch.linalg.svdvals(stacked)
                found[f"{name}.{weight.replace('/', '.')}"] = (values / values.max().clamp_min(1e-30)).tolist()
        return {"singular_values": found}


class Factors(nn.Module):
    """A factorisation: `shared` parameters and one vector of `own` a task; calling it composes a task's weight (D_1, …, D_n)."""

    def __init__(self, W: Tensor, rank: float, tasks: Sequence[str]) -> None:
        """W (D_1, …, D_n, K): what the factors start from."""
        super().__init__()
        self.shape = W.shape[:-1]
        shared, rows = self.split(W, rank)
        self.shared = nn.ParameterList(nn.Parameter(part.contiguous()) for part in shared)
        self.own = nn.ParameterDict({task: nn.Parameter(row.contiguous()) for task, row in zip(tasks, rows, strict=True)})

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
            W = torch.tensordot(W, u, dims=([0], [1]))
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
            W = torch.tensordot(W, core, dims=1).reshape(-1, core.shape[-1])
        out: Tensor = W @ self.own[task]
        return out.view(self.shape)


FORMS = {"laf": LAF, "tucker": Tucker, "tt": TensorTrain}


def factor(A: Tensor, rank: float) -> tuple[Tensor, Tensor]:
    """A ≈ L R with the best L (m, r), R (r, n), r a share of the full rank, the singular values shared evenly."""
    U, s, V = torch.linalg.svd(A, full_matrices=False)
    r = max(1, round(rank * len(s)))
    root = s[:r].sqrt()
    return U[:, :r] * root, root[:, None] * V[:r]


def basis(A: Tensor, rank: float) -> Tensor:
    """The leading left singular vectors (m, r) of A (m, n), r a share of the full rank."""
    U, s, _ = torch.linalg.svd(A, full_matrices=False)
    out: Tensor = U[:, : max(1, round(rank * len(s)))]
    return out


def vacate(module: nn.Module, name: str) -> None:
    """Replace a parameter by an empty place for what is composed at each call."""
    path, _, leaf = name.rpartition(".")
    owner = module.get_submodule(path)
    delattr(owner, leaf)
    owner.register_buffer(leaf, torch.empty(0), persistent=False)
