"""A pretrained Transformer encoder as stages: a BERT, its norms after each part (Devlin et al.,
NAACL 2019, arXiv 1810.04805); its weights are read by `mtlstudy.models.pretrained`.

    h_0 = norm(word + position + type);  a = norm(h + attention(h));  h' = norm(a + feed(a))

The lower layers are frozen and computed once (see `mtlstudy.data._encoded`); the upper ones are the
stages that are trained, shared, split or mixed as any backbone's. Shapes: N rows of k texts (2 in a
pair) of T pieces, width d: (N, k T, d); zero where there is no piece.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from mtlstudy.models.backbones import Backbone, Stage
from mtlstudy.models.layers import TransformerBlock, token_mask

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PARTS = {"qkv": "q k v", "out": "ao", "before": "aln", "feed.0": "fi", "feed.2": "fo"}
PARTS["between"] = "oln"
"""A part of `Layer` → the names of its tensors in a layer of `Encoder.tensor`."""


class Layer(TransformerBlock):
    """One layer: (N, k T, d), in half precision where it comes from the cache, → (N, k T, d); the k
    texts of a row do not see each other. On a processor all but the attention is computed for the
    pieces alone: most positions hold none. (A GPU would have to wait to be told which.)"""

    def __init__(self, width: int, heads: int, eps: float, length: int, dropout: float) -> None:
        super().__init__(width, heads, dropout)
        self.length = length
        self.before.eps = self.between.eps = eps

    def forward(self, h: Tensor) -> Tensor:
        texts = h.float().unflatten(1, (-1, self.length)).flatten(0, 1)  # (n, T, d)
        mask = token_mask(texts)[..., 0] != 0
        place = mask.flatten().nonzero()[:, 0] if h.device.type == "cpu" else None

        def alone(x: Tensor) -> Tensor:
            """(n, T, d) → the rows that hold pieces; on a GPU all."""
            return x.flatten(0, 1) if place is None else x.flatten(0, 1)[place]

        def placed(x: Tensor) -> Tensor:
            """The inverse of `alone`, zero where there is no piece."""
            if place is not None:
                x = x.new_zeros(mask.numel(), x.shape[1]).index_copy(0, place, x)
            return x.view(*mask.shape, -1) * mask[..., None]

        pieces = alone(texts)
        mixed = alone(self.mix(placed(self.qkv(pieces)), mask))
        a = self.before(pieces + self.drop(self.out(mixed)))
        return placed(self.between(a + self.feed(a))).reshape(h.shape)


class Standard(nn.Module):
    """Values less their mean on training examples, over their deviation there (buffers): (…, d) →
    (…, d). The states of a pretrained encoder differ by little from their common mean, and a head
    over them as they are learns slowly."""

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def forward(self, z: Tensor) -> Tensor:
        mean, deviation = self.get_buffer("mean"), self.get_buffer("deviation")
        return (z - mean) / deviation


class TextMean(nn.Module):
    """The mean over each text's pieces: (N, T, d) → (N, d), pairs (N, 2 T, d) → (N, 2, d)."""

    def __init__(self, length: int, by: Standard | None = None) -> None:
        super().__init__()
        self.length = length
        self.standard = by or nn.Identity()

    def forward(self, h: Tensor) -> Tensor:
        texts = h.unflatten(1, (-1, self.length))  # (N, k, T, d)
        mean: Tensor = self.standard(texts.sum(2) / token_mask(texts).sum(2).clamp_min(1))
        return mean.squeeze(1) if mean.shape[1] == 1 else mean


class Pieces(nn.Module):
    """The state of every piece: (N, T, d) → (N, T, d)."""

    def __init__(self, by: Standard | None = None) -> None:
        super().__init__()
        self.standard = by or nn.Identity()

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = self.standard(h) * token_mask(h)
        return out


class GateMean(nn.Module):
    """What a gate sees, the mean over texts and pieces: (N, …, d) → (N, d)."""

    def forward(self, h: Tensor) -> Tensor:
        h = h.float().reshape(len(h), -1, h.shape[-1])
        return h.sum(1) / token_mask(h).sum(1).clamp_min(1)


class Compare(nn.Module):
    """A head over two encoded texts u, v, as Sentence-BERT compares them (Reimers & Gurevych, EMNLP
    2019, arXiv 1908.10084), with their product: u, v, |u − v|, u ∗ v → outputs.

    (N, 2, d) → (N, outputs); (N, 4, d) where the four were made before the trunk.
    """

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(4 * width, outputs)

    def forward(self, z: Tensor) -> Tensor:
        if z.shape[1] == 2:
            u, v = z.unbind(1)
            z = torch.stack([u, v, (u - v).abs(), u * v], 1)
        out: Tensor = self.linear(z.flatten(1))
        return out


