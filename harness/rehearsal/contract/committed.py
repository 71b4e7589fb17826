"""The committed contracts of a checkout, judged by what was released and by each other. No cluster needed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rehearsal.contract.accepting import AcceptedBreaks, read_accepted
from rehearsal.contract.breaking import compare
from rehearsal.contract.checks import BREAKING, CONSUMERS, EVENTS
from rehearsal.contract.consuming import Consumer, fits_call, fits_events
from rehearsal.contract.events import WRITER, EventSchema, compare_event
from rehearsal.contract.findings import Finding, doubt
from rehearsal.contract.judging import Subject
from rehearsal.contract.keeping import FOLDER as RELEASED
from rehearsal.contract.keeping import judge_released
from rehearsal.contract.openapi import operations
from rehearsal.contract.topics import judge_topics, topics_of
from rehearsal.core.checks import Check
from rehearsal.deploy.manifests import parse

FOLDER = Path("contract-tests")
_JOBS = Path("k8s", "base", "jobs")
_EVENT = ".schema.json"


def judge_committed(root: Path, today: date) -> Iterator[Check]:
    """Yield what a checkout's contracts are worth on `today`."""
    accepted = read_accepted(root, today)
    yield from judge_released(root / FOLDER)
    for judge in (judge_documents, judge_events, judge_consumers):
        yield from judge(root / FOLDER, accepted)
    yield from _topics(root)
    yield from accepted.judge()


def judge_documents(folder: Path, accepted: AcceptedBreaks) -> Iterator[Check]:
    """Yield what each service's document makes of its release."""
    names = {
        path.name for path in (*folder.glob("openapi/*.json"), *folder.glob(f"{RELEASED}/openapi/*.json"))
    }
    for name in sorted(names):
        service, document = name.removesuffix(".json"), f"openapi/{name}"
        released, current = _read(folder / RELEASED / document), _read(folder / document)
        if released is None or current is None:
            which = "released" if released is None else "committed"
            yield BREAKING.invalid(service, f"there is no {which} document that can be read")
            continue
        findings = compare(released, current)
        # A document that cannot be read is a finding, and has no operations to count.
        many = 0 if any(one.is_doubt for one in findings) else len(operations(current))
        good = f"its {many} operations keep every promise of the release"
        yield from Subject(BREAKING, service, document, good).judge(findings, accepted)
    if not names:
        yield BREAKING.invalid("all services", "there is no document to compare")


def judge_events(folder: Path, accepted: AcceptedBreaks) -> Iterator[Check]:
    """Yield what each type of event makes of all its releases."""
    current = {path.name.removesuffix(_EVENT): path for path in folder.glob(f"events/*{_EVENT}")}
    releases = {path.name for path in folder.glob(f"{RELEASED}/events/*") if path.is_dir()}
    for name in sorted({*current, *releases}):
        released = _releases(folder, name)
        now = _read(current[name]) if name in current else None
        if None in released.values() or (name in current and now is None):
            yield EVENTS.invalid(name, "one of its schemas cannot be read")
            continue
        known = {release: schema for release, schema in released.items() if schema is not None}
        good = f"it fits its {len(known)} releases, both ways" if known else "it has no release to fit"
        subject = Subject(EVENTS, name, f"events/{name}{_EVENT}", good)
        yield from subject.judge(compare_event(known, now), accepted)
    if not current:
        yield EVENTS.invalid("all events", "there is no schema to compare")


def _topics(root: Path) -> Iterator[Check]:
    jobs = [one for path in sorted((root / _JOBS).glob("*.yaml")) for one in parse(path.read_text("utf-8"))]
    schemas = {
        path.name.removesuffix(_EVENT): schema
        for path in (root / FOLDER).glob(f"events/*{_EVENT}")
        if (schema := _read(path)) is not None
    }
    yield from judge_topics(topics_of(jobs), schemas)


def judge_consumers(folder: Path, accepted: AcceptedBreaks) -> Iterator[Check]:
    """Yield what each pair of a consumer, as of now and as released, and a provider is worth."""
    sides = (("consumers", ""), (f"{RELEASED}/consumers", "released "))
    found = [(path, words) for place, words in sides for path in sorted(folder.glob(f"{place}/*.json"))]
    for path, words in found:
        name = f"{words}{path.stem}"
        try:
            consumer = Consumer.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, ValidationError) as error:
            yield CONSUMERS.invalid(name, f"what it expects cannot be read: {error}")
            continue
        document = str(path.relative_to(folder))
        pairs = _pairs(folder, consumer)
        if not pairs:
            yield CONSUMERS.invalid(name, "it expects nothing of anybody: there is nothing to compare")
        for provider, (findings, good) in sorted(pairs.items()):
            subject = Subject(CONSUMERS, f"{name} of {provider}", document, good)
            yield from subject.judge(findings, accepted)
    if not found:
        yield CONSUMERS.invalid("all consumers", "nobody's expectations are there to compare")


def _pairs(folder: Path, consumer: Consumer) -> Mapping[str, tuple[list[Finding], str]]:
    """Return what a consumer refuses of each provider, and what is said when it refuses nothing."""
    findings: dict[str, list[Finding]] = defaultdict(list)
    events: dict[str, int] = defaultdict(int)
    calls: dict[str, int] = defaultdict(int)
    for name, reader in consumer.events.items():
        written = _read(folder / "events" / f"{name}{_EVENT}")
        provider = str(written[WRITER]) if written and WRITER in written else "nobody"
        events[provider] += 1
        findings[provider] += _event(folder, name, reader, written)
    for index, call in enumerate(consumer.calls):
        calls[call.provider] += 1
        provided = _read(folder / "openapi" / f"{call.provider}.json")
        if provided is None:
            findings[call.provider].append(
                doubt(call.operation, f"/calls/{index}", "there is no such document")
            )
        else:
            findings[call.provider] += fits_call(index, call, provided)
    return {
        one: (found, f"what it asks ({calls[one]}) and the events that it reads ({events[one]}) fit")
        for one, found in findings.items()
    }


def _event(folder: Path, name: str, reader: EventSchema, written: EventSchema | None) -> list[Finding]:
    if written is None:
        sentence = "it is read, and nobody writes it"
        return [Finding(name, f"/events/{name}", "unwritten", sentence, "its reader", "an event", "none")]
    released = {
        f"by release {number}": schema for number, schema in _releases(folder, name).items() if schema
    }
    return fits_events(name, reader, {"now": written, **released})


def _releases(folder: Path, name: str) -> dict[str, EventSchema | None]:
    """Return the schemas of an event that were released, by their numbers; None for an unreadable one."""
    paths = folder.glob(f"{RELEASED}/events/{name}/*{_EVENT}")
    numbered = {path.name.removesuffix(_EVENT): path for path in paths}
    return {number: _read(numbered[number]) for number in sorted(numbered, key=lambda one: (len(one), one))}


def _read(path: Path) -> Mapping[str, Any] | None:
    """Return the object in a JSON file; None when there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
