"""The kinds of checks that the tap makes."""

from __future__ import annotations

from rehearsal.core.checks import CheckKind, Severity

KNOWN = CheckKind("events.known", "Every record is of a type with a schema, on its topic", Severity.HIGH)
VALID = CheckKind("events.valid", "Every event is as its schema says", Severity.HIGH)
IDENTITY = CheckKind("events.identity", "An id stands for one event", Severity.CRITICAL)
SEQUENCE = CheckKind(
    "events.sequence", "The events of each aggregate count up without a gap", Severity.CRITICAL
)
DEAD_LETTERS = CheckKind("events.dead_letters", "No record is given up without an explanation", Severity.HIGH)
CHECKS = (KNOWN, VALID, IDENTITY, SEQUENCE, DEAD_LETTERS)
