"""Deep multi-task representation learning by tensor factorisation: the stacked weights are a
product that is learned as such.

Source: Yang & Hospedales, ICLR 2017, arXiv 1605.06391.

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
                W = torch.stack([weights[name].detach() for weights in by_task], -1)  # (D_1, …, K)
                form = FORMS[self.options.form]
                factors[name.replace(".", "/")] = form(W, self.options.rank, self.task_names)
                path, _, leaf = name.rpartition(".")
                for copy in stage.values():  # its own weight is gone: it is composed at each call
                    setattr(copy.get_submodule(path), leaf, None)
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
            for W in factors.values():
                yield self.use(name, *W.shared)
                yield from (self.use(name, W.own[t], task=t) for t in self.task_names)
            yield from (self.use(name, stage[t], task=t) for t in self.task_names)

    def learned(self, inputs: Inputs) -> dict[str, Any]:
        """Singular values of every stacked weight (∏D, K), as shares of the largest."""
        values = {}
        for name, factors in zip(self.stage_names, self.factors, strict=True):
            for weight, W in factors.items():
                stacked = torch.stack([W(task) for task in self.task_names], -1)
                values[f"{name}.{weight.replace('/', '.')}"] = relative_singular_values(stacked)
        return {"singular_values": values}


class Factors(nn.Module):
    """`shared` factors and a vector a task, which start from W (D_1, …, D_n, K); calling it
    composes a task's weight (D_1, …, D_n)."""

    def __init__(self, W: Tensor, rank: float, tasks: Sequence[str]) -> None:
        super().__init__()
        self.shape = W.shape[:-1]
        shared, vectors = self.split(W, rank)
        self.shared = nn.ParameterList(nn.Parameter(part.contiguous()) for part in shared)
        pairs = zip(tasks, vectors, strict=True)
        self.own = nn.ParameterDict({task: nn.Parameter(v.contiguous()) for task, v in pairs})

    def split(self, W: Tensor, rank: float) -> tuple[list[Tensor], Tensor]:
        """Shared factors, and the tasks' vectors (K, r)."""
        raise NotImplementedError


class Tucker(Factors):
    """A core and one factor an axis (higher-order SVD)."""

    def split(self, W: Tensor, rank: float) -> tuple[list[Tensor], Tensor]:
        unfolded = [W.movedim(i, 0).reshape(size, -1) for i, size in enumerate(W.shape)]
        U = [truncated_svd(A, rank)[0] for A in unfolded]  # (D_i, r_i), the last one (K, r)
        core = W
        for u in U:  # contracting the first axis each time leaves the ranks in order
            core = torch.tensordot(core, u, dims=([0], [0]))
        return [core, *U[:-1]], U[-1]

    def forward(self, task: str) -> Tensor:
        core, *U = self.shared
        W: Tensor = core @ self.own[task]  # (r_1, …, r_n)
        for u in U:
            W = torch.tensordot(W, u.to(W.dtype), dims=([0], [1]))  # autocast lowers one of them
        return W


class TensorTrain(Factors):
    """A train of cores."""

    def split(self, W: Tensor, rank: float) -> tuple[list[Tensor], Tensor]:
        cores, rest = [], W.reshape(1, -1)
        for size in W.shape[:-1]:
            U, s, V = truncated_svd(rest.reshape(len(rest) * size, -1), rank)
            root = s.sqrt()  # the singular values are shared evenly
            cores.append((U * root).reshape(-1, size, len(s)))  # (r_{i−1}, D_i, r_i)
            rest = root[:, None] * V
        return cores, rest.mT

    def forward(self, task: str) -> Tensor:
        (W,), *cores = self.shared  # W (D_1, r_1)
        for core in cores:
            W = torch.tensordot(W, core.to(W.dtype), dims=1).reshape(-1, core.shape[-1])
        return torch.matmul(W, self.own[task]).view(self.shape)


class LAF(TensorTrain):
    """Last axis flattened: the train of the matrix (∏D, K), whose one core is L."""

    def split(self, W: Tensor, rank: float) -> tuple[list[Tensor], Tensor]:
        return super().split(W.reshape(-1, W.shape[-1]), rank)


FORMS = {"laf": LAF, "tucker": Tucker, "tt": TensorTrain}


def truncated_svd(A: Tensor, rank: float) -> tuple[Tensor, Tensor, Tensor]:
    """A ≈ U diag(s) V, best with U (m, r), s (r), V (r, n), r a share of the full rank."""
    U, s, V = torch.linalg.svd(A, full_matrices=False)
    r = max(1, round(rank * len(s)))
    return U[:, :r], s[:r], V[:r]
