"""Running a gateway: overload, reload, drain, what it logs, and starts that must be refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from mambogo_chassis.http.access_log import AccessLine
from rig import (
    ROUTE,
    configuration,
    eventually,
    fixed_answer,
    get,
    ok,
    read_head,
    rig,
    run,
    service_for_tests,
)
from tokens import Issuer

from mambogo_gateway.accesslog import GatewayLog
from mambogo_gateway.config import load_config
from mambogo_gateway.errors import ConfigurationError
from mambogo_gateway.instances import FixedInstances
from mambogo_gateway.limits.redis_connection import RedisConnection
from mambogo_gateway.upkeep import Upkeep
from mambogo_gateway.wiring import DEFAULT_ROUTES, RegisteredInstances, make_server


async def _held(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await read_head(reader)
        await asyncio.sleep(0.5)
        writer.write(ok(b"late"))
        await writer.drain()


def test_beyond_the_cap_the_answer_is_503_at_once_and_probes_are_still_answered() -> None:
    async def test() -> None:
        async with rig(_held, config=configuration(limits={"max_in_flight": 3})) as it:
            waiting = [await it.client() for _ in range(3)]
            for client in waiting:
                client.send(get())
            await eventually(lambda: it.gateway.in_flight == 3)
            shed = await it.ask(get())
            assert (shed.status, shed.field("Retry-After")) == (503, "1")
            assert (await it.ask(get("/actuator/health/liveness"))).status == 200
            assert [(await client.receive()).status for client in waiting] == [200] * 3
            assert (await it.ask(get())).status == 200

    run(test())


def test_one_slow_service_has_a_cap_of_its_own() -> None:
    async def test() -> None:
        async with rig(_held, config=configuration(upstreams={"max_in_flight": 1})) as it:
            first = await it.client()
            first.send(get())
            await eventually(lambda: it.gateway.in_flight == 1)
            assert (await it.ask(get())).status == 503
            assert (await first.receive()).status == 200

    run(test())


def _write_routes(path: Path, prefix: str) -> None:
    route = {**ROUTE, "path": f"{prefix}/**"}
    path.write_text(json.dumps({"routes": [route]}))  # JSON is YAML


def test_a_changed_file_is_taken_over_while_a_request_of_the_old_route_goes_on(tmp_path: Path) -> None:
    async def test() -> None:
        path = tmp_path / "routes.yaml"
        _write_routes(path, "/new")
        async with rig(_held) as it:
            upkeep = Upkeep(it.gateway, config_path=path)
            client = await it.client()
            client.send(get())
            await eventually(lambda: it.gateway.in_flight == 1)
            upkeep.reload()
            assert (await it.ask(get())).status == 404
            assert (await it.ask(get("/new/1"))).status == 200
            assert (await client.receive()).body == b"late"
            assert it.metric("gateway_config_reloads_total") == 1.0

    run(test())


def test_the_file_is_looked_at_each_second(tmp_path: Path) -> None:
    async def test() -> None:
        path = tmp_path / "routes.yaml"
        _write_routes(path, "/old")
        async with rig(fixed_answer(ok(b"x"))) as it:
            upkeep = Upkeep(it.gateway, config_path=path)
            upkeep.every_second()
            assert (await it.ask(get("/old/1"))).status == 404
            _write_routes(path, "/brand-new")
            upkeep.every_second()
            assert (await it.ask(get("/brand-new/1"))).status == 200

    run(test())


@pytest.mark.parametrize("text", ["routes: []", "{", "routes: [{id: a, path: /a, service: s, colour: 1}]"])
def test_a_bad_file_changes_nothing_and_is_counted(tmp_path: Path, text: str) -> None:
    async def test() -> None:
        path = tmp_path / "routes.yaml"
        path.write_text(text)
        async with rig(fixed_answer(ok(b"x"))) as it:
            Upkeep(it.gateway, config_path=path).reload()
            assert (await it.ask(get())).status == 200
            assert it.metric("gateway_config_reload_failures_total") == 1.0

    run(test())


def test_draining_finishes_what_is_under_way_and_tells_everyone_to_leave() -> None:
    async def test() -> None:
        async with rig(_held) as it:
            busy, idle = await it.client(), await it.client()
            assert (await idle.ask(get("/actuator/health/readiness"))).status == 200
            busy.send(get())
            await eventually(lambda: it.gateway.in_flight == 1)
            stopping = asyncio.ensure_future(it.server.stop())
            answer = await busy.receive()
            assert (answer.body, answer.field("Connection")) == (b"late", "close")
            assert await idle.closed()
            assert await stopping == 0
            with pytest.raises(OSError, match=r"refused|Connect"):
                await it.client()

    run(test())


def test_while_draining_readiness_is_false_and_requests_are_still_answered() -> None:
    async def test() -> None:
        async with rig(fixed_answer(ok(b"x"))) as it:
            it.server._drain_seconds = 0.5
            client = await it.client()
            assert (await client.ask(get())).status == 200
            stopping = asyncio.ensure_future(it.server.stop())
            await eventually(lambda: it.gateway.draining)
            ready = await it.ask(get("/actuator/health/readiness"))
            assert ready.status == 503
            answer = await client.ask(get())
            assert (answer.status, answer.field("Connection")) == (200, "close")
            await stopping

    run(test())


class Lines:
    """Keeps the lines of a log."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, line: AccessLine) -> None:
        """Keep one."""
        self.lines.append(msgspec.json.encode(line))


