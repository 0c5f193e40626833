"""What the words of a command line mean: seeds, and fields with their values."""

import ast
from typing import Any

from mtlstudy.errors import InputError, unknown


def parse_seeds(text: str) -> list[int]:
    """ "0-2,7" → [0, 1, 2, 7]."""
    seeds: list[int] = []
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        if not low.isdigit() or (dash and not (high.isdigit() and int(high) >= int(low))):
            raise InputError(f"seeds = {text!r}: allowed: numbers and ranges such as 0-2,7")
        seeds += range(int(low), int(high or low) + 1)
    return sorted(set(seeds))


def parse_settings(settings: list[str]) -> dict[str, Any]:
    """["lr=0.003", "weighting.update_every=5"] → fields of `RunConfig`, options nested."""
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key or not text:
            allowed = "field=value, such as lr=0.003 or weighting.update_every=5"
            raise InputError(f"--set {setting!r}: allowed: {allowed}")
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            value = text  # a word such as cpu
        kind, dot, option = key.partition(".")
        if dot:
            if kind not in ("data", "sharing", "weighting"):
                raise unknown("--set", kind, ["data", "sharing", "weighting"])
            values.setdefault(f"{kind}_options", {})[option] = value
        else:
            values[key] = value
    return values
