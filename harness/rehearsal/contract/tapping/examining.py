"""Examining records one by one, as they come: what is wrong with them, and how many there were. Pure.

Nothing is looked up and nothing judged: findings are gathered with their first case, so that what a run of
hours keeps of them is small.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rehearsal.contract.tapping import checks
from rehearsal.contract.tapping.known import DEAD_SUFFIX, EventType, KnownEvents, family_of
from rehearsal.contract.tapping.records import Record, UndecodableError
from rehearsal.contract.tapping.seen import DeadLetters, Finding
from rehearsal.contract.tapping.sequences import Aggregate, Mismatch, Sequences
from rehearsal.core.checks import CheckKind

_MEDIA_TYPE: Final = "application/cloudevents+json"
_SPECVERSION: Final = "1.0"
_MOST_FINDINGS: Final = 200  # kinds of findings that are told apart; arbitrary, far above what one reads
_LONGEST_CHARACTERS: Final = 300  # of what a finding quotes
_DIGEST_BYTES: Final = 8  # of an id's content; two that differ meet once in 2**64
# Whose event it is, in its data: the first of them that is there.
_AGGREGATES: Final = ("order_id", "product_id")


@dataclass(slots=True)
class Tally:
    """What was counted of one topic."""

    records: int = 0
    copies: int = 0
    types: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Examiner:
    """Takes every record once, each partition's in order."""

    known: KnownEvents
    tallies: dict[str, Tally] = field(default_factory=dict)
    sequences: Sequences = field(default_factory=Sequences)
    cases: int = 0  # of all findings
    uncounted: int = 0  # of those that are not told apart any more
    _findings: dict[tuple[str, ...], Finding] = field(default_factory=dict)
    _letters: dict[tuple[str, ...], DeadLetters] = field(default_factory=dict)
    _contents: dict[str, bytes] = field(default_factory=dict)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found, each kind once."""
        return tuple(self._findings.values())

    @property
    def dead_letters(self) -> tuple[DeadLetters, ...]:
        """Who gave up what, and why."""
        return tuple(self._letters.values())

    def take(self, record: Record) -> bool:
        """Examine a record; return whether it is one to be kept."""
        tally = self.tallies.setdefault(record.topic, Tally())
        tally.records += 1
        if _is_dead(record.topic, self.known):
            self._bury(record)
            return True
        before = self.cases
        self._examine(record, tally)
        return self.cases > before

    def tell_before(self, records: Iterable[Record]) -> None:
        """Take what was on the topics before the tap began: the beginnings of the headless."""
        before: dict[Aggregate, int] = {}
        for record in records:
            subject, number = self._number(record)
            if number:
                aggregate = (record.topic, subject)
                before[aggregate] = max(number, before.get(aggregate, 0))
        for mismatch in self.sequences.settle(before):
            self._mismatch(mismatch)

    def _examine(self, record: Record, tally: Tally) -> None:
        if record.topic not in self.known.topics:
            said = f"{record.topic} has records, and no committed schema names it"
            self._found(checks.KNOWN, record, record.topic, "topic-without-schema", said, "a schema", "none")
            return
        try:
            event = record.decoded()
        except UndecodableError as error:
            self._found(checks.VALID, record, record.topic, "undecodable", str(error), "an event", "none")
            return
        event_type = self._type_of(record, event)
        if event_type is None:
            return
        tally.types[event_type.name] += 1
        self._envelope(record, event, event_type)
        self._schema(record, event, event_type)
        if self._is_copy(record, event, event_type, tally):
            return
        number = _number_of(event, event_type)
        subject = str(event.get("subject"))
        if number and (mismatch := self.sequences.take(subject, number, record)):
            self._mismatch(mismatch)

    def _type_of(self, record: Record, event: Mapping[str, Any]) -> EventType | None:
        name = event.get("type")
        found = self.known.types.get(name) if isinstance(name, str) else None
        if found is None:
            known_otherwise = isinstance(name, str) and family_of(name) in self.known.families
            rule = "unknown-version" if known_otherwise else "unknown-type"
            said = f"{_cut(name)} is on {record.topic}, and has no committed schema"
            self._found(checks.KNOWN, record, _cut(name), rule, said, "a type with a schema", _cut(name))
        elif found.topic != record.topic:
            said = f"{name} is on {record.topic}, and belongs to {found.topic}"
            self._found(checks.KNOWN, record, found.name, "wrong-topic", said, found.topic, record.topic)
        return found

    def _envelope(self, record: Record, event: Mapping[str, Any], event_type: EventType) -> None:
        data = event.get("data")
        facts = data if isinstance(data, dict) else {}
        aggregate = next((facts[name] for name in _AGGREGATES if name in facts), event.get("subject"))
        expected = (
            ("content-type", _MEDIA_TYPE, record.header("content-type").partition(";")[0].strip().lower()),
            ("specversion", _SPECVERSION, event.get("specversion")),
            ("source", f"/mambogo/{event_type.writer}", event.get("source")),
            ("key", event.get("subject"), (record.key or b"").decode("utf-8", "backslashreplace")),
            ("subject", aggregate, event.get("subject")),
        )
        for rule, wanted, there in expected:
            if wanted != there:
                said = f"its {rule} is {_cut(there)} and not {_cut(wanted)}"
                self._found(checks.VALID, record, event_type.name, rule, said, _cut(wanted), _cut(there))

    def _schema(self, record: Record, event: Mapping[str, Any], event_type: EventType) -> None:
        try:
            errors = list(event_type.validator.iter_errors(event))
        except ValueError as refused:
            # Nested deeper than the validator goes, or half of a character: one record must not end the tap.
            said = _cut(f"the validator cannot look through it: {refused}")
            self._found(checks.VALID, record, event_type.name, "unreadable", said, "its schema", said)
            return
        for error in errors:
            path = "/".join("*" if isinstance(step, int) else str(step) for step in error.instance_path)
            keyword = str(error.schema_path[-1]) if error.schema_path else "schema"
            said = f"/{path}: {_cut(error.message)}"
            self._found(
                checks.VALID, record, event_type.name, f"/{path} {keyword}", said, "its schema", _cut(said)
            )

    def _is_copy(self, record: Record, event: Mapping[str, Any], event_type: EventType, tally: Tally) -> bool:
        """Return whether its id was there before; with other content that is a finding."""
        id_ = event.get("id")
        if not isinstance(id_, str):
            return False
        content = hashlib.blake2b(
            b"\0".join((record.topic.encode(), record.key or b"", record.value or b"")),
            digest_size=_DIGEST_BYTES,
        ).digest()
        known = self._contents.setdefault(id_, content)
        if known is content:
            return False
        if known == content:
            tally.copies += 1
        else:
            said = f"id {_cut(id_)} came again with other content"
            self._found(
                checks.IDENTITY, record, event_type.name, "other-content", said, "the same event", "another"
            )
        return True

    def _number(self, record: Record) -> tuple[str, int]:
        try:
            event = record.decoded()
        except UndecodableError:
            return "", 0
        name = event.get("type")
        event_type = self.known.types.get(name) if isinstance(name, str) else None
        return str(event.get("subject")), _number_of(event, event_type) if event_type else 0

    def _mismatch(self, one: Mismatch) -> None:
        self._found(
            checks.SEQUENCE,
            one.record,
            one.record.topic,
            one.rule,
            _cut(one.sentence),
            f"number {one.expected}",
            f"number {one.observed}",
        )

    def _bury(self, record: Record) -> None:
        try:
            name = str(record.decoded().get("type"))
        except UndecodableError:
            name = "no event"
        topic = record.topic.removesuffix(DEAD_SUFFIX)
        consumer = record.header("dlt-consumer") or "nobody"
        reason = record.header("dlt-reason") or "no reason"
        key = (topic, consumer, _cut(name), reason)
        if known := self._letters.get(key):
            self._letters[key] = known.model_copy(update={"count": known.count + 1})
        elif len(self._letters) < _MOST_FINDINGS:
            detail = _cut(record.header("dlt-detail"))
            self._letters[key] = DeadLetters(
                topic=topic,
                consumer=consumer,
                type=_cut(name),
                reason=reason,
                detail=detail,
                first=record.place,
                count=1,
            )
        else:
            self.uncounted += 1

    def _found(
        self, kind: CheckKind, record: Record, subject: str, rule: str, said: str, wanted: str, there: str
    ) -> None:
        self.cases += 1
        key = (kind.id, record.topic, subject, rule)
        if known := self._findings.get(key):
            self._findings[key] = known.model_copy(update={"count": known.count + 1})
        elif len(self._findings) < _MOST_FINDINGS:
            self._findings[key] = Finding(
                check=kind.id,
                topic=record.topic,
                subject=subject,
                rule=rule,
                sentence=said,
                expected=wanted,
                observed=there,
                first=record.place,
                count=1,
            )
        else:
            self.uncounted += 1


def _is_dead(topic: str, known: KnownEvents) -> bool:
    return topic.endswith(DEAD_SUFFIX) and topic.removesuffix(DEAD_SUFFIX) in known.topics


def _number_of(event: Mapping[str, Any], event_type: EventType) -> int:
    data = event.get("data")
    number = data.get(event_type.counter) if isinstance(data, dict) else None
    if isinstance(number, float) and number.is_integer():
        return int(number)  # 1.0 is an integer to JSON Schema, and to readers
    return number if isinstance(number, int) and not isinstance(number, bool) else 0


def _cut(value: object) -> str:
    # JSON can hold half of a character (\ud800), and the summary cannot.
    text = str(value).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _LONGEST_CHARACTERS else f"{text[:_LONGEST_CHARACTERS]} ..."
