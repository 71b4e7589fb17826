"""Deadlines, ids, traces, logs and metrics around an operation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated

import pytest
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from mambogo_chassis.auth import PUBLIC, Principal, requires
from mambogo_chassis.http import context
from mambogo_chassis.http.app import RoutingError, create_app
from support.running import Running, Settings, running

router = APIRouter(prefix="/api")
finished: list[str] = []


@router.get("/context", openapi_extra=PUBLIC)
async def show_context() -> dict[str, str]:
    request = context.current()
    assert request is not None
    return {
        "request_id": request.request_id,
        "trace": request.trace.traceparent,
        "state": request.trace.state,
        "left": str(request.deadline.remaining_seconds()),
    }


@router.get("/slow/{seconds}", openapi_extra=PUBLIC)
async def slow(seconds: float) -> str:
    try:
        await asyncio.sleep(seconds)
        return "done"
    finally:
        finished.append("slow")


@router.get("/needs/{seconds}", openapi_extra=PUBLIC)
async def needs(seconds: float) -> str:
    request = context.current()
    assert request is not None
    request.deadline.require(seconds)
    return "done"


@router.get("/orders/{order_id}", openapi_extra=PUBLIC)
async def order(order_id: int, response: Response) -> int:
    return order_id


@router.get("/broken-stream", openapi_extra=PUBLIC)
async def broken_stream() -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        raise RuntimeError("in the middle")

    return StreamingResponse(parts())


@pytest.fixture
async def service() -> AsyncIterator[Running]:
    finished.clear()
    async with running(router, settings=Settings(request_timeout_seconds=5.0)) as made:
        yield made


def in_milliseconds(seconds: float) -> dict[str, str]:
    return {"X-Request-Deadline": str(int((time.time() + seconds) * 1000))}


async def test_a_sound_request_id_is_kept(service: Running) -> None:
    response = await service.client.get("/api/context", headers={"X-Request-Id": "order-4711.a_b"})
    assert response.headers["x-request-id"] == response.json()["request_id"] == "order-4711.a_b"


@pytest.mark.parametrize("given", ["short", "x" * 65, 'quote"inject', "a b c d e f g"])
async def test_any_other_request_id_is_replaced(service: Running, given: str) -> None:
    response = await service.client.get("/api/context", headers={"X-Request-Id": given})
    assert response.headers["x-request-id"] != given
    assert len(response.headers["x-request-id"]) == 32


async def test_the_callers_trace_goes_on(service: Running) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    seen = (
        await service.client.get("/api/context", headers={"traceparent": parent, "tracestate": "a=1"})
    ).json()
    version, trace_id, span_id, flags = seen["trace"].split("-")
    assert (version, trace_id, flags, seen["state"]) == ("00", parent.split("-")[1], "01", "a=1")
    assert span_id != parent.split("-")[2]


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "garbage",
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
    ],
)
async def test_a_malformed_trace_is_replaced(service: Running, parent: str) -> None:
    seen = (await service.client.get("/api/context", headers={"traceparent": parent})).json()
    assert "0af7651916cd43dd8448eb211c80319c" not in seen["trace"]


async def test_without_a_deadline_the_services_own_holds(service: Running) -> None:
    left = float((await service.client.get("/api/context")).json()["left"])
    assert 4.0 < left <= 5.0


async def test_the_callers_deadline_holds(service: Running) -> None:
    left = float((await service.client.get("/api/context", headers=in_milliseconds(2))).json()["left"])
    assert 1.0 < left <= 2.0


async def test_a_deadline_cannot_be_lengthened_past_the_services_own(service: Running) -> None:
    left = float((await service.client.get("/api/context", headers=in_milliseconds(3600))).json()["left"])
    assert left <= 5.0


async def test_a_deadline_that_has_passed_is_refused_before_any_work(service: Running) -> None:
    response = await service.client.get("/api/slow/0", headers=in_milliseconds(-1))
    assert (response.status_code, finished) == (504, [])
    assert response.json()["type"] == "urn:mambogo:problem:deadline-exceeded"


@pytest.mark.parametrize(
    "value", ["soon", "1795435200", "-1795435200123", "1795435200123.5", "17954352001234"]
)
async def test_a_malformed_deadline_is_refused(service: Running, value: str) -> None:
    response = await service.client.get("/api/context", headers={"X-Request-Deadline": value})
    assert (response.status_code, response.json()["type"]) == (400, "urn:mambogo:problem:deadline-malformed")


async def test_work_past_the_deadline_is_ended(service: Running) -> None:
    response = await service.client.get("/api/slow/30", headers=in_milliseconds(0.2))
    assert (response.status_code, finished) == (504, ["slow"])


async def test_work_that_cannot_be_done_in_time_is_refused(service: Running) -> None:
    response = await service.client.get("/api/needs/3", headers=in_milliseconds(1))
    assert (response.status_code, response.json()["type"]) == (504, "urn:mambogo:problem:deadline-exceeded")
    assert (await service.client.get("/api/needs/3")).status_code == 200


async def test_requests_are_counted_by_route_template(service: Running) -> None:
    for number in range(3):
        await service.client.get(f"/api/orders/{number}")
    metrics = (await service.client.get("/actuator/prometheus")).text
    assert 'http_requests_total{method="GET",route="/api/orders/{order_id}",status="200"} 3.0' in metrics
    assert "/api/orders/1" not in metrics


async def test_errors_have_their_series_before_the_first(service: Running) -> None:
    metrics = (await service.client.get("/actuator/prometheus")).text
    assert 'http_requests_total{method="GET",route="/api/orders/{order_id}",status="500"} 0.0' in metrics


async def test_made_up_methods_and_paths_make_no_series(service: Running) -> None:
    for number, method in enumerate(["PROPFIND", "MKCOL", "LOCK", "PURGE", "SEARCH"]):
        await service.client.request(method, f"/coffee/{number}")
    metrics = (await service.client.get("/actuator/prometheus")).text
    assert 'http_requests_total{method="other",route="unmatched",status="404"} 5.0' in metrics
    assert "PURGE" not in metrics


async def test_a_log_line_names_the_route_and_nothing_personal(service: Running) -> None:
    await service.client.get(
        "/api/orders/4711?email=alice@example.org",
        headers={"Authorization": "Bearer secret-token", "Cookie": "session=1", "User-Agent": "alice-phone"},
    )
    (line,) = service.log_lines()
    assert (line["route"], line["method"]) == ("/api/orders/{order_id}", "GET")
    text = str(line)
    assert not any(word in text for word in ("4711", "alice", "secret-token", "session", "127.0.0.1"))


async def test_probes_and_scrapes_are_not_logged(service: Running) -> None:
    await service.client.get("/actuator/health/liveness")
    await service.client.get("/actuator/prometheus")
    assert service.log_lines() == []


async def test_an_answer_that_breaks_off_is_not_made_whole(service: Running) -> None:
    answer = await service.raw(b"GET /api/broken-stream HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"one" in answer
    assert not answer.endswith(b"0\r\n\r\n")


async def test_a_client_that_goes_away_does_not_hurt(service: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(b"GET /api/slow/0.2 HTTP/1.1\r\nHost: x\r\n\r\n")
    await writer.drain()
    writer.close()
    assert (await service.client.get("/api/slow/0.4")).status_code == 200
    del reader


def test_an_operation_that_requires_nothing_is_refused_at_start() -> None:
    forgotten = APIRouter()

    @forgotten.get("/admin")
    async def admin() -> None: ...

    with pytest.raises(Exception, match="requires no token"):
        create_app(title="t", version="1", routers=[forgotten])


def test_an_operation_guarded_by_its_router_is_taken() -> None:
    guarded = APIRouter(dependencies=[requires("admin")])

    @guarded.get("/admin")
    async def admin() -> None: ...

    create_app(title="t", version="1", routers=[guarded])


def test_a_nested_router_is_refused() -> None:
    outer, inner = APIRouter(), APIRouter()

    @inner.get("/x", openapi_extra=PUBLIC)
    async def x() -> None: ...

    outer.include_router(inner, prefix="/y")
    with pytest.raises(RoutingError):
        create_app(title="t", version="1", routers=[outer])


async def test_without_a_verifier_a_guarded_operation_is_closed() -> None:
    guarded = APIRouter()

    @guarded.get("/admin")
    async def admin(request: Request, principal: Annotated[Principal, requires("admin")]) -> str:
        return principal.subject

    async with running(guarded) as service:
        assert (await service.client.get("/admin")).status_code == 401
        response = await service.client.get("/admin", headers={"Authorization": "Bearer x"})
        assert response.status_code == 503
