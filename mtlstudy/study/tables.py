"""The study's numbers as tables and sentences: one frame → Markdown (the book), HTML, plain text.

Every string that comes from data is escaped. Negative numbers carry U+2212.
"""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any

import pandas as pd

from mtlstudy.errors import InputError
from mtlstudy.study.format import NONE
from mtlstudy.study.words import word


def escape(text: object) -> str:
    """Text that MyST shows as it stands: punctuation escaped, HTML neutralised, one line.

    >>> escape("a|b <i> *c* {{d}}")
    'a\\\\|b &lt;i&gt; \\\\*c\\\\* \\\\{\\\\{d\\\\}\\\\}'
    """
    flat = html.escape(" ".join(str(text).split()), quote=False)
    return re.sub(r"([\\`*_{}\[\]$|~^@#])", r"\\\1", flat)


class Table:
    """A table that a notebook shows: MyST (numbered under ``name``), HTML or plain text.

    Raises:
        InputError: the name is no label.
    """

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

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        caption = f"<caption>{html.escape(self.caption)}</caption><thead>"
        with pd.option_context("display.max_colwidth", None):
            shown = self.frame.to_html(index=False, border=0).replace("<thead>", caption, 1)
        plain = f"{self.caption}\n{self.frame.to_string(index=False)}"
        return {"text/markdown": self.markdown(), "text/html": shown, "text/plain": plain}


show = Table


class Tables:
    """Several tables shown one under the other."""

    def __init__(self, tables: Iterable[Table]) -> None:
        self.tables = list(tables)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        shown = [table._repr_mimebundle_() for table in self.tables]
        kinds = ("text/markdown", "text/html", "text/plain")
        return {kind: "\n\n".join(one[kind] for one in shown) for kind in kinds}


@dataclass(frozen=True)
class Prose:
    """Computed sentences in Markdown; see `prose` and `bullets`."""

    markdown: str
    plain: str

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
    text = {
        key: ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        for key, value in provenance.items()
    }
    escaped = {key: escape(value) for key, value in text.items()}
    return Prose(word("text.stamp", **escaped), word("text.stamp", **text))
