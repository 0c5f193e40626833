"""What models learned about sharing, as tidy rows."""

from collections.abc import Iterator
from typing import Any

AXES = ("tasks", "stages", "experts")
OF_A_SEARCH = ("decisions", "search")
"""What a structure tells of how it was found: the structure experiment has tables of its own."""
ALONG = {"beta": "stages", "scores": "stages", "gates": "experts", "spread": "experts"}
"""What a family learned → what names its places; the tasks where it does not stand here."""


def cells(learned: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The numbers of what one model learned (`Sharing.learned`): kind, part, row, column, value.

    kind: the name under which the family gives it ("alpha", "gates", "overlap", …); part: a stage,
    where there is one such a stage; row and column: task, stage or expert, as far as it has them;
    places without a name are numbered from 1.

    >>> alpha = {"alpha": {"fc": [[0.9, 0.1]]}, "tasks": ["a", "b"]}
    >>> [(cell["part"], cell["row"], cell["column"], cell["value"]) for cell in cells(alpha)]
    [('fc', '1', 'a', 0.9), ('fc', '1', 'b', 0.1)]
    """
    for kind, value in learned.items():
        if kind not in (*AXES, *OF_A_SEARCH):
            for path, one in _leaves(value, learned.get(ALONG.get(kind, "tasks"), [])):
                part = path[0] if len(path) > 2 else ""
                *_, row, column = ("", *path) if len(path) > 1 else ("", *path, "")
                yield {"kind": kind, "part": part, "row": row, "column": column, "value": one}


def _leaves(
    value: Any, names: Any, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], float]]:
    """Every number below a value, with the names on the way; a text stands for itself, as 1."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _leaves(part, names, (*path, str(name)))
    elif isinstance(value, list) and all(isinstance(item, str) for item in value):
        yield from (((*path, item), 1.0) for item in value)
    elif isinstance(value, list):
        for name, part in zip(_names(len(value), names, path), value, strict=True):
            yield from _leaves(part, names, (*path, name))
    else:
        yield path, float(value)


def _names(n: int, names: Any, path: tuple[str, ...]) -> list[str]:
    """Names of n places: the given ones (a list, or one by the name that the path ends with), their
    subspaces, or numbers."""
    known = names.get(path[-1], []) if isinstance(names, dict) else names
    if len(known) == n:
        counted = [(name, known[: i + 1].count(name)) for i, name in enumerate(known)]
        return [name if known.count(name) == 1 else f"{name} {i}" for name, i in counted]
    if known and n % len(known) == 0:
        return [f"{name} {g + 1}" for name in known for g in range(n // len(known))]
    return [str(i + 1) for i in range(n)]
