"""Yeast: 2,417 genes × 103 features (expression and phylogenetic profiles), 14 functional classes,
each a binary task.

Source: Elisseeff & Weston, *A Kernel Method for Multi-Labelled Classification*, NeurIPS 2001; the
file is the one inside the package river (MULAN's version). It carries no split of its own: 483 test
genes are drawn once, 400 validation genes by seed.
"""

from functools import cache
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mtlstudy.data.base import Data, Splits, draw, embedded, pick, registry, standardise
from mtlstudy.models.tasks import Task
from mtlstudy.registry import Options as NoOptions
from mtlstudy.registry import added


@cache
def _table() -> tuple[Tensor, Tensor]:
    """Features (2417, 103) and classes (2417, 14)."""
    import pandas as pd

    frame = pd.read_csv(embedded("river", "datasets/yeast.csv.gz", Yeast.sha256))
    values = torch.tensor(frame.to_numpy(dtype="float32"))
    return values[:, :103], values[:, 103:]


@registry.register("yeast")
class Yeast(Data):
    """14 binary tasks over the same 103 inputs, standardised by the training genes."""

    citation = "Elisseeff & Weston, A Kernel Method for Multi-Labelled Classification, NeurIPS 2001"
    source = "PyPI river, datasets/yeast.csv.gz"
    sha256 = "2969cb4bab877a27adcbe17871fa0b378a1e54b98816cd6106b542ee450a1c09"
    tasks = tuple(Task(f"class{i + 1}", "binary") for i in range(14))

    class Options(NoOptions):
        """train: training genes, the first of those drawn by seed, so that the fewer are among the
        more (None: all 1,534). Validation and test genes are the same for any number."""

        train: Annotated[int, Field(ge=10, le=1534)] | None = added(None)

    def load(self, seed: int) -> Splits:
        x, y = _table()
        drawn, *held = draw(len(x), 483, 400, seed)
        trained = drawn[: self.options.train]
        return pick(standardise(x, x[trained]), y, self.tasks, [trained, *held])
