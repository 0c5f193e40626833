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

import numpy as np
import torch
from pydantic import Field

from mtlstudy.data import _hub as hub
from mtlstudy.data.base import Data, Splits, divide, pick, registry, standardise
from mtlstudy.models.tasks import Task
from mtlstudy.registry import Options as NoOptions

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = ("age", "hours.per.week")
SKEWED = ("capital.gain", "capital.loss")  # log(1 + x)
WORDS = ("workclass", "occupation", "race", "sex", "native.country")
DROPPED = ("income", "marital.status", "education", "education.num", "relationship", "fnlwgt")
FILE = hub.Source("scikit-learn/adult-census-income", (*NUMBERS, *SKEWED, *WORDS, *DROPPED), 1)


@cache
def people(split: str) -> "pd.DataFrame":
    """The people of a split, in training each once and without those who stand in test too."""
    import pandas as pd

    frame: pd.DataFrame = hub.rows(FILE, split).to_pandas()
    if split == "train":
        frame = frame.drop_duplicates()
        index = pd.MultiIndex.from_frame
        frame = frame[~index(frame).isin(index(people("test")))]
    return frame


@registry.register("adult")
class Adult(Data):
    """Binary tasks income (> 50K), marital (never married) and education (bachelor or more)."""

    citation = "Becker & Kohavi, UCI 1996; Ma et al., KDD 2018"
    sources = (FILE,)
    tasks = tuple(Task(name, "binary") for name in ("income", "marital", "education"))

    class Options(NoOptions):
        """train: training people, drawn by seed (None: all that are not for validation)."""

        train: Annotated[int, Field(ge=10, le=10**9)] | None = None

    def load(self, seed: int) -> Splits:
        import pandas as pd

        known = people("train")
        frame = pd.concat([known, people("test")])
        validation, train = divide(len(known), [3000], seed)
        parts = train[: self.options.train], validation, torch.arange(len(known), len(frame))
        numbers = torch.tensor(frame[[*NUMBERS, *SKEWED]].to_numpy("float64"))
        numbers[:, len(NUMBERS) :] = numbers[:, len(NUMBERS) :].log1p()
        one_hot = [  # a value that only test people have: all zero
            torch.tensor((frame[word] == value).to_numpy())
            for word in WORDS
            for value in sorted(set(known[word]))
        ]
        scaled = standardise(numbers, numbers[parts[0]]).float()
        income, marital = frame["income"] == ">50K", frame["marital.status"] == "Never-married"
        y = torch.tensor(np.column_stack([income, marital, frame["education.num"] >= 13])).float()
        return pick(torch.cat([scaled, torch.stack(one_hot, 1)], 1), y, self.tasks, parts)
