"""Yeast: 2,417 genes × 103 features (expression and phylogenetic profiles), 14 functional classes, each a binary task.

Source: Elisseeff & Weston, *A Kernel Method for Multi-Labelled Classification*, NeurIPS 2001; the file is the one inside the
package river (MULAN's version). It carries no split of its own: 483 test genes are drawn once, 400 validation genes by seed.
"""

from functools import cache

import pandas as pd
import torch
from torch import Tensor

from mtlstudy.models.tasks import Task
from mtlstudy.data.base import Data, Split, Splits, divide, embedded, registry


@cache
def _table() -> tuple[Tensor, Tensor]:
    frame = pd.read_csv(embedded("river", "datasets/yeast.csv.gz", Yeast.sha256))
    values = torch.tensor(frame.to_numpy(dtype="float32"))
    return values[:, :103], values[:, 103:]


@registry.register("yeast")
class Yeast(Data):
    """14 binary tasks over the same 103 inputs, standardised by the training genes."""

    title = "Yeast 유전자 기능"
    licence = "공개 배포(MULAN); 파일은 river(BSD-3-Clause)에 들어 있음"
    citation = "Elisseeff & Weston, A Kernel Method for Multi-Labelled Classification, NeurIPS 2001"
    source = "PyPI river, datasets/yeast.csv.gz"
    sha256 = "2969cb4bab877a27adcbe17871fa0b378a1e54b98816cd6106b542ee450a1c09"
    notes = "과제 class14는 양성이 매우 드물어 시험 AUC의 변동이 크다. 시험 표본은 고정, 검증 표본은 시드로 뽑는다."

    @property
    def tasks(self) -> tuple[Task, ...]:
        return tuple(Task(f"class{i + 1}", "binary") for i in range(14))

    def load(self, seed: int) -> Splits:
        x, y = _table()
        test, rest = divide(len(x), [483], seed=0)
        validation, train = (rest[part] for part in divide(len(rest), [400], seed))
        mean, std = x[train].mean(0), x[train].std(0).clamp_min(1e-6)

        def split(rows: Tensor) -> Split:
            return Split((x[rows] - mean) / std, {task.name: y[rows, i] for i, task in enumerate(self.tasks)})

        return Splits(split(train), split(validation), split(test))
