"""Text → token numbers (N, T), by a tokeniser trained on training texts only: 0 no token, 1 unknown, 2 between two sentences.

"syllables": the characters of the composed text (a Hangul syllable each); "jamo": those of the decomposed text (NFD: a Hangul
letter each, initial and final apart); "bpe": byte-pair encoding (Sennrich et al., ACL 2016, arXiv 1508.07909) of the composed
text. Characters that occur once are unknown to the first two. The library's unigram model (Kudo, ACL 2018, arXiv 1804.10959) is
left out: two trainings on the same texts give different tokenisers, so its numbers could not be recomputed.

Both tokenisers and encoded texts are kept in the cache under a digest of what they are made from: a set is tokenised once.
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

from mtlstudy.errors import InputError
from mtlstudy.data._hub import cache, written

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Kind = Literal["syllables", "jamo", "bpe"]
KINDS: tuple[str, ...] = get_args(Kind)
SEPARATOR = 2
SPECIAL = ["\ufdd0none", "\ufdd0unknown", "\ufdd0separator"]  # numbers 0, 1, 2; U+FDD0 is a noncharacter: never part of a text


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
        found: list[list[int]] = []
        for start in range(0, len(texts), 5000):  # the library's own objects are large
            batch = [_form(text, self.kind) for text in texts[start : start + 5000]]
            found += [list(one.ids) for one in self.model.encode_batch_fast(batch, add_special_tokens=False)]
        return found

    def encode(self, texts: Sequence[str], length: int, second: Sequence[str] | None = None) -> Tensor:
        """(N, length), int64. What is too long is cut at its end; of a pair, the longer sentence first."""
        file = cache("tokens") / f"{content([self.digest, str(length)], texts, second or [])}.npy"
        try:
            return torch.from_numpy(np.load(file).astype(np.int64))
        except (FileNotFoundError, EOFError, ValueError):  # not there, or cut short: made anew
            x = np.zeros((len(texts), length), np.uint16 if len(self) < 2**16 else np.int32)
        for start in range(0, len(texts), 5000):
            part = slice(start, start + 5000)
            lines = self.numbers(texts[part])
            if second is not None:
                lines = [joined(a, b, length) for a, b in zip(lines, self.numbers(second[part]), strict=True)]
            for i, line in enumerate(lines, start):
                x[i, : len(line)] = line[:length]
        with written(file) as temporary, temporary.open("wb") as out:
            np.save(out, x)
        return torch.from_numpy(x.astype(np.int64))


def joined(a: list[int], b: list[int], length: int) -> list[int]:
    """Two sentences and the separator in at most `length` numbers; the longer one is cut first.

    >>> joined([3, 3, 3, 3, 3], [4, 4], 6)
    [3, 3, 3, 2, 4, 4]
    """
    room = length - 1
    n = min(len(a), max(room - len(b), room - room // 2))
    return [*a[:n], SEPARATOR, *b[: room - n]]


def train(texts: Sequence[str], kind: Kind, size: int = 8000) -> Tokeniser:
    """A tokeniser from the training texts alone; from the cache where it was trained before.

    size: token numbers at most (a "bpe" of fewer numbers than there are characters has the characters).

    Raises `InputError` where the package tokenizers is not installed.
    """
    try:
        import tokenizers
    except ImportError:
        raise InputError(f"tokens = {kind!r}: needs the package tokenizers (pip install 'mtlstudy[study]')") from None
    digest = content([kind, str(size), tokenizers.__version__], texts)
    file = cache("tokens") / f"{digest}.json"
    try:
        text = file.read_text(encoding="utf-8")
        json.loads(text)
    except (FileNotFoundError, ValueError):  # not there, or cut short: trained anew
        text = _train((_form(text, kind) for text in texts), kind, size).to_str()
        with written(file) as temporary:
            temporary.write_text(text, encoding="utf-8")
    model = tokenizers.Tokenizer.from_str(text)
    model.encode_special_tokens = True  # a text that spells one of them out has no part in its meaning
    return Tokeniser(model, kind, digest)


def _train(texts: Iterable[str], kind: Kind, size: int) -> "Tokenizer":
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    options: dict[str, Any] = {"vocab_size": size, "min_frequency": 2, "special_tokens": SPECIAL, "show_progress": False}
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
    r"""A text as every encoder sees it: composed (NFC), each run of white space one space, none at the ends; nothing else.

    >>> clean(" 좋아요 \n<br>ㅋㅋ  ")
    '좋아요 <br>ㅋㅋ'
    """
    return unicodedata.normalize("NFC", " ".join((text or "").split()))


def content(options: Sequence[str], *texts: Sequence[str]) -> str:
    """32 hex digits for options and lists of texts."""
    whole = hashlib.sha256(json.dumps(options).encode())
    for part in texts:
        whole.update(f"\0{len(part)}\0".encode())
        for text in part:
            whole.update(text.encode() + b"\0")
    return whole.hexdigest()[:32]


def _form(text: str, kind: Kind) -> str:
    return unicodedata.normalize("NFD", clean(text)) if kind == "jamo" else clean(text)
