"""The study's numbers as tables and sentences: one frame → Markdown (the book), HTML, plain text.

Every string that comes from data is escaped. Negative numbers carry U+2212.
"""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from string import Formatter
from typing import Any

import pandas as pd

from mtlstudy.errors import InputError
from mtlstudy.study.format import NONE
from mtlstudy.study.words import word

STAMP = (
    *("profile", "seeds", "device", "processor", "isa", "date", "commit"),
    *("python", "torch", "mtlstudy"),
)


def escape(text: object) -> str:
    """Text that MyST shows as it stands: punctuation escaped, HTML neutralised, one line.

    >>> escape("a|b <i> *c* {{d}}")
    'a\\\\|b &lt;i&gt; \\\\*c\\\\* \\\\{\\\\{d\\\\}\\\\}'
    """
    flat = html.escape(" ".join(str(text).split()), quote=False)
    return re.sub(r"([\\`*_{}\[\]$|~^@#])", r"\\\1", flat)


class Table:
    """A table of strings that shows itself as MyST (numbered, with caption), HTML, plain text."""

    def __init__(self, frame: pd.DataFrame, caption: str, name: str) -> None:
        if not re.fullmatch(r"[a-z0-9-]+", name):
            raise InputError(f"name = {name!r}: allowed: lower-case letters, digits and -")
        self.frame, self.caption, self.name = frame.map(str), caption, name

    def markdown(self) -> str:
        """A MyST table directive with caption and label."""
        head = [escape(column) for column in self.frame]
        lines = [head, [":---"] + ["---:"] * (len(head) - 1)]
        lines += [[escape(v) for v in row] for row in self.frame.itertuples(index=False)]
        body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return f"````{{table}} {escape(self.caption)}\n:name: {self.name}\n\n{body}\n````\n"

    def html(self) -> str:
        """A plain HTML table with its caption."""
        head = "".join(f'<th scope="col">{html.escape(str(c))}</th>' for c in self.frame)
        rows = (
            "".join(f"<td>{html.escape(v)}</td>" for v in row)
            for row in self.frame.itertuples(index=False)
        )
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        caption = html.escape(self.caption)
        parts = f"<caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
        return f"<table>{parts}</table>"

    def plain(self) -> str:
        """Aligned columns for a terminal."""
        return f"{self.caption}\n{self.frame.to_string(index=False)}"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {
            "text/markdown": self.markdown(),
            "text/html": self.html(),
            "text/plain": self.plain(),
        }


class Tables:
    """Several tables shown one under the other."""

    def __init__(self, tables: Iterable[Table]) -> None:
        self.tables = list(tables)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        shown = [table._repr_mimebundle_() for table in self.tables]
        kinds = ("text/markdown", "text/html", "text/plain")
        return {kind: "\n\n".join(one[kind] for one in shown) for kind in kinds}


class Prose:
    """Computed sentences in Markdown; see `prose` and `bullets`."""

    def __init__(self, markdown: str, plain: str) -> None:
        self.markdown, self.plain = markdown, plain

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/markdown": self.markdown, "text/plain": self.plain}


class _Escaping(Formatter):
    def format_field(self, value: Any, spec: str) -> str:
        if isinstance(value, float):
            return escape(super().format_field(value, spec).replace("-", "−"))
        return escape(format(value, spec))


def prose(template: str, **values: Any) -> Prose:
    """A sentence with computed values: ``prose("Δm = {x:.1f} %", x=4.6)``; nested ``{c[a][b]}``.

    The template is Markdown; every inserted value is escaped.

    Raises:
        InputError: a value is missing.
    """
    try:
        return Prose(_Escaping().vformat(template, (), values), template.format(**values))
    except (KeyError, IndexError, AttributeError) as missing:
        given = ", ".join(values) or "none"
        raise InputError(f"prose: no value {missing}; given: {given}") from missing


def bullets(lines: Iterable[str]) -> Prose:
    """Computed sentences as a Markdown list, escaped."""
    given = list(lines)
    markdown = "\n".join(f"- {escape(line)}" for line in given)
    return Prose(markdown, "\n".join(f"- {line}" for line in given))


def show(frame: pd.DataFrame, caption: str, name: str) -> Table:
    """A table that a notebook shows and the book numbers under ``name``.

    Raises:
        InputError: the name is no label.
    """
    return Table(frame, caption, name)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dictionaries by column name."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def headed(rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> pd.DataFrame:
    """Rows of strings as a frame of these columns under their headings (words ``column.<name>``).

    Without any row there is one, which says that there are no data.
    """
    given = rows or [dict.fromkeys(columns, NONE) | {columns[0]: word("text.absent")}]
    frame = pd.DataFrame(given)[list(columns)]
    return frame.rename(columns={name: word(f"column.{name}") for name in columns})


def stamp(provenance: Mapping[str, Any]) -> Prose:
    """The line of provenance under a notebook; see `mtlstudy.study.results.provenance`.

    Raises:
        InputError: a key is missing.
    """
    missing = [key for key in STAMP if key not in provenance]
    if missing:
        needed = ", ".join(STAMP)
        raise InputError(f"provenance: {missing[0]!r} is missing; needed: {needed}")
    text = {
        key: ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
        for key, value in provenance.items()
    }
    fields = {key: f"{{{key}}}" for key in STAMP}
    return prose(word("text.stamp", **fields), **text)
