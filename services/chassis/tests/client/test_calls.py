"""Calls against real servers that hang, drip, reset, talk garbage, go away and come back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mambogo_chassis.client import (
    CallPolicy,
    CircuitOpenError,
    HttpClient,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from mambogo_chassis.client.transport import Transport
from mambogo_chassis.http import context
from mambogo_chassis.http.deadlines import DeadlineExceededError, deadline_in
from mambogo_chassis.metrics import Metrics
from mambogo_chassis.service import Service
from mambogo_chassis.settings import ServiceSettings
from mambogo_chassis.tracing import TraceContext
from support.faults import (
    Behaviour,
    Exchange,
    FaultServer,
    answer,
    drip,
    fault_server,
    garbage,
    hang,
    reset,
)

# Where no answer comes, a second is waited for it; else a machine that is busy must not come first.
FAST = CallPolicy(attempt_timeout_seconds=1.0, total_timeout_seconds=5.0)
PATIENT = CallPolicy(attempt_timeout_seconds=30.0, total_timeout_seconds=50.0)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with fault_server() as made:
        yield made


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    made = Transport(max_reply_bytes=200_000, connect_timeout_seconds=30.0)
    yield made
    await made.close()


@pytest.fixture(autouse=True)
def no_request() -> Iterator[None]:
    context.enter(None)
    yield
    context.enter(None)


def client(
    transport: Transport, *servers: FaultServer, policy: CallPolicy = PATIENT, metrics: Metrics | None = None
) -> HttpClient:
    def resolve(name: str) -> Sequence[str]:
        return [server.url for server in servers]

    return HttpClient("product", resolve, transport=transport, metrics=metrics or Metrics(), policy=policy)


def flaky(*behaviours: Behaviour) -> Behaviour:
    """One behaviour for each request in turn; the last one stays."""
    turn = 0

    async def behave(exchange: Exchange) -> None:
        nonlocal turn
        turn += 1
        await behaviours[min(turn, len(behaviours)) - 1](exchange)

    return behave


async def test_an_answer_comes_back_whole(server: FaultServer, transport: Transport) -> None:
    server.behaviour = answer(b'{"a": 1}', 200, {"ETag": '"1"'})
    reply = await client(transport, server).call("GET", "/api/products/1")
    assert (reply.status, reply.headers["etag"], reply.body) == (200, '"1"', b'{"a": 1}')


@pytest.mark.parametrize("status", [302, 400, 404, 500])
async def test_whether_a_status_is_an_error_is_the_callers_business(
    server: FaultServer, transport: Transport, status: int
) -> None:
    server.behaviour = answer(b"{}", status, {"Location": "http://127.0.0.1:1/elsewhere"})
    assert (await client(transport, server).call("GET", "/")).status == status
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (hang, UpstreamTimeoutError),
        (drip, UpstreamTimeoutError),
        (garbage, UpstreamProtocolError),
        (reset, UpstreamUnavailableError),
        (answer(b"x" * 300_000), UpstreamProtocolError),
    ],
)
async def test_each_way_to_misbehave_has_its_error(
    server: FaultServer, transport: Transport, behaviour: Behaviour, error: type[UpstreamError]
) -> None:
    server.behaviour = behaviour
    policy = FAST if error is UpstreamTimeoutError else PATIENT
    with pytest.raises(error) as caught:
        await client(transport, server, policy=policy).call("POST", "/", json={})
    assert caught.value.sent
    assert len(server.requests) == 1  # a POST without a key is never sent twice


async def test_a_refused_connection_is_tried_again_whatever_the_method(transport: Transport) -> None:
    with fault_server() as gone, fault_server(answer(b"{}")) as sound:
        gone.stop_listening()
        replies = [(await client(transport, gone, sound).call("POST", "/", json={})).status for _ in range(6)]
    assert replies == [200] * 6


async def test_an_idempotent_call_is_tried_again(server: FaultServer, transport: Transport) -> None:
    server.behaviour = flaky(answer(b"", 503), reset, answer(b"{}"))
    assert (await client(transport, server).call("GET", "/")).status == 200
    assert len(server.requests) == 3


async def test_a_post_with_a_key_is_tried_again_with_the_same_key(
    server: FaultServer, transport: Transport
) -> None:
    server.behaviour = flaky(reset, answer(b"{}", 201))
    reply = await client(transport, server).call("POST", "/", json={}, idempotency_key="k-1")
    assert reply.status == 201
    assert [request.headers["idempotency-key"] for request in server.requests] == ["k-1", "k-1"]


async def test_retry_after_is_waited_for(server: FaultServer, transport: Transport) -> None:
    server.behaviour = flaky(answer(b"", 503, {"Retry-After": "1"}), answer(b"{}"))
    before = time.monotonic()
    assert (await client(transport, server).call("GET", "/")).status == 200
    assert time.monotonic() - before >= 1.0


async def test_a_retry_after_past_the_deadline_is_not(server: FaultServer, transport: Transport) -> None:
    server.behaviour = answer(b"", 503, {"Retry-After": "60"})
    assert (await client(transport, server).call("GET", "/")).status == 503
    assert len(server.requests) == 1


async def test_an_outage_is_amplified_by_a_tenth_only(server: FaultServer, transport: Transport) -> None:
    metrics = Metrics()
    caller = client(transport, server, metrics=metrics)
    server.behaviour = flaky(*[answer(b"", 429)] * 400)  # sick enough to retry, not to break the circuit
    for _ in range(200):
        await caller.call("GET", "/")
    assert 200 < len(server.requests) <= 200 * 1.1 + 10


async def test_the_circuit_opens_and_closes_again(transport: Transport) -> None:
    with fault_server(answer(b"", 500)) as server:
        caller = client(transport, server)
        for _ in range(5):
            await caller.call("GET", "/")
        with pytest.raises(CircuitOpenError):
            await caller.call("GET", "/")
        assert len(server.requests) == 5
        server.behaviour = answer(b"{}")
        assert await until(caller, 200)


async def test_a_server_that_comes_back_is_used_again_without_a_restart(
    server: FaultServer, transport: Transport
) -> None:
    caller = client(transport, server)
    assert (await caller.call("GET", "/")).status == 200
    server.stop_listening()
    with pytest.raises(UpstreamUnavailableError):
        await caller.call("GET", "/")
    server.listen_again()
    assert await until(caller, 200)


async def test_the_requests_context_is_carried_on(server: FaultServer, transport: Transport) -> None:
    trace = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", True, "vendor=1")
    deadline = deadline_in(1.0)
    context.enter(context.RequestContext("req-12345678", trace, deadline, idempotency_key="k-9"))
    await client(transport, server).call("POST", "/", json={"a": 1}, token="t")
    headers = server.requests[0].headers
    assert headers["x-request-id"] == "req-12345678"
    assert headers["x-request-deadline"] == deadline.header
    assert headers["idempotency-key"] == "k-9"
    assert headers["tracestate"] == "vendor=1"
    assert headers["authorization"] == "Bearer t"
    version, trace_id, span_id, flags = headers["traceparent"].split("-")
    assert (version, trace_id, flags) == ("00", trace.trace_id, "01")
    assert span_id != trace.span_id


async def test_a_deadline_is_never_lengthened(server: FaultServer, transport: Transport) -> None:
    deadline = deadline_in(0.2)
    context.enter(context.RequestContext("req-12345678", TraceContext("1" * 32, "2" * 16), deadline))
    server.behaviour = hang
    with pytest.raises(UpstreamTimeoutError):
        await client(transport, server).call("GET", "/", timeout_seconds=30)
    assert server.requests[0].headers["x-request-deadline"] == deadline.header
    assert deadline.remaining_seconds() < 0.05


async def test_without_time_nothing_is_sent(server: FaultServer, transport: Transport) -> None:
    context.enter(
        context.RequestContext("req-12345678", TraceContext("1" * 32, "2" * 16), deadline_in(0.005))
    )
    with pytest.raises(DeadlineExceededError):
        await client(transport, server).call("GET", "/")
    assert server.requests == []


async def test_a_caller_that_goes_away_says_nothing_against_the_instance(
    server: FaultServer, transport: Transport
) -> None:
    caller = client(transport, server, policy=CallPolicy(attempt_timeout_seconds=5.0))
    server.behaviour = hang
    for _ in range(8):
        task = asyncio.create_task(caller.call("GET", "/"))
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    server.behaviour = answer(b"{}")
    assert (await caller.call("GET", "/")).status == 200


async def test_a_hundred_first_requests_at_once(server: FaultServer) -> None:
    # Client and server share this process's one core: here a slow connect says nothing about the network.
    patient = Transport(connect_timeout_seconds=30.0)
    caller = client(patient, server, policy=CallPolicy(attempt_timeout_seconds=30.0))
    try:
        replies = await asyncio.gather(*(caller.call("GET", "/", timeout_seconds=30.0) for _ in range(100)))
    finally:
        await patient.close()
    assert {reply.status for reply in replies} == {200}
    assert server.connections <= 64


async def test_an_answer_cannot_send_the_service_elsewhere(transport: Transport) -> None:
    with fault_server() as target, fault_server(answer(b"", 307, {"Location": target.url})) as server:
        assert (await client(transport, server).call("GET", "/")).status == 307
        assert target.requests == []


async def test_outcomes_are_counted_from_zero(server: FaultServer, transport: Transport) -> None:
    metrics = Metrics()
    caller = client(transport, server, metrics=metrics)
    await caller.call("GET", "/")
    families = {family.name: family for family in text_string_to_metric_families(metrics.render().decode())}
    counted = {sample.labels["outcome"]: sample.value for sample in families["client_calls"].samples}
    assert counted["ok"] == 1
    assert counted["timeout"] == 0


async def until(caller: HttpClient, status: int, within_seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline:
        try:
            if (await caller.call("GET", "/")).status == status:
                return True
        except UpstreamError:
            pass  # not yet
        await asyncio.sleep(0.05)
    return False


async def test_a_service_without_a_registry_finds_others_at_fixed_addresses(server: FaultServer) -> None:
    settings = ServiceSettings(
        application_name="test-service", service_addresses=(f"product-service={server.url}",)
    )
    service = Service.of(settings)
    try:
        assert (await service.client("product-service").call("GET", "/")).status == 200
    finally:
        await service.transport.close()
