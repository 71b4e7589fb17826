"""One order, hop by hop."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.shop.answers import Answer, Kind
from rehearsal.shop.client import Line
from rehearsal.shop.walking import Hop, Walk

_PLACED = Answer(Kind.OK, 201, {"order_id": "o1"}, pod="10.0.0.1:8080")
_FOUND = Answer(Kind.OK, 200)
_T = "2026-01-01T00:00:0"


def _order(*states: str) -> Mapping[str, Any]:
    history = [{"state": state, "at": f"{_T}{second}+00:00"} for second, state in enumerate(states)]
    return {"order_id": "o1", "state": states[-1], "history": history}


@dataclass
class FakeCounter:
    """A shop that answers from a list."""

    orders: list[Mapping[str, Any]]
    placed: Answer = _PLACED
    product: Answer = _FOUND
    traceparents: list[str] = field(default_factory=list)

    async def anonymous(self, method: str, path: str) -> Answer:
        return self.product

    async def sign_in(self, user: str) -> None:
        pass

    async def place_order(self, user: str, lines: list[Line], *, key: str, traceparent: str) -> Answer:
        self.traceparents.append(traceparent)
        return self.placed

    async def order(self, user: str, order_id: str) -> Answer:
        return Answer(Kind.OK, 200, self.orders.pop(0) if len(self.orders) > 1 else self.orders[0])

    async def payments_of(self, user: str, order_id: str) -> Answer:
        return Answer(Kind.OK, 200, {"items": [{"status": "CAPTURED"}]})


def _walk(shop: FakeCounter, end_seconds: float = 60) -> list[Hop]:
    async def every() -> list[Hop]:
        return [hop async for hop in Walk(shop, "alice", "p1", "key", end_seconds).hops()]

    return asyncio.run(every())


def test_each_hop_of_a_good_order_is_shown() -> None:
    hops = _walk(FakeCounter([_order("PENDING"), _order("PENDING", "RESERVED", "CONFIRMED")]))
    assert [hop.said.partition(",")[0] for hop in hops] == [
        "200",
        "Keycloak gives alice a token",
        "201",
        "RESERVED",
        "CONFIRMED",
        "CAPTURED",
    ]
    assert all(hop.good for hop in hops)


def test_the_order_is_placed_in_a_trace_that_is_recorded() -> None:
    shop = FakeCounter([_order("PENDING", "CONFIRMED")])
    walk = Walk(shop, "alice", "p1", "key", 60)

    async def go() -> None:
        async for _ in walk.hops():
            pass

    asyncio.run(go())
    [traceparent] = shop.traceparents
    assert re.fullmatch(rf"00-{walk.trace_id}-[0-9a-f]{{16}}-01", traceparent)


def test_times_inside_the_shop_are_its_own() -> None:
    hops = _walk(FakeCounter([_order("PENDING", "RESERVED", "RESERVED", "CONFIRMED")]))
    assert [hop.seconds for hop in hops if hop.said in ("RESERVED", "CONFIRMED")] == [1.0, 2.0]


@pytest.mark.parametrize("end", ["REJECTED", "CANCELLED"])
def test_a_bad_end_is_the_last_hop(end: str) -> None:
    last = _walk(FakeCounter([_order("PENDING", end)]))[-1]
    assert (last.said, last.good) == (end, False)


def test_an_order_that_does_not_end_in_time_is_not_good() -> None:
    last = _walk(FakeCounter([_order("PENDING", "RESERVED")]), end_seconds=0)[-1]
    assert (last.said, last.good) == ("still RESERVED", False)


def test_a_refused_order_is_the_last_hop() -> None:
    last = _walk(FakeCounter([], placed=Answer(Kind.FAIL, 409, {"detail": "no such price"})))[-1]
    assert (last.said, last.good) == ("409 no such price", False)


def test_an_order_that_nobody_can_name_is_the_last_hop() -> None:
    shop = FakeCounter([_order("CONFIRMED")], placed=Answer(Kind.OK, 201, {}))
    last = _walk(shop)[-1]
    assert (last.what, last.good) == ("follow the order", False)


def test_nobody_there_is_the_environment_s_fault() -> None:
    with pytest.raises(EnvironmentNotReadyError, match="no answer from the edge"):
        _walk(FakeCounter([], product=Answer(Kind.INFO, error="ConnectError: refused")))


def test_who_served_a_hop_is_shown() -> None:
    hops = _walk(FakeCounter([_order("PENDING", "CONFIRMED")]))
    assert hops[2].said == "201, served by 10.0.0.1:8080"