@dataclass(frozen=True)
class Encoder:
    """A pretrained encoder of `layers` layers, width d, with a tokenizer.

    tensor: name → values; rows: piece numbers (n,) → word embeddings (n, d), so that only those of
    pieces that occur are ever read; first: the position number of a text's first piece; special:
    the numbers of its start and end pieces; prefix: what it is trained to read before every text;
    replace: character → what the tokenizer is given for it.
    """

    width: int
    layers: int
    heads: int
    eps: float
    positions: int
    first: int
    special: tuple[int, int]
    tokenizer: "Tokenizer" = field(repr=False)
    tensor: Callable[[str], np.ndarray] = field(repr=False)
    rows: Callable[[np.ndarray], np.ndarray] = field(repr=False)
    prefix: str = ""
    replace: dict[int, str] = field(default_factory=dict, repr=False)

    def pieces(self, texts: Sequence[str]) -> list[list[int]]:
        """Piece numbers of each text after the prefix, without start and end."""
        given = [(self.prefix + text).translate(self.replace) for text in texts]
        encoded = self.tokenizer.encode_batch_fast(given, add_special_tokens=False)
        return [list(one.ids) for one in encoded]

    def words(self, words: Sequence[str]) -> tuple[list[int], list[int]]:
        """Piece numbers of a sentence in words after the prefix, and where each word begins."""
        given = [word.translate(self.replace) for word in (self.prefix.strip(), *words)]
        one = self.tokenizer.encode(given, is_pretokenized=True, add_special_tokens=False)
        begin = {word: i for i, word in reversed([*enumerate(one.word_ids)])}
        return list(one.ids), [begin.get(i, -1) for i in range(1, len(given))]

    def embed(self, x: np.ndarray, lengths: np.ndarray) -> Tensor:
        """Pieces (N, T), of row n `lengths[n]` ones → h_0 (N, T, d)."""
        seen, index = np.unique(x, return_inverse=True)
        place = self.tensor("emb.pos")[self.first : self.first + x.shape[1]]
        h = torch.from_numpy(self.rows(seen)[index.reshape(x.shape)] + place)
        w, b = (torch.from_numpy(self.tensor(f"emb.ln.{part}")) for part in "wb")
        h = h + torch.from_numpy(self.tensor("emb.type")[0])
        mask = torch.from_numpy(np.arange(x.shape[1]) < lengths[:, None])
        return nn.functional.layer_norm(h, [self.width], w, b, self.eps) * mask[..., None]

    def layer(self, i: int, length: int, dropout: float = 0.0) -> Layer:
        """Layer i, the lowest is 1, with its weights."""
        module = Layer(self.width, self.heads, self.eps, length, dropout)
        state = {}
        for part, names in PARTS.items():
            for kind in ("weight", "bias"):
                each = [self.tensor(f"l{i - 1}.{name}.{kind[0]}") for name in names.split()]
                state[f"{part}.{kind}"] = torch.from_numpy(np.concatenate(each))
        module.load_state_dict(state)
        return module

    def backbone(
        self,
        layers: int,
        length: int,
        dropout: float,
        tokens: bool = False,
        seen: Tensor | None = None,
    ) -> Backbone:
        """The top `layers` as stages over states (N, k T, d); the last one gives the mean of each
        text, with `tokens` its states. seen: texts (n, T, d) of training, by which what is read out
        of each stage is standardised before anything is trained."""
        numbers = range(self.layers - layers + 1, self.layers + 1)
        by = self.standards(numbers, length, tokens, seen)

        def read(i: int) -> nn.Module:
            return Pieces(by[i]) if tokens else TextMean(length, by[i])

        def last() -> nn.Module:
            return nn.Sequential(self.layer(self.layers, length, dropout), read(self.layers))

        def below(i: int) -> Stage:
            build = partial(self.layer, i, length, dropout)
            return Stage(f"layer{i}", build, self.width, partial(read, i))

        stages = [below(i) for i in numbers[:-1]]
        stages.append(Stage(f"layer{self.layers}", last, self.width))
        return Backbone(tuple(stages), self.width, GateMean, self.width)

    @torch.no_grad()
    def standards(
        self, numbers: Sequence[int], length: int, tokens: bool, seen: Tensor | None
    ) -> dict[int, Standard | None]:
        """Of each of some layers, the lowest first, what standardises its read-out."""
        made = dict[int, Standard | None].fromkeys(numbers)
        if seen is None:
            return made
        read = TextMean(length)
        for i in numbers:
            seen = self.layer(i, length).eval()(seen)
            z = seen[token_mask(seen)[..., 0] != 0] if tokens else read(seen)
            made[i] = Standard(z.mean(0), z.std(0).clamp_min(1e-6))
        return made
