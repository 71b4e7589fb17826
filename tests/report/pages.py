"""A page that has every section, for the tests that look at one as a whole."""

from __future__ import annotations

from dataclasses import replace

from rehearsal.core.checks import CheckKind, Severity
from rehearsal.core.events import CheckFinished, FaultMade, RunStarted, StageFinished, StageStarted
from rehearsal.core.verdicts import Ending
from rehearsal.report.building import build
from rehearsal.report.html import render_html
from rehearsal.report.model import Report
from rehearsal.report.series import Point, Replicas

from tests.report.conftest import EVENTS, FACTS, records

_CONSUMERS = CheckKind("contract.consumers", "Every consumer fits every provider", Severity.HIGH)
_EVENT_TYPES = CheckKind("contract.events", "Events fit every release", Severity.HIGH)
_SCALED = CheckKind("load.scaled", "It scales", Severity.HIGH)


def full_report() -> Report:
    """Return a report with something in every section."""
    began = build(records()).run.started.timestamp()
    pair = "cart-service of order-service"
    more = (
        CheckFinished("contract", _CONSUMERS.failed(pair, "it does not fit", expected="a", observed="b")),
        CheckFinished("contract", _CONSUMERS.passed("order-service of product-service", "it fits")),
        CheckFinished("contract", _EVENT_TYPES.passed("com.mambogo.order.placed.v1", "it fits")),
        StageStarted("load", "Drive an HPA.", 900.0),
        CheckFinished("load", _SCALED.passed("order-service", "it went from 2 to 5")),
        StageFinished("load", Ending.PASS, 60.0),
        FaultMade("kill all of order-service", began + 70, began + 90),
        FaultMade("10 s without kafka", began + 100, began + 110),
    )
    events = [one for one in EVENTS if one != StageFinished("load", Ending.NOT_RUN, 0.0, "not asked for")]
    promising = RunStarted(replace(FACTS, order_p95_seconds=1.0))
    report = build(records([promising, *events[1:-1], *more, events[-1]]))
    starts = {"load": began, "chaos": began + 60}
    stages = tuple(one.model_copy(update={"started": starts.get(one.name)}) for one in report.stages)
    return report.model_copy(update={"stages": stages})


def full_page() -> str:
    """Return the page of it, with a series of two minutes."""
    report = full_report()
    began = int(report.run.started.timestamp())
    away = range(70, 85)
    points = [
        Point(began + t, "load" if t < 60 else "kill", 5, 5, None, 0, 5)
        if t in away
        else Point(began + t, "load" if t < 60 else "kill", 5, 5, 12 + 40 * t % 300, 5 + 10 * (t == 85), 0)
        for t in range(120)
        if t != 60
    ]
    looks = [
        Replicas(
            began + t, "order-service", 2, 6, 2 + min(3, t // 15), 2 + min(3, t // 18), 3,
            {"cpu": 60 + t, "memory": 30}, {"cpu": 70, "memory": 80},
        )
        for t in range(60)
    ]  # fmt: skip
    return render_html(report, points, looks)
