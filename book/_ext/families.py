"""The parts of the chapters on sharing architectures that are made from the classes: diagrams,
tables of options, the overview.

A family's page is book/sharing/<name>.md. Its front matter holds the words that no class knows:
`shared` (what is shared), `parameters` (their number as a formula), `cite` (keys of the
bibliography), `options` (what each option means) and, where the diagram needs a word more,
`caption`. An option without a word, a word without an option, or a family without a page is a
warning.
"""

import json
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from cards import table
from diagrams import describe, diagram, example, untrained
from kept import digest, kept
from sphinx.util import logging

from mtlstudy import files
from mtlstudy.models.sharing.base import Sharing
from mtlstudy.registry import entry, names
from mtlstudy.study.format import NONE, number
from mtlstudy.study.tables import escape
from mtlstudy.study.words import load, word
from mtlstudy.training import store

log = logging.getLogger(__name__)
FRONT = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
GENERATED = "book/_generated"
PACKAGE = Path(store.__file__).parents[1]
CODE = [PACKAGE / part for part in ("models", "data", "training", "study/figures/style.py")]
CODE += [Path(__file__).parent]  # what a diagram rests on


def front(text: str) -> tuple[dict[str, Any], str]:
    """A page's front matter, and the page without it."""
    matter = FRONT.match(text)
    return (yaml.safe_load(matter[1]), text[matter.end() :]) if matter else ({}, text)


def page(source: Path, name: str) -> tuple[dict[str, Any], str]:
    """Front matter and Korean name (the title before the English term) of a family's page."""
    file = source / "book/sharing" / f"{name}.md"
    if not file.exists():
        log.warning("sharing = %r has no page %s", name, file, type="mtlbook")
        return {}, name
    matter, text = front(file.read_text(encoding="utf-8"))
    title = re.search(r"^# (.+?)(?: \(.*)?$", text, re.MULTILINE)
    return matter, title[1] if title else name


def drawn(source: Path, name: str, model: Callable[[], Sharing]) -> dict[str, Any]:
    """The diagram of a model as an svg file, and what its page says of it: alt, parameters."""

    def make() -> str:
        built, svg = model(), StringIO()
        diagram(built).savefig(svg, format="svg", metadata={"Date": None}, bbox_inches="tight")
        facts = {"alt": describe(built), "parameters": built.parameter_count()}
        return json.dumps({**facts, "svg": svg.getvalue()}, ensure_ascii=False)

    words = load("words.ko.yml")["diagram"]
    facts: dict[str, Any] = json.loads(kept("diagrams", name, (digest(CODE), words), make))
    file = source / GENERATED / f"{name}.svg"
    if not file.exists() or file.read_text(encoding="utf-8") != facts["svg"]:
        files.write(file, facts["svg"])
    return facts


def family(source: Path, name: str) -> dict[str, Any]:
    """`drawn` of a family's example."""
    return drawn(source, name, lambda: example(name))


def ten_minutes(source: Path) -> None:
    """The diagram of the first chapter: one layer shared by the two tasks of the diabetes data."""
    fields = {"data": "diabetes", "sharing": "hard", "depth": 1, "width": 128}
    drawn(source, "ten_minutes", lambda: untrained(**fields))


def drawing(source: Path, name: str) -> str:
    """The figure of a family, with its words."""
    matter, title = page(source, name)
    lines = [
        f"```{{figure}} /{GENERATED}/{name}.svg",
        f":name: fig-sharing-{name.replace('_', '-')}",
        f":alt: {family(source, name)['alt']}",
        "",
        word("diagram.caption", title=title, more=matter.get("caption", "")).strip(),
        "```",
    ]
    return "\n".join(lines)


def options(source: Path, name: str) -> str:
    """The table of a family's options."""
    matter, title = page(source, name)
    cls, meanings = entry("sharing", name), matter.get("options", {})
    fields = sorted(cls.Options.model_fields)
    if sorted(meanings) != fields:
        log.warning("%s: options %s, words for %s", name, fields, sorted(meanings), type="mtlbook")
    schema = cls.Options.model_json_schema().get("properties", {})
    if not schema:
        return word("book.options.nothing")
    rows = [
        [
            f"`{key}`",
            meanings.get(key, ""),
            allowed(field),
            value(field.get("default")),
            ", ".join(f"{value:g}" for value in sorted(cls.tuned.get(key, []))) or NONE,
        ]
        for key, field in schema.items()
    ]
    caption, label = word("book.options.caption", title=title), name.replace("_", "-")
    head = load("words.ko.yml")["book"]["options"]["head"]
    return table(caption, head, rows, f"tab-options-{label}", "lllrr")


def value(default: Any) -> str:
    """A default for the eye."""
    if default in (None, []):
        return NONE
    return f"{default:g}" if isinstance(default, float) else f"`{str(default).lower()}`"


def allowed(field: dict[str, Any]) -> str:
    """What a field of a JSON schema allows, in words."""
    field = next(kind for kind in field.get("anyOf", [field]) if kind.get("type") != "null")
    if "enum" in field:
        return ", ".join(f"`{one}`" for one in field["enum"])
    if field["type"] == "boolean":
        return "`true`, `false`"
    if field["type"] in ("object", "array"):
        each = field["additionalProperties" if field["type"] == "object" else "items"]
        return word("book.options.each", what=allowed(each))
    text = word(f"book.options.{field['type']}")
    for bound in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"):
        if bound in field:
            text = word(f"book.options.{bound}", kind=text, bound=f"{field[bound]:g}")
    return text


def overview(source: Path, name: str = "") -> str:
    """The table of all families: what is shared, how many parameters that takes, in the drawn
    example and in general."""
    rows = []
    for one in sorted(names("sharing"), key=lambda name: order(source, name)):
        matter, title = page(source, one)
        link = f"{{doc}}`{escape(title)} <sharing/{one}>` (`{one}`)"
        count = number(family(source, one)["parameters"], 0)
        cite = f"{{cite}}`{matter.get('cite', '')}`"
        cells = [matter.get("shared", ""), matter.get("parameters", ""), count]
        rows.append([f"{link} {cite}", *cells])
    text = load("words.ko.yml")["book"]["families"]
    return table(text["caption"], text["head"], rows, "tab-families", "lllr")


def order(source: Path, family: str) -> int:
    """The place of a family's page in the table of contents."""
    return (source / "_toc.yml").read_text(encoding="utf-8").find(f"book/sharing/{family}\n")
