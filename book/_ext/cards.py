"""Data cards of the book, generated from the data sets themselves; their Korean title, licence and
notes stand in book/words.ko.yml under `data`."""

from typing import Any

import torch
from torch import Tensor

from mtlstudy.data import _hub as hub
from mtlstudy.data._content import kind
from mtlstudy.data.base import Splits
from mtlstudy.models.tasks import Task
from mtlstudy.registry import entry
from mtlstudy.study.format import NONE, number
from mtlstudy.study.tables import escape
from mtlstudy.study.words import load, word

EXAMPLES, LONGEST = 2, 80  # rows shown of a file, characters of a value
HARMLESS = {"hate": 2, "bias": 0}  # of abusive comments those that annotators found free of abuse
TASK = ("name", "kind", "metric", "outputs", "labels")


def card(name: str) -> str:
    """The data card as MyST text, from the class itself and its splits.

    Every string from data is escaped. Of a set whose files are not on this machine the card says so
    and leaves out what only the files can tell.
    """
    cls = entry("data", name)
    data, about = cls(cls.Options()), load("words.ko.yml")["data"][name]
    splits = data.load(0) if cls.available() else None
    hubs = ", ".join(_hub(source) for source in data.sources)
    rows = {
        "source": escape(cls.source),
        "licence": escape(about["licence"]),
        "citation": escape(cls.citation),
        **({"hub": hubs} if hubs else {}),
        "digest": f"`{cls.sha256}`" if cls.sha256 else "" if hubs else word("card.generated"),
        **(_sizes(data.vocabulary, splits) if splits else {"data": word("card.not_here")}),
        "notes": escape(about.get("notes", "")) or NONE,
    }
    head = [word("card.row.item"), word("card.row.content")]
    body = [[word(f"card.row.{key}"), text] for key, text in rows.items() if text]
    labels = {task.name: _labels(task, splits) if splits else NONE for task in data.tasks}
    tasks = [
        [f"`{escape(t.name)}`", t.kind, t.metric, str(t.outputs), labels[t.name]]
        for t in data.tasks
    ]
    title = escape(about["title"])
    captions = [text.format(title=title) for text in load("words.ko.yml")["card"]["caption"]]
    parts = [
        f"(data-{name})=\n## {title} (`{name}`)",
        table(captions[0], head, body),
        table(captions[1], [word(f"card.task.{key}") for key in TASK], tasks),
        *(_examples(data.sources[0]) if splits and data.sources else []),
    ]
    return "\n\n".join(parts) + "\n"


def table(
    caption: str, head: list[str], rows: list[list[str]], name: str = "", align: str = ""
) -> str:
    """A numbered table in MyST. align: a letter a column, l or r."""
    rule = [{"r": "---:"}.get(side, ":---") for side in align or "l" * len(head)]
    lines = ["| " + " | ".join(row) + " |" for row in (head, rule, *rows)]
    return "\n".join(
        [f"```{{table}} {caption}", *([f":name: {name}"] if name else []), "", *lines, "```"]
    )


def _hub(source: hub.Source) -> str:
    revision, megabytes = escape(source.revision), f"{source.megabytes:g}"
    figures = {"name": source.hub_id, "config": source.config}
    return word("card.hub", **figures, revision=revision, megabytes=megabytes)


def _examples(source: hub.Source) -> list[str]:
    """Rows of a file as they are, cut to a length and escaped: a list in MyST."""
    table = hub.rows(source, next(iter(source.splits)))
    fields = {field.name: kind(field.type) for field in table.schema}
    if "image" in fields.values():
        return []
    columns = [name for name in source.columns if fields[name] != "struct"]
    picked: list[dict[str, Any]] = []
    for row in table.select(columns).slice(0, 1000).to_pylist():
        if all(row.get(name, value) == value for name, value in HARMLESS.items()):
            picked.append(row)
        if len(picked) == EXAMPLES:
            break
    shown = [", ".join(f"`{name}` {_cut(value)}" for name, value in row.items()) for row in picked]
    return [word("card.examples"), "\n".join(f"- {line}" for line in shown)]


def _cut(value: Any) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return escape(text if len(text) <= LONGEST else text[:LONGEST] + "…")


def _sizes(vocabulary: int, splits: Splits) -> dict[str, str]:
    """Examples of every split, form of the inputs, duplicates across splits."""
    parts = (splits.train, splits.validation, splits.test)
    counts = [part.sizes() for part in parts]
    sizes = {pool: " / ".join(f"{count[pool]:,}" for count in counts) for pool in counts[0]}
    first, _, last = (_first(part.inputs) for part in parts)
    form = " × ".join(str(n) for n in splits.train.form())
    if vocabulary:
        lengths = (first != 0).sum(1).double()
        middle, high = lengths.quantile(torch.tensor([0.5, 0.95], dtype=torch.float64)).tolist()
        figures = {
            "vocabulary": f"{vocabulary:,}",
            "middle": f"{middle:.0f}",
            "high": f"{high:.0f}",
        }
        form = word("card.tokens", form=form, **figures)
    return {
        "sizes": ", ".join(f"{escape(pool)} {n}" if pool else n for pool, n in sizes.items()),
        "input": form,
        "common": f"{_common(first, last):,}",
    }


def _first(inputs: Any) -> Tensor:
    return inputs if isinstance(inputs, Tensor) else next(iter(inputs.values()))


def _common(train: Tensor, test: Tensor) -> int:
    """Test inputs that also stand in train."""
    seen = {row.numpy().tobytes() for row in train.flatten(1)}
    return sum(row.numpy().tobytes() in seen for row in test.flatten(1))


def _labels(task: Task, splits: Splits) -> str:
    """How a task's training labels are distributed."""
    target = splits.train.targets[task.name]
    if task.kind == "value":
        return word("card.value")
    if task.kind == "multiclass":
        share = torch.bincount(target[target != -100], minlength=task.outputs)
        share = share / share.sum()
        low, high = f"{float(share.min()):.1%}", f"{float(share.max()):.1%}"
        return word("card.multiclass", low=low, high=high)
    known = target[~torch.isnan(target)]
    if task.kind == "binary":
        text = word("card.binary", share=f"{float((known > 0.5).float().mean()):.1%}")
    else:
        mean, sd = number(float(known.mean()), 2), number(float(known.std()), 2)
        text = word("card.regression", mean=mean, sd=sd)
    lost = 1 - len(known) / len(target)
    return word("card.missing", labels=text, share=f"{lost:.1%}") if lost else text
