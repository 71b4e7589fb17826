"""Which promises of a released OpenAPI document another one breaks, and for whom. Pure.

Operations, parameters, statuses, headers and media types are compared here; what is in them in `exchanging`,
who is let in in `admitting`. What cannot be compared is a doubt, and no doubt is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rehearsal.contract.admitting import admission, schemes
from rehearsal.contract.exchanging import given, taken
from rehearsal.contract.findings import CALLERS, READERS, Finding, doubt, text_of, told
from rehearsal.contract.openapi import METHODS, Document, Operation, Part, operations
from rehearsal.contract.schemas import UndecidableError, is_annotation

_DOCUMENT = "the document"
_EXPLAINS = frozenset({"externalDocs", "info", "operationId", "summary", "tags"})


def compare(released: Document, current: Document) -> list[Finding]:
    """Return every promise of `released` that `current` breaks, or may break."""
    try:
        return list(_documents(released, current))
    except (UndecidableError, AttributeError, KeyError, TypeError, ValueError) as error:
        # Whatever has not the form of an OpenAPI document.
        return [doubt(_DOCUMENT, "", f"it cannot be read: {type(error).__name__}: {error}", told(current))]


def _documents(released: Document, current: Document) -> Iterator[Finding]:
    if any(not str(one.get("openapi")).startswith("3.1.") for one in (released, current)):
        yield doubt(_DOCUMENT, "/openapi", "only documents of OpenAPI 3.1 can be compared", told(current))
        return
    was, now = Part(released, "", released), Part(current, "", current)
    yield from _others(_DOCUMENT, was, now, "openapi", "paths", "components", "security")
    yield from schemes(released, current)
    for path, before, item in _pairs(was.parts("paths"), now.parts("paths")):
        if item is not None:
            yield from _others(path, before, item, "parameters", *METHODS)
    after = operations(current)
    for key, old in operations(released).items():
        if key in after:
            yield from _operation(old, after[key])
        else:
            yield _broken(old, old.part, "operation-removed", "it is gone", CALLERS)


def _operation(old: Operation, new: Operation) -> Iterator[Finding]:
    yield from _others(old.name, old.part, new.part, "parameters", "requestBody", "responses", "security")
    yield from admission(old, new)
    yield from _parameters(old, new)
    yield from _body(old, new)
    yield from _responses(old, new)


def _parameters(old: Operation, new: Operation) -> Iterator[Finding]:
    for key, was in old.parameters.items():
        what = f"the {was.content['in']} parameter {was.content['name']}"
        now = new.parameters.get(key)
        if now is None:
            yield _broken(old, was, "parameter-removed", f"{what} is gone", CALLERS)
            continue
        yield from _others(old.name, was, now, "in", "name", "required", "schema")
        if _is_required(now) and not _is_required(was):
            yield _broken(old, now, "required", f"{what} is now required", CALLERS)
        yield from taken(old.name, was.schema, now.schema, what)
    for key, now in new.parameters.items():
        if key not in old.parameters and _is_required(now):
            what = f"the new {now.content['in']} parameter {now.content['name']}"
            yield _broken(old, now, "required", f"{what} is required", CALLERS)


def _body(old: Operation, new: Operation) -> Iterator[Finding]:
    was, now = old.part.part("requestBody"), new.part.part("requestBody")
    if was is None and now is not None and _is_required(now):
        yield _broken(old, now, "required", "it now requires a body", CALLERS)
    if was is not None and now is None:
        yield _broken(old, was, "body-removed", "it no longer takes a body", CALLERS)
    if was is None or now is None:
        return
    yield from _others(old.name, was, now, "content", "required")
    if _is_required(now) and not _is_required(was):
        yield _broken(old, now, "required", "its body is now required", CALLERS)
    for kind, before, after in _pairs(was.parts("content"), now.parts("content")):
        if after is None:
            yield _broken(old, before, "media-type-removed", f"it no longer takes {kind}", CALLERS)
            continue
        yield from _others(old.name, before, after, "schema", "example")
        yield from taken(old.name, before.schema, after.schema, "in its body,")


def _responses(old: Operation, new: Operation) -> Iterator[Finding]:
    before, after = old.part.parts("responses"), new.part.parts("responses")
    for status, was, now in _pairs(before, after):
        if now is None:
            yield _broken(old, was, "status-removed", f"it no longer answers {status}", READERS)
        else:
            yield from _response(old, status, was, now)
    for status, added in after.items():
        # A client takes an error that it does not know for the first of its class (RFC 9110, 15).
        if status not in before and status[0] not in "45":
            yield _broken(old, added, "status-added", f"it may now answer {status}", READERS)


def _response(old: Operation, status: str, was: Part, now: Part) -> Iterator[Finding]:
    yield from _others(old.name, was, now, "content", "headers")
    for kind, before, after in _pairs(was.parts("content"), now.parts("content")):
        if after is None:
            yield _broken(old, before, "media-type-removed", f"its {status} is no longer {kind}", READERS)
            continue
        yield from _others(old.name, before, after, "schema", "example")
        yield from given(old.name, before.schema, after.schema, f"its {status}")
    for name, before, after in _pairs(was.parts("headers"), now.parts("headers")):
        what = f"the header {name} of its {status}"
        if after is None:
            yield _broken(old, before, "header-removed", f"{what} is gone", READERS)
            continue
        yield from _others(old.name, before, after, "required", "schema")
        if _is_required(before) and not _is_required(after):
            yield _broken(old, before, "required", f"{what} may be missing", READERS)
        yield from given(old.name, before.schema, after.schema, what)


def _pairs(before: Mapping[str, Part], after: Mapping[str, Part]) -> Iterator[tuple[str, Part, Part | None]]:
    for key, was in before.items():
        yield key, was, after.get(key)


def _others(operation: str, was: Part, now: Part, *known: str) -> Iterator[Finding]:
    """Yield a doubt for each key that nobody here compares and that is not what it was."""
    for key in sorted({*was.content, *now.content} - {*known} - _EXPLAINS):
        if not is_annotation(key) and text_of(was.content.get(key)) != text_of(now.content.get(key)):
            why = f"nobody here knows what {key} means for clients"
            observed = told(now.content[key]) if key in now.content else "none"
            yield doubt(operation, f"{now.pointer}/{key}", why, observed)


def _is_required(part: Part) -> bool:
    return bool(part.content.get("required", False))


def _broken(old: Operation, where: Part, rule: str, sentence: str, whom: str) -> Finding:
    expected, observed = ("as it was released", sentence)
    return Finding(old.name, where.pointer, rule, sentence, whom, expected, observed)
