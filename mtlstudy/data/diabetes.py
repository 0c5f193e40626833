"""Diabetes: 442 patients × 9 measurements, from which two things are read: sex (binary) and age
(regression).

Source: Efron, Hastie, Johnstone & Tibshirani, *Least Angle Regression*, Annals of Statistics 32,
2004, arXiv math/0406456; the files are the ones inside scikit-learn (values as measured). It is the
real counterpart of the seed example of every MTL course: one shared dense layer, a classification
and a regression head on the same inputs. There is no split of its own: 100 test patients are drawn
once, 82 validation patients by seed.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from mtlstudy.data.base import Data, Split, Splits, divide, draw, embedded, registry
from mtlstudy.models.tasks import Task

AGE, SEX = 0, 1  # columns; then bmi, bp, s1 … s6, and from the second file the progression
FILES = {
    "diabetes_data_raw": "7fc0ded571454b1982210d3bb43f0aca44eae01a0b8654a3b24022bdb6b38009",
    "diabetes_target": "8e53f65eb811df43c206f3534bb3af0e5fed213bc37ed6ba36310157d6023803",
}


@cache
def _table() -> tuple[Tensor, Tensor]:
    """Measurements (442, 9), and sex and age (442, 2)."""
    files = [embedded("sklearn", f"datasets/data/{f}.csv.gz", sha) for f, sha in FILES.items()]
    values = torch.tensor(np.column_stack([np.loadtxt(f) for f in files]), dtype=torch.float32)
    return values[:, SEX + 1 :], values[:, [SEX, AGE]]


@registry.register("diabetes")
class Diabetes(Data):
    """Sex and age over the same 9 inputs; inputs are standardised by the training patients, age by
    all but the test patients, so that its unit is the same for every seed."""

    citation = "Efron et al., Least Angle Regression, Annals of Statistics 32, 2004"
    source = f"PyPI scikit-learn, datasets/data: {', '.join(f'{f}.csv.gz' for f in FILES)}"
    sha256 = " ".join(FILES.values())
    tasks = Task("sex", "binary"), Task("age", "regression")

    def load(self, seed: int) -> Splits:
        x, y = _table()
        parts = draw(len(x), 100, 82, seed)
        mean, std = x[parts[0]].mean(0), x[parts[0]].std(0)
        known = divide(len(x), [100], seed=0)[1]  # all but the test patients
        age, spread = y[known, 1].mean(), y[known, 1].std()

        def split(rows: Tensor) -> Split:
            targets = {"sex": (y[rows, 0] == 2).float(), "age": (y[rows, 1] - age) / spread}
            return Split((x[rows] - mean) / std, targets)

        return Splits(*map(split, parts))
