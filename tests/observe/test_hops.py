"""What each hop had of a request's time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from rehearsal.observe.hops import Share, hop_times, shares, shares_text
from rehearsal.observe.logs import LogLine

from tests.observe.worlds import FakeLogs, line


def _line(container: str, **fields: str) -> LogLine:
    said = line("GET /")
    return replace(said, container=container, fields={**said.fields, **fields})


CACHE = _line("cdn", duration_seconds="0.020", upstream_seconds="0.018")
GATEWAY = _line(
    "gateway-service", duration_ms="15.5", upstream="order-service", pod="10.244.0.7:8080", outcome="answered"
)
ORDER = _line("order-service", duration_ms="12.25")
PRODUCT = _line("product-service", duration_ms="3")
ALL = (CACHE, GATEWAY, ORDER, PRODUCT)


def _milliseconds(found: tuple[Share, ...]) -> dict[str, float | None]:
    return {one.who: None if one.seconds is None else round(one.seconds * 1000, 2) for one in found}


def test_each_hop_has_what_the_next_one_has_not() -> None:
    assert _milliseconds(shares(ALL)) == {
        "cache": 2,
        "load balancer": 2.5,
        "gateway": 3.25,
        "order-service": 12.25,
    }


def test_who_was_asked_by_the_service_is_a_part_of_it() -> None:
    assert shares(ALL)[-1].within == (Share("product-service", 0.003),)


def test_lines_without_a_time_are_nobody_s() -> None:
    assert shares((*ALL, _line("payment-service"))) == shares(ALL)


@pytest.mark.parametrize(
    ("absent", "unknown"),
    [
        (CACHE, {"cache", "load balancer"}),
        (GATEWAY, {"load balancer", "gateway", "service"}),
        (ORDER, {"gateway", "order-service"}),
    ],
    ids=["cache", "gateway", "service"],
)
def test_a_line_that_is_not_there_makes_no_time_up(absent: LogLine, unknown: set[str]) -> None:
    found = shares(one for one in ALL if one is not absent)
    assert {one.who for one in found if one.seconds is None} == unknown


def test_a_gateway_that_answers_by_itself_is_the_last_hop() -> None:
    refused = replace(GATEWAY, fields={**GATEWAY.fields, "pod": "", "outcome": "unavailable"})
    assert _milliseconds(shares((CACHE, refused))) == {"cache": 2, "load balancer": 2.5, "gateway": 15.5}


@pytest.mark.parametrize(
    ("said", "waited"), [("0.018", 18), ("0.010, 0.006 : 0.002", 18), ("-", 0), ("", 0)], ids=repr
)
def test_all_whom_the_cache_asked_count(said: str, waited: float) -> None:
    cache = _line("cdn", duration_seconds="0.020", upstream_seconds=said)
    assert _milliseconds(shares((cache,)))["cache"] == 20 - waited


def test_a_part_that_counts_more_than_the_whole_leaves_nothing() -> None:
    slow = _line("order-service", duration_ms="15.9")
    assert _milliseconds(shares((CACHE, GATEWAY, slow)))["gateway"] == 0


def test_a_line_for_a_person() -> None:
    assert shares_text(shares(ALL)) == (
        "cache 2 ms, load balancer 2 ms, gateway 3 ms, order-service 12 ms (with product-service 3 ms)"
    )
    assert shares_text(shares((CACHE, GATEWAY))) == (
        "cache 2 ms, load balancer 2 ms, gateway not logged yet, order-service not logged yet"
    )
    assert shares_text((Share("cache", 0.0004),)) == "cache under 1 ms"
    assert shares_text(shares(())) == "no times of its hops: nothing of it is logged yet"


@dataclass
class LateLogs:
    """A store to which one line comes with each question."""

    coming: list[LogLine]
    there: tuple[LogLine, ...] = ()
    asked: int = 0

    def lines(self, question: str, limit: int) -> tuple[LogLine, ...]:
        self.asked += 1
        if self.coming:
            self.there += (self.coming.pop(0),)
        return self.there


def test_lines_that_come_late_are_waited_for() -> None:
    store = LateLogs(list(ALL[:3]))
    assert hop_times(store, ["request-1"], within_seconds=30)["request-1"] == shares(ALL[:3])
    assert store.asked == 3


def test_what_does_not_come_in_time_is_said_and_not_waited_for() -> None:
    found = hop_times(FakeLogs((CACHE, GATEWAY)), ["request-1", "request-2"], within_seconds=0)
    assert found == {"request-1": shares((CACHE, GATEWAY)), "request-2": shares(())}
