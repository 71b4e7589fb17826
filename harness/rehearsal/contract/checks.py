"""The kinds of checks that the contract engine makes."""

from __future__ import annotations

from rehearsal.core.checks import CheckKind, Severity

BREAKING = CheckKind("contract.breaking", "No released promise is broken", Severity.HIGH)
EVENTS = CheckKind("contract.events", "Events fit every release, both ways", Severity.HIGH)
TOPICS = CheckKind("contract.topics", "Every topic has schemas, and every schema a topic", Severity.HIGH)
CONSUMERS = CheckKind("contract.consumers", "Every consumer fits every provider", Severity.HIGH)
ACCEPTED = CheckKind("contract.accepted", "Accepted breaks are needed and have an end", Severity.MEDIUM)
DRIFT = CheckKind("contract.drift", "The live contract is the committed one", Severity.MEDIUM)
ORDER = CheckKind("contract.order", "An order comes to its confirmation", Severity.CRITICAL)
TOKEN = CheckKind("contract.token", "Without a token nothing is given away", Severity.CRITICAL)
OWNER = CheckKind("contract.owner", "Nobody sees another user's order", Severity.CRITICAL)
CHECKS = (BREAKING, EVENTS, TOPICS, CONSUMERS, ACCEPTED, DRIFT, ORDER, TOKEN, OWNER)
