"""What the words of a command line mean: seeds, and fields with their values."""

import ast
import re
from typing import Any

from mtlstudy.errors import InputError, shown, unknown
from mtlstudy.training.config import TUNING_SEED


def parse_seeds(text: str) -> list[int]:
    """ "0-2,7" → [0, 1, 2, 7]; reported seeds alone."""
    seeds: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*([0-9]{1,9})(?:-([0-9]{1,9}))?\s*", part)
        low, high = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if not low <= high < TUNING_SEED:
            allowed = f"numbers and ranges such as 0-2,7, each below {TUNING_SEED}"
            raise InputError(f"seeds = {shown(text)}: allowed: {allowed} (others are for tuning)")
        seeds |= set(range(low, high + 1))
    return sorted(seeds)


def parse_value(text: str) -> Any:
    """A value as Python writes it, or the text itself: a word such as cpu."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def parse_settings(settings: list[str]) -> dict[str, Any]:
    """["lr=0.003", "weighting.update_every=5"] → fields of `RunConfig`, options nested."""
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key or not text:
            allowed = "field=value, such as lr=0.003 or weighting.update_every=5"
            raise InputError(f"--set {shown(setting)}: allowed: {allowed}")
        kind, dot, option = key.partition(".")
        if dot and kind not in ("data", "sharing", "weighting"):
            raise unknown("--set", kind, ["data", "sharing", "weighting"])
        into = values.setdefault(f"{kind}_options", {}) if dot else values
        if not isinstance(into, dict) or (option if dot else key) in into:
            raise InputError(f"--set {shown(setting)}: {key} is set already; allowed: once")
        into[option if dot else key] = parse_value(text)
    return values
