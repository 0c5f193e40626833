"""Backbones: lists of stages. A sharing architecture is defined over any such list and builds each
stage as often as it needs.

Stages compose as x (N, …) → z (N, width), or z (N, T, width) for tagged sequences. Features lie on
axis 1 of images (N, C, H, W) and on the last axis otherwise. In a sequence (N, T, d) a position
without a token is the zero vector, and every stage keeps it so: that is how a stage knows the
padding, whatever was mixed before it.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from mtlstudy.errors import InputError
from mtlstudy.models import layers

Factory = Callable[[], nn.Module]
HEADS = 4
"""Attention heads of the Transformer."""


@dataclass(frozen=True)
class Stage:
    """One stage: each call of `build` makes a fresh module; its output has `width` features.

    readout: makes a module that takes this stage's output to a representation of the form that the
    last stage gives.
    """

    name: str
    build: Factory
    width: int
    readout: Factory = nn.Identity


@dataclass(frozen=True)
class Backbone:
    """Stages in order, and the width d of the representation z that the last one gives.

    gate_input: makes a module x (N, …) → (N, gate_width), what a gate sees of the input.
    """

    stages: tuple[Stage, ...]
    width: int
    gate_input: Factory = nn.Flatten
    gate_width: int = 1


def mlp(inputs: int, width: int = 64, depth: int = 2, dropout: float = 0.0) -> Backbone:
    """A multilayer perceptron: `depth` stages Linear–ReLU–Dropout. x (N, inputs) → z (N, width)."""

    def layer(size: int) -> nn.Module:
        return nn.Sequential(nn.Linear(size, width), nn.ReLU(), nn.Dropout(dropout))

    sizes = [inputs, *[width] * (depth - 1)][:depth]
    stages = (Stage(f"layer{i}", partial(layer, size), width) for i, size in enumerate(sizes, 1))
    return Backbone(tuple(stages), width, nn.Flatten, inputs)


def cnn(shape: tuple[int, ...], width: int = 50, dropout: float = 0.0) -> Backbone:
    """A LeNet-like network as in Sener & Koltun (NeurIPS 2018, arXiv 1810.04650): two 5×5
    convolutions with pooling, one layer.

    x (N, C, H, W) → z (N, width); channels last in memory, which pools several times faster on a
    CPU. Raises `InputError` where the image is too small for it (16×16 is the least).
    """
    c, h, w = shape
    rows, columns = (((side - 4) // 2 - 4) // 2 for side in (h, w))
    if min(rows, columns) < 1:
        raise InputError(f"image {h}×{w}: too small for this CNN; allowed: 16×16 and larger")

    def conv(a: int, b: int) -> nn.Module:
        stage = nn.Sequential(nn.Conv2d(a, b, 5), layers.MaxPool2x2(), nn.ReLU())
        return stage.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def readout(a: int) -> nn.Module:
        pool, flat = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        return nn.Sequential(pool, flat, nn.Linear(a, width), nn.ReLU())

    def dense() -> nn.Module:
        linear = nn.Linear(20 * rows * columns, width)
        return nn.Sequential(nn.Flatten(), linear, nn.ReLU(), nn.Dropout(dropout))

    def gate_input() -> nn.Module:
        return nn.Sequential(nn.AvgPool2d(4), nn.Flatten())

    stages = (
        Stage("conv1", partial(conv, c, 10), 10, partial(readout, 10)),
        Stage("conv2", partial(conv, 10, 20), 20, partial(readout, 20)),
        Stage("dense", dense, width),
    )
    return Backbone(stages, width, gate_input, c * (h // 4) * (w // 4))


def text_cnn(
    vocabulary: int, width: int = 64, dropout: float = 0.0, tokens: bool = False
) -> Backbone:
    """A text CNN (Kim, EMNLP 2014, arXiv 1408.5882): embedding, convolutions over 3, 4 and 5
    tokens, one layer.

    x (N, T) token numbers, 0 = no token → z (N, width): the maximum over the tokens; with `tokens`
    z (N, T, width): the features at each token. The paper has a layer after the maximum only for
    the classes; here it is the trunk's last stage.
    """

    def dense(size: int) -> nn.Module:
        linear = nn.Sequential(nn.Linear(size, width), nn.ReLU(), nn.Dropout(dropout))
        return layers.TokenWise(linear) if tokens else nn.Sequential(layers.TokenMax(), *linear)

    embedding, wide = partial(layers.Embedding, vocabulary, width), 3 * width
    convolution = partial(layers.NgramConvolution, width, width)
    stages = (
        Stage("embedding", embedding, width, partial(dense, width)),
        Stage("convolution", convolution, wide, partial(dense, wide)),
        Stage("dense", partial(dense, wide), width),
    )
    return Backbone(stages, width, *text_gate(vocabulary))


def transformer(
    vocabulary: int,
    length: int,
    width: int = 64,
    depth: int = 2,
    dropout: float = 0.0,
    tokens: bool = False,
) -> Backbone:
    """A small Transformer encoder (Vaswani et al., NeurIPS 2017, arXiv 1706.03762), layer norm
    before each part.

    x (N, T ≤ length) token numbers, 0 = no token → z (N, width): the mean over the tokens; with
    `tokens` z (N, T, width). Raises `InputError` where the heads do not divide the width.
    """
    if width % HEADS:
        raise InputError(f"width = {width}: must be a multiple of the {HEADS} attention heads")
    readout = nn.Identity if tokens else layers.TokenMean
    embedding = partial(layers.Embedding, vocabulary, width, length)

    def block() -> nn.Sequential:
        return nn.Sequential(layers.TransformerBlock(width, HEADS, dropout))

    def last() -> nn.Module:
        return nn.Sequential(*block(), layers.TokenWise(nn.LayerNorm(width)), readout())

    stages = [Stage("embedding", embedding, width, readout)]
    stages += [Stage(f"layer{i}", block, width, readout) for i in range(1, depth)]
    stages += [Stage(f"layer{depth}", last, width)] if depth else []
    return Backbone(tuple(stages), width, *text_gate(vocabulary))


def text_gate(vocabulary: int, width: int = 16) -> tuple[Factory, int]:
    """What a gate sees of a sentence, the mean of small embeddings, and its width: (N, T) →
    (N, width)."""

    def build() -> nn.Module:
        token = layers.Embedding(vocabulary, width)
        return nn.Sequential(OrderedDict(token=token, mean=layers.TokenMean()))

    return build, width
