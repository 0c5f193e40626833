"""Molecules as vectors from their SMILES, and their division into splits. What the molecule data sets have in common.

"ngrams" (default): the 1-, 2- and 3-grams of the string's characters, hashed to 1,024 counts (Weinberger et al., ICML 2009, arXiv
0902.2206), log(1 + count). Case is kept: c is an aromatic carbon, C another. "morgan": Morgan fingerprints (Rogers & Hahn,
J. Chem. Inf. Model. 2010, doi 10.1021/ci100050t) of radius 2 in 2,048 bits, by the package rdkit. Equal SMILES stand in one split
only; the division is random (scaffold splits, which are harder, are not offered).
"""

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch import Tensor

from mtlstudy.errors import InputError
from mtlstudy.data.base import divide

Features = Literal["ngrams", "morgan"]
TrainSize = Annotated[int, Field(ge=10)] | None


@cache
def features(smiles: tuple[str, ...], kind: Features) -> Tensor:
    """(N, 1024) or (N, 2048). Raises `InputError` where rdkit is needed and missing, or cannot read a string."""
    return _ngrams(smiles) if kind == "ngrams" else _morgan(smiles)


def _ngrams(smiles: tuple[str, ...]) -> Tensor:
    from sklearn.feature_extraction.text import HashingVectorizer  # here: importing the registry must stay cheap

    count = HashingVectorizer(
        analyzer="char", ngram_range=(1, 3), n_features=1024, lowercase=False, alternate_sign=False, norm=None, dtype=np.float32
    )
    return torch.from_numpy(count.transform(smiles).toarray()).log1p()


def _morgan(smiles: tuple[str, ...]) -> Tensor:
    if find_spec("rdkit") is None:
        raise InputError("features = 'morgan': needs rdkit (pip install 'mtlstudy[chemistry]'); allowed without it: ngrams")
    generator = import_module("rdkit.Chem.rdFingerprintGenerator")
    morgan = generator.GetMorganGenerator(radius=2, fpSize=2048)
    out = np.empty((len(smiles), 2048), dtype=np.float32)
    for i, text in enumerate(smiles):
        out[i] = morgan.GetFingerprintAsNumPy(_molecule(text))
    return torch.from_numpy(out)


def _molecule(text: str) -> Any:
    """A molecule by rdkit; where it takes exception to a valence (some metal salts of Tox21), without that check."""
    chem: Any = import_module("rdkit.Chem")
    base: Any = import_module("rdkit.rdBase")
    with base.BlockLogs():
        found = chem.MolFromSmiles(text)
        if found is None:
            found = chem.MolFromSmiles(text, sanitize=False)
            if found is not None:
                found.UpdatePropertyCache(strict=False)
                chem.SanitizeMol(found, chem.SANITIZE_ALL ^ chem.SANITIZE_PROPERTIES)
    if found is None:
        raise InputError(f"rdkit cannot read the SMILES {text!r}")
    return found


def divide_molecules(smiles: tuple[str, ...], test: float, validation: float, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Row numbers of training, validation (by seed) and test (the same for every seed): shares of the different SMILES."""
    code = torch.from_numpy(pd.factorize(np.array(smiles, dtype=object))[0])
    molecules = int(code.max()) + 1
    tested, rest = divide(molecules, [round(test * molecules)], seed=0)
    validated, trained = (rest[part] for part in divide(len(rest), [round(validation * molecules)], seed))

    def having(molecules_drawn: Tensor) -> Tensor:  # the rows of these molecules, in the order drawn
        rank = torch.full((molecules,), molecules)
        rank[molecules_drawn] = torch.arange(len(molecules_drawn))
        order = rank[code].argsort(stable=True)
        return order[: int((rank[code] < molecules).sum())]

    return having(trained), having(validated), having(tested)
