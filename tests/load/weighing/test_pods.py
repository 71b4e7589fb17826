"""One pod that is asked by HTTP: batches, orders that are followed to their end, answers that are none."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import httpx
import pytest
from rehearsal.cluster.usage import Ask, Counters, PodOnNode
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.load.weighing.goods import filled_cart
from rehearsal.load.weighing.measuring import TroubleError, VoidError
from rehearsal.load.weighing.operations import Goods, of
from rehearsal.load.weighing.pods import AskedPods

GET, _, PLACE = of("order-service")
GOODS = Goods("p-1", "sold-out-1", "o-1", "y-1")
ASKED = PodOnNode("order-a", "node", "a", "")
OTHER = PodOnNode("order-b", "node", "b", "")


class Node:
    """A node on which no container is any more."""

    def execute(self, container: str, argv: list[str]) -> str:
        """Find nothing."""
        return ""

    def converse(self, container: str, argv: tuple[str, ...]) -> AbstractContextManager[Ask]:
        """Say of every file that it is gone."""
        return nullcontext(lambda line: "gone")


@dataclass
class Service:
    """A service behind a transport; its orders end when they have been listed so many times."""

    looks: int = 2
    status: int = 200
    asked: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    bought: set[str] = field(default_factory=set)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        self.asked.append(f"{request.method} {request.url.raw_path.decode()}")
        if request.method == "POST":
            return self._place(request)
        if request.url.path == "/api/orders":
            self.looks -= 1
            state = "PENDING" if self.looks > 0 else "REJECTED"
            return httpx.Response(
                200, json={"items": [{"order_id": one, "state": state} for one in self.keys]}
            )
        return httpx.Response(self.status, json={})

    def _place(self, request: httpx.Request) -> httpx.Response:
        key = request.headers["Idempotency-Key"]
        assert key not in self.keys
        self.keys.add(key)
        self.bought |= {line["product_id"] for line in json.loads(request.content)["lines"]}
        return httpx.Response(201, json={"order_id": key})


def _pods(answer: Callable[[httpx.Request], httpx.Response]) -> AskedPods:
    client = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://pod")
    return AskedPods(client, GOODS, Counters(Node()), ASKED, lambda: (ASKED, OTHER))


def test_batch_is_as_many_requests_as_it_says() -> None:
    service = Service()
    _pods(service).ask(GET)
    assert service.asked == ["GET /api/orders/o-1"] * GET.times


def test_orders_are_of_what_is_sold_out_and_followed_to_their_end() -> None:
    service = Service()
    _pods(service).ask(PLACE)
    assert (len(service.keys), service.bought) == (PLACE.times, {"sold-out-1"})
    assert service.asked[-2:] == [f"GET /api/orders?limit={PLACE.times}"] * 2


def test_answer_that_is_no_success_is_trouble() -> None:
    with pytest.raises(TroubleError, match=r"GET /api/orders/\{order_id\} was answered 503"):
        _pods(Service(status=503)).ask(GET)


def test_no_answer_is_trouble() -> None:
    def silent(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("late")

    with pytest.raises(TroubleError, match="was not answered: ReadTimeout"):
        _pods(silent).ask(GET)


def test_work_of_an_order_is_counted_in_all_pods_and_a_read_in_the_asked_one() -> None:
    pods = _pods(Service())
    assert (pods.counted(GET), pods.counted(PLACE)) == ((ASKED,), (ASKED, OTHER))


def test_pod_that_ended_makes_a_batch_void() -> None:
    with pytest.raises(VoidError, match="order-a has no counter"):
        _pods(Service()).used((ASKED,))


def test_cart_is_emptied_again() -> None:
    service = Service()
    with httpx.Client(transport=httpx.MockTransport(service), base_url="http://pod") as client:
        with filled_cart(client, GOODS):
            assert service.asked == ["PUT /api/carts/current/items/p-1"]
        assert service.asked[1:] == ["DELETE /api/carts/current"]


def test_cart_that_takes_nothing_is_no_measurement() -> None:
    with (
        httpx.Client(transport=httpx.MockTransport(Service(status=503)), base_url="http://pod") as client,
        pytest.raises(EnvironmentNotReadyError, match="nothing could be put into a cart"),
        filled_cart(client, GOODS),
    ):
        pass
