"""The parts of the chapters on sharing architectures that are made from the classes: diagrams, tables of options, the overview.

A family's page is book/sharing/<name>.md. Its front matter holds the words that no class knows: `shared` (what is shared),
`parameters` (their number as a formula), `cite` (keys of the bibliography), `options` (what each option means) and, where the
diagram needs a word more, `caption`. An option without a word, a word without an option, or a family without a page is a warning.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from sphinx.util import logging

from mtlstudy.models import sharing
from mtlstudy.diagrams import describe, diagram, example
from mtlstudy.study.format import number
from mtlstudy.study.tables import escape

log = logging.getLogger(__name__)
FRONT = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
PLACE = "book/_generated"
model = cache(example)


def front(text: str) -> tuple[dict[str, Any], str]:
    """A page's front matter, and the page without it."""
    found = FRONT.match(text)
    return (yaml.safe_load(found[1]), text[found.end() :]) if found else ({}, text)


def page(source: Path, name: str) -> tuple[dict[str, Any], str]:
    """Front matter and Korean name (the title before the English term) of a family's page."""
    file = source / "book/sharing" / f"{name}.md"
    if not file.exists():
        log.warning("sharing = %r has no page %s", name, file, type="mtlbook")
        return {}, name
    words, text = front(file.read_text(encoding="utf-8"))
    title = re.search(r"^# (.+?)(?: \(.*)?$", text, re.MULTILINE)
    return words, title[1] if title else name


def drawn(source: Path, name: str) -> str:
    """The figure of a family: an svg file, written where it changed, with its words."""
    words, title = page(source, name)
    file = source / PLACE / f"{name}.svg"
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".new.svg")
    diagram(model(name)).savefig(draft, metadata={"Date": None}, bbox_inches="tight")
    if file.exists() and file.read_bytes() == draft.read_bytes():
        draft.unlink()
    else:
        draft.replace(file)
    caption = f"{title}: 합성 회귀 과제 셋과 단계가 셋인 다층 퍼셉트론 위에 지은 모형. {words.get('caption', '')}".strip()
    lines = ["```{figure} /" + f"{PLACE}/{name}.svg", f":name: fig-sharing-{name.replace('_', '-')}",
             f":alt: {describe(model(name))}", "", caption, "```"]  # fmt: skip
    return "\n".join(lines)


def options(source: Path, name: str) -> str:
    """The table of a family's options."""
    words, title = page(source, name)
    cls, said = sharing.get(name), words.get("options", {})
    if set(said) != set(cls.Options.model_fields):
        log.warning("%s: options %s, words for %s", name, sorted(cls.Options.model_fields), sorted(said), type="mtlbook")
    schema = cls.Options.model_json_schema().get("properties", {})
    if not schema:
        return "이 구조에는 선택 사항이 없다."
    lines = ["```{table} " + f"{title}의 선택 사항. 조정 후보는 학습률과 함께 검증 자료로 고르는 값이다.",
             f":name: tab-options-{name.replace('_', '-')}", "",
             "| 이름 | 뜻 | 허용되는 값 | 기본값 | 조정 후보 |", "|:---|:---|:---|---:|---:|"]  # fmt: skip
    for key, field in schema.items():
        tried = ", ".join(f"{value:g}" for value in sorted(cls.tuned.get(key, []))) or "–"
        lines.append(f"| `{key}` | {said.get(key, '')} | {allowed(field)} | {value(field.get('default'))} | {tried} |")
    return "\n".join([*lines, "```"])


def value(default: Any) -> str:
    """A default for the eye."""
    return "–" if default is None else f"{default:g}" if isinstance(default, float) else f"`{str(default).lower()}`"


def allowed(field: dict[str, Any]) -> str:
    """What a field of a JSON schema allows, in Korean."""
    kinds = [kind for kind in field.get("anyOf", [field]) if kind.get("type") != "null"]
    field = kinds[0]
    if "enum" in field:
        return ", ".join(f"`{one}`" for one in field["enum"])
    if field["type"] == "boolean":
        return "`true`, `false`"
    if field["type"] == "object":
        return f"과제마다 {allowed(field['additionalProperties'])}"
    ends = {"minimum": "이상", "exclusiveMinimum": "초과", "maximum": "이하", "exclusiveMaximum": "미만"}
    kind = "정수" if field["type"] == "integer" else "실수"
    return " ".join([kind, *(f"{field[end]:g} {word}" for end, word in ends.items() if end in field)])


def overview(source: Path, name: str = "") -> str:
    """The table of all families: what is shared, how many parameters that takes, in the drawn example and in general."""
    lines = ["```{table} 공유 구조. 예는 그림의 모형에서 센 매개변수의 수이다.", ":name: tab-families", "",
             "| 구조 | 공유하는 것 | 매개변수 | 예 |", "|:---|:---|:---|---:|"]  # fmt: skip
    for family in sorted(sharing.names(), key=lambda family: order(source, family)):
        words, title = page(source, family)
        count = number(model(family).parameter_count(), 0)
        first = f"{{doc}}`{escape(title)} <sharing/{family}>` (`{family}`) {{cite}}`{words.get('cite', '')}`"
        cells = [first, words.get("shared", ""), words.get("parameters", ""), count]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "```"])


def order(source: Path, family: str) -> int:
    """The place of a family's page in the table of contents."""
    return (source / "_toc.yml").read_text(encoding="utf-8").find(f"book/sharing/{family}\n")
