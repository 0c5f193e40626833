"""Text → token numbers (N, T), by a tokeniser trained on training texts only: 0 no token, 1
unknown, 2 between two sentences.

"syllables": the characters of the composed text (a Hangul syllable each); "jamo": those of the
decomposed text (NFD: a Hangul letter each, initial and final distinct); "bpe": byte-pair encoding
(Sennrich et al., ACL 2016, arXiv 1508.07909) of the composed text. Characters that occur once are
unknown to the first two. The library's unigram model (Kudo, ACL 2018, arXiv 1804.10959) is left
out: two trainings on the same texts give different tokenisers, so its numbers could not be
recomputed.

Both tokenisers and encoded texts are kept in the cache under a digest of what they are made from: a
set is tokenised once.
"""

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from mtlstudy import files
from mtlstudy.data._hub import cache, cached_array
from mtlstudy.errors import InputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Kind = Literal["syllables", "jamo", "bpe"]
KINDS: tuple[str, ...] = get_args(Kind)
SEPARATOR = 2
SPECIAL = ["\ufdd0none", "\ufdd0unknown", "\ufdd0separator"]
"""Numbers 0, 1, 2; U+FDD0 is a noncharacter: never part of a text."""
BATCH = 5000  # texts encoded at once: the library's own objects are large


@dataclass(frozen=True)
class Tokeniser:
    """A trained tokeniser. `len` is the number of its token numbers, 0 included."""

    model: "Tokenizer"
    kind: Kind
    digest: str

    def __len__(self) -> int:
        return int(self.model.get_vocab_size())

    def numbers(self, texts: Sequence[str]) -> list[list[int]]:
        """Token numbers of each text, not yet cut."""
        result: list[list[int]] = []
        for start in range(0, len(texts), BATCH):
            batch = [_form(text, self.kind) for text in texts[start : start + BATCH]]
            encoded = self.model.encode_batch_fast(batch, add_special_tokens=False)
            result += [list(one.ids) for one in encoded]
        return result

    def encode(
        self, texts: Sequence[str], length: int, second: Sequence[str] | None = None
    ) -> Tensor:
        """(N, length), int64. What is too long is cut at its end; of a pair, the longer sentence
        first."""

        def make() -> np.ndarray:
            lines = self.numbers(texts)
            if second is not None:
                pairs = zip(lines, self.numbers(second), strict=True)
                lines = [join(a, b, length) for a, b in pairs]
            x = np.zeros((len(texts), length), np.int32)
            for row, line in zip(x, lines, strict=True):
                row[: len(line)] = line[:length]
            return x

        key = digest([self.digest, str(length)], texts, second or [])
        return torch.from_numpy(cached_array("tokens", key, make).astype(np.int64))


def join(a: list[int], b: list[int], length: int) -> list[int]:
    """Two sentences and the separator in at most `length` numbers; the longer one is cut first.

    >>> join([3, 3, 3, 3, 3], [4, 4], 6)
    [3, 3, 3, 2, 4, 4]
    """
    free = length - 1
    n = min(len(a), max(free - len(b), free - free // 2))
    return [*a[:n], SEPARATOR, *b[: free - n]]


def train(texts: Sequence[str], kind: Kind, size: int = 8000) -> Tokeniser:
    """A tokeniser from the training texts alone; from the cache where it was trained before.

    size: token numbers at most ("bpe" has at least as many as there are characters).

    Raises:
        InputError: the package tokenizers is not installed.
    """
    try:
        import tokenizers
    except ImportError:
        needs = "the package tokenizers (pip install 'mtlstudy[study]')"
        raise InputError(f"tokens = {kind!r}: needs {needs}") from None
    key = digest([kind, str(size), tokenizers.__version__], texts)
    file = cache("tokens") / f"{key}.tokeniser"
    held = files.healed(files.get, file)
    if held is None:
        held = _train((_form(text, kind) for text in texts), kind, size).to_str().encode()
        files.put(file, held)
    model = tokenizers.Tokenizer.from_str(held.decode())
    model.encode_special_tokens = True  # a text that spells one of them out does not mean it
    return Tokeniser(model, kind, key)


def _train(texts: Iterable[str], kind: Kind, size: int) -> "Tokenizer":
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    options: dict[str, Any] = {"vocab_size": size, "min_frequency": 2, "show_progress": False}
    options["special_tokens"] = SPECIAL
    if kind == "bpe":
        model = Tokenizer(models.BPE(unk_token=SPECIAL[1]))
        model.pre_tokenizer = pre_tokenizers.Metaspace()
        model.train_from_iterator(texts, trainers.BpeTrainer(**options))
    else:
        model = Tokenizer(models.WordLevel(unk_token=SPECIAL[1]))
        model.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        model.train_from_iterator(texts, trainers.WordLevelTrainer(**options))
    return model


def clean(text: str | None) -> str:
    r"""A text as every encoder sees it: composed (NFC), each run of white space one space, none at
    the ends; nothing else.

    >>> clean(" 좋아요 \n<br>ㅋㅋ  ")
    '좋아요 <br>ㅋㅋ'
    """
    return unicodedata.normalize("NFC", " ".join((text or "").split()))


def digest(options: Sequence[str], *texts: Sequence[str]) -> str:
    """32 hex digits for options and lists of texts."""
    whole = hashlib.sha256(json.dumps(options).encode())
    for part in texts:
        whole.update(f"\0{len(part)}\0".encode())
        for text in part:
            whole.update(text.encode() + b"\0")
    return whole.hexdigest()[:32]


def _form(text: str, kind: Kind) -> str:
    return unicodedata.normalize("NFD", clean(text)) if kind == "jamo" else clean(text)
