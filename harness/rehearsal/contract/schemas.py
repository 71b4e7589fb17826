"""Schemas made comparable: references followed, annotations gone, readers opened and writers closed. Pure.

Only keywords whose meaning is known here get through. Any other, and a schema that refers to itself, raises
`UndecidableError`: what is not understood is never called compatible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Schema = dict[str, Any]

# They say nothing about which values are allowed.
_ANNOTATIONS = frozenset(
    {
        "$comment",
        "$defs",
        "$schema",
        "default",
        "deprecated",
        "description",
        "discriminator",
        "example",
        "examples",
        "title",
    }
)
_PLAIN = frozenset(
    {
        "const",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "maxItems",
        "maxLength",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "multipleOf",
        "pattern",
        "required",
        "type",
    }
)
_FORMATS = frozenset({"date", "date-time", "uuid"})  # those that the validator checks as we mean them
_UNIONS = ("anyOf", "oneOf")


class UndecidableError(Exception):
    """A schema says something that cannot be compared; the message says what."""


def plain(schema: Any, document: Mapping[str, Any], under: tuple[str, ...] = ()) -> Schema:
    """Return what `schema` allows and nothing else; references point into `document`."""
    if isinstance(schema, bool):
        return {} if schema else {"not": {}}
    if "$ref" in schema:
        return _followed(schema, document, under)
    made = {
        keyword: _value(keyword, value, document, under)
        for keyword, value in schema.items()
        if not is_annotation(keyword)
    }
    if "properties" in made and any(union in made for union in _UNIONS):
        # Closing one part of it would forbid what the other part brings.
        raise UndecidableError("an object that is also a union")
    return made


def opened(schema: Schema) -> Schema:
    """Return `schema` as a tolerant reader means it: what it does not know it passes over."""
    made = _without_exclusion(_changed(schema, opened))
    if made.get("additionalProperties") is False:
        del made["additionalProperties"]
    return made


def closed(schema: Schema) -> Schema:
    """Return `schema` as a writer means it: it sends no field that it does not name."""
    made = _without_exclusion(_changed(schema, closed))
    if "properties" in made:
        made.setdefault("additionalProperties", False)
    return made


def defaults(schema: Any, document: Mapping[str, Any], pointer: str) -> Iterator[tuple[str, Any]]:
    """Yield what stands for each value that is left out, by its pointer, references followed."""
    yield from _defaults(schema, document, pointer, ())


def resolve(node: Any, document: Mapping[str, Any]) -> Any:
    """Return what `node` refers to in `document`, or `node` itself."""
    if not isinstance(node, Mapping) or "$ref" not in node:
        return node
    reference = node["$ref"]
    if not isinstance(reference, str) or not reference.startswith("#/"):
        raise UndecidableError(f"a reference to {reference}")
    at: Any = document
    for part in reference[2:].split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(at, Mapping) or name not in at:
            raise UndecidableError(f"{reference}, which does not exist")
        at = at[name]
    return at


def escaped(name: str) -> str:
    """Return `name` as a part of a pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def is_annotation(keyword: str) -> bool:
    """Say whether a keyword only explains."""
    return keyword in _ANNOTATIONS or keyword.startswith("x-")


def _followed(schema: Mapping[str, Any], document: Mapping[str, Any], under: tuple[str, ...]) -> Schema:
    reference = schema["$ref"]
    if reference in under:
        raise UndecidableError(f"{reference}, which contains itself")
    if more := [key for key in schema if key != "$ref" and not is_annotation(key)]:
        raise UndecidableError(f"{', '.join(more)} beside a reference")
    return plain(resolve(schema, document), document, (*under, reference))


def _value(keyword: str, value: Any, document: Mapping[str, Any], under: tuple[str, ...]) -> Any:
    match keyword:
        case "properties":
            return {name: plain(one, document, under) for name, one in value.items()}
        case "anyOf" | "oneOf":
            return [plain(one, document, under) for one in value]
        case "items":
            return plain(value, document, under)
        case "additionalProperties":
            return False if value is False else plain(value, document, under)
        case "not":
            return _negated(plain(value, document, under))
        case "format" if value in _FORMATS:
            return value
    if keyword in _PLAIN:
        return value
    raise UndecidableError(f"{keyword} {value!r}" if keyword == "format" else f"the keyword {keyword}")


def _negated(schema: Schema) -> Schema:
    if schema.keys() <= _PLAIN - {"required"}:
        return schema
    # Opening what is below a `not` would close it.
    raise UndecidableError("a negated structure")


def _changed(schema: Schema, change: Callable[[Schema], Schema]) -> Schema:
    """Return a copy in which the parts of `schema` are changed."""
    made = dict(schema)
    if "properties" in made:
        made["properties"] = {name: change(one) for name, one in made["properties"].items()}
    for union in _UNIONS:
        if union in made:
            made[union] = [change(one) for one in made[union]]
    for keyword in ("items", "additionalProperties"):
        if isinstance(made.get(keyword), dict):
            made[keyword] = change(made[keyword])
    return made


def _without_exclusion(schema: Schema) -> Schema:
    """Return `schema` with `oneOf` read as `anyOf`: opened branches overlap, and readers take the first."""
    if "oneOf" not in schema:
        return schema
    if "anyOf" in schema:
        raise UndecidableError("anyOf beside oneOf")
    made = dict(schema)
    made["anyOf"] = made.pop("oneOf")
    return made


def _defaults(
    schema: Any, document: Mapping[str, Any], pointer: str, under: tuple[str, ...]
) -> Iterator[tuple[str, Any]]:
    if not isinstance(schema, Mapping):
        return
    if "default" in schema:
        yield pointer, schema["default"]
    if "$ref" in schema:
        if schema["$ref"] not in under:
            yield from _defaults(resolve(schema, document), document, pointer, (*under, schema["$ref"]))
        return
    for name, one in schema.get("properties", {}).items():
        yield from _defaults(one, document, f"{pointer}/properties/{escaped(name)}", under)
    yield from _defaults(schema.get("items"), document, f"{pointer}/items", under)
