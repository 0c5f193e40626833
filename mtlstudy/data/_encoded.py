"""What the frozen lower layers of a pretrained encoder make of texts: computed once for a text and
a length, then read from the cache.

`states`: the pieces' states below the trained layers, (N, T, d) in half precision; `means`: the
mean over a text's pieces after the last layer and after the fourth last, side by side, (N, 2 d):
the former tells how alike two texts are, the latter is better to classify by. The cache's part
"encoder" holds files of up to `CHUNK` texts each, keyed by a digest of the text, in a folder for
each encoder's weights, the layer and the length; the files used longest ago are deleted when it is
larger than `LIMIT`.
"""

import hashlib
import io
import logging
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from mtlstudy.data._hub import cache
from mtlstudy.data.base import Splits
from mtlstudy.errors import InputError
from mtlstudy.files import get, healed, put
from mtlstudy.models import pretrained
from mtlstudy.models.backbones import Backbone
from mtlstudy.models.encoder import Encoder

log = logging.getLogger("mtlstudy")
MEANS = 4
"""Last layers whose means are kept."""
CHUNK, BATCH = 1024, 32
SEEN = 100
"""Training examples of a task by which the read-out of the trained layers is standardised."""
LIMIT = 8e9
"""Bytes that a part of the cache may take: encoded texts, or vectors fitted on training texts."""
VERSION = 1
"""Of what is in the cache."""
READS = 2
"""Of all that a model reads with an encoder, `fixed` included: raised when its numbers move."""


def states(texts: Sequence[str], name: str, layers: int, length: int) -> Tensor:
    """(N, T, d), half precision: what the top `layers` of an encoder are given, zero where there is
    no piece. What is longer than `length` pieces is cut at its end, and counted in the log."""
    encoder = checked(name, layers, length)
    return _stored(texts, name, encoder, encoder.layers - layers, length)


def means(texts: Sequence[str], name: str, length: int) -> Tensor:
    """(N, 2 d): see the module."""
    last = _stored(texts, name, checked(name, 1, length), None, length).float()
    return last[:, [0, -1]].flatten(1)


def word_states(rows: Sequence[Sequence[str]], name: str, layers: int, length: int) -> Tensor:
    """`states` of sentences given in words."""
    encoder = checked(name, layers, length)
    joined = ["\0".join(words) for words in rows]
    return _stored(joined, name, encoder, encoder.layers - layers, length, in_words=True)


def content(plain: str, options: Any) -> str:
    """The digest of a data set's content and, where it reads an encoder, of the weights."""
    if options.features == "cnn":
        return plain
    text = f"{plain} {pretrained.digest(options.encoder)} {READS}"
    return hashlib.sha256(text.encode()).hexdigest()


def stages(
    options: Any, backbone: str, dropout: float, splits: Splits, tokens: bool = False
) -> Backbone:
    """The top layers of the encoder of a data set's options, what they give standardised by some
    training examples; `InputError` for another backbone."""
    o = options
    if backbone != "auto":
        reason = f"with features = {o.features!r} the encoder is the backbone; allowed: auto"
        raise InputError(f"backbone = {backbone!r}: {reason}")
    rows = [x[:SEEN].cpu().unflatten(1, (-1, o.length)) for x in splits.train.pools().values()]
    seen = torch.cat([row.flatten(0, 1) for row in rows])  # (n, T, d)
    return pretrained.load(o.encoder).backbone(o.layers, o.length, dropout, tokens, seen)


def checked(name: str, layers: int, length: int) -> Encoder:
    """The encoder; `InputError` where it has not so many layers or positions."""
    encoder = pretrained.load(name)
    for field, value, most in (
        ("layers", layers, encoder.layers),
        ("length", length, encoder.positions),
    ):
        if value > most:
            raise InputError(f"data_options.{field} = {value}: {name} allows {most} at most")
    return encoder


def place(name: str, what: str, length: int) -> Path:
    """The cache's folder of an encoder's "means", or of its states "layer<n>" or "words<n>"."""
    return cache("encoder") / f"{pretrained.digest(name)[:16]}-v{VERSION}-{what}-{length}"


def prepared(options: Any) -> bool:
    """Whether what a data set reads was encoded on this machine before, so that loading is quick;
    where it was not, thousands of texts take minutes."""
    if options.features == "cnn":
        return True
    folders = place(options.encoder, "*", options.length)
    return any(folders.parent.glob(folders.name))


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:16]


