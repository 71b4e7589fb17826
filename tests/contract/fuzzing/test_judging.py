"""What runs of a fuzzer are worth: a service that was not looked at to the end is never said to be well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from rehearsal.contract.fuzzing.judging import Run, Subject
from rehearsal.contract.fuzzing.reading import Failure, Seen
from rehearsal.contract.fuzzing.running import User
from rehearsal.core.verdicts import Verdict

FUZZED, RIGHTS = "contract.fuzz", "contract.authorised"
GET = "GET /things"
BROKEN = Failure(GET, "not_a_server_error", "", "it answers 500", "", None)
OPEN = Failure(GET, "ignored_auth", "", "it lets anybody in", "", None)


def _verdicts(seen: Sequence[Seen]) -> dict[str, set[Verdict]]:
    runs = [Run(User("alice", ""), 1, one) for one in seen]
    checks = list(Subject("things-service", "directly", "things.json", "again").judge(runs))
    return {id_: {one.verdict for one in checks if one.id == id_} for id_ in (FUZZED, RIGHTS)}


def _seen(*failures: Failure, unfinished: str = "") -> Seen:
    statuses = {GET: {200: 1}}
    return Seen(unfinished, (1, 1), 10, failures, names=frozenset(statuses), statuses=statuses)


def test_run_that_found_nothing_shows_promises_and_rights() -> None:
    assert _verdicts([_seen()]) == {FUZZED: {Verdict.PASS}, RIGHTS: {Verdict.PASS}}


@pytest.mark.parametrize("seen", [[], [_seen(unfinished="it hung")], [_seen(), _seen(unfinished="it hung")]])
def test_service_that_was_not_fuzzed_to_the_end_shows_nothing_of_rights(seen: list[Seen]) -> None:
    assert _verdicts(seen) == {FUZZED: {Verdict.INVALID}, RIGHTS: {Verdict.INVALID}}


def test_broken_promise_says_nothing_about_rights() -> None:
    assert _verdicts([_seen(BROKEN)]) == {FUZZED: {Verdict.FAIL}, RIGHTS: {Verdict.PASS}}


def test_right_that_is_not_kept_stays_a_fact_of_a_run_that_was_cut_off() -> None:
    found = _verdicts([_seen(OPEN, unfinished="it hung")])

    assert found == {FUZZED: {Verdict.INVALID}, RIGHTS: {Verdict.FAIL}}


def test_what_was_reached_speaks_of_links_only_where_there_are_some() -> None:
    def sentence(links: int) -> str:
        seen = replace(_seen(), links=links, followed=frozenset({f"{GET} -> [200] Self -> {GET}"}))
        checks = Subject("things-service", "directly", "things.json", "again").judge(
            [Run(User("alice", ""), 1, seen)]
        )
        return next(one.sentence for one in checks if one.id == "contract.covered")

    assert sentence(1) == "1 operations took sound requests, 1 of 1 links were followed"
    assert sentence(0) == "1 operations took sound requests"
