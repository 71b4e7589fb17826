"""Values that a schema allows, where two may differ: at bounds, with and without each field. Pure.

They are a search for a counterexample, so each differs from the plainest value at one place. That none is
found proves nothing.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from rehearsal.contract.schemas import Schema

UNKNOWN_FIELD = "unknown-field"
_KINDS = ("object", "array", "string", "integer", "number", "boolean", "null")
_NUMERIC = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_LENGTHS = ("minLength", "maxLength", "minItems", "maxItems")
# What patterns commonly tell apart; the last ones are words that several of them take.
_LETTERS = ("a", "A", "0", "-", "_", " ", "~", "/", "é", "\x00", "a-0", "A-0", "-a")
_FORMATTED = {
    "uuid": ("0e8d6b3c-5f0a-4a52-9a3e-2f6f1c7d9b10",),
    "date-time": ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.678+02:00"),
    "date": ("2026-01-02",),
}
_ANYTHING: tuple[Any, ...] = ("a", 1, 1.5, True, None, [], {})
_LONGEST = 10_000  # arbitrary: longer strings and lists are not tried
_MOST = 4_000  # arbitrary: so many values of one schema


@dataclass(frozen=True, slots=True)
class Hints:
    """What stands in the schemas that are compared, wherever it stands."""

    numbers: tuple[float, ...]
    lengths: tuple[int, ...]
    values: tuple[Any, ...]


def hints_of(*schemas: Schema) -> Hints:
    """Collect the bounds and the named values of `schemas`."""
    found = [pair for schema in schemas for pair in _keywords(schema)]
    counts = {n for key, n in found if key in _LENGTHS}
    # A pattern says lengths, too: ^[A-Z]{3}$.
    counts |= {int(n) for key, text in found if key == "pattern" for n in re.findall(r"\{(\d+)", text)}
    lengths = {n + step for n in counts for step in (-1, 0, 1)} | {0, 1, 2}
    values = [one for key, value in found if key in ("enum", "const") for one in _listed(key, value)]
    return Hints(
        tuple(sorted({n for key, n in found if key in _NUMERIC} | {0})),
        tuple(sorted(length for length in lengths if 0 <= length <= _LONGEST)),
        tuple({json.dumps(value, sort_keys=True): value for value in values}.values()),
    )


def samples(schema: Schema, hints: Hints) -> list[Any]:
    """Return values that `schema` allows, the plainest first; none if none was found."""
    allows = jsonschema_rs.Draft202012Validator(schema, validate_formats=True).is_valid
    return list(itertools.islice(filter(allows, _candidates(schema, hints)), _MOST))


def _candidates(schema: Schema, hints: Hints) -> Iterator[Any]:
    if not schema:
        yield from _ANYTHING
        return
    if "const" in schema or "enum" in schema:
        yield from schema["enum"] if "enum" in schema else [schema["const"]]
        return
    for union in ("anyOf", "oneOf"):
        if union in schema:
            for branch in schema[union]:
                yield from samples(branch, hints)
            return
    kinds = schema.get("type", _KINDS)
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        yield from _OF_KIND[kind](schema, hints)


def _objects(schema: Schema, hints: Hints) -> Iterator[dict[str, Any]]:
    known = {name: samples(one, hints) for name, one in schema.get("properties", {}).items()}
    full = {name: values[0] for name, values in known.items() if values}
    yield full
    yield {name: full[name] for name in schema.get("required", ()) if name in full}
    for left_out in full:
        yield {name: value for name, value in full.items() if name != left_out}
    for name, values in known.items():
        yield from ({**full, name: value} for value in values[1:])
    others = schema.get("additionalProperties", {})
    if others is not False:
        yield from ({**full, UNKNOWN_FIELD: value} for value in samples(others, hints))


def _arrays(schema: Schema, hints: Hints) -> Iterator[list[Any]]:
    items = samples(schema.get("items", {}), hints)
    if not items:
        yield []
        return
    usual = max(1, schema.get("minItems", 0))
    yield from ([item] * usual for item in items)
    yield from ([items[0]] * length for length in hints.lengths)


def _strings(schema: Schema, hints: Hints) -> Iterator[str]:
    yield from _FORMATTED.get(schema.get("format", ""), ())
    if "format" in schema:
        return
    for length in (1, *hints.lengths):
        yield from (_as_long(letters, length) for letters in _LETTERS)
    yield from (value for value in hints.values if isinstance(value, str))
    for known in _FORMATTED.values():
        yield from known


def _as_long(letters: str, length: int) -> str:
    return (letters * math.ceil(length / len(letters)))[:length]


def _integers(schema: Schema, hints: Hints) -> Iterator[int]:
    del schema
    yield 1
    for number in hints.numbers:
        yield from (math.floor(number) + step for step in (-1, 0, 1))
    yield from (value for value in hints.values if isinstance(value, int) and not isinstance(value, bool))


def _numbers(schema: Schema, hints: Hints) -> Iterator[float]:
    for whole in _integers(schema, hints):
        yield whole
        yield whole + 0.5


def _booleans(schema: Schema, hints: Hints) -> Iterable[bool]:
    del schema, hints
    return (True, False)


def _nulls(schema: Schema, hints: Hints) -> Iterable[None]:
    del schema, hints
    return (None,)


_OF_KIND: dict[str, Callable[[Schema, Hints], Iterable[Any]]] = {
    "object": _objects,
    "array": _arrays,
    "string": _strings,
    "integer": _integers,
    "number": _numbers,
    "boolean": _booleans,
    "null": _nulls,
}


def _keywords(schema: Any) -> Iterator[tuple[str, Any]]:
    """Yield every keyword with its value, at any depth."""
    if not isinstance(schema, dict):
        return
    for keyword, value in schema.items():
        if keyword == "properties":
            parts = list(value.values())
        else:
            yield keyword, value
            parts = value if keyword in ("anyOf", "oneOf") else [value]
        if keyword not in ("enum", "const"):
            for part in parts:
                yield from _keywords(part)


def _listed(keyword: str, value: Any) -> list[Any]:
    return value if keyword == "enum" else [value]
