"""A planted run that has everything a report can show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rehearsal.core.checks import CheckKind, Severity
from rehearsal.core.events import (
    CheckFinished,
    Event,
    Level,
    Notice,
    NotLookedAt,
    RunFacts,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
    as_record,
)
from rehearsal.core.verdicts import Ending
from rehearsal.report.building import build
from rehearsal.report.model import Report

LOST = CheckKind("chaos.lost", "No order is lost", Severity.CRITICAL)
TRAFFIC = CheckKind("chaos.traffic", "There was traffic", Severity.MEDIUM)
DRIFT = CheckKind("contract.drift", "The contract is the committed one", Severity.MEDIUM)
FACTS = RunFacts(
    id="20260102T030405Z-abcdef1",
    command="rehearsal e2e",
    sha="abcdef1234567890",
    changed=True,
    profile="light",
    timing="compressed",
    context="kind-mambogo",
    seed=7,
    machine="2 cores, 24 GiB, Linux 6.18",
)
EVENTS: tuple[Event, ...] = (
    RunStarted(FACTS),
    StageStarted("doctor", "Look.", 120.0),
    NotLookedAt("what needs netem", "not possible here: Kernel: netem: absent"),
    StageFinished("doctor", Ending.PASS, 1.84),
    Notice(Level.WARNING, "fell back to <the cache>"),
    StageStarted("contract", "Check what the services promise.", 360.0),
    CheckFinished("contract", DRIFT.passed("order-service", "the live contract is the committed one")),
    CheckFinished(
        "contract",
        DRIFT.failed(
            "payment-service",
            "the live contract differs at /paths/~1api~1payments",
            expected="3 parameters",
            observed="4 parameters | <script>alert(1)</script>",
            source="contract-tests/openapi/payment-service.json",
        ),
    ),
    StageFinished("contract", Ending.FAIL, 31.2, "the live contract differs"),
    StageFinished("load", Ending.NOT_RUN, 0.0, "not asked for"),
    StageStarted("chaos", "Break parts of the shop.", 900.0),
    CheckFinished("chaos", TRAFFIC.invalid("payment-service", "no order was in flight")),
    CheckFinished(
        "chaos",
        LOST.failed(
            "order-service",
            "3 acknowledged orders are lost",
            expected="0",
            observed="3 of 412",
            evidence=("chaos/history.jsonl",),
            reproduce="rehearsal e2e --stages chaos --seed 7",
        ),
    ),
    StageFinished("chaos", Ending.FAIL, 98.4, "3 acknowledged orders are lost"),
    RunFinished(Ending.FAIL, 1, 135.25),
)


def records(events: Sequence[Event] = EVENTS) -> list[dict[str, Any]]:
    """Return the events as a journal has them, one second after the other."""
    began = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    stamped = [
        {"at": (began + timedelta(seconds=number)).isoformat(), **as_record(event)}
        for number, event in enumerate(events)
    ]
    parsed: list[dict[str, Any]] = json.loads(json.dumps(stamped))
    return parsed


def write_events(run: Path, events: Sequence[Event] = EVENTS) -> Path:
    """Make a run's folder with these events."""
    run.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(one) + "\n" for one in records(events))
    (run / "events.ndjson").write_text("".join(lines), encoding="utf-8")
    return run


def of_events(*events: Event) -> Report:
    """Return the report of a run that consists of these events."""
    return build(records((RunStarted(FACTS), *events)))


@pytest.fixture
def report() -> Report:
    """Return the planted run's report."""
    return build(records())


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return the planted run's folder, not reported yet."""
    return write_events(tmp_path / FACTS.id)
