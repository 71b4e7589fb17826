"""The kinds of checks that the chaos engine makes; the first three say whether the others could look."""

from __future__ import annotations

from rehearsal.core.checks import CheckKind, Severity

CONTROL = CheckKind("chaos.control", "The shop is well before the fault", Severity.MEDIUM)
INJECTED = CheckKind("chaos.injected", "The fault took effect", Severity.MEDIUM)
TRAFFIC = CheckKind("chaos.traffic", "Orders were under way during the fault", Severity.MEDIUM)
RECOVERY = CheckKind("chaos.recovery", "The shop recovers in time", Severity.HIGH)
LOST = CheckKind("chaos.lost", "No acknowledged order is lost", Severity.CRITICAL)
DOUBLED = CheckKind("chaos.doubled", "No order is doubled", Severity.CRITICAL)
STUCK = CheckKind("chaos.stuck", "Every acknowledged order ends", Severity.CRITICAL)
READS = CheckKind("chaos.reads", "What was acknowledged is read", Severity.HIGH)
CHECKS = (CONTROL, INJECTED, TRAFFIC, RECOVERY, LOST, DOUBLED, STUCK, READS)
