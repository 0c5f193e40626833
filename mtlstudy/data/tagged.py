"""Tagged sentences as tensors: words → token numbers (N, T), labels a token (N, T). What the tagging data sets have in common.

Words are rare (a quarter of a Korean test set's words never occur in training). So a word that occurs fewer than `least` times
in the training sentences is read by its ending, as unknown words are in parsing (Petrov et al., ACL 2006, doi
10.3115/1220175.1220230): the longest of its last 3, 2, 1 or 0 characters that the rare training words have `least` times, with
its shape (holds a digit, begins with a capital, other). A Korean word carries its particles and verb endings there.

A sentence of more than T words goes on in a further row, so that every word is learned from and counted once. Label sets are
those of the training sentences, sorted; a label that only evaluation sentences have is −100: neither loss nor metric sees it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field

from mtlstudy.data._hub import CONVERTED, Source, rows
from mtlstudy.registry import Options
from mtlstudy.models.tasks import Task
from mtlstudy.data.base import Data, Split, Splits, divide

UD = "universal_dependencies"
UD_COLUMNS = ("tokens", "upos", "xpos", "deprel")
KAIST = Source(
    hub_id=UD,
    config="ko_kaist_lrec2018",
    revision=CONVERTED,
    splits={
        "train": "391dbd70e6b34ebf108c4197c25cb5f236d3f345fc172a61f9776e92f505032c",
        "validation": "17e366a178d76a1272fdb2adcc84b516fd276009cf7c1c0df0ea1c0b5a566876",
        "test": "b58b1c927af9f243bebf049a3d673df2c68cd3ad11611958154440843ff0f21a",
    },
    columns=UD_COLUMNS,
    megabytes=7,
)
GSD = Source(
    hub_id=UD,
    config="ko_gsd",
    revision=CONVERTED,
    splits={
        "train": "16202badac665bc2d865813523de628c5d89b9347925a00d2d9a70af1a5a005f",
        "validation": "971779e9e9d83f6c65866bacc15dd26beddc34d2753f51e2722948f8e5f7d480",
        "test": "80413f5900ebea17745e41e89fa234bb414afe6f054bb6afb25f233d71a31d58",
    },
    columns=UD_COLUMNS,
    megabytes=2,
)

Tags = list[list[str]]
Columns = tuple[tuple[str, str, Callable[[Any], str]], ...]
"""Task, column of the file, and what is made of its tag."""


@dataclass(frozen=True)
class Sentences:
    """words and, by task, tags: a list a sentence; the tag "" is a missing label."""

    words: Tags
    tags: dict[str, Tags]

    def take(self, numbers: Iterable[int]) -> "Sentences":
        """Some of the sentences."""
        keep = list(numbers)
        return Sentences([self.words[i] for i in keep], {task: [tags[i] for i in keep] for task, tags in self.tags.items()})

    def without(self, *others: "Sentences") -> "Sentences":
        """Those whose words are not the words of a sentence of the others."""
        seen = {tuple(words) for other in others for words in other.words}
        return self.take(i for i, words in enumerate(self.words) if tuple(words) not in seen)


@cache
def read(source: Source, split: str, columns: Columns) -> Sentences:
    """The sentences of a file; kept, since every run of a process needs the same."""
    table = rows(source, split).with_format("arrow")[:]
    found = {}
    for task, column, change in columns:
        tags = table[column].to_pylist()
        made = {tag: change(tag) for tag in set(chain.from_iterable(tags))}
        found[task] = [[made[tag] for tag in row] for row in tags]
    return Sentences(table["tokens"].to_pylist(), found)


def apart(*parts: Sentences) -> tuple[Sentences, ...]:
    """Each without the sentences that stand in a later one."""
    return tuple(part.without(*parts[i + 1 :]) for i, part in enumerate(parts))


def relations(upos: int, xpos: int, deprel: int) -> tuple[Task, ...]:
    """The three tasks of a treebank by their labels, from low to high as in Søgaard & Goldberg, ACL 2016; none is so low as to be
    read from embeddings alone."""
    return (
        Task("upos", "multiclass", upos, level=0.5),
        Task("xpos", "multiclass", xpos, level=2 / 3),
        Task("deprel", "multiclass", deprel),
    )


def first_tag(tag: str) -> str:
    """The first morpheme's tag of a composite one; "" where none was given.

    >>> first_tag("ncn+jxc"), first_tag("+SW"), first_tag("??")
    ('ncn', 'SW', '')
    """
    first = tag.lstrip("+").split("+")[0]
    return first if first.isalpha() else ""


def endings(word: str) -> Iterator[tuple[str, str]]:
    """What a rare word may be read by, the most telling first.

    >>> list(endings("Wolves"))
    [('A', 'ves'), ('A', 'es'), ('A', 's'), ('A', '')]
    """
    shape = "0" if any(c.isdigit() for c in word) else "A" if word[:1].isupper() else "a"
    return ((shape, word[max(len(word) - n, 0) :]) for n in (3, 2, 1, 0))


class Vocabulary:
    """Token numbers from training sentences: 0 no token, 1 unknown, then words, then endings."""

    def __init__(self, words: Tags, least: int, by_ending: bool) -> None:
        count = Counter(chain.from_iterable(words))
        frequent = sorted(word for word in count if count[word] >= least)
        self.number: dict[str | tuple[str, str], int] = {word: i for i, word in enumerate(frequent, 2)}
        if by_ending:
            rare: Counter[tuple[str, str]] = Counter()
            for word, n in count.items():
                if n < least:
                    for ending in dict.fromkeys(endings(word)):
                        rare[ending] += n
            for ending in sorted(e for e in rare if rare[e] >= least):
                self.number[ending] = len(self.number) + 2

    def __len__(self) -> int:
        return len(self.number) + 2

    def __getitem__(self, word: str) -> int:
        return self.number.get(word) or next((self.number[e] for e in endings(word) if e in self.number), 1)


class Tagged(Data):
    """A tagging data set; a subclass says where its sentences come from, and its tasks."""

    tagging: ClassVar[bool] = True

    class Options(Options):
        """train: training sentences, drawn by seed (None: all); length: words a row (T); tokens: rare words by their "ending",
        or all as one unknown "word"; least: occurrences from which a word has a number of its own."""

        train: Annotated[int, Field(ge=10)] | None = None
        length: Annotated[int, Field(ge=4, le=512)] = 32
        tokens: Literal["ending", "word"] = "ending"
        least: Annotated[int, Field(ge=1, le=1000)] = 5

    def sentences(self) -> tuple[Sentences, ...]:
        """Training, validation and test sentences."""
        raise NotImplementedError

    def load(self, seed: int) -> Splits:
        train, *others = self.sentences()
        labels = {task: sorted(set(chain.from_iterable(tags)) - {""}) for task, tags in train.tags.items()}
        if self.options.train is not None:
            train = train.take(divide(len(train.words), [min(self.options.train, len(train.words))], seed)[0].tolist())
        numbers = Vocabulary(train.words, self.options.least, self.options.tokens == "ending")
        self.vocabulary = len(numbers)
        return Splits(*(tensors(part, numbers, labels, self.options.length) for part in (train, *others)))


def tensors(sentences: Sentences, numbers: Vocabulary, labels: Mapping[str, list[str]], length: int) -> Split:
    """Sentences as rows of `length` tokens: inputs (N, T), 0 where there is none, and targets (N, T), −100 where no label is."""
    sizes = np.array([len(words) for words in sentences.words])
    used = -(-sizes // length)  # rows of each sentence
    place = np.arange(sizes.sum()) - np.repeat(sizes.cumsum() - sizes, sizes)  # of each word in its sentence
    row, column = np.repeat(used.cumsum() - used, sizes) + place // length, place % length

    def fill(values: Iterable[int], nothing: int) -> torch.Tensor:
        out = np.full((int(used.sum()), length), nothing, dtype=np.int64)
        out[row, column] = np.fromiter(values, np.int64, len(row))
        return torch.from_numpy(out)

    known = {word: numbers[word] for word in set(chain.from_iterable(sentences.words))}
    targets = {}
    for task, tags in sentences.tags.items():
        index = {tag: i for i, tag in enumerate(labels[task])}
        targets[task] = fill((index.get(tag, -100) for tag in chain.from_iterable(tags)), -100)
    return Split(fill((known[word] for word in chain.from_iterable(sentences.words)), 0), targets)
