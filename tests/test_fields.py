"""Every field of every configuration and of every entry's options: what is not of its kind or
beyond its bounds is refused in one short line that names field, value and what is allowed."""

import math
import types
from typing import Annotated, Literal, Union, get_args, get_origin

import numpy as np
import pytest

from mtlstudy import InputError, RunConfig
from mtlstudy.errors import SYNONYMS
from mtlstudy.registry import PACKAGES, Options, entry, names

KINDS = sorted(PACKAGES)
OWN = [("", "", field) for field in RunConfig.model_fields]
EVERY = OWN + [
    (kind, name, field)
    for kind in KINDS
    for name in names(kind)
    for field in entry(kind, name).Options.model_fields
]
BAD = [
    "",
    "sequental",
    "None",
    "null",
    "nan",
    "1e400",
    "3",
    "\ud55c\uad6d\uc5b4",
    "a\nb",
    "\udcff",
    "x" * 10**6,
    *(None, True, math.nan, math.inf, -math.inf, 10**400, 10**5000, -(10**12), 10**12, 1e300),
    *([], [1, 2], {"a": 1}, {}, object(), np.zeros((2, 2))),
]


def made(kind, name, field, value):
    """What a configuration makes of the value."""
    if not kind:
        config = RunConfig(**{"data": "yeast", field: value})
        return getattr(config, field)
    config = RunConfig(**{"data": "yeast", kind: name, f"{kind}_options": {field: value}})
    default = entry(kind, name).Options.model_fields[field].default  # of a field that is left out
    return getattr(config, f"{kind}_options").get(field, default)


def fits(value, annotation):
    """Whether a value is of a type as the annotation says it, whatever its bounds."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return fits(value, inside[0])
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in inside)
    if origin is Literal:
        return any(value is one or value == one for one in inside)
    if origin in (tuple, list):
        return isinstance(value, list | tuple) and all(fits(one, inside[0]) for one in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(one, inside[1]) for one in value.values())
    if annotation is float:
        return fits(value, int) or (isinstance(value, float) and math.isfinite(value))
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= 10**12
    if annotation is bool:
        return isinstance(value, bool)
    return annotation is None or isinstance(value, annotation)


def one_line(error, label):
    said = str(error.value)
    assert label in said and "\n" not in said and len(said) < 700 and said.isprintable(), said
    return said


@pytest.mark.parametrize(("kind", "name", "field"), EVERY, ids=lambda part: part or None)
def test_what_is_not_of_its_kind_is_refused(kind, name, field):
    cls = entry(kind, name).Options if kind else RunConfig
    annotation, label = cls.model_fields[field].annotation, field
    if kind:
        label = f"{kind}_options.{field}"
    refused = 0
    for value in BAD:
        try:
            got = made(kind, name, field, value)
        except InputError:
            with pytest.raises(InputError) as error:
                made(kind, name, field, value)
            assert "allowed: " in one_line(error, label) or "must be" in str(error.value)
            refused += 1
        else:
            assert value is None or fits(value, annotation), f"{label} = {value!r} became {got!r}"
            if isinstance(value, int | float) and value is not True:
                assert got == value
    assert refused > len(BAD) / 2


@pytest.mark.parametrize(("kind", "name", "field"), EVERY, ids=lambda part: part or None)
def test_a_number_has_bounds_and_is_refused_beyond_them(kind, name, field):
    cls = entry(kind, name).Options if kind else RunConfig
    schema = cls.model_json_schema()["properties"][field]
    for one in schema.get("anyOf", [schema]):
        one = one.get("items") or one
        beyond = [one[key] for key in ("exclusiveMinimum", "exclusiveMaximum") if key in one]
        beyond += [one["minimum"] - 1] if "minimum" in one else []
        beyond += [one["maximum"] + 1] if "maximum" in one else []
        if one.get("type") in ("integer", "number"):
            assert len(beyond) == 2, f"{kind}.{name}.{field} is not bounded on both sides"
        for value in beyond:
            with pytest.raises(InputError) as error:
                made(kind, name, field, value)
            assert repr(value) in one_line(error, field)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in names(kind)])
def test_a_misspelt_option_is_answered_with_the_nearest(kind, name):
    fields = entry(kind, name).Options.model_fields
    for field in fields:
        with pytest.raises(InputError, match=rf"did you mean '{field}'"):
            made(kind, name, f"{field}e", 1)
    with pytest.raises(InputError, match="allowed: "):
        made(kind, name, "no_such_option", 1)


@pytest.mark.parametrize("wrong", [None, 3, "x=1", [], [("a", 1)]])
@pytest.mark.parametrize("kind", KINDS)
def test_options_are_a_mapping(kind, wrong):
    with pytest.raises(InputError) as error:
        RunConfig(**{"data": "yeast", f"{kind}_options": wrong})
    assert "a mapping" in one_line(error, f"{kind}_options")


@pytest.mark.parametrize(
    ("said", "meant"), [pair for pair in SYNONYMS.items() if pair[1] in RunConfig.model_fields]
)
def test_what_others_call_a_field(said, meant):
    with pytest.raises(InputError, match=rf"'{said}' is unknown; did you mean '{meant}'\?"):
        RunConfig(**{"data": "yeast", said: 1})


def test_options_of_what_is_not_named_are_checked_too():
    with pytest.raises(InputError, match=r"sharing_options field = 'share' is unknown"):
        RunConfig(data="yeast", sharing_options={"share": 1})


def test_harmless_widths_are_taken():
    config = RunConfig(data="yeast", steps=np.int64(3), lr=np.float32(0.5), seed=2.0)
    assert (config.steps, config.lr, config.seed, config.evaluations) == (3, 0.5, 2, 3)
    assert all(type(value) in (int, float) for value in (config.steps, config.lr, config.seed))


def test_a_list_with_one_bad_number_names_it():
    class Own(Options):
        weights: tuple[float, ...] = ()

    with pytest.raises(InputError, match=r"^x\.weights\.1 = nan: allowed: a list of a finite"):
        Own.parse("x", {"weights": [1.0, math.nan]})
