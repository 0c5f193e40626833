"""Molecules as vectors from their SMILES: QM8 (electronic spectra) and Tox21 (toxicity).

"ngrams" (default): the 1-, 2- and 3-grams of the string's characters, hashed to 1,024 counts
(Weinberger et al., ICML 2009, arXiv 0902.2206), log(1 + count). Case is kept: c is an aromatic
carbon, C another. "morgan": Morgan fingerprints (Rogers & Hahn, J. Chem. Inf. Model. 2010, doi
10.1021/ci100050t) of radius 2 in 2,048 bits, by the package rdkit. Equal SMILES stand in one split
only; the division is random (scaffold splits, which are harder, are not offered).

Sources: Ramakrishnan et al., J. Chem. Phys. 143, 084111 (2015), doi 10.1063/1.4928757 (QM8: 21,786
molecules; excitation energies E1, E2 and oscillator strengths f1, f2 by the methods CC2, PBE0 and
CAM); the Tox21 Data Challenge 2014 (Huang et al., Front. Environ. Sci. 2016, doi
10.3389/fenvs.2015.00085: 7,831 compounds in 12 assays, labels missing); both as in MoleculeNet: Wu
et al., Chem. Sci. 2018, arXiv 1703.00564. In its file of QM8 the four columns of PBE0 in its second
basis set are exact copies of those of the first (deepchem issue 2747): 12 of 16 targets differ.
"""

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from mtlstudy.data import _hub as hub
from mtlstudy.data.base import Data, Splits, draw, pick, registry, standardise
from mtlstudy.errors import InputError
from mtlstudy.models.tasks import Task
from mtlstudy.registry import Options as NoOptions

Features = Literal["ngrams", "morgan"]
PROPERTIES = ("E1", "E2", "f1", "f2")
DISTINCT = tuple(f"{p}-{method}" for method in ("CC2", "PBE0", "CAM") for p in PROPERTIES)
COPIES = tuple(f"{p}-PBE0b" for p in PROPERTIES)  # a point cannot stand in a module's name
TARGETS = {
    "all": DISTINCT[:8] + COPIES + DISTINCT[8:],
    "distinct": DISTINCT,
    "spread": tuple(t for t in DISTINCT if t not in ("E1-PBE0", "E1-CAM")),
}
COLUMNS = tuple(t.replace("PBE0b", "PBE0.1") for t in TARGETS["all"])  # of the file
ASSAYS = (
    *("NR-AR", "NR-AR-LBD", "NR-AhR", "NR-Aromatase", "NR-ER", "NR-ER-LBD", "NR-PPAR-gamma"),
    *("SR-ARE", "SR-ATAD5", "SR-HSE", "SR-MMP", "SR-p53"),
)


class Molecules(Data):
    """A set of molecules in one file: SMILES, and a column for every target."""

    test: ClassVar[float]
    """Share of the test molecules; a tenth validates."""

    class Options(NoOptions):
        """features: "ngrams" or "morgan"; train: training molecules (None: all)."""

        features: Features = "ngrams"
        train: Annotated[int, Field(ge=10, le=10**9)] | None = None

    def load(self, seed: int) -> Splits:
        smiles, y = _table(self.sources[0])
        train, *others = divide_molecules(smiles, self.test, 0.1, seed)
        train = train[: self.options.train]
        x = features(smiles, self.options.features)
        return pick(x, self.targets(y, train).float(), self.tasks, (train, *others))

    def targets(self, y: Tensor, train: Tensor) -> Tensor:
        """Targets (N, K) from the columns y (N, columns) and the training rows."""
        return y


@cache
def _table(source: hub.Source) -> tuple[tuple[str, ...], Tensor]:
    """SMILES (N), and the other columns (N, columns) in float64."""
    frame = hub.rows(source, "train").to_pandas()
    return tuple(frame.pop("smiles")), torch.tensor(frame.to_numpy(dtype="float64"))


