"""What a service expects of others: the events that it reads, the calls that it makes. Pure.

The expectations are the consumer's own models, exported: it passes over what they do not name. Whether each
provider fits them is asked pair by pair, of the consumer as it is now and as it was released: both meet
today's providers while a release rolls out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict

from rehearsal.contract.events import EventSchema, reads
from rehearsal.contract.exchanging import given, taken
from rehearsal.contract.findings import Finding, doubt, told
from rehearsal.contract.openapi import Document, Operation, Part, operations
from rehearsal.contract.schemas import Schema, UndecidableError, closed, escaped, plain


class Call(BaseModel):
    """A request that a service makes, and what it reads of the answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: str
    operation: str  # "GET /api/quotes"
    parameters: dict[str, Any]  # schemas, by place and name: "query product_id"
    body: Any = None  # a schema, or None for no body
    answers: dict[str, Any]  # schemas, by status; "4XX" is every one of that class that is documented


class Consumer(BaseModel):
    """Everything that one service expects of others."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    events: dict[str, dict[str, Any]]  # the readers' schemas, by type
    calls: tuple[Call, ...]


def fits_events(name: str, reader: EventSchema, versions: Mapping[str, EventSchema]) -> list[Finding]:
    """Return what a reader of the event `name` refuses of it, as each of `versions` is written."""
    return [
        replace(
            one,
            pointer=f"/events/{escaped(name)}{one.pointer}",
            whom="its reader",
            observed=f"{version}: {one.observed}",
        )
        for version, written in versions.items()
        for one in reads(reader, written, operation=name, what=f"as it is written {version} it")
    ]


def fits_call(index: int, call: Call, provider: Document) -> list[Finding]:
    """Return what a provider's document has against the call, which is the consumer's `index`-th."""
    try:
        return list(_call(f"/calls/{index}", call, provider))
    except (UndecidableError, AttributeError, KeyError, TypeError, ValueError) as error:
        why = f"the provider's document cannot be read: {type(error).__name__}: {error}"
        return [doubt(call.operation, f"/calls/{index}", why, told(provider))]


def _call(pointer: str, call: Call, provider: Document) -> Iterator[Finding]:
    named = {one.name: one for one in operations(provider).values()}
    operation = named.get(call.operation)
    if operation is None:
        sentence = f"{call.provider} has no such operation"
        yield Finding(
            call.operation, pointer, "operation-removed", sentence, "the caller", "an operation", "none"
        )
        return
    for aspect in (_parameters, _body, _answers):
        for one in aspect(pointer, call, operation):
            yield replace(one, whom="the caller")


def _parameters(pointer: str, call: Call, operation: Operation) -> Iterator[Finding]:
    known = {f"{part.content['in']} {part.content['name']}": part for part in operation.parameters.values()}
    for key, part in known.items():
        if part.content.get("required") and key not in call.parameters:
            yield Finding(call.operation, part.pointer, "required", f"{key} is required", "", "it", "nothing")
    for key, schema in call.parameters.items():
        if key not in known:
            place = f"{operation.part.pointer}/parameters/{escaped(key)}"
            sentence = f"{key} is not known"
            yield Finding(call.operation, place, "parameter-removed", sentence, "", "a parameter", "none")
        else:
            yield from taken(call.operation, _sent(pointer, schema), known[key].schema, key)


def _body(pointer: str, call: Call, operation: Operation) -> Iterator[Finding]:
    wanted = operation.part.part("requestBody")
    kinds = wanted.parts("content") if wanted is not None else {}
    place = f"{operation.part.pointer}/requestBody"
    if call.body is None:
        if wanted is not None and wanted.content.get("required"):
            yield Finding(call.operation, place, "required", "a body is required", "", "a body", "none")
    elif "application/json" not in kinds:
        yield Finding(call.operation, place, "body-removed", "no JSON is taken", "", "JSON", "none")
    else:
        sent = _sent(pointer, call.body)
        yield from taken(call.operation, sent, kinds["application/json"].schema, "in its body,")


def _answers(pointer: str, call: Call, operation: Operation) -> Iterator[Finding]:
    documented = operation.part.parts("responses")
    for status, schema in call.answers.items():
        place = f"{pointer}/answers/{status}"
        matching = [one for one in documented if re.fullmatch(status.replace("X", r"\d"), one)]
        if not matching:
            sentence = f"it never answers {status}"
            yield Finding(call.operation, place, "status-removed", sentence, "", status, "none")
        for one in matching:
            kinds = documented[one].parts("content")
            # Of a whole class of errors some have nothing to read, and callers go by the status.
            if not kinds and schema and one == status:
                sentence = f"its {one} has no body"
                yield Finding(call.operation, place, "media-type-removed", sentence, "", "a body", "none")
            for kind, content in kinds.items():
                yield from given(
                    call.operation, Part(schema, place, schema), content.schema, f"its {one}, {kind},"
                )


def _sent(pointer: str, schema: Schema) -> Part:
    """Return what a caller sends: no field that it does not name."""
    return Part(schema, pointer, closed(plain(schema, schema)))
