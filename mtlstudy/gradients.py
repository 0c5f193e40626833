"""Task gradients, their Gramian, and how much they conflict.

One forward and K trunk backward passes, no more: each loss is differentiated to its representation
z first (its head sees only its own task), then the K vectors are pushed through the trunk, and the
stored J serves for the final direction as well.
Shapes: K tasks, P shared parameters, B blocks, z (N, d), J (K, P), Gramian M = J Jᵀ (B, K, K) in
float64.

The three modes give the same J to rounding. Peak memory beside the model's own graph, in numbers:
J itself, K · P, and the intermediate gradients of as many tasks as are differentiated at once:
1 (sequential), `chunk` (chunked), K (batched).
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from mtlstudy.errors import InputError, real

Mode = Literal["sequential", "batched", "chunked"]
WORKSPACE = {"cpu": 1 << 19, "cuda": 1 << 24}
"""Numbers of J converted to float64 at once: 4 MB fit a cache, 128 MB are few launches on a GPU."""


def separate(z: Sequence[Tensor]) -> list[Tensor]:
    """K views of the representations, one a head, so that one backward pass tells their gradients
    apart. Shapes as given."""
    return [rep.view_as(rep) for rep in z]


def representation_gradients(
    losses: Sequence[Tensor], z: Sequence[Tensor], heads: Sequence[Sequence[Tensor]]
) -> tuple[list[Tensor], list[list[Tensor]]]:
    """∂L_t/∂z_t for every task, and the gradients of each head for its own task: in one pass, or
    one a task where a parameter serves several heads.

    losses: K scalars; z: what the K heads read, K different tensors (see `separate`); heads: K
    lists of a task's own parameters.
    """
    assert len({id(rep) for rep in z}) == len(z)
    grad = partial(torch.autograd.grad, retain_graph=True, materialize_grads=True)
    own = [p for head in heads for p in head]
    if len({id(p) for p in own}) < len(own):
        triples = zip(losses, z, heads, strict=True)
        each = [grad(loss, [rep, *head]) for loss, rep, head in triples]
        return [g[0] for g in each], [list(g[1:]) for g in each]
    grads = grad(list(losses), [*z, *own])
    rest = iter(grads[len(z) :])
    return list(grads[: len(z)]), [[next(rest) for _ in head] for head in heads]


def task_gradients(
    z: Sequence[Tensor],
    to_z: Sequence[Tensor],
    shared: Sequence[Tensor],
    mode: Mode = "sequential",
    keep_graph: bool = False,
    chunk: int = 4,
    out: Tensor | None = None,
) -> Tensor:
    """J (K, P): the gradient of every task on the shared parameters, flattened in their order.

    z, to_z: K representations and ∂L_t/∂z_t. mode: "batched" differentiates all K at once and
    "chunked" `chunk` of them, which needs one common z; otherwise it is one after another.
    keep_graph: whether the graph is used again later. out: where J is written; large memory that
    is reused is cheaper than memory allocated anew at every step. Raises `InputError` for a frozen
    parameter.
    """
    _trainable(shared)
    K, one_by_one = len(z), mode == "sequential" or any(rep is not z[0] for rep in z)
    size = 1 if one_by_one else K if mode == "batched" else chunk
    J = shared[0].new_empty(K, sum(p.numel() for p in shared)) if out is None else out
    for t in range(0, K, size):
        vectors = to_z[t] if one_by_one else torch.stack(list(to_z[t : t + size]))
        grads = torch.autograd.grad(
            z[t],
            shared,
            vectors,
            retain_graph=keep_graph or t + size < K,
            is_grads_batched=not one_by_one,
            materialize_grads=True,
        )
        rows = J[t : t + size]
        pairs = zip(grads, shared, strict=True)  # torch makes zeros for one task, not for several
        flat = [g.reshape(-1, p.numel()).expand(len(rows), -1) for g, p in pairs]
        torch.cat(flat, 1, out=rows)
        del grads, flat  # so that the next tasks' take the same memory, which is still in the cache
    return J


def _trainable(shared: Sequence[Tensor]) -> None:
    """Refuse a parameter that nothing can be differentiated by."""
    for n, p in enumerate(shared):
        if not p.requires_grad:
            which = f"shared[{n}] of shape {tuple(p.shape)}"
            raise InputError(f"{which} is frozen (requires_grad = False); allowed: trained ones")


def direction(
    z: Sequence[Tensor],
    vectors: Sequence[Tensor],
    shared: Sequence[Tensor],
    out: Tensor | None = None,
) -> Tensor:
    """Σ_t (∂z_t/∂θ)ᵀ v_t (P,) in one backward pass, for weights that are known beforehand.

    z, vectors: K each, of one shape; out: where it is written. Raises `InputError` for a frozen
    parameter.
    """
    _trainable(shared)
    grads = torch.autograd.grad(list(z), shared, list(vectors), materialize_grads=True)
    return torch.cat([g.reshape(-1) for g in grads], out=out)


def gramian(
    J: Tensor | ArrayLike, sizes: Sequence[int] | None = None, workspace: Tensor | None = None
) -> Tensor:
    """M (B, K, K) in float64: a Gramian a block of `sizes` columns, or one (1, K, K) for J (K, P).

    workspace: float64 memory (n ≥ K,) in which J is converted, piece by piece.

    >>> gramian(torch.tensor([[3.0, 4.0], [0.0, 1.0]])).tolist()
    [[[25.0, 4.0], [4.0, 1.0]]]
    """
    J = real("J", J, 2)
    K = len(J)
    if sizes is not None and sum(sizes) != J.shape[1]:
        raise InputError(f"sizes = {list(sizes)} add up to {sum(sizes)}; allowed: {J.shape[1]}")
    blocks = [J] if sizes is None else J.split(list(sizes), 1)
    M = torch.zeros(len(blocks), K, K, dtype=torch.float64, device=J.device)
    # NumPy computes one triangle of a product x xᵀ; for few tasks torch is faster
    triangle = J.device.type == "cpu" and K >= 8
    if workspace is None:
        size = min(WORKSPACE.get(J.device.type, WORKSPACE["cuda"]), J.numel())
        workspace = torch.empty(size, dtype=torch.float64, device=J.device)
    width = min(len(workspace) // K, J.shape[1])
    converted = workspace[: K * width].view(K, width)
    for b, block in enumerate(blocks):
        for columns in block.detach().split(width, 1):
            x = converted[:, : columns.shape[1]].copy_(columns)
            if triangle:
                array = x.numpy()
                M[b] += torch.from_numpy(array @ array.T)
            else:
                M[b].addmm_(x, x.mT)
    return M


def clip_(d: Tensor, max_norm: float | None) -> Tensor:
    """d (P,) shortened in place to length `max_norm` where it is longer; None leaves it."""
    if max_norm is None:
        return d
    return d.mul_(max_norm / torch.linalg.vector_norm(d).clamp_min(max_norm))


def cosines(M: Tensor | ArrayLike) -> Tensor:
    """Cosines of the task gradients (..., K, K) from their Gramian; 0 where one has no gradient."""
    M = real("M", M, 2)
    norm = M.diagonal(dim1=-2, dim2=-1).clamp_min(0).sqrt()
    scale = norm[..., :, None] * norm[..., None, :]
    return torch.where(scale > 0, M / scale.clamp_min(torch.finfo(M.dtype).tiny), 0.0)


def conflict(M: Tensor | ArrayLike) -> dict[str, float]:
    """Conflict of one Gramian (K, K): mean pairwise cosine, share of pairs with a negative one,
    ratio of the largest to the smallest gradient norm (inf where a task has no gradient).

    One task: 1, 0, 1.
    """
    M = real("M", M, 2)
    K = M.shape[-1]
    pairs = cosines(M)[torch.triu(torch.ones(K, K, dtype=torch.bool, device=M.device), 1)]
    norm = M.diagonal().clamp_min(0).sqrt()
    return {
        "cosine": float(pairs.mean()) if K > 1 else 1.0,
        "conflict": float((pairs < 0).double().mean()) if K > 1 else 0.0,
        "magnitude_ratio": float(norm.max() / norm.min()),
    }
