"""Diabetes: 442 patients × 9 measurements, from which two things are read: sex (binary) and age (regression).

Source: Efron, Hastie, Johnstone & Tibshirani, *Least Angle Regression*, Annals of Statistics 32, 2004, arXiv math/0406456; the
files are the ones inside scikit-learn (values as measured). It is the real counterpart of the seed example of every MTL course:
one shared dense layer, a classification and a regression head on the same inputs. There is no split of its own: 100 test
patients are drawn once, 82 validation patients by seed.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from mtlstudy.models.tasks import Task
from mtlstudy.data.base import Data, Split, Splits, divide, embedded, registry

AGE, SEX = 0, 1  # columns of the file; then bmi, bp, s1 … s6
PROGRESSION = "8e53f65eb811df43c206f3534bb3af0e5fed213bc37ed6ba36310157d6023803"  # digest of the second file


@cache
def _table() -> tuple[Tensor, Tensor]:
    """Measurements (442, 9), and sex and age (442, 2)."""
    measured = np.loadtxt(embedded("sklearn", "datasets/data/diabetes_data_raw.csv.gz", Diabetes.sha256))
    progression = np.loadtxt(embedded("sklearn", "datasets/data/diabetes_target.csv.gz", PROGRESSION))
    values = torch.tensor(np.column_stack([measured, progression]), dtype=torch.float32)
    return values[:, SEX + 1 :], values[:, [SEX, AGE]]


@registry.register("diabetes")
class Diabetes(Data):
    """Sex and age over the same 9 inputs; inputs are standardised by the training patients, age by all but the test patients."""

    title = "당뇨병 환자의 성별과 나이"
    licence = "공개 자료(Efron 등 2004의 부속 자료); 파일은 scikit-learn(BSD-3-Clause)에 들어 있음"
    citation = "Efron, Hastie, Johnstone & Tibshirani, Least Angle Regression, Annals of Statistics 32, 2004"
    source = "PyPI scikit-learn, datasets/data/diabetes_data_raw.csv.gz, diabetes_target.csv.gz"
    sha256 = "7fc0ded571454b1982210d3bb43f0aca44eae01a0b8654a3b24022bdb6b38009"
    notes = (
        "설명을 위한 작은 자료이다. 시험 환자가 적어 지표의 오차가 크므로 방법의 우열을 가리는 근거로 쓰지 않는다. "
        "입력은 체질량 지수, 혈압, 혈청 검사 여섯 가지, 한 해 뒤의 병의 진행이며, 성별과 나이는 입력에 들어 있지 않다. "
        "성별의 부호(1, 2)가 무엇을 뜻하는지는 원자료에 적혀 있지 않다. 나이는 시험 환자를 뺀 환자들로 표준화하므로 "
        "오차의 단위가 시드와 무관하다. 시험 표본은 고정, 검증 표본은 시드로 뽑는다."
    )

    @property
    def tasks(self) -> tuple[Task, ...]:
        return Task("sex", "binary"), Task("age", "regression")

    def load(self, seed: int) -> Splits:
        x, y = _table()
        test, rest = divide(len(x), [100], seed=0)
        validation, train = (rest[part] for part in divide(len(rest), [82], seed))
        mean, std = x[train].mean(0), x[train].std(0)
        age, spread = y[rest, 1].mean(), y[rest, 1].std()  # the same unit for every seed

        def split(rows: Tensor) -> Split:
            targets = {"sex": (y[rows, 0] == 2).float(), "age": (y[rows, 1] - age) / spread}
            return Split((x[rows] - mean) / std, targets)

        return Splits(split(train), split(validation), split(test))
