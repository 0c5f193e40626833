"""What the stages of the backbones are made of.

Shapes: N examples; images (N, C, H, W), sequences of T tokens (N, T, d). In a sequence a position
without a token is the zero vector, and every layer keeps it so.
"""

import torch
from torch import Tensor, nn


def token_mask(h: Tensor) -> Tensor:
    """Which positions of a sequence (N, T, d) hold a token: (N, T, 1), 1 or 0."""
    return (h != 0).any(-1, keepdim=True).to(h.dtype)


def mean_pool(h: Tensor) -> Tensor:
    """The mean over pixels or tokens: (N, C, H, W), (N, T, C) or (N, C) → (N, C)."""
    if h.ndim == 4:
        return h.mean((2, 3))
    return h.sum(1) / token_mask(h).sum(1).clamp_min(1) if h.ndim == 3 else h


class MaxPool2x2(nn.Module):
    """Maxima of 2×2 cells, (N, C, H, W) → (N, C, ⌊H/2⌋, ⌊W/2⌋).

    Without gradients by slices: the same values, several times faster on a CPU.
    """

    def forward(self, h: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return nn.functional.max_pool2d(h, 2)
        h = h[..., : h.shape[-2] // 2 * 2, : h.shape[-1] // 2 * 2]
        rows = torch.maximum(h[..., ::2, :], h[..., 1::2, :])
        return torch.maximum(rows[..., ::2], rows[..., 1::2])


class TokenMean(nn.Module):
    """(N, T, d) → (N, d): the mean over the tokens."""

    def forward(self, h: Tensor) -> Tensor:
        return mean_pool(h)


class TokenMax(nn.Module):
    """(N, T, d) → (N, d): the maximum over the tokens; 0 where there is none."""

    def forward(self, h: Tensor) -> Tensor:
        mask = token_mask(h) != 0
        return torch.where(mask.any(1), h.masked_fill(~mask, -torch.inf).amax(1), 0.0)


class TokenWise(nn.Module):
    """A module applied to each token; positions without one stay zero."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = self.inner(h) * token_mask(h)
        return out


class NgramConvolution(nn.Module):
    """Convolutions over 3, 4 and 5 tokens, side by side: (N, T, a) → (N, T, 3 b)."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.sizes = nn.ModuleList(nn.Conv1d(a, b, k) for k in (3, 4, 5))

    def forward(self, h: Tensor) -> Tensor:
        padded = [nn.functional.pad(h.mT, ((k - 1) // 2, k // 2)) for k in (3, 4, 5)]
        maps = [conv(x) for conv, x in zip(self.sizes, padded, strict=True)]  # each (N, b, T)
        return torch.cat(maps, 1).relu().mT * token_mask(h)


class Embedding(nn.Module):
    """Token, and position where there is a `length`: (N, T) → (N, T, d); no token gives zeros."""

    def __init__(self, vocabulary: int, width: int, length: int = 0) -> None:
        super().__init__()
        self.token = nn.Embedding(vocabulary, width)
        self.place = nn.Embedding(length, width) if length else None
        if self.place:
            nn.init.normal_(self.token.weight, std=width**-0.5)
            nn.init.normal_(self.place.weight, std=width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.token(x)
        if self.place:
            out = out + self.place.weight[: x.shape[1]]
        return out * (x != 0)[..., None]


class TransformerBlock(nn.Module):
    """Self-attention and two layers, each added to its input: (N, T, d) → (N, T, d)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        up, down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.feed = nn.Sequential(up, nn.GELU(), down, nn.Dropout(dropout))
        self.drop = nn.Dropout(dropout)

    def forward(self, h: Tensor) -> Tensor:
        mask = token_mask(h)
        h = h + self.drop(self.out(self.mix(self.qkv(self.before(h)), mask[..., 0] != 0)))
        out: Tensor = h + self.feed(self.between(h))
        return out * mask

    def mix(self, qkv: Tensor, mask: Tensor) -> Tensor:
        """Multi-head attention among the tokens: (N, T, 3 d), mask (N, T) → (N, T, d)."""
        N, T, d = *qkv.shape[:2], qkv.shape[2] // 3
        split = qkv.view(N, T, 3, self.heads, d // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4)  # each (N, heads, T, d / heads)
        score = (q @ k.mT) / (d // self.heads) ** 0.5  # (N, heads, T, T)
        score = score.masked_fill(~mask[:, None, None, :], torch.finfo(score.dtype).min)
        mixed: Tensor = (score.softmax(-1) @ v).transpose(1, 2).reshape(N, T, d)
        return mixed
