"""The one exception for what a user can mend, and the search for the nearest spelling."""

from collections.abc import Iterable
from difflib import get_close_matches
from reprlib import Repr

SYNONYMS = {
    "architecture": "sharing",
    "batch": "batch_size",
    "dataset": "data",
    "epochs": "steps",
    "gpu": "cuda",
    "hidden_size": "width",
    "iterations": "steps",
    "layers": "depth",
    "learning_rate": "lr",
    "method": "weighting",
    "model": "sharing",
    "n_steps": "steps",
    "uniform": "equal",
    "wd": "weight_decay",
}
"""What others call it → what it is called here."""
SHORT = Repr()
SHORT.maxstring = SHORT.maxother = SHORT.maxlong = 80


class InputError(ValueError):
    """Bad input, in one line: the field, the value, what is allowed. The command line then exits
    with code 2."""


def shown(value: object) -> str:
    """Any value as a short text of one line.

    >>> shown("a\\nb"), len(shown("x" * 10**6))
    ("'a\\\\nb'", 80)
    """
    try:
        return " ".join(SHORT.repr(value).split())
    except ValueError:  # Python writes no whole number of more than 4300 digits
        return "a number of thousands of digits"


def unknown(kind: str, name: object, allowed: Iterable[str]) -> InputError:
    """An `InputError` for a name that is not on a list, with the nearest spelling.

    >>> str(unknown("weighting", "nahs", ["equal", "nash"]))
    "weighting = 'nahs' is unknown; did you mean 'nash'? allowed: equal, nash"
    """
    names = sorted(allowed)
    said = f"{nearest(name, names)}allowed: {', '.join(names) or 'none'}"
    return InputError(f"{kind} = {shown(name)} is unknown; {said}")


def nearest(name: object, names: list[str]) -> str:
    """ "did you mean …? ", or nothing where no name is near."""
    if not isinstance(name, str):
        return ""
    known = {one.lower(): one for one in names}
    word = name.lower()[:80].replace("-", "_")
    near = get_close_matches(SYNONYMS.get(word, word), known, n=1, cutoff=0.5)
    return f"did you mean {known[near[0]]!r}? " if near else ""
