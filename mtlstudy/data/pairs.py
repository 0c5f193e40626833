"""Two images overlaid on one 36×36 canvas: what Multi-MNIST, Multi-Fashion and Fashion+MNIST have in common.

Source: Sabour et al., NeurIPS 2017, arXiv 1710.09829, in the form of Sener & Koltun, NeurIPS 2018, arXiv 1810.04650: the left
28×28 image at the top left, the right one at the bottom right, pixel-wise maximum. What differs from Sabour et al.: no random
shift, and the two labels may be equal. Every image belongs to one split only.
"""

import io
from dataclasses import dataclass
from functools import cache
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from mtlstudy.data import _hub as hub
from mtlstudy.registry import Options
from mtlstudy.models.tasks import Task
from mtlstudy.data.base import Data, Split, Splits, divide

MNIST = hub.Source(
    hub_id="ylecun/mnist",
    config="mnist",
    revision="main",
    splits={
        "train": "b145e7a812ab27ccc04409a34cd0abb1f563ff05c50bed4254ca872fac0e9a1d",
        "test": "ec3ee8559f8e3b4a05ea446426988d541d2853e907712f40b4376d1d70b1c29a",
    },
    columns=("image", "label"),
    megabytes=16,
)
FASHION_MNIST = hub.Source(
    hub_id="zalando-datasets/fashion_mnist",
    config="fashion_mnist",
    revision="main",
    splits={
        "train": "75dc0b9a3b6a69cccf068d2764ed4ee20b04acc150f2262b6573edbae26d78fa",
        "test": "8829a633a09993fb4b8795e5dfda7b1e63be1dde8e2512b72bc7885a798b96cc",
    },
    columns=("image", "label"),
    megabytes=33,
)
BENCHMARK = ("multi_mnist_full", "multi_fashion", "fashion_mnist_pairs")
"""The three problems of Lin et al., NeurIPS 2019, arXiv 1912.12854: the vision benchmark runs each of them."""

NOTES = (
    "원 논문들과 달리 무작위 이동 없이 겹치며, 두 그림의 부류가 같을 수 있다. 학습(5만 장), 검증(1만 장), 시험(1만 장)의 "
    "그림은 서로 겹치지 않는다. 허브 식별자와 사본은 확인하지 못했고 내용의 검사합으로 고정한다."
)


@dataclass(frozen=True)
class Labelled:
    """images (N, 28, 28) of bytes, labels (N,)."""

    images: Tensor
    labels: Tensor


def overlay(left: Labelled, right: Labelled, pool: Tensor, size: int, seed: int, tasks: tuple[str, str]) -> Split:
    """`size` pairs drawn by seed, both images from the numbers in `pool`. Inputs (size, 1, 36, 36), scaled."""
    generator = torch.Generator().manual_seed(seed)
    a, b = pool[torch.randint(len(pool), (2, size), generator=generator)]
    canvas = torch.zeros(size, 1, 36, 36)
    canvas[:, 0, :28, :28] = left.images[a] / 255
    canvas[:, 0, 8:, 8:] = torch.maximum(canvas[:, 0, 8:, 8:], right.images[b] / 255)
    return Split((canvas - 0.15) / 0.3, {tasks[0]: left.labels[a], tasks[1]: right.labels[b]})


@cache
def images(source: hub.Source, split: str) -> Labelled:
    """All images of a file, decoded once and then kept in the cache, under the digest of what they were decoded from."""
    file = hub.cache("images") / f"{source.splits[split]}.pt"
    if not file.is_file():
        from PIL import Image  # here: importing the registry must stay cheap

        frame = hub.rows(source, split).to_pandas()
        pixels = np.stack([np.asarray(Image.open(io.BytesIO(image["bytes"]))) for image in frame["image"]])
        with hub.written(file) as part:
            torch.save({"images": torch.from_numpy(pixels), "labels": torch.tensor(frame["label"].to_numpy("int64"))}, part)
    return Labelled(**torch.load(file))


class Pairs(Data):
    """Pairs of images of 10 classes each; a subclass says of which. Inputs (1, 36, 36)."""

    left: ClassVar[hub.Source]
    right: ClassVar[hub.Source]
    names: ClassVar[tuple[str, str]] = ("left", "right")

    class Options(Options):
        """train: pairs drawn for training (by seed, from 50,000 images); validation and test are 5,000 and 10,000 pairs."""

        train: Annotated[int, Field(ge=10, le=200_000)] = 20_000

    @property
    def tasks(self) -> tuple[Task, ...]:
        return tuple(Task(name, "multiclass", 10) for name in self.names)

    def load(self, seed: int) -> Splits:
        seen, test = ((images(self.left, split), images(self.right, split)) for split in ("train", "test"))
        train, validation = divide(len(seen[0].images), [50_000], seed=0)
        return Splits(
            overlay(*seen, train, self.options.train, seed, self.names),
            overlay(*seen, validation, 5000, seed + 1, self.names),
            overlay(*test, torch.arange(len(test[0].images)), 10_000, 0, self.names),
        )
