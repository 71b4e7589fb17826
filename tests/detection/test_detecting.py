"""Detectors: what is read of the project's commands, in the form in which they write it."""

from __future__ import annotations

from typing import Any

import pytest
from rehearsal.core.processes import Completed
from rehearsal.core.verdicts import ExitCode
from rehearsal.detection.detecting import fuzzed, seen_of
from rehearsal.detection.model import Named, Seen

ENDED = Completed(("nox",), 0, 1.0, "1 passed")
BROKEN = Completed(("nox",), 1, 1.0, "\nAssertionError: no link was followed\n\n")
CLEAN: dict[str, Any] = {"schemathesis_version": "4.32.5", "failures": []}
# As schemathesis 4.32 writes it.
FAILED: dict[str, Any] = {
    **CLEAN,
    "failures": [
        {
            "type": "ServerError",
            "code": "ST101",
            "title": "Server error",
            "severity": "critical",
            "count": 1,
            "operations": ["GET /things/{n}"],
        },
        {
            "type": "UndefinedStatusCode",
            "code": "ST103",
            "title": "Undocumented status code",
            "severity": "medium",
            "count": 2,
            "operations": ["GET /things/{n}", "POST /things"],
        },
    ],
}


def test_fuzzer_names_each_operation_once() -> None:
    seen = fuzzed("thing-service", [CLEAN, FAILED, FAILED], BROKEN)

    assert seen.named == (
        Named("contract.fuzz", "thing-service GET /things/{n}"),
        Named("contract.fuzz", "thing-service POST /things"),
    )
    assert seen.said == "thing-service GET /things/{n}: Server error (ST101)"


def test_suite_that_passes_is_clean() -> None:
    assert fuzzed("thing-service", [CLEAN], ENDED) == Seen(ExitCode.PASS)


@pytest.mark.parametrize(("runs", "code"), [([CLEAN], ExitCode.FAIL), ([], ExitCode.ERROR)])
def test_suite_that_ends_otherwise_says_why_and_names_nothing(
    runs: list[dict[str, Any]], code: ExitCode
) -> None:
    assert fuzzed("thing-service", runs, BROKEN) == Seen(code, said="AssertionError: no link was followed")


def test_suite_that_fuzzed_nothing_has_not_looked() -> None:
    assert fuzzed("thing-service", [], ENDED).exit_code == ExitCode.ERROR


def test_checks_are_named_that_fail_and_those_that_could_not_look() -> None:
    checks = [
        {"id": "a.b", "subject": "x", "verdict": verdict, "sentence": f"{verdict} it is"}
        for verdict in ("PASS", "INVALID", "FAIL")
    ]
    seen = seen_of(1, checks)

    assert (seen.named, seen.blind) == ((Named("a.b", "x"),), (Named("a.b", "x"),))
    assert seen.said == "FAIL it is"
