r"""What a coalition of tasks is worth, and the partition of the tasks that is worth most.

Source: this study. The bargaining game is that of Navon et al., ICML 2022, arXiv 2202.01017; sets
of players that are worth something together: von Neumann & Morgenstern 1944; the best partition by
dynamic programming over subsets: Yeh, *BIT* 26(4), 1986, doi 10.1007/BF01935053.

Every task t has a wish ĝ_t of length 1: where it would move shared parameters. A coalition 𝒞 moves
them by its bargaining solution d_𝒞 = Σ_t b_t ĝ_t, with C (K, K) the cosines of the wishes:

    C_𝒞𝒞 b = 1 / b,      v(𝒞) = −Σ_{t ∈ 𝒞} log b_t = Σ_{t ∈ 𝒞} log ⟨ĝ_t, d_𝒞⟩

v is the log Nash welfare of the members' gains: 0 for a task alone, log(1 + cos) for a pair, −∞
where the wishes are Pareto-stationary. With f_𝒞(b) = ½ bᵀ C_𝒞𝒞 b − Σ log b, v(𝒞) = min f_𝒞 − |𝒞|/2,
so for disjoint 𝒜 and ℬ

    v(𝒜 ∪ ℬ) > v(𝒜) + v(ℬ)   implies ⟨d_𝒜, d_ℬ⟩ > 0,   and ⟨ĝ_s, ĝ_t⟩ ≥ 0 across them implies ≥:

a coalition pays where its parts agree. Σ_𝒞 ‖d_𝒞‖² = K for every partition, so partitions are
compared at an equal length of step, and nothing has to be priced.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from mtlstudy.errors import InputError, real
from mtlstudy.nash.newton import nash_weights
from mtlstudy.nash.solution import Status

EXACT = 14
"""Tasks up to which all 2^K − 1 coalitions are valued and the best partition is exact."""
UNIT = 1e-9
"""Values nearer than this are equal: then tasks stay apart, whatever the rounding."""

NEVER = -(1 << 60)
"""The value of what is no partition."""

Coalition = tuple[int, ...]


class Partition(NamedTuple):
    """Coalitions of task numbers, sorted, and the value of each."""

    coalitions: list[Coalition]
    values: list[float]


def values(gramian: Tensor | ArrayLike, coalitions: Iterable[Sequence[int]]) -> list[float]:
    """v of every coalition, −inf where its members' wishes are Pareto-stationary.

    gramian (K, K): of the wishes, whose lengths drop out, or their cosines. Coalitions of one size
    are solved in one batch. Raises `InputError` where it is no Gramian, a task has no wish, or a
    coalition is not one of different tasks.

    >>> values(torch.tensor([[1.0, 0.5], [0.5, 1.0]]), [(0,), (0, 1)])
    [0.0, 0.4054651081081644]
    """
    M, listed = _square(gramian), [list(c) for c in coalitions]
    tasks = {*range(len(M))}
    for coalition in listed:
        if not coalition or len({*coalition} & tasks) < len(coalition):
            allowed = f"different tasks of 0 to {len(M) - 1}"
            raise InputError(f"coalition {coalition}: allowed: {allowed}")
    v = [0.0] * len(listed)
    for size in sorted({len(c) for c in listed}):
        at = [i for i, c in enumerate(listed) if len(c) == size]
        c = torch.tensor([listed[i] for i in at])  # (N, size)
        solution = nash_weights(M[c[:, :, None], c[:, None, :]])
        failed = ~solution.solved & (solution.status != Status.PARETO_STATIONARY)
        if bool(failed.any()):
            which = listed[at[int(failed.nonzero()[0])]]
            raise InputError(f"gramian: coalition {which} has no value: {solution.describe()}")
        log_b = (solution.weights * M.diagonal()[c].sqrt()).log().sum(-1)  # (N,) a = b / ‖g‖
        for i, value in zip(at, (0.0 - log_b).nan_to_num(-torch.inf).tolist(), strict=True):
            v[i] = value
    return v


def best_partition(gramian: Tensor | ArrayLike) -> Partition:
    """The partition with the greatest Σ v: exact to `EXACT` tasks, agglomerative beyond.

    gramian (K, K) as for `values`. Of equal partitions the one with more coalitions.
    """
    return exact(gramian) if len(_square(gramian)) <= EXACT else agglomerative(gramian)


def exact(gramian: Tensor | ArrayLike) -> Partition:
    """The best of all partitions: 2^K − 1 games, then `best_of`."""
    K = len(gramian := _square(gramian))
    subsets = [c for size in range(1, K + 1) for c in combinations(range(K), size)]
    return best_of(dict(zip(subsets, values(gramian, subsets), strict=True)))


def best_of(value: Mapping[Coalition, float], most: int = 0) -> Partition:
    """The partition of greatest total value, given that of every coalition (sorted); into at most
    `most` coalitions where that is not 0.

    By dynamic programming over subsets 𝒮: best(𝒮) = max v(𝒯) + best(𝒮 ∖ 𝒯) over the 𝒯 ⊆ 𝒮 that
    hold the first task of 𝒮. O(3^K) sums, for every number of coalitions.

    >>> best_of({(0,): 0.0, (1,): 0.0, (0, 1): -1.0}, most=1).coalitions
    [(0, 1)]
    """
    K, limited = max(map(len, value)), min(most, 1)
    worth = np.zeros(1 << K, dtype=np.int64)
    members = {sum(1 << t for t in c): c for c in value}
    for mask, c in members.items():
        worth[mask] = _units(value[c], K)
    best = np.full((most + 1, 1 << K), NEVER, dtype=np.int64)  # into at most so many
    best[:, 0], first = 0, np.zeros_like(best)
    for mask in range(1, 1 << K):
        low = mask & -mask
        rest = _submasks(mask ^ low)  # what joins the first task, or not
        for n in range(limited, most + 1):
            totals = worth[rest | low] + best[n - limited, (mask ^ low) ^ rest]
            chosen = int(totals.argmax())
            best[n, mask], first[n, mask] = totals[chosen], rest[chosen] | low
    mask, n, found = (1 << K) - 1, most, []
    while mask:
        found.append(members[int(first[n, mask])])
        mask, n = mask ^ int(first[n, mask]), n - limited
    return Partition(found, [value[c] for c in found])


def agglomerative(gramian: Tensor | ArrayLike) -> Partition:
    """From tasks by themselves, the two coalitions merge that gain most by it, as long as any do.
    O(K²) games at first, then O(K) a merge."""
    K = len(gramian := _square(gramian))
    found: list[Coalition] = [(t,) for t in range(K)]
    value = dict(zip(found, values(gramian, found), strict=True))
    while True:
        pairs = list(combinations(found, 2))
        unions = [tuple(sorted(a + b)) for a, b in pairs]
        new = [c for c in unions if c not in value]
        value |= zip(new, values(gramian, new), strict=True)
        gains = [
            _units(value[c], K) - _units(value[a], K) - _units(value[b], K)
            for c, (a, b) in zip(unions, pairs, strict=True)
        ]
        if max(gains, default=0) <= 0:
            return Partition(found, [value[c] for c in found])
        i = gains.index(max(gains))
        found = sorted([c for c in found if c not in pairs[i]] + [unions[i]])


def _square(gramian: Tensor | ArrayLike) -> Tensor:
    """A matrix (K, K) in float64."""
    M = real("gramian", gramian).double()
    if M.ndim != 2 or M.shape[0] != M.shape[1] or not len(M):
        raise InputError(f"gramian has shape {tuple(M.shape)}; allowed: (K, K), K ≥ 1")
    return M


def _units(value: float, K: int) -> int:
    """A value as a whole number, so that sums are exact and ties are ties; a coalition more
    decides them."""
    return round(max(value, -1e5) / UNIT) * (K + 1) + 1


def _submasks(mask: int) -> np.ndarray:
    """All subsets of a set of bits, the empty one first."""
    subsets = np.zeros(1, dtype=np.int64)
    while mask:
        low = mask & -mask
        subsets = np.concatenate([subsets, subsets | low])
        mask ^= low
    return subsets


def split_half_cosines(D1: Tensor | ArrayLike, D2: Tensor | ArrayLike) -> Tensor:
    """Cosines (K, K) of K noisy displacements, without the bias of their noise.

    D1, D2 (K, P): the displacements in two halves of a stretch, whose noise is independent. With
    X = ½ (D1 D2ᵀ + D2 D1ᵀ), C_st = X_st / √(X_ss X_tt) in [−1, 1], projected to positive
    semidefinite. A task whose halves have nothing in common (X_tt ≤ 0) has cosine 0 to all others.

    >>> split_half_cosines(torch.eye(2), torch.eye(2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    D1, D2 = real("D1", D1, 2).double(), real("D2", D2, 2).double()
    if D1.shape != D2.shape or D1.ndim != 2:
        shapes = f"{tuple(D1.shape)} and {tuple(D2.shape)}"
        raise InputError(f"D1, D2 have shapes {shapes}; allowed: (K, P) both")
    X = D1 @ D2.mT  # (K, K)
    X = (X + X.mT) / 2
    scale = X.diagonal().clamp_min(0).sqrt()
    scale = torch.where(scale > 0, 1 / scale, 0.0)
    C = (scale[:, None] * X * scale).clamp(-1, 1)
    C.fill_diagonal_(1.0)
    roots, V = torch.linalg.eigh(C)
    semidefinite: Tensor = V * roots.clamp_min(0) @ V.mT
    length = semidefinite.diagonal().sqrt()
    C = (semidefinite / length / length[:, None]).clamp(-1, 1)
    return C.fill_diagonal_(1.0)
