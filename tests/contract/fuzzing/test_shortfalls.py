"""What no run has reached: operations that took nothing, or hardly anything, and links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rehearsal.contract.fuzzing.judging import LEAST_LINKS, more_to_reach, shortfalls
from rehearsal.contract.fuzzing.reading import Seen

GET = "GET /things/{thing_id}"
POST = "POST /things"


def _seen(
    statuses: Mapping[str, Mapping[int, int]], *, empty: Mapping[str, str] | None = None, links: int = 0
) -> Seen:
    followed = frozenset(f"{POST} -> [201] Link{number} -> GET /{number}" for number in range(links))
    return Seen(names=frozenset(statuses), statuses=statuses, empty=empty or {}, links=4, followed=followed)


def test_what_took_sound_requests_is_reached() -> None:
    assert shortfalls([_seen({GET: {200: 1}, POST: {201: 1}}, links=4)]) == []


def test_an_operation_that_hardly_took_any_in_every_run_is_not() -> None:
    hardly = _seen({GET: {200: 1, 404: 30}, POST: {201: 9}}, empty={GET: "missing test data"}, links=4)

    (found,) = shortfalls([hardly, hardly])

    assert found.operation == GET
    assert found.sentence == "hardly any sound request was taken: missing test data"
    assert found.observed == "200 2 times, 404 60 times"


def test_one_run_that_took_enough_makes_up_for_another() -> None:
    hardly = _seen({GET: {200: 1, 404: 30}}, empty={GET: "missing test data"}, links=4)

    assert shortfalls([hardly, _seen({GET: {200: 20}}, links=4)]) == []


def test_a_run_that_never_asked_makes_up_for_nothing() -> None:
    hardly = _seen({GET: {200: 1, 404: 30}}, empty={GET: "missing test data"}, links=4)

    assert [one.operation for one in shortfalls([hardly, _seen({POST: {201: 3}}, links=4)])] == [GET]


def test_every_link_has_to_be_followed_unless_fewer_are_enough() -> None:
    half = [_seen({POST: {201: 3}}, links=2)]

    assert [one.operation for one in shortfalls(half)] == ["links"]
    assert shortfalls(half, LEAST_LINKS) == []
    assert shortfalls([_seen({POST: {201: 3}}, links=1)], LEAST_LINKS) != []


def test_another_seed_is_for_the_last_links_once_and_for_a_finding_always() -> None:
    most, few = _seen({POST: {201: 3}}, links=2), _seen({POST: {201: 3}}, links=1)
    nothing = _seen({GET: {404: 9}}, empty={GET: "missing test data"}, links=4)
    cut_off = replace(few, unfinished="it hung")

    assert more_to_reach([most], every_link=True)
    assert not more_to_reach([most, most], every_link=True)
    assert not more_to_reach([most], every_link=False)
    assert more_to_reach([few, few], every_link=True)
    assert more_to_reach([nothing, nothing], every_link=False)
    assert not more_to_reach([few, cut_off], every_link=True)
