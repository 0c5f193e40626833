"""Registries: packages in which one file is one method, found by itself and answered by name."""

import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from mtlstudy.errors import InputError, nearest, shown, unknown

PACKAGES = {
    "data": "mtlstudy.data",
    "sharing": "mtlstudy.models.sharing",
    "weighting": "mtlstudy.weighting",
}
"""Kind of entry → the package that holds its files."""


class Fields(BaseModel):
    """Frozen, bounded fields; a bad value is refused with one line."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _number(cls, value: Any, info: ValidationInfo) -> Any:
        """A text or a truth value is no number, though pydantic would make one of it."""
        if isinstance(value, str | bool) and info.field_name:
            schema = properties(cls)[info.field_name]
            if {one.get("type") for one in schema.get("anyOf", [schema])} <= NUMBERS:
                raise PydanticCustomError("number", "a number")
        return value


class Options(Fields):
    """Base of every entry's options."""

    @classmethod
    def parse(cls, where: str, values: Any) -> "Options":
        """Validate a mapping; `InputError` names the field as `where.field`."""
        if not isinstance(values, dict):
            raise InputError(f"{where} = {shown(values)}: allowed: a mapping of option to value")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise InputError(one_line(error, where, cls)) from None


def added(default: Any, **bounds: Any) -> Any:
    """An option that an entry got after runs of it were published: at its default it is not spelled
    out, so that those keep their identity."""
    return Field(default, exclude_if=lambda value: value == default, **bounds)


NUMBERS = {"integer", "number", "null"}
WORDS = {
    "array": "a list",
    "boolean": "True or False",
    "integer": "a whole number",
    "null": "None",
    "number": "a finite number",
    "object": "a mapping",
    "string": "a text",
}
SIGNS = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}


@cache
def properties(model: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """Field → its JSON schema."""
    found: dict[str, dict[str, Any]] = model.model_json_schema()["properties"]
    return found


def allowed(schema: dict[str, Any]) -> str:
    """What a field's JSON schema allows.

    >>> allowed({"type": "number", "exclusiveMinimum": 0, "maximum": 10})
    'a finite number > 0 and ≤ 10'
    """
    if "anyOf" in schema:
        return " or ".join(map(allowed, schema["anyOf"]))
    if names := schema.get("enum") or ([schema["const"]] if "const" in schema else []):
        return ", ".join(map(repr, names))
    text = WORDS.get(schema.get("type", ""), "a value")
    if part := schema.get("items") or schema.get("additionalProperties"):
        text += f" of {allowed(part)}" if isinstance(part, dict) else ""
    bounds = [f"{sign} {schema[key]}" for key, sign in SIGNS.items() if key in schema]
    pattern = f" that matches {schema['pattern']}" if "pattern" in schema else ""
    return f"{text} {' and '.join(bounds)}".strip() + pattern


def one_line(error: ValidationError, where: str, model: type[BaseModel]) -> str:
    """The first complaint of a pydantic error as one line: field, value, what is allowed."""
    first = error.errors()[0]
    said = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:  # said by a check over the whole, which names its fields itself
        return said
    name = " ".join(".".join(map(str, first["loc"])).split())
    label, schemas = f"{where}.{name}" if where else name, properties(model)
    if first["type"] == "extra_forbidden":
        return str(unknown(f"{where or model.__name__} field", name, schemas))
    schema = schemas[str(first["loc"][0])]
    if first["type"] == "missing":
        return f"{label} is missing; allowed: {allowed(schema)}"
    if first["type"] == "value_error":
        return f"{label} = {shown(first['input'])}: {said}"
    hint = nearest(first["input"], schema.get("enum", []))
    return f"{label} = {shown(first['input'])}: {hint}allowed: {allowed(schema)}"


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
        if not re.fullmatch(r"[a-z][a-z0-9_]{,59}", name):
            allowed = "up to 60 lower-case letters, digits and _, a letter first"
            raise InputError(f"{self.kind} = {shown(name)}: allowed: {allowed}")

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
        if not isinstance(name, str) or name not in entries:
            raise unknown(self.kind, name, entries)
        return entries[name]


def entry(kind: str, name: str) -> Any:
    """The entry of a kind (data, sharing or weighting) by its name."""
    return import_module(PACKAGES[kind]).get(name)


def names(kind: str) -> list[str]:
    """All names of a kind."""
    listed: list[str] = import_module(PACKAGES[kind]).names()
    return listed
