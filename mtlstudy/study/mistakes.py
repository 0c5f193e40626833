"""What the Korean models get wrong: of the classification tasks, the test examples that the
single-task models, hard sharing or both classify wrongly, counted, and a few of each kind drawn by
seed, so that nobody chose them. Of the first reported seed; its runs are trained once more, since
only numbers are kept of a run.
"""

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from mtlstudy.data.korean_sentences import MEMBERS
from mtlstudy.data.tagged import in_rows
from mtlstudy.registry import entry
from mtlstudy.study import plan, results
from mtlstudy.study.format import number
from mtlstudy.study.korean import task_name
from mtlstudy.study.tables import Prose, Table, Tables, headed, prose, records
from mtlstudy.study.words import load, name, word
from mtlstudy.training.config import RunConfig
from mtlstudy.training.evaluation import MOST_CLASSES
from mtlstudy.training.loop import Training, torch_settings

VERSION = 1
DATA = {"quick": ("korean_sentences", "korean_tagging"), "full": ("korean_sentences",)}
"""By profile; of others nothing is collected, since their runs take too long to be repeated."""
KINDS = {"both": (True, True), "single": (True, False), "hard": (False, True)}
"""Kind of mistake → whether the single-task model and hard sharing are wrong."""
COLUMNS = ["data", "task", "kind", "examples", "count", "text", "label", "single", "hard"]
DRAWN = 2
"""Of every task and kind."""
UNQUOTED = ("hate", "bias")
"""Tasks over comments that insult people by name: their mistakes are counted, not shown."""
AROUND = 3
"""Words shown on either side of a tagged one."""


def compute(profile: str) -> dict[str, pd.DataFrame]:
    """{"mistakes": a row an example drawn, or a kind of mistake without one}: the test examples of
    the task, and how many of them are mistakes of the kind; the text, its class, and what the two
    models take it for. Data sets that are not on this machine, or whose runs are not finished, are
    left out."""
    sets = [data for data in DATA.get(profile, ()) if entry("data", data).available()]
    made = [row for data in sets for row in drawn(data, profile)]
    return {"mistakes": pd.DataFrame(made, columns=COLUMNS)}


def drawn(data: str, profile: str) -> Iterator[dict[str, Any]]:
    """The rows of a data set."""
    cells = [plan.Cell(data, method, profile) for method in (plan.BASELINE, plan.HARD)]
    if not all(map(results.is_reported, cells)):
        return
    (single, labels), (hard, _) = (predicted(results.resolve(c).reported[0]) for c in cells)
    config = cells[0].config
    texts, classes = written(config), config.data_set().classes()
    for task in (task for task in config.tasks if task.kind == "multiclass"):
        t, y = task.name, labels[task.name]
        wrong = (single[t] != y) & (y >= 0), (hard[t] != y) & (y >= 0)
        for kind, (a, b) in KINDS.items():
            found = ((wrong[0] == a) & (wrong[1] == b)).nonzero()[:, 0]
            head = {"data": data, "task": t, "kind": kind, "examples": int((y >= 0).sum())}
            head["count"] = len(found)
            if t in UNQUOTED or not len(found):
                yield head
                continue
            order = torch.randperm(len(found), generator=torch.Generator().manual_seed(0))
            for i in found[order[:DRAWN]].tolist():
                of = {"label": y, "single": single[t], "hard": hard[t]}
                named = {key: classes[t][int(value[i])] for key, value in of.items()}
                yield {**head, "text": texts[t][i], **named}


def predicted(config: RunConfig) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Each multiclass task's predicted classes and labels on test, at the states that a run
    selects: a number an example, or a position of a tagged one; a label below 0 is none."""
    guesses, labels = dict[str, Tensor](), dict[str, Tensor]()
    with TemporaryDirectory() as folder, torch_settings(config):
        training = Training(config, Path(folder, config.run_id))
        training.run(progress=False)
        test = training.splits.test
        for task, output in training.selection.multiclass(test, MOST_CLASSES):
            guesses[task.name] = output.argmax(-1).flatten()
            labels[task.name] = test.targets[task.name].flatten()
    return guesses, labels


def written(config: RunConfig) -> dict[str, list[str]]:
    """The test examples of every task as one reads them, in the order of `predicted`; a tagged word
    with some words around it."""
    data: Any = config.data_set()
    if config.data == "korean_sentences":
        members = (member(data.options) for member in MEMBERS)
        return {t.name: m.parts(config.seed)[2].first for m in members for t in m.tasks}
    rows = in_rows(data.sentences()[-1].words, data.options.length, "")
    texts = list(chain.from_iterable(map(marked, rows)))
    return {task.name: texts for task in data.tasks}


def marked(words: list[str]) -> list[str]:
    """Each word of a row between its neighbours, and nothing where the row has none."""
    shown = [word("mistakes.marked", word=one) if one else "" for one in words]
    around = ((words[max(i - AROUND, 0) : i], words[i + 1 :][:AROUND]) for i in range(len(words)))
    pairs = zip(shown, around, strict=True)
    return [one and " ".join(filter(None, [*a, one, *b])) for one, (a, b) in pairs]


def tables(frame: pd.DataFrame, data: str, profile: str) -> Tables | Prose:
    """How many of each kind, and the examples drawn, of a data set as strings under Korean
    headings; where there are none a sentence."""
    own, names = frame[frame["data"] == data], load("words.ko.yml")["class"]
    if own.empty:
        return prose(word("mistakes.none"))
    counts = own.pivot_table(index=["task", "examples"], columns="kind", values="count", sort=False)
    counted = [
        {"task": task_name(data, "test", row["task"]), "tested": number(row["examples"], 0)}
        | {f"wrong_{kind}": number(row[kind], 0) for kind in KINDS}
        for row in records(counts.reset_index())
    ]
    examples = [
        {"task": task_name(data, "test", row["task"]), "wrong": word(f"mistakes.{row['kind']}")}
        | {"text": row["text"]}
        | {f"as_{key}": called(names, row["task"], row[key]) for key in ("label", "single", "hard")}
        for row in records(own.dropna(subset="text"))
    ]
    parts: Mapping[str, tuple[list[dict[str, str]], str]] = {
        "mistakes": (counted, "task tested wrong_both wrong_single wrong_hard"),
        "examples": (examples, "task wrong text as_label as_single as_hard"),
    }
    label = f"tab-{data.replace('_', '-')}-{profile}"
    return Tables(
        Table(
            headed(rows, columns.split()),
            word(f"mistakes.caption.{part}", data=name("data_short", data)),
            f"{label}-{part}",
        )
        for part, (rows, columns) in parts.items()
    )


def called(names: Mapping[str, Mapping[str, str]], task: str, one: str) -> str:
    """A class in Korean; its own name where it has none."""
    return names.get(task, {}).get(one, one)
