"""Backbones: lists of stages. A sharing architecture is defined over any such list and builds each stage as often as it needs.

A stage is a name and a factory; stages compose as x (N, …) → z (N, width).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from .errors import InputError


@dataclass(frozen=True)
class Stage:
    """One stage: each call of `build` makes a fresh module."""

    name: str
    build: Callable[[], nn.Module]


@dataclass(frozen=True)
class Backbone:
    """Stages in order, and the width d of the representation z (N, d) that the last one gives."""

    stages: tuple[Stage, ...]
    width: int


def mlp(inputs: int, width: int = 64, depth: int = 2, dropout: float = 0.0) -> Backbone:
    """A multilayer perceptron: `depth` stages Linear–ReLU–Dropout. x (N, inputs) → z (N, width)."""

    def stage(size: int) -> Callable[[], nn.Module]:
        return lambda: nn.Sequential(nn.Linear(size, width), nn.ReLU(), nn.Dropout(dropout))

    stages = tuple(Stage(f"layer{i + 1}", stage(inputs if i == 0 else width)) for i in range(depth))
    return Backbone(stages, width)


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
            layers = nn.Sequential(nn.Conv2d(a, b, 5), nn.MaxPool2d(2), nn.ReLU())
            layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            return layers

        return build

    def dense() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(flat, width), nn.ReLU(), nn.Dropout(dropout))

    stages = (Stage("conv1", conv(c, channels[0])), Stage("conv2", conv(*channels)), Stage("dense", dense))
    return Backbone(stages, width)
