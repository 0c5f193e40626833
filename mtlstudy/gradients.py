"""Task gradients, their Gramian, and how much they conflict.

One forward and K trunk backward passes, no more: each loss is differentiated to its representation z first (its head sees only
its own task), then the K vectors are pushed through the trunk, and the stored J serves for the final direction as well.
Shapes: K tasks, P shared parameters, B blocks, z (N, d), J (K, P), Gramian M = J Jᵀ (B, K, K) in float64.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Mode = Literal["sequential", "batched"]


def representation_gradients(
    losses: Sequence[Tensor], z: Sequence[Tensor], heads: Sequence[Sequence[Tensor]]
) -> tuple[list[Tensor], list[list[Tensor]]]:
    """∂L_t/∂z_t for every task, and the gradients of each head for its own task, in one backward pass a head.

    losses: K scalars; z: K representations (one and the same tensor where it is shared); heads: K lists of parameters.
    """
    to_z, to_heads = [], []
    for loss, rep, head in zip(losses, z, heads, strict=True):
        grads = torch.autograd.grad(loss, [rep, *head], retain_graph=True, materialize_grads=True)
        to_z.append(grads[0])
        to_heads.append(list(grads[1:]))
    return to_z, to_heads


def task_gradients(
    z: Sequence[Tensor], to_z: Sequence[Tensor], shared: Sequence[Tensor], mode: Mode = "sequential", keep_graph: bool = False
) -> Tensor:
    """J (K, P): the gradient of every task with respect to the shared parameters, flattened in their order.

    z, to_z: K representations and ∂L_t/∂z_t. mode "batched" differentiates all K at once and needs one common z;
    with several representations it is sequential. keep_graph: whether the graph is differentiated again later.
    """
    K = len(z)
    if mode == "batched" and all(rep is z[0] for rep in z):
        grads = torch.autograd.grad(
            z[0], shared, torch.stack(list(to_z)), retain_graph=keep_graph, is_grads_batched=True, materialize_grads=True
        )
        return torch.cat([g.reshape(K, -1) for g in grads], 1)
    rows = []
    for t, (rep, v) in enumerate(zip(z, to_z, strict=True)):
        keep = keep_graph or t < K - 1
        grads = torch.autograd.grad(rep, shared, v, retain_graph=keep, materialize_grads=True)
        rows.append(torch.cat([g.reshape(-1) for g in grads]))
    return torch.stack(rows)


def direction(z: Sequence[Tensor], vectors: Sequence[Tensor], shared: Sequence[Tensor]) -> Tensor:
    """Σ_t (∂z_t/∂θ)ᵀ v_t (P,) in one backward pass, for weights that are known beforehand."""
    grads = torch.autograd.grad(list(z), shared, list(vectors), materialize_grads=True)
    return torch.cat([g.reshape(-1) for g in grads])


def gramian(J: Tensor, sizes: Sequence[int] | None = None) -> Tensor:
    """M (B, K, K) in float64: one Gramian a block of `sizes` columns, or one (1, K, K) for all of J (K, P).

    >>> gramian(torch.tensor([[3.0, 4.0], [0.0, 1.0]])).tolist()
    [[[25.0, 4.0], [4.0, 1.0]]]
    """
    blocks = [J] if sizes is None else J.split(list(sizes), 1)
    return torch.stack([block.double() @ block.double().mT for block in blocks])


def cosines(M: Tensor) -> Tensor:
    """Cosines between the task gradients (..., K, K) from their Gramian; 0 where a task has no gradient."""
    norm = M.diagonal(dim1=-2, dim2=-1).clamp_min(0).sqrt()
    scale = norm[..., :, None] * norm[..., None, :]
    return torch.where(scale > 0, M / scale.clamp_min(torch.finfo(M.dtype).tiny), 0.0)


def conflict(M: Tensor) -> dict[str, float]:
    """Conflict measures of one Gramian (K, K): mean pairwise cosine, share of pairs with a negative one, magnitude ratio.

    The ratio is that of the largest to the smallest gradient norm (inf where a task has none). One task: 1, 0, 1.
    """
    K = M.shape[-1]
    pairs = cosines(M)[torch.triu(torch.ones(K, K, dtype=torch.bool, device=M.device), 1)]
    norm = M.diagonal().clamp_min(0).sqrt()
    return {
        "cosine": float(pairs.mean()) if K > 1 else 1.0,
        "conflict": float((pairs < 0).double().mean()) if K > 1 else 0.0,
        "magnitude_ratio": float(norm.max() / norm.min()),
    }
