"""Shelves: packages on which one file is one method. A shelf finds its own files and answers by name."""

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import InputError, unknown


class Options(BaseModel):
    """Base of every entry's options: frozen, bounded fields; an unknown or bad one is refused with one line."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls, where: str, values: dict[str, Any]) -> "Options":
        """Validate `values`; `InputError` names the field as `where.field`."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise InputError(one_line(error, where, list(cls.model_fields))) from None


def one_line(error: ValidationError, where: str, fields: list[str]) -> str:
    """The first complaint of a pydantic error as one line: field, value, what is allowed, nearest spelling."""
    first = error.errors()[0]
    if not first["loc"]:  # said by a check over the whole, which names its fields itself
        return first["msg"].removeprefix("Value error, ")
    name = ".".join(str(part) for part in first["loc"])
    label = f"{where}.{name}" if where else name
    if first["type"] == "extra_forbidden":
        return str(unknown(f"{where or 'RunConfig'} field", name, fields))
    return f"{label} = {first['input']!r}: {first['msg'].removeprefix('Value error, ')}"


Entry = TypeVar("Entry")
Class = TypeVar("Class", bound=type)


class Shelf(Generic[Entry]):
    """The entries of one package. `register` is the one line that an entry adds; a name can be taken once."""

    def __init__(self, package: str) -> None:
        self.package, self.kind = package, package.rsplit(".", 1)[-1]
        self._entries: dict[str, Entry] = {}
        self._complete = False

    def register(self, name: str) -> Callable[[Class], Class]:
        """Class decorator: put an entry on the shelf under `name`."""

        def put(entry: Class) -> Class:
            if name in self._entries:
                raise InputError(f"{self.kind} = {name!r} is registered twice: {self._entries[name]!r} and {entry!r}")
            entry.name = name  # type: ignore[attr-defined]
            self._entries[name] = entry  # type: ignore[assignment]
            return entry

        return put

    def _find(self) -> dict[str, Entry]:
        if not self._complete:
            path = import_module(self.package).__path__
            for module in sorted(m.name for m in iter_modules(path)):
                import_module(f"{self.package}.{module}")
            self._complete = True
        return self._entries

    def names(self) -> list[str]:
        """All names on the shelf, sorted."""
        return sorted(self._find())

    def get(self, name: str) -> Entry:
        """The entry of that name; `InputError` with the nearest spelling otherwise."""
        entries = self._find()
        if name not in entries:
            raise unknown(self.kind, name, entries)
        return entries[name]


def entry(kind: str, name: str) -> Any:
    """The entry of a shelf by the shelf's name (sharing, weighting or data) and its own."""
    return import_module(f"mtlstudy.{kind}").get(name)


def names(kind: str) -> list[str]:
    """All names on a shelf, by the shelf's name."""
    found: list[str] = import_module(f"mtlstudy.{kind}").names()
    return found
