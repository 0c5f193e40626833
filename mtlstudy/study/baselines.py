"""Simple baselines of the Korean benchmarks, on the examples that single-task models learn from.

Sentences: the most frequent class; TF-IDF of character 1- to 3-grams with logistic regression,
whose C is tuned as learning rates are, on the validation examples of the tuning seed. Pairs: the
cosine of their TF-IDF vectors, which uses no label. Tagging: the most frequent tag, and each word's
most frequent tag (the overall one for a word that never occurs in training).
"""

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import torch

from mtlstudy.data.korean_sentences import MEMBERS, KoreanSentences
from mtlstudy.data.korean_tagging import KoreanTagging
from mtlstudy.data.sentences import Texts
from mtlstudy.data.tagged import Sentences, Tags
from mtlstudy.models.tasks import Task
from mtlstudy.study import plan
from mtlstudy.training.config import TUNING_SEED

VERSION = 1
COLUMNS = ("data", "test", "task", "metric", "baseline", "seed", "value", "examples", "how")
CANDIDATES = (1.0, 10.0, 100.0)
"""Values of C."""


def compute(profile: str) -> dict[str, pd.DataFrame]:
    """{"baselines": a row a data set, test split, task, baseline and reported seed}.

    value: of the task's metric; examples: training examples (sentences); how: how it was set. Data
    sets whose files are not on this machine are left out.
    """
    measured = {KoreanSentences: sentences, KoreanTagging: tagging}
    seeds = plan.PROFILES[profile].budget.seeds
    rows = [
        {"data": data.name, **row}
        for data, measure in measured.items()
        if data.available()
        for row in measure(plan.SIZES[data.name][profile], seeds)
    ]
    return {"baselines": pd.DataFrame(rows, columns=list(COLUMNS))}


def sentences(sizes: Any, seeds: int) -> Iterator[dict[str, Any]]:
    """Rows of the sentence benchmark with these data options."""
    options = KoreanSentences.Options.parse("data_options", dict(sizes))
    for member in (kind(options) for kind in MEMBERS):
        tuning = member.parts(TUNING_SEED)
        C = {t.name: tuned(t, *tuning[:2]) for t in member.tasks if t.kind == "multiclass"}
        for seed in range(seeds):
            train, _, test = member.parts(seed)
            for task in member.tasks:
                head = {"test": "test", "task": task.name, "metric": task.metric, "seed": seed}
                head |= {"examples": len(train.first), "how": ""}
                if task.kind == "multiclass":
                    labels = Counter(train.labels[task.name].tolist())
                    most = np.full(len(test.first), labels.most_common(1)[0][0])
                    yield {**head, "baseline": "majority", "value": score(task, most, test)}
                    c = C[task.name]
                    guess = logistic(train, task.name, c).predict(test.first)
                    value = score(task, guess, test)
                    yield {**head, "baseline": "tfidf", "value": value, "how": f"C = {c:g}"}
                else:
                    alike = torch.tensor(cosine(train, test))[:, None]
                    value = task.measure(alike, test.labels[task.name])
                    yield {**head, "baseline": "cosine", "value": value}


def score(task: Task, guess: np.ndarray, test: Texts) -> float:
    """The task's metric of guessed classes (N,)."""
    output = torch.nn.functional.one_hot(torch.as_tensor(guess), task.outputs)
    return task.measure(output.double(), test.labels[task.name])


def tuned(task: Task, train: Texts, validation: Texts) -> float:
    """The C that is best on validation; of equally good ones the first."""
    scores = {
        C: score(task, logistic(train, task.name, C).predict(validation.first), validation)
        for C in CANDIDATES
    }
    return max(scores, key=lambda C: scores[C])


def logistic(train: Texts, task: str, C: float) -> Any:
    """TF-IDF of character 1- to 3-grams and multinomial logistic regression, fitted."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(_tfidf(), LogisticRegression(C=C, tol=1e-3, max_iter=1000))
    return model.fit(train.first, train.labels[task].numpy())


def cosine(train: Texts, test: Texts) -> np.ndarray:
    """Cosine (N,) of the TF-IDF vectors of each test pair; document frequencies are those of the
    training sentences."""
    vectors = _tfidf().fit([*train.first, *(train.second or [])])
    a, b = vectors.transform(test.first), vectors.transform(test.second or test.first)
    return np.asarray(a.multiply(b).sum(1)).ravel()  # rows have length 1


def _tfidf() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(analyzer="char", ngram_range=(1, 3), min_df=2, sublinear_tf=True)


def tagging(sizes: Any, seeds: int) -> Iterator[dict[str, Any]]:
    """Rows of the tagging benchmark with these data options, on both test splits."""
    parse = KoreanTagging.Options.parse
    sets = {
        test: KoreanTagging(parse("data_options", {**sizes, **options}))
        for test, options in (("test", {}), ("gsd", {"test": "gsd"}))
    }
    parts = {test: one.sentences() for test, one in sets.items()}
    whole = parts["test"][0]
    known = {task: set(chain.from_iterable(tags)) - {""} for task, tags in whole.tags.items()}
    for seed in range(seeds):
        train = whole.sample(sizes["train"], seed)  # as `Tagged.load` draws them
        for task in sets["test"].tasks:
            overall, by_word = frequent(train, task.name)
            for name, (_, _, test) in parts.items():
                head = {"test": name, "task": task.name, "metric": task.metric, "seed": seed}
                head |= {"examples": len(train), "how": ""}
                tags = test.tags[task.name]
                for baseline, lexicon in (("majority", {}), ("word", by_word)):
                    value = agreement(test.words, tags, lexicon, overall, known[task.name])
                    yield {**head, "baseline": baseline, "value": value}


def frequent(train: Sentences, task: str) -> tuple[str, dict[str, str]]:
    """The most frequent tag of all, and of every word; of equally frequent ones the first."""
    by: dict[str, Counter[str]] = {}
    tagged = zip(
        chain.from_iterable(train.words), chain.from_iterable(train.tags[task]), strict=True
    )
    for word, tag in tagged:
        if tag:
            by.setdefault(word, Counter())[tag] += 1
    total: Counter[str] = sum(by.values(), Counter())
    return _first(total), {word: _first(tags) for word, tags in by.items()}


def _first(count: Counter[str]) -> str:
    return min(count, key=lambda tag: (-count[tag], tag))


def agreement(
    words: Tags, tags: Tags, by_word: dict[str, str], overall: str, known: set[str]
) -> float:
    """Share of the words with a label known from training whose tag is guessed right."""
    pairs = zip(chain.from_iterable(words), chain.from_iterable(tags), strict=True)
    right = [by_word.get(word, overall) == tag for word, tag in pairs if tag in known]
    return sum(right) / len(right)
