"""Simple baselines of the Korean benchmarks, on the very examples that the single-task models are trained and tested on.

Sentences: the most frequent class; TF-IDF of character 1- to 3-grams with logistic regression, whose C is tuned as learning rates
are, on the validation examples of the tuning seed. Pairs: the cosine of their TF-IDF vectors, which uses no label. Tagging: the
most frequent tag, and each word's most frequent tag (the overall one for a word that never occurs in training).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import torch

from mtlstudy.training.config import PROFILES, TUNING_SEED
from mtlstudy.data.base import divide
from mtlstudy.data.korean_sentences import MEMBERS, KoreanSentences
from mtlstudy.data.korean_tagging import KoreanTagging
from mtlstudy.data.sentences import Texts
from mtlstudy.data.tagged import Sentences, Tags
from mtlstudy.registry import Options
from mtlstudy.models.tasks import Task
from mtlstudy.study.korean_settings import EXAMPLES, FURTHER

COLUMNS = ["data", "test", "task", "metric", "baseline", "seed", "value", "examples", "how"]
CANDIDATES = (1.0, 10.0, 100.0)
"""Values of C."""


def measured(profile: str, data_sets: Sequence[str]) -> pd.DataFrame:
    """One row a data set, test split, task, baseline and reported seed: metric, value, training
    examples (sentences), and how it was set (`COLUMNS`)."""
    makers = {"korean_sentences": _sentences, "korean_tagging": _tagging}
    rows: list[dict[str, Any]] = []
    for data in data_sets:
        rows += [{"data": data, **row} for row in makers[data](profile)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _sentences(profile: str) -> Iterator[dict[str, Any]]:
    options = KoreanSentences.Options.parse("data_options", EXAMPLES[profile]["korean_sentences"])
    for member in (kind(options) for kind in MEMBERS):
        tuning = member.parts(TUNING_SEED)
        C = {t.name: tuned(t, *tuning[:2]) for t in member.tasks if t.kind == "multiclass"}
        for seed in range(PROFILES[profile].seeds):
            train, _, test = member.parts(seed)
            for task in member.tasks:
                row = {"test": "test", "task": task.name, "metric": task.metric, "seed": seed,
                       "examples": len(train.first)}  # fmt: skip
                if task.kind == "multiclass":
                    most = np.full(len(test.first), Counter(train.labels[task.name].tolist()).most_common(1)[0][0])
                    guess = logistic(train, task.name, C[task.name]).predict(test.first)
                    yield {**row, "baseline": "majority", "value": score(task, most, test), "how": ""}
                    yield {**row, "baseline": "tfidf", "value": score(task, guess, test), "how": f"C = {C[task.name]:g}"}
                else:
                    alike = torch.tensor(cosine(train, test))[:, None]
                    yield {**row, "baseline": "cosine", "value": task.measure(alike, test.labels[task.name]), "how": ""}


def score(task: Task, guess: np.ndarray, test: Texts) -> float:
    """The task's metric of guessed classes (N,)."""
    output = torch.nn.functional.one_hot(torch.as_tensor(guess), task.outputs)
    return task.measure(output.double(), test.labels[task.name])


def tuned(task: Task, train: Texts, validation: Texts) -> float:
    """The C that is best on validation."""
    scores = {C: score(task, logistic(train, task.name, C).predict(validation.first), validation) for C in CANDIDATES}
    return max(scores, key=lambda C: scores[C])


def logistic(train: Texts, task: str, C: float) -> Any:
    """TF-IDF of character 1- to 3-grams and multinomial logistic regression, fitted."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(_tfidf(), LogisticRegression(C=C, tol=1e-3, max_iter=1000)).fit(train.first, train.labels[task].numpy())


def cosine(train: Texts, test: Texts) -> np.ndarray:
    """Cosine (N,) of the TF-IDF vectors of each test pair, the document frequencies from the training sentences."""
    vectors = _tfidf().fit([*train.first, *(train.second or [])])
    a, b = vectors.transform(test.first), vectors.transform(test.second or test.first)
    return np.asarray(a.multiply(b).sum(1)).ravel()  # rows have length 1


def _tfidf() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(analyzer="char", ngram_range=(1, 3), min_df=2, sublinear_tf=True)


def _tagging(profile: str) -> Iterator[dict[str, Any]]:
    given = EXAMPLES[profile]["korean_tagging"]
    tests = {"test": {}, **FURTHER["korean_tagging"]}
    parts = {name: _tagged({**given, **more}).sentences() for name, more in tests.items()}
    whole = parts["test"][0]
    known = {task: set(chain.from_iterable(tags)) - {""} for task, tags in whole.tags.items()}
    for seed in range(PROFILES[profile].seeds):
        size = min(given["train"] or len(whole.words), len(whole.words))
        train = whole.take(divide(len(whole.words), [size], seed)[0].tolist())  # as `Tagged.load` draws them
        for task in _tagged(given).tasks:
            overall, by_word = frequent(train, task.name)
            for name, (_, _, test) in parts.items():
                row = {"test": name, "task": task.name, "metric": task.metric, "seed": seed,
                       "examples": size, "how": ""}  # fmt: skip
                for baseline, lexicon in (("majority", {}), ("word", by_word)):
                    value = agreement(test.words, test.tags[task.name], lexicon, overall, known[task.name])
                    yield {**row, "baseline": baseline, "value": value}


def _tagged(options: dict[str, Any]) -> KoreanTagging:
    parsed: Options = KoreanTagging.Options.parse("data_options", options)
    return KoreanTagging(parsed)


def frequent(train: Sentences, task: str) -> tuple[str, dict[str, str]]:
    """The most frequent tag of all, and of every word; of equally frequent ones the first by name."""
    by: dict[str, Counter[str]] = {}
    for word, tag in zip(chain.from_iterable(train.words), chain.from_iterable(train.tags[task]), strict=True):
        if tag:
            by.setdefault(word, Counter())[tag] += 1
    total: Counter[str] = sum(by.values(), Counter())
    return _first(total), {word: _first(tags) for word, tags in by.items()}


def _first(count: Counter[str]) -> str:
    return min(count, key=lambda tag: (-count[tag], tag))


def agreement(words: Tags, tags: Tags, by_word: dict[str, str], overall: str, known: set[str]) -> float:
    """Share of the words with a label known from training whose tag is guessed right."""
    pairs = zip(chain.from_iterable(words), chain.from_iterable(tags), strict=True)
    right = [by_word.get(word, overall) == tag for word, tag in pairs if tag in known]
    return sum(right) / len(right)
