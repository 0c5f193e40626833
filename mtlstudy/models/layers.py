"""What the stages of the backbones are made of.

Shapes: N examples; images (N, C, H, W), sequences of T tokens (N, T, d). In a sequence a position without a token is the zero
vector, and every layer keeps it so.
"""

import torch
from torch import Tensor, nn


def axis(h: Tensor) -> int:
    """The axis of the features: 1 for images (N, C, H, W), the last one otherwise."""
    return 1 if h.ndim == 4 else -1


def present(h: Tensor) -> Tensor:
    """Which positions of a sequence (N, T, d) hold a token: (N, T, 1), 1 or 0."""
    return (h != 0).any(-1, keepdim=True).to(h.dtype)


def pooled(h: Tensor) -> Tensor:
    """The mean of a stage's output over places or tokens: (N, C, H, W), (N, T, C) or (N, C) → (N, C)."""
    if h.ndim == 4:
        return h.mean((2, 3))
    return h.sum(1) / present(h).sum(1).clamp_min(1) if h.ndim == 3 else h


class Halves(nn.Module):
    """Maxima of 2×2 cells, (N, C, H, W) → (N, C, ⌊H/2⌋, ⌊W/2⌋). Where nobody differentiates, of slices: the same values, on a CPU
    several times faster."""

    def forward(self, h: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return nn.functional.max_pool2d(h, 2)
        h = h[..., : h.shape[-2] // 2 * 2, : h.shape[-1] // 2 * 2]
        rows = torch.maximum(h[..., ::2, :], h[..., 1::2, :])
        return torch.maximum(rows[..., ::2], rows[..., 1::2])


class MeanToken(nn.Module):
    """(N, T, d) → (N, d): the mean over the tokens."""

    def forward(self, h: Tensor) -> Tensor:
        return pooled(h)


class LargestToken(nn.Module):
    """(N, T, d) → (N, d): the largest value over the tokens; 0 where there is none."""

    def forward(self, h: Tensor) -> Tensor:
        there = present(h) != 0
        largest = h.masked_fill(~there, -torch.inf).amax(1)
        return torch.where(there.any(1), largest, 0.0)


class OnTokens(nn.Module):
    """A module applied to each token; positions without one stay zero."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = self.inner(h) * present(h)
        return out


class Windows(nn.Module):
    """Convolutions over 3, 4 and 5 tokens, side by side: (N, T, a) → (N, T, 3 b)."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.sizes = nn.ModuleList(nn.Conv1d(a, b, k) for k in (3, 4, 5))

    def forward(self, h: Tensor) -> Tensor:
        windows = [conv(nn.functional.pad(h.mT, ((k - 1) // 2, k // 2))) for k, conv in zip((3, 4, 5), self.sizes, strict=True)]
        out = torch.cat(windows, 1).relu().mT
        return out * present(h)


class Embedding(nn.Module):
    """Token, and place where there is a `length`: (N, T) → (N, T, d), zero where there is no token."""

    def __init__(self, vocabulary: int, width: int, length: int = 0) -> None:
        super().__init__()
        self.token = nn.Embedding(vocabulary, width)
        self.place = nn.Embedding(length, width) if length else None
        for part in (self.token, self.place) if self.place else ():
            nn.init.normal_(part.weight, std=width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.token(x)
        if self.place is not None:
            out = out + self.place.weight[: x.shape[1]]
        return out * (x != 0)[..., None]


class Block(nn.Module):
    """Self-attention and two layers, each added to its input: (N, T, d) → (N, T, d)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(dropout))
        self.drop = nn.Dropout(dropout)

    def forward(self, h: Tensor) -> Tensor:
        there = present(h)
        h = h + self.drop(self.attend(self.before(h), there[..., 0] != 0))
        out: Tensor = h + self.feed(self.between(h))
        return out * there

    def attend(self, h: Tensor, there: Tensor) -> Tensor:
        """Multi-head attention among the tokens that are there. h (N, T, d), there (N, T)."""
        N, T, d = h.shape
        q, k, v = self.qkv(h).view(N, T, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)  # each (N, heads, T, d / heads)
        score = (q @ k.mT) / (d // self.heads) ** 0.5
        score = score.masked_fill(~there[:, None, None, :], torch.finfo(score.dtype).min)
        out: Tensor = self.out((score.softmax(-1) @ v).transpose(1, 2).reshape(N, T, d))
        return out


class Glance(nn.Module):
    """What a gate sees of a sentence: the mean of small embeddings. (N, T) → (N, 16)."""

    width = 16

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.token = Embedding(vocabulary, self.width)

    def forward(self, x: Tensor) -> Tensor:
        return pooled(self.token(x))
