"""The one exception for what a user can mend, and the search for the nearest spelling."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Bad input, in one line: the field, the value, what is allowed. The command line then exits
    with code 2."""


def unknown(kind: str, name: str, allowed: Iterable[str]) -> InputError:
    """An `InputError` for a name that is not on a list, with the nearest spelling.

    >>> str(unknown("weighting", "nahs", ["equal", "nash"]))
    "weighting = 'nahs' is unknown; did you mean 'nash'? allowed: equal, nash"
    """
    names = sorted(allowed)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return InputError(f"{kind} = {name!r} is unknown; {hint}allowed: {', '.join(names) or 'none'}")
