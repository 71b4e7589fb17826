"""The kinds of checks that the load engine makes."""

from __future__ import annotations

from rehearsal.core.checks import CheckKind, Severity

OFFERED = CheckKind("load.offered", "The load was offered as planned", Severity.MEDIUM)
ACCEPTED = CheckKind("load.accepted", "Orders are accepted", Severity.HIGH)
LATENCY = CheckKind("load.latency", "Orders are answered in time", Severity.HIGH)
ENDS = CheckKind("load.ends", "Every acknowledged order comes to its end", Severity.CRITICAL)
CHECKS = (OFFERED, ACCEPTED, LATENCY, ENDS)
