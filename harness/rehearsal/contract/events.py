"""Event types across releases: FULL_TRANSITIVE, with closed writers and open readers. Pure.

Records outlive releases: whoever reads now meets what every release left on the topic, and while a release
rolls out, readers of every release meet what is written now. A type that has to break gets a new version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from rehearsal.contract.exchanging import given
from rehearsal.contract.findings import Finding, doubt, text_of, told
from rehearsal.contract.openapi import Part

TOPIC = "x-topic"
WRITER = "x-writer"
_MEANT = "x-"  # what JSON Schema passes over, and we do not

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
        yield doubt(
            operation,
            "",
            f"a schema cannot be read: {type(error).__name__}: {error}",
            told([reader, written]),
        )


def _compare(name: str, released: EventSchema, current: EventSchema | None) -> Iterator[Finding]:
    readers, written = f"for readers of release {name}", f"as release {name} wrote it"
    behind = f"consumers of release {name}"
    if current is None:
        yield Finding(readers, "", "type-removed", "nobody writes it any more", behind, "an event", "none")
        return
    yield from _annotations(readers, behind, released, current)
    for one in reads(released, current, operation=readers, what="what is written now"):
        yield replace(one, whom=behind)
    for one in reads(current, released, operation=written, what=f"what release {name} wrote"):
        yield replace(one, whom="today's consumers, of what is still on the topic")


def _annotations(readers: str, behind: str, released: EventSchema, current: EventSchema) -> Iterator[Finding]:
    """Yield what else than the event's form was promised: where it is, whose it is, and what is new to us.

    One that no release has promises nothing yet.
    """
    said = {TOPIC: ("topic", "it is written to {}"), WRITER: ("writer", "it is written by {}")}
    for key in sorted(key for key in {*released, TOPIC, WRITER} if key.startswith(_MEANT)):
        was, now = (text_of(one[key]) if key in one else "nothing" for one in (released, current))
        if was == now:
            continue
        if key in said:
            rule, sentence = said[key]
            yield Finding(readers, f"/{key}", rule, sentence.format(now.strip('"')), behind, was, now)
        else:
            yield doubt(readers, f"/{key}", f"nobody here knows what {key} means: it was {was}", now)


def _part(schema: EventSchema) -> Part:
    return Part(schema, "", schema)
