"""Adult: three properties of a person in the US census of 1994 from the others: income, marital
status, education.

Source: Becker & Kohavi, UCI 1996, doi 10.24432/C5XW20; the tasks in the manner of Ma et al. (MMoE),
KDD 2018, doi 10.1145/3219819.3220007, who use the larger Census-Income (KDD) instead. The model is
single-input, so the label of any task is an input of none: income, marital.status, education and
what gives these away (education.num: the same as a number; relationship: husband, wife) are
dropped, and so is fnlwgt, the sampling weight. The file's own test part is the test split.
"""

from functools import cache
from typing import TYPE_CHECKING, Annotated

import torch
from pydantic import Field
from torch import Tensor

from mtlstudy.data import _hub as hub
from mtlstudy.data.base import Data, Split, Splits, divide, registry
from mtlstudy.models.tasks import Task
from mtlstudy.registry import Options as NoOptions

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = ("age", "hours.per.week")
SKEWED = ("capital.gain", "capital.loss")  # log(1 + x)
WORDS = ("workclass", "occupation", "race", "sex", "native.country")
DROPPED = ("income", "marital.status", "education", "education.num", "relationship", "fnlwgt")
COLUMNS = (*NUMBERS, *SKEWED, *WORDS, *DROPPED)
FILE = hub.Source("scikit-learn/adult-census-income", COLUMNS, 1)


@cache
def people(split: str) -> "pd.DataFrame":
    """The people of a split, in training each once and without those who stand in test too."""
    frame: pd.DataFrame = hub.rows(FILE, split).to_pandas()
    if split == "train":
        seen = set(people("test").itertuples(index=False, name=None))
        frame = frame.drop_duplicates()
        frame = frame[[row not in seen for row in frame.itertuples(index=False, name=None)]]
    return frame


@registry.register("adult")
class Adult(Data):
    """Binary tasks income (> 50K), marital (never married) and education (bachelor or more)."""

    citation = "Becker & Kohavi, UCI 1996; Ma et al., KDD 2018"
    sources = (FILE,)
    tasks = tuple(Task(name, "binary") for name in ("income", "marital", "education"))

    class Options(NoOptions):
        """train: training people, drawn by seed (None: all that are not for validation)."""

        train: Annotated[int, Field(ge=10)] | None = None

    def load(self, seed: int) -> Splits:
        known, test = people("train"), people("test")
        parts = divide(len(known), [3000], seed)
        validation, train = (known.iloc[part.numpy()] for part in parts)
        train = train[: self.options.train]
        values = {word: sorted(set(known[word])) for word in WORDS}  # another value: all zero
        numbers = _numbers(train)
        mean, std = numbers.mean(0), numbers.std(0).clamp_min(1e-6)

        def split(part: "pd.DataFrame") -> Split:
            one_hot = [_float(part[word] == value) for word in WORDS for value in values[word]]
            scaled = ((_numbers(part) - mean) / std).float()
            targets = {
                "income": _float(part["income"] == ">50K"),
                "marital": _float(part["marital.status"] == "Never-married"),
                "education": _float(part["education.num"] >= 13),
            }
            return Split(torch.cat([scaled, torch.stack(one_hot, 1)], 1), targets)

        return Splits(split(train), split(validation), split(test))


def _numbers(part: "pd.DataFrame") -> Tensor:
    values = torch.tensor(part[[*NUMBERS, *SKEWED]].to_numpy(dtype="float64"))
    values[:, len(NUMBERS) :] = values[:, len(NUMBERS) :].log1p()
    return values


def _float(column: "pd.Series[bool]") -> Tensor:
    return torch.tensor(column.to_numpy()).float()
