"""The words of the book: names of methods, tasks and measures, headings, axis labels.

They stand in book/words.ko.yml, so that no sentence is typed into code and no code is run anew
because a word has changed. `word("axis.step")` looks one up; a key that is not there raises.
"""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from mtlstudy.errors import InputError, unknown

BOOK = Path(__file__).parents[2] / "book"


@cache
def load(name: str) -> dict[str, Any]:
    """A YAML file of the book, read once. `InputError` where it is missing or no mapping."""
    file = BOOK / name
    if not file.is_file():
        raise InputError(f"{file} is missing; the study needs a checkout of the project")
    try:
        found = yaml.safe_load(file.read_bytes())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{file} cannot be read as YAML in UTF-8 ({reason})") from None
    if not isinstance(found, dict):
        raise InputError(f"{file} holds {type(found).__name__}; allowed: a mapping")
    return found


def word(key: str, **figures: object) -> str:
    """The words at a dotted key, with figures filled in.

    Raises:
        InputError: there is no such key, or a figure is missing.
    """
    at: Any = load("words.ko.yml")
    for part in key.split("."):
        if not isinstance(at, dict) or part not in at:
            raise unknown(f"book/words.ko.yml {key.rpartition(part)[0] or 'key'}", part, at or ())
        at = at[part]
    if not isinstance(at, str):
        raise InputError(f"book/words.ko.yml: {key} is no text")
    return filled(key, at, figures)


def filled(key: str, text: str, figures: dict[str, Any]) -> str:
    """A template with its figures; `InputError` names one that is missing."""
    try:
        return text.format(**figures)
    except (KeyError, IndexError, AttributeError) as missing:
        given = ", ".join(figures) or "none"
        raise InputError(f"{key}: no figure {missing}; given: {given}") from None


def name(kind: str, key: str) -> str:
    """The Korean name of a method's part, data set, task or metric; its own where it has none.

    kind: weighting, sharing, metric, data, task, solver …
    """
    names = load("words.ko.yml").get(kind, {})
    found = names.get(key, key)
    return str(found.get("title", key) if isinstance(found, dict) else found)


def label(method: str) -> str:
    """The name of a method ``sharing+weighting``; hard sharing is named by its weighting."""
    sharing, _, weighting = method.partition("+")
    if not sharing or sharing == "single_task":
        return name("sharing", sharing) if sharing else "–"
    shown = name("weighting", weighting)
    return shown if sharing == "hard" else f"{name('sharing', sharing)} · {shown}"


def family(method: str) -> str:
    """The name of the sharing structure alone, where only structures are compared."""
    sharing = method.partition("+")[0]
    return name("sharing", sharing) if sharing else "–"
