"""QM8: electronic spectra of 21,786 small molecules, regression from the SMILES string.

Source: Ramakrishnan et al., J. Chem. Phys. 143, 084111 (2015), doi 10.1063/1.4928757, as in MoleculeNet: Wu et al., Chem. Sci.
2018, arXiv 1703.00564. Two excitation energies (E1, E2) and oscillator strengths (f1, f2) by the methods CC2, PBE0 and CAM. In
MoleculeNet's file the four columns of PBE0 in its second basis set are exact copies of those of the first (deepchem issue 2747),
so that only 12 of its 16 targets differ.
"""

from functools import cache
from typing import Literal

import torch
from torch import Tensor

from mtlstudy.data._hub import CONVERTED, Source, pin, rows
from mtlstudy.registry import Options
from mtlstudy.models.tasks import Task
from mtlstudy.data.base import Data, Split, Splits, registry
from mtlstudy.data.molecules import Features, TrainSize, divide_molecules, features

PROPERTIES = ("E1", "E2", "f1", "f2")
DISTINCT = tuple(f"{p}-{method}" for method in ("CC2", "PBE0", "CAM") for p in PROPERTIES)
COPIES = tuple(f"{p}-PBE0b" for p in PROPERTIES)  # in the file: PBE0.1; a point cannot stand in a module's name
TARGETS = {
    "all": DISTINCT[:8] + COPIES + DISTINCT[8:],
    "distinct": DISTINCT,
    "spread": tuple(t for t in DISTINCT if t not in ("E1-PBE0", "E1-CAM")),
}


def _column(task: str) -> str:
    return task.replace("PBE0b", "PBE0.1")


FILE = Source(
    hub_id="moleculenet/qm8",
    config="default",
    revision=CONVERTED,
    splits={
        "train": "bee441cb697285da099bea250b9d5e8e7abaf4e8caa90f5de0e6bf0c88255123",
    },
    columns=("smiles", *(_column(t) for t in TARGETS["all"])),
    megabytes=3,
)


@cache
def _table() -> tuple[tuple[str, ...], Tensor]:
    frame = rows(FILE, "train").to_pandas()
    return tuple(frame["smiles"]), torch.tensor(frame[[_column(t) for t in TARGETS["all"]]].to_numpy(dtype="float64"))


@registry.register("qm8")
class Qm8(Data):
    """12 regression tasks (by default), standardised by the training molecules; the metric is the mean absolute error."""

    title = "QM8 분자 전자 스펙트럼"
    licence = "MIT(MoleculeNet 저장소)"
    citation = "Ramakrishnan et al., J. Chem. Phys. 2015; Wu et al., MoleculeNet, Chem. Sci. 2018"
    source = "Hugging Face moleculenet/qm8"
    sources = (FILE,)
    hub_id, sha256 = FILE.hub_id, pin(FILE)
    notes = (
        "PBE0의 둘째 기저 집합 네 열은 첫째의 사본이라(deepchem 이슈 2747) 기본값에서 뺀다(targets: all이면 16개 모두). E1의 "
        "세 열은 서로 상관이 0.97–0.99이므로 targets: spread는 E1-CC2만 남긴다. 입력은 SMILES 문자 n-그램의 해시(1–3자, "
        "1,024차원, 로그 빈도)이며 features: morgan이면 rdkit의 모건 지문(반지름 2, 2,048비트)이다. 같은 SMILES 20쌍은 한 "
        "분할에만 쓴다. 분할은 무작위이고 시험 분자는 고정이다(골격 분할은 다루지 않는다). 오차는 학습 표준편차 단위이다. "
        "문헌의 QM8 수치와 직접 비교하지 않는다. 허브의 사본과 같은지는 확인하지 못했고 내용의 검사합으로 고정한다."
    )

    class Options(Options):
        """targets: "distinct" (12), "all" (16, of which 4 are copies) or "spread" (10, without E1-PBE0 and E1-CAM); features:
        "ngrams" or "morgan"; train: training molecules (None: all)."""

        targets: Literal["all", "distinct", "spread"] = "distinct"
        features: Features = "ngrams"
        train: TrainSize = None

    @property
    def tasks(self) -> tuple[Task, ...]:
        return tuple(Task(name, "regression") for name in TARGETS[self.options.targets])

    def load(self, seed: int) -> Splits:
        smiles, y = _table()
        x = features(smiles, self.options.features)
        train, validation, test = divide_molecules(smiles, 0.1, 0.1, seed)
        train = train[: self.options.train]
        y = (y - y[train].mean(0)) / y[train].std(0)
        column = {name: i for i, name in enumerate(TARGETS["all"])}

        def split(part: Tensor) -> Split:
            return Split(x[part], {task.name: y[part, column[task.name]].float() for task in self.tasks})

        return Splits(split(train), split(validation), split(test))
