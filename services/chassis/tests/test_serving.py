"""Stopping: in the order that loses nothing, within the time that is given."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest
from fastapi import APIRouter
from mambogo_testkit.waiting import wait_until

from mambogo_chassis.auth import PUBLIC
from mambogo_chassis.lifecycle import Phase
from support.processes import EXAMPLES, service_process
from support.running import Running, Settings, make_service, running

router = APIRouter()
# Far above what anything here takes on a loaded machine.
PATIENCE_SECONDS = 30.0


@router.get("/quick", openapi_extra=PUBLIC)
async def quick() -> str:
    return "done"


@contextlib.asynccontextmanager
async def draining(seconds: float) -> AsyncIterator[Running]:
    async with running(router, settings=Settings(drain_seconds=seconds)) as service:
        service.server.begin_stop()
        await asyncio.sleep(0.05)
        yield service


async def test_while_draining_readiness_is_red_and_requests_are_answered() -> None:
    async with draining(5) as service:
        readiness = await service.client.get("/actuator/health/readiness")
        assert (readiness.status_code, readiness.json()["details"]) == (503, {"phase": "DRAINING"})
        assert (await service.client.get("/quick")).status_code == 200
        service.server.begin_stop()


async def test_while_draining_connections_are_closed_after_their_answer() -> None:
    async with running(router, settings=Settings(drain_seconds=5)) as service:
        assert "connection" not in (await service.client.get("/quick")).headers
        service.server.begin_stop()
        await asyncio.sleep(0.05)
        assert (await service.client.get("/quick")).headers["connection"] == "close"
        assert (await service.client.get("/actuator/health/liveness")).headers["connection"] == "close"
        service.server.begin_stop()


async def test_the_registry_is_told_before_the_drain_begins() -> None:
    order: list[str] = []
    async with running(router) as service:

        async def deregister(phase: Phase) -> None:
            order.append(f"{phase.value} exits={service.server.should_exit}")

        service.service.lifecycle.on_phase(deregister)
        service.server.begin_stop()
        await asyncio.sleep(0.1)
    assert order == ["DRAINING exits=False"]


async def test_a_request_in_flight_is_finished() -> None:
    arrived = asyncio.Event()
    own = APIRouter()

    @own.get("/slow", openapi_extra=PUBLIC)
    async def slow() -> str:
        arrived.set()
        await asyncio.sleep(0.5)
        return "done"

    async with running(own) as service:
        request = asyncio.create_task(service.client.get("/slow"))
        await asyncio.wait_for(arrived.wait(), PATIENCE_SECONDS)
        service.server.begin_stop()
        assert (await request).json() == "done"


async def test_tasks_stop_before_resources_close() -> None:
    made = make_service()
    order: list[str] = []

    @contextlib.asynccontextmanager
    async def database() -> AsyncIterator[None]:
        order.append("open")
        yield
        order.append("close")

    async def relay() -> None:
        order.append("task")
        try:
            await asyncio.Event().wait()
        finally:
            order.append("task stopped")

    made.resource("database", database)
    made.task("relay", relay)
    async with running(router, service=made):
        pass
    assert order == ["open", "task", "task stopped", "close"]


def test_sigterm_ends_the_process_with_success(tmp_path: Path) -> None:
    with service_process(EXAMPLES / "reminders.py", tmp_path / "log", {}) as service:
        assert service.terminate() == 0
        assert "Finished server process" in service.log


def test_a_second_signal_skips_the_drain(tmp_path: Path) -> None:
    with service_process(EXAMPLES / "reminders.py", tmp_path / "log", {"DRAIN_SECONDS": "30"}) as service:
        service.process.send_signal(signal.SIGTERM)
        # Two signals that are there at once are one.
        wait_until(
            "the first signal to be seen",
            lambda: None if "SIGTERM received" in service.log else service.log,
            PATIENCE_SECONDS,
        )
        before = time.monotonic()
        assert service.terminate() == 0
    assert time.monotonic() - before < 20


def test_refused_settings_end_the_start_with_their_own_code(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, str(EXAMPLES / "reminders.py")],
        env={"PATH": os.environ["PATH"], "MAX_BODY_BYTES": "lots", "DRAIN_SECONDS": "-1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 78
    assert "environment variable MAX_BODY_BYTES" in ended.stdout
    assert "environment variable DRAIN_SECONDS" in ended.stdout
    assert "lots" not in ended.stdout


def clients_through_a_stop(log_path: Path, drain_seconds: str) -> tuple[int, list[str]]:
    """Eight clients on kept-alive connections, each going elsewhere once it is told that its one closes.

    How many were answered, and what went wrong.
    """
    failures: list[str] = []
    answered = [0]

    def client(port: int) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        closing = False
        while not closing:
            try:
                connection.request("GET", "/api/about")
                response = connection.getresponse()
                response.read()
            except (OSError, HTTPException) as error:
                failures.append(repr(error))
                return
            answered[0] += 1
            closing = response.getheader("connection") == "close"

    with service_process(EXAMPLES / "reminders.py", log_path, {"DRAIN_SECONDS": drain_seconds}) as service:
        threads = [threading.Thread(target=client, args=(service.port,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        wait_until(
            "answers before the stop",
            lambda: None if answered[0] > len(threads) else f"{answered[0]}, {failures}",
            PATIENCE_SECONDS,
        )
        assert service.terminate() == 0
        for thread in threads:
            thread.join(20)
    return answered[0], failures


def test_clients_that_heed_connection_close_lose_nothing(tmp_path: Path) -> None:
    answered, failures = clients_through_a_stop(tmp_path / "log", "2.0")
    assert answered > 8
    assert failures == []


async def test_the_port_is_free_again_at_once() -> None:
    async with running(router) as service:
        port = service.port
        await service.client.get("/quick")
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


@pytest.mark.parametrize(
    "first", [b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 50, b"G" * 70_000]
)
async def test_what_is_no_http_is_answered_and_closed(first: bytes) -> None:
    async with running(router) as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(first)
        with contextlib.suppress(TimeoutError, ConnectionError):
            await asyncio.wait_for(reader.read(1000), 0.3)
        writer.close()
        assert (await service.client.get("/quick")).status_code == 200
