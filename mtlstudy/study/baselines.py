"""Simple baselines of the Korean benchmarks, on the examples that single-task models learn from.

Sentences: the most frequent class; TF-IDF of character 1- to 3-grams with logistic regression,
whose C is tuned as learning rates are, on the validation examples of the tuning seed. Pairs: the
cosine of their TF-IDF vectors, which uses no label. Tagging: the most frequent tag, and each word's
most frequent tag (the overall one for a word that never occurs in training).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from mtlstudy.data.korean_sentences import MEMBERS, KoreanSentences
from mtlstudy.data.korean_tagging import KoreanTagging
from mtlstudy.data.sentences import Texts
from mtlstudy.data.tagged import Sentences
from mtlstudy.models.tasks import Task
from mtlstudy.study import plan
from mtlstudy.training.config import TUNING_SEED
from mtlstudy.training.tune import select

VERSION = 1
COLUMNS = ["data", "test", "task", "metric", "baseline", "seed", "value", "examples", "how"]
CANDIDATES = (1.0, 10.0, 100.0)
"""Values of C."""
TfIdf = partial(TfidfVectorizer, analyzer="char", ngram_range=(1, 3), min_df=2, sublinear_tf=True)


def compute(profile: str) -> dict[str, pd.DataFrame]:
    """{"baselines": a row a data set, test split, task, baseline and reported seed}.

    value: of the task's metric; examples: training examples (sentences); how: how it was set. Data
    sets whose files are not on this machine are left out.
    """
    rows = [
        {"data": data.name, **row}
        for data, measure in ((KoreanSentences, sentences), (KoreanTagging, tagging))
        if data.available()
        for row in measure(plan.SIZES[data.name][profile], plan.PROFILES[profile].budget.seeds)
    ]
    return {"baselines": pd.DataFrame(rows, columns=COLUMNS)}


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
                if task.name not in C:
                    alike = torch.tensor(cosine(train, test))[:, None]
                    value = task.measure(alike, test.labels[task.name])
                    yield {**head, "baseline": "cosine", "value": value}
                    continue
                labels = Counter(train.labels[task.name].tolist())
                most = np.full(len(test.first), labels.most_common(1)[0][0])
                yield {**head, "baseline": "majority", "value": score(task, most, test)}
                guess = logistic(train, task.name, C[task.name]).predict(test.first)
                head["how"] = f"C = {C[task.name]:g}"
                yield {**head, "baseline": "tfidf", "value": score(task, guess, test)}


def score(task: Task, guess: np.ndarray, test: Texts) -> float:
    """The task's metric of guessed classes (N,)."""
    output = torch.nn.functional.one_hot(torch.as_tensor(guess), task.outputs)
    return task.measure(output.double(), test.labels[task.name])


def tuned(task: Task, train: Texts, validation: Texts) -> float:
    """The C that is best on validation; of equally good ones the first."""

    def by(C: float) -> float:
        guess = logistic(train, task.name, C).predict(validation.first)
        return score(task, guess, validation)

    return select(CANDIDATES, [by(C) for C in CANDIDATES])


def logistic(train: Texts, task: str, C: float) -> Any:
    """TF-IDF of character 1- to 3-grams and multinomial logistic regression, fitted."""
    model = make_pipeline(TfIdf(), LogisticRegression(C=C, tol=1e-3, max_iter=1000))
    return model.fit(train.first, train.labels[task].numpy())


def cosine(train: Texts, test: Texts) -> np.ndarray:
    """Cosine (N,) of the TF-IDF vectors of each test pair; document frequencies are those of the
    training sentences."""
    vectors = TfIdf().fit([*train.first, *(train.second or [])])
    a, b = vectors.transform(test.first), vectors.transform(test.second or test.first)
    return np.asarray(a.multiply(b).sum(1)).ravel()  # rows have length 1


def tagging(sizes: Any, seeds: int) -> Iterator[dict[str, Any]]:
    """Rows of the tagging benchmark with these data options, on both test splits."""
    whole, _, test = KoreanTagging(KoreanTagging.Options()).sentences()
    gsd = KoreanTagging(KoreanTagging.Options(test="gsd")).sentences()[-1]
    known = whole.labels()
    for seed in range(seeds):
        train = whole.sample(sizes["train"], seed)  # as `Tagged.load` draws them
        for task in KoreanTagging.tasks:
            overall, by_word = frequent(train, task.name)
            for name, part in (("test", test), ("gsd", gsd)):
                head = {"test": name, "task": task.name, "metric": task.metric, "seed": seed}
                head |= {"examples": len(train), "how": ""}
                for baseline, lexicon in (("majority", {}), ("word", by_word)):
                    value = agreement(part, task.name, lexicon, overall, known[task.name])
                    yield {**head, "baseline": baseline, "value": value}


def _tokens(part: Sentences, task: str) -> pd.DataFrame:
    """A row a word: word, tag."""
    columns = {"word": part.words, "tag": part.tags[task]}
    return pd.DataFrame({key: list(chain.from_iterable(rows)) for key, rows in columns.items()})


def frequent(train: Sentences, task: str) -> tuple[str, dict[str, str]]:
    """The most frequent tag of all, and of every word; of equally frequent ones the first."""
    tokens = _tokens(train, task).query("tag != ''")
    counts = tokens.value_counts().reset_index().sort_values("tag", kind="stable")
    counts = counts.sort_values("count", ascending=False, kind="stable").drop_duplicates("word")
    return str(tokens["tag"].mode()[0]), dict(zip(counts["word"], counts["tag"], strict=True))


def agreement(
    test: Sentences, task: str, by_word: Mapping[str, str], overall: str, known: list[str]
) -> float:
    """Share of the words with a label known from training whose tag is guessed right."""
    tokens = _tokens(test, task)
    tokens = tokens[tokens["tag"].isin(known)]
    guess = tokens["word"].map(lambda word: by_word.get(word, overall))
    return float((guess == tokens["tag"]).mean())
