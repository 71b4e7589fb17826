"""The kinds of checks that the contract engine makes."""

from __future__ import annotations

from rehearsal.core.checks import CheckKind, Severity

BREAKING = CheckKind("contract.breaking", "No released promise is broken", Severity.HIGH)
RELEASED = CheckKind("contract.released", "What was released is as it was released", Severity.HIGH)
EVENTS = CheckKind("contract.events", "Events fit every release, both ways", Severity.HIGH)
TOPICS = CheckKind("contract.topics", "Every topic has schemas, and every schema a topic", Severity.HIGH)
CONSUMERS = CheckKind("contract.consumers", "Every consumer fits every provider", Severity.HIGH)
ACCEPTED = CheckKind("contract.accepted", "Accepted breaks are needed and have an end", Severity.MEDIUM)
DRIFT = CheckKind("contract.drift", "The live contract is the committed one", Severity.MEDIUM)
ORDER = CheckKind("contract.order", "An order comes to its confirmation", Severity.CRITICAL)
TOKEN = CheckKind("contract.token", "Without a token nothing is given away", Severity.CRITICAL)
OWNER = CheckKind("contract.owner", "Nobody sees another user's order", Severity.CRITICAL)
FUZZ = CheckKind("contract.fuzz", "Services keep their documents, whatever is asked", Severity.HIGH)
AUTHORISED = CheckKind(
    "contract.authorised", "Nobody gets what is not theirs, by any operation", Severity.CRITICAL
)
COVERED = CheckKind("contract.covered", "The fuzzer reached every operation and link", Severity.HIGH)
EXPECTATIONS = CheckKind(
    "contract.expectations", "Providers do what their consumers take for granted", Severity.HIGH
)
_OF_DOCUMENTS = (RELEASED, BREAKING, EVENTS, TOPICS, CONSUMERS, ACCEPTED, DRIFT)
_OF_ANSWERS = (ORDER, TOKEN, OWNER, EXPECTATIONS, FUZZ, AUTHORISED, COVERED)
CHECKS = (*_OF_DOCUMENTS, *_OF_ANSWERS)
