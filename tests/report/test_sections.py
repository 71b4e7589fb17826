"""The sections of contracts and faults: a reader sees the worst, and what nobody looked at is no pass."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from rehearsal.core.verdicts import Verdict
from rehearsal.report import contracts, faults
from rehearsal.report.html import render_html
from rehearsal.report.model import CheckReport, FaultReport, Report


@pytest.fixture
def check(report: Report) -> CheckReport:
    """Return a check that others are made of."""
    return report.checks[0]


def _found(check: CheckReport, id_: str, subject: str, verdict: Verdict = Verdict.PASS) -> CheckReport:
    said = {"id": id_, "subject": subject, "verdict": verdict, "sentence": f"{subject} <is> {verdict}"}
    return check.model_copy(update=said)


def _rows(markup: Iterable[str]) -> list[str]:
    return [one for one in markup if one.startswith("<tr>")]


def test_consumer_and_provider_meet_in_a_cell(check: CheckReport) -> None:
    pair = _found(check, "contract.consumers", "cart-service of order-service")
    other = _found(check, "contract.consumers", "order-service of product-service")
    first, second = _rows(contracts.render([pair, other]))

    assert first.startswith('<tr><th scope="row">cart-service</th><td><span class="badge pass">')
    assert first.endswith("nothing was looked at</span></td></tr>")
    assert second.count("nothing was looked at") == 1


def test_the_worst_of_a_cell_is_shown_with_its_words(check: CheckReport) -> None:
    good = _found(check, "contract.consumers", "cart-service of order-service")
    bad = _found(check, "contract.consumers", "released cart-service of order-service POST", Verdict.FAIL)
    blind = _found(check, "contract.drift", "cart-service", Verdict.INVALID)
    pair, service = _rows(contracts.render([good, bad, blind]))

    assert 'class="badge fail"' in pair
    assert "&lt;is&gt; FAIL" in pair
    assert 'class="badge invalid"' in service


def test_operations_of_a_service_share_its_row(check: CheckReport) -> None:
    found = [
        _found(check, "contract.breaking", "cart-service GET /a", Verdict.FAIL),
        _found(check, "contract.breaking", "cart-service GET /b", Verdict.FAIL),
    ]
    (row,) = _rows(contracts.render(found))

    assert "GET /a" in row
    assert "GET /b" in row


def test_run_without_contracts_and_faults_has_no_section_of_them(report: Report, check: CheckReport) -> None:
    bare = report.model_copy(update={"checks": (), "faults": ()})

    assert not list(contracts.render([_found(check, "chaos.lost", "all")]))
    assert not list(faults.render(bare))
    assert 'id="contracts"' not in render_html(bare)


def test_card_of_a_fault_says_everything_that_was_found_of_it(report: Report, check: CheckReport) -> None:
    checks = (
        _found(check, "chaos.stuck", "kill", Verdict.FAIL),
        _found(check, "chaos.control", "kill"),
        _found(check, "chaos.control", "another"),
    )
    start = report.run.started.timestamp() + 60
    fault = FaultReport(title="kill", start=start, end=start + 5)
    page = "\n".join(faults.render(report.model_copy(update={"checks": checks, "faults": (fault,)})))

    assert page.index("<dt>before</dt>") < page.index("<dt>stuck</dt>")
    assert 'class="finding fail" id="fault-1"' in page
    assert "<dd>1 min 0 s into the run, for 5.0 s</dd>" in page
    assert "another" not in page


def test_fault_that_nobody_judged_is_no_pass(report: Report) -> None:
    fault = FaultReport(title="kill", start=1.0, end=2.0)
    page = "\n".join(faults.render(report.model_copy(update={"checks": (), "faults": (fault,)})))

    assert 'class="finding invalid"' in page