@registry.register("qm8")
class Qm8(Molecules):
    """12 regression tasks (by default), standardised by the training molecules; the metric is the
    mean absolute error."""

    citation = "Ramakrishnan et al., J. Chem. Phys. 2015; Wu et al., MoleculeNet, Chem. Sci. 2018"
    sources = (hub.Source("moleculenet/qm8", ("smiles", *COLUMNS), 3),)
    test = 0.1

    class Options(Molecules.Options):
        """Those of `Molecules`; targets: "distinct" (12), "all" (16, of which 4 are copies) or
        "spread" (10, without E1-PBE0 and E1-CAM)."""

        targets: Literal["all", "distinct", "spread"] = "distinct"

    @property
    def tasks(self) -> tuple[Task, ...]:
        return tuple(Task(name, "regression") for name in TARGETS[self.options.targets])

    def targets(self, y: Tensor, train: Tensor) -> Tensor:
        columns = [TARGETS["all"].index(task.name) for task in self.tasks]
        return standardise(y, y[train])[:, columns]


@registry.register("tox21")
class Tox21(Molecules):
    """12 binary tasks; a missing label is NaN; the metric is the AUC over the compounds that have a
    label."""

    citation = "Huang et al., Front. Environ. Sci. 2016; Wu et al., MoleculeNet, Chem. Sci. 2018"
    sources = (hub.Source("moleculenet/tox21", ("smiles", *ASSAYS), 1),)
    test = 0.2
    tasks = tuple(Task(name, "binary") for name in ASSAYS)


@cache
def features(smiles: tuple[str, ...], kind: Features) -> Tensor:
    """(N, 1024) or (N, 2048). `InputError` where rdkit is missing or cannot read a string."""
    if kind == "morgan":
        return _morgan(smiles)
    from sklearn.feature_extraction.text import HashingVectorizer  # here: it is heavy

    options = {"analyzer": "char", "ngram_range": (1, 3), "n_features": 1024, "dtype": np.float32}
    count = HashingVectorizer(lowercase=False, alternate_sign=False, norm=None, **options)
    return torch.from_numpy(count.transform(smiles).toarray()).log1p()


def _morgan(smiles: tuple[str, ...]) -> Tensor:
    if find_spec("rdkit") is None:
        needs = "needs rdkit (pip install 'mtlstudy[chemistry]'); allowed without it: ngrams"
        raise InputError(f"features = 'morgan': {needs}")
    fingerprints = import_module("rdkit.Chem.rdFingerprintGenerator")
    morgan = fingerprints.GetMorganGenerator(radius=2, fpSize=2048)
    bits = [morgan.GetFingerprintAsNumPy(_molecule(text)) for text in smiles]
    return torch.from_numpy(np.stack(bits)).float()


def _molecule(text: str) -> Any:
    """A molecule by rdkit; where it takes exception to a valence (some metal salts of Tox21),
    without that check."""
    chem: Any = import_module("rdkit.Chem")
    with import_module("rdkit.rdBase").BlockLogs():
        if (molecule := chem.MolFromSmiles(text)) is not None:
            return molecule
        if (molecule := chem.MolFromSmiles(text, sanitize=False)) is None:
            raise InputError(f"rdkit cannot read the SMILES {text!r}")
        molecule.UpdatePropertyCache(strict=False)
        chem.SanitizeMol(molecule, chem.SANITIZE_ALL ^ chem.SANITIZE_PROPERTIES)
        return molecule


def divide_molecules(
    smiles: tuple[str, ...], test: float, validation: float, seed: int
) -> list[Tensor]:
    """Row numbers of training, validation (by seed) and test (the same for every seed), the latter
    two by their shares of the different SMILES."""
    import pandas as pd

    code = torch.from_numpy(pd.factorize(np.array(smiles, dtype=object))[0])
    rows = code.argsort(stable=True).split(code.bincount().tolist())  # of each molecule
    n = len(rows)
    parts = draw(n, round(test * n), round(validation * n), seed)
    return [torch.cat([rows[molecule] for molecule in part]) for part in parts]
