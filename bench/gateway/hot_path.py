"""What costs what on the way of one request, in CPU time of this thread, without sockets.

python bench/gateway/hot_path.py

The whole path is the product's own, between transports that throw bytes away; the parts are called by
themselves with the same input. What the table does not explain is the pump: the state machines and their
calls.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import uvloop

sys.path[:0] = [str(Path(__file__).parents[2] / "services/gateway/tests")]

from mambogo_chassis.http.access_log import AccessLine  # noqa: E402 - found by the path above
from mambogo_gateway.accesslog import GatewayLog  # noqa: E402 - found by the path above
from mambogo_gateway.auth import Principal  # noqa: E402 - found by the path above
from mambogo_gateway.config import GatewayConfig  # noqa: E402 - found by the path above
from mambogo_gateway.gateway import Gateway  # noqa: E402 - found by the path above
from mambogo_gateway.instances import FixedInstances, Instance  # noqa: E402 - found by the path above
from mambogo_gateway.limits.store import Lease, LeaseRequest  # noqa: E402 - found by the path above
from mambogo_gateway.parsing.request import parse_request_head  # noqa: E402 - found by the path above
from mambogo_gateway.parsing.response import parse_response_head  # noqa: E402 - found by the path above
from mambogo_gateway.proxy import heads  # noqa: E402 - found by the path above
from mambogo_gateway.proxy.admission import Admission  # noqa: E402 - found by the path above
from mambogo_gateway.proxy.upstream import UpstreamConnection  # noqa: E402 - found by the path above
from mambogo_gateway.wiring import make_server  # noqa: E402 - found by the path above
from rig import ListedTokens, service_for_tests  # noqa: E402 - found by the path above

_ROUNDS = 25
_CALLS = 200
_AUTHORIZATION = b"Bearer " + b"x" * 950
_REQUEST = (
    b"GET /api/items/42 HTTP/1.1\r\nHost: shop\r\nUser-Agent: bench/1.0\r\nAccept: application/json\r\n"
    b"Accept-Encoding: gzip, deflate\r\nAuthorization: " + _AUTHORIZATION + b"\r\n\r\n"
)
_RESPONSE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\n"
    b"X-Request-Id: abc\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000
)


class Nowhere(asyncio.Transport):
    """A transport that throws away what is written, and a socket and a poll object that say nothing."""

    def write(self, data: Any) -> None:
        """Throw away."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """An address, or itself as the socket."""
        return ("127.0.0.1", 1) if name == "peername" else self

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is buffered."""

    def is_closing(self) -> bool:
        """Never."""
        return False

    def poll(self, timeout: float) -> list[object]:
        """Quiet."""
        return []


class Generous:
    """A store that grants everything."""

    async def lease(self, requests: Sequence[LeaseRequest]) -> Sequence[Lease]:
        """Grant."""
        return [Lease(request.wanted, 0.0) for request in requests]


class Encoded:
    """A log that encodes lines and drops them."""

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()

    def write(self, line: AccessLine) -> None:
        """Encode."""
        self._encoder.encode(line)


def microseconds(work: Callable[[], object]) -> float:
    """The least CPU time of one call over many rounds: neighbours only ever add to it."""
    best = float("inf")
    for _ in range(_ROUNDS):
        started = time.thread_time_ns()
        for _ in range(_CALLS):
            work()
        best = min(best, (time.thread_time_ns() - started) / _CALLS / 1000)
    return best


def make_gateway() -> Gateway:
    """A gateway with all features on, and three pods."""
    config = GatewayConfig.model_validate(
        {
            "routes": [
                {"id": "products", "path": "/api/products/**", "service": "product-service"},
                {"id": "items", "path": "/api/items/**", "service": "item-service"},
            ],
            "limits": {
                "per_user": {"per_second": 1_000_000, "burst": 10_000_000},
                "lease_tokens": 10_000_000,
            },
        }
    )
    pods = [Instance("item-service", "127.0.0.1", port, f"127.0.0.1:{port}") for port in (1, 2, 3)]
    _, gateway = make_server(
        service_for_tests(),
        config,
        verifier=ListedTokens(),
        instances=FixedInstances({"item-service": pods}),
        store=Generous(),
    )
    gateway.access_log = GatewayLog("gateway-service", Encoded())
    principal = Principal(b"0b5a2f0e-alice", time.time() + 3600)
    gateway.authenticator._recognised[_AUTHORIZATION] = (principal, float("inf"))
    return gateway