def test_a_log_line_tells_what_happened_and_no_secret() -> None:
    async def test() -> None:
        async with rig(fixed_answer(ok(b"hello"))) as it:
            kept = Lines()
            it.gateway.access_log = GatewayLog("gateway-service", kept)
            raw = get("/api/items/4711?card=4111", "Authorization: Bearer user-secret", "X-Request-Id: r-1")
            await it.ask(raw)
            line = json.loads(kept.lines[0])
            assert line["route"] == "/api/items/**"
            assert (line["status"], line["pod"], line["outcome"], line["request_id"]) == (
                *(200, "pod-0"),
                *("answered", "r-1"),
            )
            for secret in (b"4711", b"4111", b"user-secret", b"127.0.0.1"):
                assert secret not in kept.lines[0]

    run(test())


def test_the_packaged_routes_are_valid_and_name_productions_services() -> None:
    services = {route.service for route in load_config(DEFAULT_ROUTES).routes}
    assert services == {
        *("product-service", "cart-service", "order-service"),
        *("inventory-service", "payment-service"),
    }


def test_without_a_token_verifier_there_is_no_gateway() -> None:
    async def test() -> None:
        with pytest.raises(ConfigurationError, match="ISSUER_URL"):
            make_server(service_for_tests(), configuration(), instances=FixedInstances({}))

    run(test())


@pytest.mark.parametrize("url", ["http://redis:6379", "redis://", "redis"])
def test_an_address_that_is_not_redis_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="redis"):
        RedisConnection(url)


def test_registered_instances_follow_the_registry() -> None:
    urls: Sequence[str] = ("http://10.0.0.1:8080",)
    source = RegisteredInstances(lambda service: urls)
    assert [(found.host, found.port) for found in source.instances("s")] == [("10.0.0.1", 8080)]
    urls = ("http://10.0.0.2:8080", "http://10.0.0.3:8080")
    assert [found.host for found in source.instances("s")] == ["10.0.0.2", "10.0.0.3"]


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({}, 200),
        ({"aud": "other"}, 401),
        ({"typ": "ID"}, 401),
        ({"exp": 1}, 401),
        ({"iss": "http://evil"}, 401),
    ],
)
def test_tokens_are_checked_by_the_chassis(claims: dict[str, str | int], status: int) -> None:
    async def test() -> None:
        issuer = Issuer()
        service = service_for_tests(**issuer.settings())
        config = configuration(route={"public_methods": []})
        async with rig(fixed_answer(ok(b"x")), config=config, service=service) as it:
            token = issuer.token("alice", **claims)
            assert (await it.ask(get("/api/items", f"Authorization: Bearer {token}"))).status == status
        issuer.close()

    run(test())
