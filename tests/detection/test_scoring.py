"""Scores: a missed cause is nothing, a named one is as good as it was precise."""

from __future__ import annotations

import pytest
from rehearsal.core.verdicts import ExitCode
from rehearsal.detection import scoring
from rehearsal.detection.model import Cause, Named, Seen
from rehearsal.detection.scoring import Outcome, Score

CAUSE = Cause(frozenset({"contract.breaking"}), ("order-service", "POST /api/orders"))
HIT = Named("contract.breaking", "order-service POST /api/orders")
OTHER = Named("contract.events", "com.mambogo.order.placed.v1")


def test_cause_that_alone_is_named_is_worth_all() -> None:
    assert scoring.score(Seen(ExitCode.FAIL, (HIT,)), CAUSE) == Score(Outcome.FOUND, 1.0)


def test_cause_among_others_is_worth_the_precision() -> None:
    assert scoring.score(Seen(ExitCode.FAIL, (OTHER, HIT, OTHER)), CAUSE).value == pytest.approx(1 / 3)


@pytest.mark.parametrize("named", [(), (OTHER,)])
def test_missed_cause_is_worth_nothing(named: tuple[Named, ...]) -> None:
    assert scoring.score(Seen(ExitCode.FAIL, named), CAUSE) == Score(Outcome.MISSED, 0.0)


@pytest.mark.parametrize(
    "near",
    [
        Named("contract.breaking", "order-service POST /api/orders/{order_id}/cancellation"),
        Named("contract.breaking", "preorder-service POST /api/orders"),
        Named("contract.breaking", "order-service"),
        Named("contract.drift", "order-service POST /api/orders"),
    ],
)
def test_what_is_near_is_not_named(near: Named) -> None:
    assert not CAUSE.is_named_by(near)


def test_workload_is_named_by_its_whole_identity() -> None:
    cause = Cause(frozenset({"deploy.hardened"}), ("order-service",))
    assert cause.is_named_by(Named("deploy.hardened", "Deployment mambogo-production/order-service"))


@pytest.mark.parametrize("code", [ExitCode.ENVIRONMENT, ExitCode.ERROR, ExitCode.USAGE, ExitCode.INTERRUPTED])
def test_detector_that_could_not_work_has_not_looked(code: ExitCode) -> None:
    assert scoring.score(Seen(code, (HIT,)), CAUSE).outcome is Outcome.NOT_LOOKED
    assert scoring.control(Seen(code)).outcome is Outcome.NOT_LOOKED


def test_control_without_a_finding_is_clean() -> None:
    assert scoring.control(Seen(ExitCode.PASS)).outcome is Outcome.CLEAN


@pytest.mark.parametrize(
    "seen",
    [
        Seen(ExitCode.FAIL, (HIT,)),
        Seen(ExitCode.PASS, (HIT,)),
        Seen(ExitCode.INVALID, blind=(OTHER,)),
        Seen(ExitCode.PASS, blind=(OTHER,)),
    ],
)
def test_control_that_finds_something_or_could_not_look_voids(seen: Seen) -> None:
    assert scoring.control(seen).outcome is Outcome.VOID
