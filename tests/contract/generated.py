"""Schemas of the kinds that services publish, changed ones, and values for them."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema_rs
from hypothesis import strategies as st
from rehearsal.contract.schemas import Schema

_PATTERNS = ("^[a-z]+$", "^[A-Za-z0-9_-]+$", "^[!-~]+$", "^[a-z0-9]+(-[a-z0-9]+)*$", "^[A-Z]{3}$")
_NAMES = ("a", "b", "c")
_WORDS = st.sampled_from(["x", "y", "ACTIVE", "EUR", ""])
_BOUNDS = st.integers(-3, 6)


def _kind(kind: str, optional: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Schema]:
    return st.fixed_dictionaries({"type": st.just(kind)}, optional=optional)


_LENGTHS = st.integers(0, 4)
_SCALARS: st.SearchStrategy[Schema] = st.one_of(
    st.builds(lambda value: {"const": value}, st.one_of(_WORDS, _BOUNDS, st.none(), st.booleans())),
    st.builds(lambda values: {"enum": values}, st.lists(_WORDS, min_size=1, max_size=4, unique=True)),
    _kind("string", {"minLength": _LENGTHS, "maxLength": _LENGTHS, "pattern": st.sampled_from(_PATTERNS)}),
    _kind("string", {"format": st.sampled_from(["uuid", "date-time"])}),
    _kind("integer", {"minimum": _BOUNDS, "maximum": _BOUNDS, "exclusiveMinimum": _BOUNDS}),
    _kind("number", {"minimum": _BOUNDS, "maximum": _BOUNDS, "exclusiveMaximum": _BOUNDS}),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["string", "null"]}, {}]),
)


def _structures(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    return st.one_of(
        _kind(
            "object",
            {
                "properties": st.dictionaries(st.sampled_from(_NAMES), inner, max_size=3),
                "required": st.lists(st.sampled_from(_NAMES), max_size=3, unique=True),
                "additionalProperties": st.one_of(st.just(False), st.just(False), inner),
            },
        ),
        _kind("array", {"items": inner, "minItems": st.integers(0, 2), "maxItems": st.integers(0, 3)}),
        st.builds(lambda one, other: {"anyOf": [one, other]}, inner, inner),
        st.builds(lambda one: {"anyOf": [one, {"type": "null"}]}, inner),
    )


schemas: st.SearchStrategy[Schema] = st.recursive(_SCALARS, _structures, max_leaves=6)


@st.composite
def changed(draw: st.DrawFn, schema: Schema) -> Schema:
    """Draw `schema` with one thing changed somewhere in it."""
    made = copy.deepcopy(schema)
    at = made
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.sampled_from(_parts(at) or [at]))
    keyword = draw(st.sampled_from(sorted(at))) if at else ""
    match at.get(keyword):
        case bool() | None:
            at.pop(keyword, None)
        case int() as number:
            at[keyword] = max(0, number + draw(st.sampled_from([-1, 1])))
        case list() as listed if len(listed) > 1:
            at[keyword] = listed[:-1]
        case _:
            other = draw(schemas)
            at.clear()
            at.update(copy.deepcopy(other))
    return made


@st.composite
def values(draw: st.DrawFn, schema: Schema) -> Any:
    """Draw a value that is probably allowed by `schema`."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    if "anyOf" in schema:
        return draw(values(draw(st.sampled_from(schema["anyOf"]))))
    kinds = schema.get("type", ["string", "integer", "null"])
    match kinds if isinstance(kinds, str) else draw(st.sampled_from(kinds)):
        case "object":
            return draw(_objects(schema))
        case "array":
            length = draw(
                st.integers(
                    schema.get("minItems", 0), max(schema.get("minItems", 0), schema.get("maxItems", 3)) + 1
                )
            )
            return [draw(values(schema.get("items", {}))) for _ in range(length)]
        case "string":
            return draw(_strings(schema))
        case "integer":
            return draw(st.integers(-5, 8))
        case "number":
            return draw(st.one_of(st.integers(-5, 8), st.floats(-5, 8, width=16)))
        case "boolean":
            return draw(st.booleans())
    return None


@st.composite
def _objects(draw: st.DrawFn, schema: Schema) -> dict[str, Any]:
    known, required = schema.get("properties", {}), schema.get("required", [])
    others = schema.get("additionalProperties", {})
    made = {}
    for name in sorted({*known, *required, *(() if others is False else ("d",))}):
        if name in required or draw(st.booleans()):
            made[name] = draw(values(known.get(name, others or {})))
    return made


def _strings(schema: Schema) -> st.SearchStrategy[str]:
    match schema.get("format"):
        case "uuid":
            return st.uuids().map(str)
        case "date-time":
            return st.datetimes(timezones=st.timezones()).map(lambda time: time.astimezone().isoformat())
    if "pattern" in schema:
        pattern: str = schema["pattern"]
        return st.from_regex(pattern)
    return st.one_of(_WORDS, st.text(max_size=6))


def allows(schema: Schema, value: Any) -> bool:
    """Say whether `schema` allows `value`."""
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True).is_valid(value)


def _parts(schema: Schema) -> list[Schema]:
    parts = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    return parts + [
        schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)
    ]
