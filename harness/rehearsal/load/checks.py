"""The kinds of checks that the load engine makes."""

from __future__ import annotations

from rehearsal.core.checks import CheckKind, Severity

OFFERED = CheckKind("load.offered", "The load was offered as planned", Severity.MEDIUM)
ACCEPTED = CheckKind("load.accepted", "Shoppers are answered as promised", Severity.HIGH)
LATENCY = CheckKind("load.latency", "Shoppers are answered in time", Severity.HIGH)
ENDS = CheckKind("load.ends", "Every acknowledged order comes to its end", Severity.CRITICAL)
GENERATOR = CheckKind(
    "load.generator", "The step of load was offered and watched as planned", Severity.MEDIUM
)
SCALED = CheckKind("load.scaled", "The HPA asks for more in time, and gets it", Severity.HIGH)
FORMULA = CheckKind("load.formula", "The HPA asks for what its formula gives", Severity.MEDIUM)
NEW_PODS = CheckKind("load.new_pods", "New pods take their part of the traffic", Severity.HIGH)
SLO = CheckKind("load.slo", "What is promised of orders holds while it scales", Severity.HIGH)
DOWN = CheckKind("load.down", "The HPA gives back what is not needed any more", Severity.MEDIUM)
# Of `rehearsal weigh` alone: no stage of a run makes it.
CPU = CheckKind("load.cpu", "A request costs no more CPU time than before", Severity.MEDIUM)
OF_A_STEP = (SCALED, FORMULA, NEW_PODS, SLO, DOWN)
CHECKS = (OFFERED, ACCEPTED, LATENCY, ENDS, GENERATOR, *OF_A_STEP)
