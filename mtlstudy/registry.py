"""Registries: packages in which one file is one method, found by itself and answered by name."""

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mtlstudy.errors import InputError, unknown

PACKAGES = {
    "data": "mtlstudy.data",
    "sharing": "mtlstudy.models.sharing",
    "weighting": "mtlstudy.weighting",
}
"""Kind of entry → the package that holds its files."""


class Options(BaseModel):
    """Base of every entry's options: frozen, bounded fields; a bad one is refused with one line."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls, where: str, values: dict[str, Any]) -> "Options":
        """Validate `values`; `InputError` names the field as `where.field`."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise InputError(one_line(error, where, list(cls.model_fields))) from None


def one_line(error: ValidationError, where: str, fields: list[str]) -> str:
    """The first complaint of a pydantic error as one line: field, value, what is allowed."""
    first = error.errors()[0]
    if not first["loc"]:  # said by a check over the whole, which names its fields itself
        return first["msg"].removeprefix("Value error, ")
    name = ".".join(str(part) for part in first["loc"])
    label = f"{where}.{name}" if where else name
    if first["type"] == "extra_forbidden":
        return str(unknown(f"{where or 'RunConfig'} field", name, fields))
    return f"{label} = {first['input']!r}: {first['msg'].removeprefix('Value error, ')}"


Entry = TypeVar("Entry")


class Registry(Generic[Entry]):
    """The entries of one package. `register` is the one line that an entry adds; names are unique.

    Modules whose names begin with an underscore hold no entries.
    """

    def __init__(self, kind: str) -> None:
        self.kind, self.package = kind, PACKAGES[kind]
        self._entries: dict[str, Entry] = {}
        self._complete = False

    def register(self, name: str) -> Callable[[Entry], Entry]:
        """Class decorator: enter a class under `name`."""

        def enter(entry: Entry) -> Entry:
            if name in self._entries:
                both = f"{self._entries[name]!r} and {entry!r}"
                raise InputError(f"{self.kind} = {name!r} is registered twice: {both}")
            entry.name = name  # type: ignore[attr-defined]
            self._entries[name] = entry
            return entry

        return enter

    def _load(self) -> dict[str, Entry]:
        if not self._complete:
            path = import_module(self.package).__path__
            for module in sorted(m.name for m in iter_modules(path)):
                if not module.startswith("_"):
                    import_module(f"{self.package}.{module}")
            self._complete = True
        return self._entries

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._load())

    def get(self, name: str) -> Entry:
        """The entry of that name; `InputError` with the nearest spelling otherwise."""
        entries = self._load()
        if name not in entries:
            raise unknown(self.kind, name, entries)
        return entries[name]


def entry(kind: str, name: str) -> Any:
    """The entry of a kind (data, sharing or weighting) by its name."""
    return import_module(PACKAGES[kind]).get(name)


def names(kind: str) -> list[str]:
    """All names of a kind."""
    listed: list[str] = import_module(PACKAGES[kind]).names()
    return listed
