"""Simple baselines of the Korean benchmarks, on the examples that single-task models learn from.

Sentences: the most frequent class; "tfidf", TF-IDF of character 1- to 3-grams with logistic
regression; where the models read a frozen encoder, "encoder", its vectors with logistic regression,
and "both" side by side. Their C is tuned as learning rates are, on the validation examples of the
tuning seed. Pairs: the cosine of their TF-IDF vectors, which uses no label, and in place of
logistic regression a ridge regression on |u − v| and u ∗ v. Tagging: the most frequent tag, and
each word's most frequent tag (the overall one for a word that never occurs in training).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge

from mtlstudy.data._encoded import means
from mtlstudy.data.base import standardise
from mtlstudy.data.korean_sentences import MEMBERS, KoreanSentences
from mtlstudy.data.korean_tagging import KoreanTagging
from mtlstudy.data.sentences import Texts
from mtlstudy.data.tagged import Sentences
from mtlstudy.models.tasks import Task
from mtlstudy.study import plan, results
from mtlstudy.training.config import TUNING_SEED
from mtlstudy.training.tune import select

VERSION = 1
COLUMNS = ["data", "test", "task", "metric", "baseline", "seed", "value", "examples", "how"]
CANDIDATES = (1.0, 10.0, 100.0)
"""Values of C; of a ridge regression 10 / C is the strength."""
TfIdf = partial(TfidfVectorizer, analyzer="char", ngram_range=(1, 3), min_df=2, sublinear_tf=True)


def compute(profile: str) -> dict[str, pd.DataFrame]:
    """{"baselines": a row a data set, test split, task, baseline and reported seed}.

    value: of the task's metric; examples: training examples (sentences); how: how it was set. Data
    sets whose files are not on this machine are left out; those whose examples are another
    profile's are taken over from there.
    """
    made = [pd.DataFrame(columns=COLUMNS)]
    for data, measure in ((KoreanSentences, sentences), (KoreanTagging, tagging)):
        sizes = plan.FIELDS[data.name][profile]["data_options"]
        seeds = plan.Cell(data.name, plan.BASELINE, profile).scale.budget.seeds
        if other := alike(data.name, profile):
            there = results.computed("baselines", other)["baselines"]
            made.append(there[(there["data"] == data.name) & (there["seed"] < seeds)])
        elif data.available():
            rows = pd.DataFrame(measure(sizes, seeds), columns=COLUMNS[1:])
            made.append(rows.assign(data=data.name))
    return {"baselines": results.joined(*made)[COLUMNS]}


def alike(data: str, profile: str) -> str:
    """An earlier profile with the same examples of a data set for as many seeds, "" for none: they
    may be read by a model in another way."""
    before = list(plan.PROFILES)[: list(plan.PROFILES).index(profile)]

    def examples(of: str) -> dict[str, Any]:
        options = plan.FIELDS[data][of]["data_options"]
        encoded = options.get("features", "cnn") != "cnn"
        return {k: v for k, v in options.items() if k != "layers"} | {"features": encoded}

    seeds = plan.Cell(data, plan.BASELINE, profile).scale.budget.seeds
    for other in before:
        enough = plan.Cell(data, plan.BASELINE, other).scale.budget.seeds >= seeds
        if enough and examples(other) == examples(profile):
            return other
    return ""


def sentences(sizes: Any, seeds: int) -> Iterator[dict[str, Any]]:
    """Rows of the sentence benchmark with these data options."""
    options: Any = KoreanSentences.Options.parse("data_options", dict(sizes))
    encoded = () if options.features == "cnn" else ("encoder", "both")
    for member in (kind(options) for kind in MEMBERS):
        pairs, tuning = len(member.text) == 2, member.parts(TUNING_SEED)
        kinds = encoded if pairs else ("tfidf", *encoded)
        chosen = {
            (kind, t): tuned(t, kind, options, *tuning[:2]) for kind in kinds for t in member.tasks
        }
        for seed in range(seeds):
            train, _, test = member.parts(seed)
            readers = {kind: features(kind, options, train) for kind in kinds}
            inputs = {kind: (read(train), read(test)) for kind, read in readers.items()}
            for task in member.tasks:
                head = {"test": "test", "task": task.name, "metric": task.metric, "seed": seed}
                head |= {"examples": len(train.first), "how": ""}
                if pairs:
                    value = score(task, cosine(train, test), test)
                    yield {**head, "baseline": "cosine", "value": value}
                else:
                    labels = Counter(train.labels[task.name].tolist())
                    most = np.full(len(test.first), labels.most_common(1)[0][0])
                    yield {**head, "baseline": "majority", "value": score(task, most, test)}
                for kind, (x, tested) in inputs.items():
                    C = chosen[kind, task]
                    guess = linear(task, x, train, C).predict(tested)
                    head["how"] = f"C = {C:g}"
                    yield {**head, "baseline": kind, "value": score(task, guess, test)}


def score(task: Task, guess: np.ndarray, test: Texts) -> float:
    """The task's metric of guessed classes or values (N,)."""
    output = torch.as_tensor(guess)
    if task.kind == "regression":
        return task.measure(output[:, None], test.labels[task.name])
    one_hot = torch.nn.functional.one_hot(output, task.outputs)
    return task.measure(one_hot.double(), test.labels[task.name])


def tuned(task: Task, kind: str, options: Any, train: Texts, validation: Texts) -> float:
    """The C that is best on validation; of equally good ones the first."""
    read = features(kind, options, train)
    x, held = read(train), read(validation)

    def by(C: float) -> float:
        return score(task, linear(task, x, train, C).predict(held), validation)

    return select(CANDIDATES, [by(C) for C in CANDIDATES])


def features(kind: str, options: Any, train: Texts) -> Callable[[Texts], Any]:
    """A function of texts or pairs, fitted on the training ones: rows of TF-IDF (of length 1), of
    the standardised vectors of a frozen encoder (of about that length), or of both."""
    training, each = [*train.first, *(train.second or [])], list[Callable[[Sequence[str]], Any]]()
    if kind != "encoder":
        each.append(TfIdf().fit(training).transform)
    if kind != "tfidf":
        read = partial(means, name=options.encoder, length=options.length)
        by = read(training)
        each.append(lambda texts: standardise(read(texts), by).numpy() / by.shape[1] ** 0.5)

    def one(texts: Sequence[str]) -> Any:
        return hstack([csr_matrix(make(texts)) for make in each]).tocsr()

    def encode(part: Texts) -> Any:
        x = one(part.first)
        if part.second is not None:
            v = one(part.second)
            x = hstack([abs(x - v), x.multiply(v)]).tocsr()
        return x.toarray() if kind == "encoder" else x

    return encode


def linear(task: Task, x: Any, train: Texts, C: float) -> Any:
    """Multinomial logistic regression, or ridge regression, fitted."""
    model = LogisticRegression(C=C, tol=1e-3, max_iter=1000)
    if task.kind == "regression":
        model = Ridge(10 / C, tol=1e-3)
    return model.fit(x, train.labels[task.name].numpy())


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
