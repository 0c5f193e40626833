"""Diabetes: 442 patients × 9 measurements, from which sex (binary) and age (regression) are read.

Source: Efron, Hastie, Johnstone & Tibshirani, *Least Angle Regression*, Annals of Statistics 32,
2004, arXiv math/0406456; the files are those inside scikit-learn (values as measured). It is the
real counterpart of the seed example of every MTL course: one shared dense layer, a classification
and a regression head on the same inputs. 100 test patients are drawn once, 82 for validation by
seed.
"""

import numpy as np
import torch

from mtlstudy.data.base import Data, Splits, divide, draw, embedded, pick, registry, standardise
from mtlstudy.models.tasks import Task

FILES = {
    "diabetes_data_raw": "7fc0ded571454b1982210d3bb43f0aca44eae01a0b8654a3b24022bdb6b38009",
    "diabetes_target": "8e53f65eb811df43c206f3534bb3af0e5fed213bc37ed6ba36310157d6023803",
}


@registry.register("diabetes")
class Diabetes(Data):
    """Sex and age over the same 9 inputs; inputs are standardised by the training patients, age by
    all but the test patients, so that its unit is the same for every seed."""

    citation = "Efron et al., Least Angle Regression, Annals of Statistics 32, 2004"
    source = f"PyPI scikit-learn, datasets/data: {', '.join(f'{f}.csv.gz' for f in FILES)}"
    sha256 = " ".join(FILES.values())
    tasks = Task("sex", "binary"), Task("age", "regression")

    def load(self, seed: int) -> Splits:
        files = [embedded("sklearn", f"datasets/data/{f}.csv.gz", sha) for f, sha in FILES.items()]
        table = torch.tensor(np.column_stack([*map(np.loadtxt, files)]), dtype=torch.float32)
        age, sex, x = table[:, 0], table[:, 1], table[:, 2:]  # x: bmi, bp, s1 … s6, progression
        parts = draw(len(x), 100, 82, seed)
        known = divide(len(x), [100], seed=0)[1]  # all but the test patients
        y = torch.stack([(sex == 2).float(), standardise(age, age[known])], 1)
        return pick(standardise(x, x[parts[0]]), y, self.tasks, parts)
