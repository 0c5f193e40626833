"""Backbones: lists of stages. A sharing architecture is defined over any such list and builds each stage as often as it needs.

Stages compose as x (N, …) → z (N, width), or z (N, T, width) for tagged sequences. Features lie on axis 1 of images (N, C, H, W)
and on the last axis otherwise. In a sequence (N, T, d) a position without a token is the zero vector, and every stage keeps it
so: that is how a stage knows the padding, whatever was mixed before it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from mtlstudy.errors import InputError
from mtlstudy.models.layers import Block, Embedding, Glance, Halves, LargestToken, MeanToken, OnTokens, Windows


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