def _stored(
    texts: Sequence[str],
    name: str,
    encoder: Encoder,
    layer: int | None,
    length: int,
    in_words: bool = False,
) -> Tensor:
    """(N, T, d) after a layer, or without one the means (N, MEANS, d); half precision. in_words:
    a text is words with "\\0" between."""
    what = "means" if layer is None else f"{'words' if in_words else 'layer'}{layer}"
    folder = place(name, what, length)
    folder.mkdir(exist_ok=True)
    row: dict[bytes, list[int]] = {}  # digest of a text → where it is needed
    for i, text in enumerate(texts):
        row.setdefault(_key(text), []).append(i)
    shape = (len(texts), MEANS if layer is None else length, encoder.width)
    out = torch.zeros(shape, dtype=torch.float16)

    def fill(keys: np.ndarray, values: np.ndarray) -> None:
        for key, value in zip(keys, values, strict=True):
            for i in row.pop(key.tobytes(), ()):
                out[i, : len(value)] = torch.from_numpy(value)

    for file in sorted(folder.glob("*.npz")):
        try:  # the keys first: the values are large
            with np.load(file) as stored:
                needed = any(key.tobytes() in row for key in stored["keys"])
        except (zipfile.BadZipFile, OSError, ValueError, KeyError):
            needed = True  # `get` tells what is wrong
        if needed and (held := healed(get, file)):
            with np.load(io.BytesIO(held)) as stored:
                fill(stored["keys"], stored["values"])
            file.touch()
    if row:
        missing = [texts[rows[0]] for rows in row.values()]
        for done, values in _computed(missing, encoder, layer, length, in_words):
            keys = np.frombuffer(b"".join(map(_key, done)), np.uint8).reshape(-1, 16)
            memory = io.BytesIO()
            np.savez(memory, keys=keys, values=values)
            put(folder / f"{_key(keys.tobytes().hex()).hex()}.npz", memory.getvalue())
            fill(keys, values)
        trim(cache("encoder"))
    return out


def _computed(
    texts: Sequence[str], encoder: Encoder, layer: int | None, length: int, in_words: bool
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Texts in chunks of about one length with their values (n, t ≤ T, d) or (n, MEANS, d)."""
    start, end = encoder.special
    if in_words:
        whole = [encoder.words(text.split("\0"))[0] for text in texts]
    else:
        whole = encoder.pieces(texts)
    rows = [[start, *one[: length - 2], end] for one in whole]
    if cut := sum(len(one) > length - 2 for one in whole):
        log.info("encoder: %d of %d texts cut to %d pieces", cut, len(texts), length)
    order = sorted(range(len(rows)), key=lambda i: (len(rows[i]), texts[i]))
    top = encoder.layers if layer is None else layer
    stack = [encoder.layer(i, 1).eval() for i in range(1, top + 1)]
    bar = tqdm(total=len(rows), desc="encoder", disable=None, leave=False)
    for at in range(0, len(order), CHUNK):
        chunk = order[at : at + CHUNK]
        longest, parts = len(rows[chunk[-1]]), []
        for i in range(0, len(chunk), BATCH):
            lengths = np.array([len(rows[j]) for j in chunk[i : i + BATCH]])
            x = np.full((len(lengths), lengths.max()), end)
            for line, j in zip(x, chunk[i : i + BATCH], strict=True):
                line[: len(rows[j])] = rows[j]
            with torch.inference_mode():
                h, kept = encoder.embed(x, lengths), []
                for module in stack:
                    module.length = x.shape[1]
                    kept.append(h := module(h))
                if layer is None:
                    of = (
                        torch.stack(kept[-MEANS:], 1).sum(2)
                        / torch.from_numpy(lengths)[:, None, None]
                    )
                else:
                    of = _pad(h, longest)
                parts.append(of.half().numpy())
            bar.update(len(lengths))
        yield [texts[i] for i in chunk], np.concatenate(parts)


def _pad(h: Tensor, length: int) -> Tensor:
    """(n, t, d) → (n, T, d), zeros after."""
    return torch.nn.functional.pad(h, (0, 0, 0, length - h.shape[1]))


def trim(folder: Path) -> None:
    """Delete the files used longest ago, until the folder takes no more than `LIMIT`."""
    files = sorted(folder.rglob("*.np[yz]"), key=lambda file: file.stat().st_mtime)
    size = sum(file.stat().st_size for file in files)
    for file in files:
        if size <= LIMIT:
            break
        size -= file.stat().st_size
        file.unlink()
