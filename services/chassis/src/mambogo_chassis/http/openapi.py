"""Completes the OpenAPI document of a service, and finds what is wrong with one.

FastAPI documents 200 and a 422 of its own form. What every operation here may answer because of the chassis
(400, 401, 403, 413, 415, 422, 429, 500, 503, 504, each as a problem) is added in this one place, so that no
operation can forget it. `lint` is for services' tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from mambogo_chassis.http.problems import MEDIA_TYPE, ProblemDocument, documented

_METHODS: Final = frozenset({"get", "put", "post", "delete", "patch", "head", "options", "trace"})
# 400: a malformed deadline header or body. 404 is not here: an operation without ids has none.
_ALWAYS: Final = (400, 422, 429, 500, 503, 504)
_WITH_BODY: Final = (413, 415)
_SECURED: Final = (401, 403)
# What pydantic publishes when a constraint was applied outside of a validator; none is a JSON Schema keyword.
_LOST_CONSTRAINTS: Final = frozenset({"ge", "le", "gt", "lt", "multiple_of"})


# In a parameter's `json_schema_extra`: documented as required although its absence is not refused by FastAPI.
REQUIRED_PARAMETER: Final[dict[str, Any]] = {"x-required": True}

LOCATION: Final[dict[str, Any]] = {
    "Location": {"required": True, "schema": {"type": "string"}, "description": "Where the new resource is."}
}


def header(name: str, description: str) -> dict[str, Any]:
    """A response header for `with_headers`."""
    return {name: {"required": True, "schema": {"type": "string"}, "description": description}}


def with_headers(*headers: dict[str, Any]) -> dict[str, Any]:
    """For `responses={201: with_headers(LOCATION, header("ETag", "..."))}`."""
    return {"headers": {name: value for group in headers for name, value in group.items()}}


def install(app: FastAPI) -> None:
    """Make `app.openapi()` return the completed document."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
                servers=app.servers,
            )
            app.openapi_schema = complete(document)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI documents this way of extending it


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Add the chassis' answers to every operation; in place, and returned."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schema = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas["ProblemDocument"] = schema
    for _, _, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            parameter["schema"] = _without_null(parameter["schema"])
            if parameter["schema"].pop("x-required", False):
                parameter["required"] = True
        statuses = [*_ALWAYS]
        if "requestBody" in operation:
            statuses += _WITH_BODY
        if operation.get("security"):
            statuses += _SECURED
        for status in statuses:
            operation["responses"][str(status)] = documented(status)
        operation["responses"] = dict(sorted(operation["responses"].items()))
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    return document


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    # `str | None = None` is published as nullable. A parameter is absent or text, never null: whoever
    # believes the schema sends the text "null".
    variants = schema.get("anyOf")
    if not variants:
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    kept = [variant for variant in variants if variant != {"type": "null"}]
    return {**kept[0], **rest} if len(kept) == 1 else {**rest, "anyOf": kept}


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every (path, method, operation)."""
    for path, item in document.get("paths", {}).items():
        for method, operation in item.items():
            if method in _METHODS:
                yield path, method, operation


def lint(document: dict[str, Any]) -> list[str]:
    """What a reader or a fuzzer would stumble over, one line each; empty for a sound document."""
    found = [f"{where}: `{key}` is no JSON Schema keyword" for where, key in _lost_constraints(document, "")]
    for path, method, operation in operations(document):
        found += [f"{method.upper()} {path}: {what}" for what in _lint_operation(document, operation)]
    return found


def _lint_operation(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[str]:
    responses = operation["responses"]
    if "201" in responses and "Location" not in responses["201"].get("headers", {}):
        yield "201 documents no Location"
    for status, response in responses.items():
        if int(status) >= 400 and MEDIA_TYPE not in response.get("content", {}):
            yield f"{status} is not documented as {MEDIA_TYPE}"
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body is not None and not _is_closed(document, body):
        yield "the body accepts unknown members; derive it from types.Body"


def _is_closed(document: dict[str, Any], schema: dict[str, Any]) -> bool:
    reference = schema.get("$ref", "")
    if reference:
        schema = document["components"]["schemas"][reference.rpartition("/")[2]]
    variants = schema.get("oneOf") or schema.get("anyOf")
    if variants:
        return all(_is_closed(document, variant) for variant in variants)
    return schema.get("type") != "object" or "additionalProperties" in schema


def _lost_constraints(node: Any, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in _LOST_CONSTRAINTS and not isinstance(value, dict):
                yield where, key
            yield from _lost_constraints(value, f"{where}/{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _lost_constraints(value, f"{where}/{index}")
