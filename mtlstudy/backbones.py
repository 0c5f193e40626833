"""Backbones: lists of stages. A sharing architecture is defined over any such list and builds each stage as often as it needs.

Stages compose as x (N, …) → z (N, width), or z (N, T, width) for tagged sequences. Features lie on axis 1 of images (N, C, H, W)
and on the last axis otherwise. In a sequence (N, T, d) a position without a token is the zero vector, and every stage keeps it
so: that is how a stage knows the padding, whatever was mixed before it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .errors import InputError


@dataclass(frozen=True)
class Stage:
    """One stage: each call of `build` makes a fresh module; its output has `width` features.

    read: makes a module that takes this stage's output to a representation of the form that the last stage gives.
    """

    name: str
    build: Callable[[], nn.Module]
    width: int
    read: Callable[[], nn.Module] = nn.Identity


@dataclass(frozen=True)
class Backbone:
    """Stages in order, and the width d of the representation z that the last one gives.

    view: makes a module x (N, …) → (N, view_width), what a gate sees of the input.
    """

    stages: tuple[Stage, ...]
    width: int
    view: Callable[[], nn.Module] = nn.Flatten
    view_width: int = 1


def mlp(inputs: int, width: int = 64, depth: int = 2, dropout: float = 0.0) -> Backbone:
    """A multilayer perceptron: `depth` stages Linear–ReLU–Dropout. x (N, inputs) → z (N, width)."""

    def stage(size: int) -> Callable[[], nn.Module]:
        return lambda: nn.Sequential(nn.Linear(size, width), nn.ReLU(), nn.Dropout(dropout))

    stages = tuple(Stage(f"layer{i + 1}", stage(inputs if i == 0 else width), width) for i in range(depth))
    return Backbone(stages, width, nn.Flatten, inputs)


def cnn(shape: tuple[int, ...], width: int = 50, dropout: float = 0.0, channels: tuple[int, int] = (10, 20)) -> Backbone:
    """A LeNet-like network as in Sener & Koltun (NeurIPS 2018, arXiv 1810.04650): two 5×5 convolutions with pooling, one layer.

    x (N, C, H, W) → z (N, width); channels last in memory, which pools several times faster on a CPU.
    Raises `InputError` where the image is too small for it (16×16 is the least).
    """
    c, h, w = shape
    left = tuple(((side - 4) // 2 - 4) // 2 for side in (h, w))
    if min(left) < 1:
        raise InputError(f"image {h}×{w}: too small for this CNN; allowed: 16×16 and larger")
    flat = channels[1] * left[0] * left[1]

    def conv(a: int, b: int) -> Callable[[], nn.Module]:
        def build() -> nn.Module:
            layers = nn.Sequential(nn.Conv2d(a, b, 5), Halves(), nn.ReLU())
            layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            return layers

        return build

    def read(a: int) -> Callable[[], nn.Module]:
        return lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(a, width), nn.ReLU())

    def dense() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(flat, width), nn.ReLU(), nn.Dropout(dropout))

    a, b = channels
    stages = (Stage("conv1", conv(c, a), a, read(a)), Stage("conv2", conv(a, b), b, read(b)), Stage("dense", dense, width))
    return Backbone(stages, width, lambda: nn.Sequential(nn.AvgPool2d(4), nn.Flatten()), c * (h // 4) * (w // 4))


def text_cnn(vocabulary: int, width: int = 64, dropout: float = 0.0, tokens: bool = False) -> Backbone:
    """A text CNN (Kim, EMNLP 2014, arXiv 1408.5882): embedding, convolutions of windows 3, 4 and 5, one layer.

    x (N, T) token numbers, 0 = no token → z (N, width): the maximum over the tokens; with `tokens` z (N, T, width): a window's
    features at each token. The paper has a layer after the maximum only for the classes; here it is the trunk's last stage.
    """
    wide = 3 * width

    def dense(size: int) -> Callable[[], nn.Module]:
        def build() -> nn.Module:
            layers = nn.Sequential(nn.Linear(size, width), nn.ReLU(), nn.Dropout(dropout))
            return OnTokens(layers) if tokens else nn.Sequential(LargestToken(), *layers)

        return build

    stages = (
        Stage("embedding", lambda: Embedding(vocabulary, width), width, dense(width)),
        Stage("convolution", lambda: Windows(width, width), wide, dense(wide)),
        Stage("dense", dense(wide), width),
    )
    return Backbone(stages, width, lambda: Glance(vocabulary), Glance.width)


def transformer(
    vocabulary: int, length: int, width: int = 64, depth: int = 2, dropout: float = 0.0, heads: int = 4, tokens: bool = False
) -> Backbone:
    """A small Transformer encoder (Vaswani et al., NeurIPS 2017, arXiv 1706.03762), layer norm before each part.

    x (N, T ≤ length) token numbers, 0 = no token → z (N, width): the mean over the tokens; with `tokens` z (N, T, width).
    Raises `InputError` where the heads do not divide the width.
    """
    if width % heads:
        raise InputError(f"width = {width}: must be a multiple of the {heads} attention heads")

    def layer(last: bool) -> Callable[[], nn.Module]:
        return lambda: nn.Sequential(Block(width, heads, dropout), *([OnTokens(nn.LayerNorm(width)), read()] if last else []))

    read = nn.Identity if tokens else MeanToken
    stages = [Stage("embedding", lambda: Embedding(vocabulary, width, length), width, read)]
    stages += [
        Stage(f"layer{i + 1}", layer(i == depth - 1), width, nn.Identity if i == depth - 1 else read) for i in range(depth)
    ]
    return Backbone(tuple(stages), width, lambda: Glance(vocabulary), Glance.width)


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
