"""The readiness score: only what a run has shown counts, and every promise is listed."""

from __future__ import annotations

import pytest
from rehearsal.core.checks import Severity
from rehearsal.core.verdicts import Verdict
from rehearsal.report.model import CheckReport
from rehearsal.report.scoring import CRITERIA, Criterion, score
from rehearsal.stages import kinds

_TWO = (
    Criterion("Safety", "nothing is lost", ("lost", "doubled")),
    Criterion("Safety", "nobody measures this"),
)


def _made(id_: str, verdict: Verdict = Verdict.PASS) -> CheckReport:
    return CheckReport(
        id=id_, stage="chaos", severity=Severity.HIGH, subject="orders", verdict=verdict, sentence="",
        expected="", observed="", evidence=(), reproduce="", source="",
    )  # fmt: skip


def test_every_criterion_is_bound_to_checks_that_exist() -> None:
    known = {kind.id for kind in kinds.ALL}
    assert {id_ for one in CRITERIA for id_ in one.checks} <= known


def test_the_guide_s_aspects_and_four_more_are_scored() -> None:
    guide = {"Containerization", "Orchestration", "CI/CD", "Monitoring", "Security"}
    own = {"Zero downtime", "Data safety", "Recovery", "Cost"}
    assert {one.name for one in score([]).aspects} == guide | own


def test_nothing_measured_is_nothing_shown() -> None:
    found = score([])
    assert found.score == 0
    assert not any(one.shown for aspect in found.aspects for one in aspect.criteria)


def test_a_criterion_counts_when_all_of_its_checks_hold() -> None:
    found = score([_made("lost"), _made("lost"), _made("doubled")], _TWO)
    assert (found.score, [one.shown for one in found.aspects[0].criteria]) == (5.0, [True, False])


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.INVALID])
def test_one_check_that_does_not_hold_takes_all_of_it(verdict: Verdict) -> None:
    found = score([_made("lost"), _made("lost", verdict), _made("doubled")], _TWO)
    assert found.score == 0
    assert found.aspects[0].criteria[0].why == f"{verdict} lost of orders"


def test_what_was_not_measured_is_said() -> None:
    (lost, nobody) = score([_made("lost")], _TWO).aspects[0].criteria
    assert lost.why == "not measured in this run: doubled"
    assert nobody.why == "no check looks at it yet"


@pytest.mark.parametrize(
    ("promise", "checks"),
    [
        ("without a token or with a wrong one nobody is let in", {"contract.token", "contract.authorised"}),
        (
            "manifests let pods leave after their traffic, and restart for their own sake only",
            {"deploy.graceful"},
        ),
        ("what is deployed becomes ready, with its newest image", {"deploy.ready"}),
    ],
)
def test_a_promise_is_no_more_than_its_checks_look_at(promise: str, checks: set[str]) -> None:
    (found,) = (one for one in CRITERIA if one.promise == promise)
    assert set(found.checks) == checks


def test_no_wrong_token_was_sent_by_a_run_that_sent_none() -> None:
    (security,) = (one for one in score([_made("contract.token")]).aspects if one.name == "Security")
    assert not security.criteria[0].shown
    assert security.criteria[0].why == "not measured in this run: contract.authorised"
