"""Every error is a problem document, from whichever layer it comes, and tells nothing that it should not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Query

from mambogo_chassis.auth import PUBLIC
from mambogo_chassis.errors import ChassisError
from mambogo_chassis.http.problems import Problem, conflict, not_found, unavailable
from mambogo_chassis.http.types import Body, PositiveInt, QueryModel, StrictBool, Text
from support.running import Running, Settings, running

router = APIRouter(prefix="/api")


class Order(Body):
    quantity: PositiveInt
    express: StrictBool = False
    note: Text = ""


class ListQuery(QueryModel):
    limit: int = 10


class PoolExhaustedError(ChassisError):
    code = "pool-exhausted"
    http_status = 503
    retry_after_seconds = 7


@router.get("/items", openapi_extra=PUBLIC)
async def list_items(query: Annotated[ListQuery, Query()]) -> int:
    return query.limit


@router.post("/items", openapi_extra=PUBLIC)
async def create_item(order: Order) -> Order:
    return order


@router.delete("/items/{item}", openapi_extra=PUBLIC)
async def delete_item(item: int) -> None:
    raise not_found("item")


@router.get("/fail/{how}", openapi_extra=PUBLIC)
async def fail(how: str) -> None:
    raise {
        "conflict": conflict("taken", "Somebody else has it."),
        "busy": unavailable("Later."),
        "limited": Problem(429, "rate-limited"),
        "pool": PoolExhaustedError("db-7.internal:5432 is full of secret-host"),
        "bug": RuntimeError("password=hunter2"),
    }[how]


@pytest.fixture
async def service() -> AsyncIterator[Running]:
    async with running(router, settings=Settings(max_body_bytes=10_000)) as made:
        yield made


def assert_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["type"] == f"urn:mambogo:problem:{code}"
    assert document["status"] == status
    assert document["request_id"] == response.headers["x-request-id"]
    return document


async def test_an_unknown_path(service: Running) -> None:
    assert_problem(await service.client.get("/nowhere"), 404, "not-found")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "OPTIONS", "PROPFIND"])
async def test_a_wrong_method_names_all_right_ones(service: Running, method: str) -> None:
    response = await service.client.request(method, "/api/items")
    assert_problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "GET, POST"


async def test_an_operations_own_404(service: Running) -> None:
    document = assert_problem(await service.client.delete("/api/items/1"), 404, "not-found")
    assert document["detail"] == "There is no such item."


async def test_a_conflict(service: Running) -> None:
    assert_problem(await service.client.get("/api/fail/conflict"), 409, "taken")


@pytest.mark.parametrize(
    ("how", "status", "code"), [("busy", 503, "unavailable"), ("limited", 429, "rate-limited")]
)
async def test_not_now_says_when(service: Running, how: str, status: int, code: str) -> None:
    response = await service.client.get(f"/api/fail/{how}")
    assert_problem(response, status, code)
    assert response.headers["retry-after"] == "1"


async def test_an_error_of_the_chassis_keeps_its_hosts_to_itself(service: Running) -> None:
    response = await service.client.get("/api/fail/pool")
    assert_problem(response, 503, "pool-exhausted")
    assert response.headers["retry-after"] == "7"
    assert "secret-host" not in response.text


async def test_a_bug_is_500_without_internals(service: Running) -> None:
    response = await service.client.get("/api/fail/bug")
    document = assert_problem(response, 500, "internal-error")
    assert set(document) == {"type", "title", "status", "request_id"}


async def test_a_bug_is_counted_and_logged_without_its_message(service: Running) -> None:
    await service.client.get("/api/fail/bug")
    metrics = (await service.client.get("/actuator/prometheus")).text
    assert 'http_requests_total{method="GET",route="/api/fail/{how}",status="500"} 1.0' in metrics
    assert "hunter2" not in json.dumps(service.log_lines())


@pytest.mark.parametrize(
    "body",
    [
        {"quantity": True},
        {"quantity": "3"},
        {"quantity": 0},
        {"quantity": 2**53},
        {"quantity": 1.5},
        {"quantity": 1, "express": 0},
        {"quantity": 1, "price": 1},
        {"quantity": 1, "note": "\x00"},
        {"quantity": 1, "note": "x" * 2001},
        {},
        [],
        None,
        "text",
    ],
)
async def test_invalid_input_is_422_and_is_not_echoed(service: Running, body: object) -> None:
    response = await service.client.post("/api/items", json=body)
    document = assert_problem(response, 422, "invalid-input")
    assert document["errors"]
    assert all(set(error) == {"location", "message", "code"} for error in document["errors"])


async def test_an_integral_float_is_an_integer(service: Running) -> None:
    response = await service.client.post("/api/items", json={"quantity": 3.0})
    assert (response.status_code, response.json()["quantity"]) == (200, 3)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"quantity": NaN}',
        b'{"quantity": Infinity}',
        b'{"quantity": 1e400}',
        b'{"quantity": ' + b"9" * 5000 + b"}",
        b'{"quantity": 1, "note": "\\ud800"}',
        b"\xff\xfe",
        b"[" * 9000,
        b'{"a":' * 1500,
        b"",
    ],
    ids=lambda body: repr(body[:24]),
)
async def test_text_that_breaks_parsers_is_refused(service: Running, body: bytes) -> None:
    response = await service.client.post(
        "/api/items", content=body, headers={"Content-Type": "application/json"}
    )
    assert response.status_code in (400, 422)
    assert response.headers["content-type"] == "application/problem+json"


async def test_an_unknown_query_parameter_is_refused(service: Running) -> None:
    assert_problem(await service.client.get("/api/items?limt=5"), 422, "invalid-input")


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/xml", "multipart/form-data; boundary=x", ""]
)
async def test_a_foreign_media_type_is_415(service: Running, media_type: str) -> None:
    response = await service.client.post(
        "/api/items", content=b'{"quantity": 1}', headers={"Content-Type": media_type}
    )
    assert_problem(response, 415, "unsupported-media-type")


async def test_errors_are_reported_up_to_a_bound(service: Running) -> None:
    response = await service.client.post("/api/items", json={f"x{n}": 1 for n in range(200)})
    assert len(assert_problem(response, 422, "invalid-input")["errors"]) == 20


async def test_a_body_that_says_it_is_too_large_is_not_read(service: Running) -> None:
    response = await service.client.post("/api/items", content=b" " * 10_001)
    assert_problem(response, 413, "content-too-large")


async def test_a_chunked_body_is_cut_at_the_limit(service: Running) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 1000

    response = await service.client.post(
        "/api/items", content=endless(), headers={"Content-Type": "application/json"}
    )
    assert_problem(response, 413, "content-too-large")


async def test_a_body_at_the_limit_is_taken(service: Running) -> None:
    body = b'{"quantity": 1' + b" " * (10_000 - 15) + b"}"
    response = await service.client.post(
        "/api/items", content=body, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 200


async def test_a_slash_more_is_another_path(service: Running) -> None:
    assert_problem(await service.client.get("/api/items/"), 404, "not-found")
