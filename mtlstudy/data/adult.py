"""Adult: three properties of a person in the US census of 1994 from the others: income, marital status, education.

Source: Becker & Kohavi, UCI 1996, doi 10.24432/C5XW20; the tasks in the manner of Ma et al. (MMoE), KDD 2018, doi
10.1145/3219819.3220007, who use the larger Census-Income (KDD) instead. The model is single-input, so the label of any task is an
input of none: income, marital.status, education and what gives these away (education.num: the same as a number; relationship:
husband, wife) are dropped, and so is fnlwgt, the sampling weight. The file's own test part is the test split.
"""

from functools import cache
from typing import Annotated

import pandas as pd
import torch
from pydantic import Field
from torch import Tensor

from mtlstudy.data._hub import CONVERTED, Source, pin, rows
from mtlstudy.registry import Options
from mtlstudy.models.tasks import Task
from mtlstudy.data.base import Data, Split, Splits, divide, registry

NUMBERS = ("age", "hours.per.week")
SKEWED = ("capital.gain", "capital.loss")  # log(1 + x)
WORDS = ("workclass", "occupation", "race", "sex", "native.country")
DROPPED = ("income", "marital.status", "education", "education.num", "relationship", "fnlwgt")
FILE = Source(
    hub_id="scikit-learn/adult-census-income",
    config="default",
    revision=CONVERTED,
    splits={
        "train": "4f2b8a6c00a581bfde371e47985a5e7eb65694f7722a36eae895ed5811cb0018",
        "test": "b08a6ca089b406d95315fad8cfdb08f075fc6cf249881e72efa07c7db49052e8",
    },
    columns=(*NUMBERS, *SKEWED, *WORDS, *DROPPED),
    megabytes=1,
)


@cache
def people(split: str) -> pd.DataFrame:
    """The people of a split, in training each once and without those who stand in test too."""
    frame: pd.DataFrame = rows(FILE, split).to_pandas()
    if split == "train":
        seen = set(people("test").itertuples(index=False, name=None))
        frame = frame.drop_duplicates()
        frame = frame[[person not in seen for person in frame.itertuples(index=False, name=None)]]
    return frame


@registry.register("adult")
class Adult(Data):
    """Binary tasks income (> 50K), marital (never married) and education (bachelor's degree or more)."""

    title = "Adult 인구 조사 소득"
    licence = "CC BY 4.0"
    citation = "Becker & Kohavi, UCI 1996; Ma et al., KDD 2018"
    source = "Hugging Face scikit-learn/adult-census-income"
    sources = (FILE,)
    hub_id, sha256 = FILE.hub_id, pin(FILE)
    notes = (
        "어느 과제의 레이블도 어떤 과제의 입력이 아니다. 소득, 혼인, 학력과 이를 드러내는 education.num, relationship(남편, "
        "아내 등), 그리고 표본 가중치 fnlwgt를 입력에서 뺐으므로 문헌의 Adult 수치와 직접 비교하지 않는다. 학습 자료에서 "
        "중복된 사람과 시험에도 있는 사람을 뺐다. 시험 분할은 파일의 것이고 검증 분할은 시드로 뽑는다. 결측(?)은 하나의 범주로 "
        "둔다. MMoE 논문의 Census-Income(KDD)과는 다른 자료이다. 허브의 사본과 같은지는 확인하지 못했고 내용의 검사합으로 "
        "고정한다."
    )

    class Options(Options):
        """train: training people, drawn by seed (None: all that are not for validation)."""

        train: Annotated[int, Field(ge=10)] | None = None

    @property
    def tasks(self) -> tuple[Task, ...]:
        return tuple(Task(name, "binary") for name in ("income", "marital", "education"))

    def load(self, seed: int) -> Splits:
        known, test = people("train"), people("test")
        validation, train = (known.iloc[part.numpy()] for part in divide(len(known), [3000], seed))
        train = train[: self.options.train]
        values = {word: sorted(set(known[word])) for word in WORDS}  # the same for every seed; another value is zero everywhere
        numbers = _numbers(train)
        mean, std = numbers.mean(0), numbers.std(0).clamp_min(1e-6)

        def split(part: pd.DataFrame) -> Split:
            words = [torch.tensor((part[word] == value).to_numpy()).float() for word in WORDS for value in values[word]]
            inputs = torch.cat([((_numbers(part) - mean) / std).float(), torch.stack(words, 1)], 1)
            return Split(inputs, {task: torch.tensor(label.to_numpy()).float() for task, label in _labels(part).items()})

        return Splits(split(train), split(validation), split(test))


def _numbers(part: pd.DataFrame) -> Tensor:
    values = torch.tensor(part[[*NUMBERS, *SKEWED]].to_numpy(dtype="float64"))
    values[:, len(NUMBERS) :] = values[:, len(NUMBERS) :].log1p()
    return values


def _labels(part: pd.DataFrame) -> dict[str, "pd.Series[bool]"]:
    return {
        "income": part["income"] == ">50K",
        "marital": part["marital.status"] == "Never-married",
        "education": part["education.num"] >= 13,
    }
