"""Event types across releases: FULL_TRANSITIVE, with closed writers and open readers. Pure.

Records outlive releases: whoever reads now meets what every release left on the topic, and while a release
rolls out, readers of every release meet what is written now. A type that has to break gets a new version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from rehearsal.contract.exchanging import given
from rehearsal.contract.findings import Finding, doubt
from rehearsal.contract.openapi import Part

TOPIC = "x-topic"
WRITER = "x-writer"

EventSchema = Mapping[str, Any]


def compare_event(releases: Mapping[str, EventSchema], current: EventSchema | None) -> list[Finding]:
    """Return what keeps readers and events of now and of each release, by its name, apart."""
    return [one for name, released in releases.items() for one in _compare(name, released, current)]


def reads(reader: EventSchema, written: EventSchema, *, operation: str, what: str) -> Iterator[Finding]:
    """Yield what an event as `written` may have that a reader of `reader` refuses."""
    try:
        yield from given(operation, _part(reader), _part(written), what)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # Whatever is JSON and has not the form of a schema.
        yield doubt(operation, "", f"a schema cannot be read: {type(error).__name__}: {error}")


def _compare(name: str, released: EventSchema, current: EventSchema | None) -> Iterator[Finding]:
    readers, written = f"for readers of release {name}", f"as release {name} wrote it"
    behind = f"consumers of release {name}"
    if current is None:
        yield Finding(readers, "", "type-removed", "nobody writes it any more", behind, "an event", "none")
        return
    was, now = str(released.get(TOPIC)), str(current.get(TOPIC))
    if was != now:
        yield Finding(readers, f"/{TOPIC}", "topic", f"it is written to {now}", behind, was, now)
    for one in reads(released, current, operation=readers, what="what is written now"):
        yield replace(one, whom=behind)
    for one in reads(current, released, operation=written, what=f"what release {name} wrote"):
        yield replace(one, whom="today's consumers, of what is still on the topic")


def _part(schema: EventSchema) -> Part:
    return Part(schema, "", schema)
