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
# Of every order of a run, by the invariant (docs/reference/invariants.md) that each of them judges.
AUDIT = {
    "I1": CheckKind("chaos.acknowledged", "Every acknowledged order exists exactly once", Severity.CRITICAL),
    "I2": CheckKind("chaos.unasked", "No order exists that was refused or never placed", Severity.CRITICAL),
    "I3": CheckKind("chaos.stock", "Stock adds up and is never oversold", Severity.CRITICAL),
    "I4": CheckKind("chaos.money", "Every confirmed order is paid once and in full", Severity.CRITICAL),
    "I5": CheckKind("chaos.published", "Every committed event is published, and no other", Severity.CRITICAL),
    "I6": CheckKind("chaos.effects", "Every event takes effect exactly once", Severity.CRITICAL),
    "I7": CheckKind("chaos.ended", "Every order has ended", Severity.CRITICAL),
    "I8": CheckKind("chaos.steps", "Orders move by allowed steps only", Severity.HIGH),
    "I9": CheckKind("chaos.keys", "A key stands for one request and one order", Severity.HIGH),
    "I10": CheckKind("chaos.reads", "What was acknowledged is read", Severity.HIGH),
    "I13": CheckKind("chaos.last_unit", "The last unit is sold once", Severity.CRITICAL),
    "I14": CheckKind("chaos.taken", "What a consumer acknowledged it has taken", Severity.CRITICAL),
}
CHECKS = (CONTROL, INJECTED, TRAFFIC, RECOVERY, LOST, DOUBLED, STUCK, *AUDIT.values())
