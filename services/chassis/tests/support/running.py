"""A service under a real server within the test's own event loop."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import APIRouter

from mambogo_chassis.http.access_log import LineWriter
from mambogo_chassis.service import Service
from mambogo_chassis.serving import GracefulServer
from mambogo_chassis.settings import LiveSettings, LoadReport, ServiceSettings


class Settings(ServiceSettings):
    """What tests run with unless they say otherwise: any port, no waiting."""

    application_name: str = "test-service"
    host: str = "127.0.0.1"
    port: int = 0
    drain_seconds: float = 0.0
    stop_timeout_seconds: float = 5.0


@dataclass
class Running:
    """A service that answers at `port`."""

    service: Service[Any]
    server: GracefulServer
    client: httpx.AsyncClient
    port: int
    log: io.BytesIO

    async def raw(self, request: bytes) -> bytes:
        """Send bytes as they are; everything that comes back until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        await writer.drain()
        try:
            return await asyncio.wait_for(reader.read(), 30)
        finally:
            writer.close()

    def log_lines(self) -> list[dict[str, Any]]:
        """What has been logged, once the writer is closed."""
        writer = self.service._writer
        assert writer is not None
        writer.close()
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


def make_service(settings: ServiceSettings | None = None, log: io.BytesIO | None = None) -> Service[Any]:
    """A service that logs into memory."""
    live = LiveSettings(settings or Settings(), LoadReport("none"))
    return Service(live, writer=LineWriter(log if log is not None else io.BytesIO()))


@asynccontextmanager
async def running(
    *routers: APIRouter, settings: ServiceSettings | None = None, service: Service[Any] | None = None
) -> AsyncIterator[Running]:
    """Serve the routers for the length of the block."""
    log = io.BytesIO()
    made = service if service is not None else make_service(settings, log)
    server = made.server(made.app(title="Test", routers=routers))
    serving = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(30):
            while not server.started:
                assert not serving.done(), serving
                await asyncio.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        # Tests of bounds measure them; this one is only for what hangs for good.
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield Running(made, server, client, port, log)
    finally:
        server.should_exit = True
        await asyncio.wait_for(serving, 30)
