"""Tox21: toxicity of 7,831 compounds in 12 assays, each a binary task with labels missing; from the SMILES string.

Source: the Tox21 Data Challenge 2014 (Huang et al., Front. Environ. Sci. 2016, doi 10.3389/fenvs.2015.00085), as in MoleculeNet:
Wu et al., Chem. Sci. 2018, arXiv 1703.00564. A label that is missing is NaN and enters neither loss nor metric.
"""

from functools import cache

import torch
from torch import Tensor

from mtlstudy.data._hub import CONVERTED, Source, pin, rows
from mtlstudy.registry import Options
from mtlstudy.models.tasks import Task
from mtlstudy.data.base import Data, Split, Splits, registry
from mtlstudy.data.molecules import Features, TrainSize, divide_molecules, features

ASSAYS = (
    *("NR-AR", "NR-AR-LBD", "NR-AhR", "NR-Aromatase", "NR-ER", "NR-ER-LBD", "NR-PPAR-gamma"),
    *("SR-ARE", "SR-ATAD5", "SR-HSE", "SR-MMP", "SR-p53"),
)
FILE = Source(
    hub_id="moleculenet/tox21",
    config="default",
    revision=CONVERTED,
    splits={
        "train": "3c61a51ea118b4bcaf586ae67308a36dd253bc822fa84feba622e96140c2a465",
    },
    columns=("smiles", *ASSAYS),
    megabytes=1,
)


@cache
def _table() -> tuple[tuple[str, ...], Tensor]:
    frame = rows(FILE, "train").to_pandas()
    return tuple(frame["smiles"]), torch.tensor(frame[list(ASSAYS)].to_numpy(dtype="float32"))


@registry.register("tox21")
class Tox21(Data):
    """12 binary tasks; the metric is the AUC over the compounds that have a label."""

    title = "Tox21 독성"
    licence = "미국 국립보건원 공개 자료"
    citation = "Huang et al., Front. Environ. Sci. 2016; Wu et al., MoleculeNet, Chem. Sci. 2018"
    source = "Hugging Face moleculenet/tox21"
    sources = (FILE,)
    hub_id, sha256 = FILE.hub_id, pin(FILE)
    notes = (
        "레이블의 17%가 비어 있어 손실과 지표에서 뺀다. 양성이 드물어(3–16%) 시험 AUC의 변동이 크다. 입력은 SMILES 문자 "
        "n-그램의 해시(1–3자, 1,024차원, 로그 빈도)이며 features: morgan이면 rdkit의 모건 지문(반지름 2, 2,048비트)이다. "
        "분할은 무작위이고 시험 화합물은 고정이다(골격 분할은 다루지 않는다). 허브의 사본과 같은지는 확인하지 못했고 내용의 "
        "검사합으로 고정한다."
    )

    class Options(Options):
        """features: "ngrams" or "morgan"; train: training compounds (None: all)."""

        features: Features = "ngrams"
        train: TrainSize = None

    @property
    def tasks(self) -> tuple[Task, ...]:
        return tuple(Task(name, "binary") for name in ASSAYS)

    def load(self, seed: int) -> Splits:
        smiles, y = _table()
        x = features(smiles, self.options.features)
        train, validation, test = divide_molecules(smiles, 0.2, 0.1, seed)

        def split(part: Tensor) -> Split:
            return Split(x[part], {task.name: y[part, i] for i, task in enumerate(self.tasks)})

        return Splits(split(train[: self.options.train]), split(validation), split(test))