def whole(gateway: Gateway) -> Callable[[], None]:
    """One request from the client's bytes to the client's bytes."""
    nowhere = Nowhere()
    client = gateway.accept()
    client.transport = nowhere
    connections = []
    for pod in gateway.upstreams.get("item-service").pods.values():
        connection = UpstreamConnection(pod)
        connection.transport, connection._poll = nowhere, nowhere  # type: ignore[assignment]
        pod.idle.append(connection)
        connections.append(connection)
    client.forwarded = gateway.edge.of_peer("127.0.0.1")[1]

    def once() -> None:
        client.data_received(_REQUEST)
        for connection in connections:
            if connection.exchange is not None:
                connection.data_received(_RESPONSE)
                return
        raise AssertionError("the request was not passed on")

    return once


def parts(gateway: Gateway) -> dict[str, Callable[[], object]]:
    """The parts by themselves."""
    head, _, _ = _REQUEST.partition(b"\r\n\r\n")
    answer, _, _ = _RESPONSE.partition(b"\r\n\r\n")
    request = parse_request_head(head, gateway.request_names)
    response = parse_response_head(answer, gateway.response_names, to_head=False)
    upstream = gateway.upstreams.get("item-service")
    limiter = gateway.user_limiter
    assert limiter is not None
    observe = gateway.metrics._observer.observe
    now = gateway.loop.time()
    return {
        "read the request's head": lambda: parse_request_head(head, gateway.request_names),
        "find the route": lambda: gateway.table.match(request.path),
        "recognise the token": lambda: gateway.authenticator.recall(_AUTHORIZATION, now),
        "spend a token of the user's limit": lambda: limiter.take(b"alice", now),
        "breaker, retry budget, choice of pod": lambda: (
            upstream.breaker.admit(now),
            upstream.budget.earn(),
            upstream.pick(),
        ),
        "request id, trace context, head to the pod": lambda: heads.upstream_request(
            request,
            authority=b"127.0.0.1:1",
            request_id=heads.request_id_of(request),
            traceparent=gateway.spans.begin(request)[0],
            forwarded=b"X-Forwarded-For: 127.0.0.1\r\n",
            deadline=1_795_435_200_123,
        ),
        "read the response's head": lambda: parse_response_head(
            answer, gateway.response_names, to_head=False
        ),
        "head to the client": lambda: heads.client_response(
            response.status_line, response.lines, served_by=b"X: y", request_id=b"abc", framing=b""
        ),
        "request metrics (prometheus-client)": lambda: observe("GET", "/api/items/**", 200, 0.002),
    }


async def main() -> None:
    """Print the table."""
    gateway = make_gateway()
    once = whole(gateway)
    for _ in range(200):
        once()
    await asyncio.sleep(0)
    gateway.user_limiter.take(b"alice", 0.0) if gateway.user_limiter else None
    await asyncio.sleep(0)
    total = microseconds(once)
    ended: list[Admission] = []
    finished = gateway.finished
    gateway.finished = ended.append  # type: ignore[method-assign] # to have one that has ended
    once()
    gateway.finished = finished  # type: ignore[method-assign]
    rows = {name: microseconds(work) for name, work in parts(gateway).items()}
    rows["access log line"] = microseconds(lambda: gateway.access_log.finished(ended[0], 0.002))
    print("| part | us |\n|---|---|")
    for name, value in rows.items():
        print(f"| {name} | {value:.1f} |")
    print(f"| the pump: the rest | {total - sum(rows.values()):.1f} |")
    print(f"| **all, without sockets** | **{total:.1f}** |")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
