"""What a gateway process holds: idle, with 2,000 idle connections, and while content streams through it.

Measured on a process of its own, as production starts it. The bounds are the issue's; they are about
bytes, which do not depend on how busy the machine is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from mambogo_testkit.ports import free_port
from processes import Process
from rig import Client, ScriptedPod, content_length, get, read_head, run
from tokens import Issuer

_MIB = 1 << 20
_HERE = Path(__file__).parent
_PIECE = b"x" * 65_536
_STREAMED_BYTES = 100 * _MIB


def resident_bytes(process_id: int) -> int:
    """The resident set of a process."""
    for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the process is gone")


async def streaming(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A pod that takes any content and answers with 100 MB, by length or in chunks as the path says."""
    while True:
        head = await read_head(reader)
        left = content_length(head)
        taken = 0
        while taken < left:
            taken += len(await reader.read(min(left - taken, 1 << 18)))
        if b"/upload" in head:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n%09d" % taken)
        elif b"/chunks" in head:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(_STREAMED_BYTES // len(_PIECE)):
                writer.write(b"%x\r\n%b\r\n" % (len(_PIECE), _PIECE))
                await writer.drain()
            writer.write(b"0\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % _STREAMED_BYTES)
            for _ in range(_STREAMED_BYTES // len(_PIECE)):
                writer.write(_PIECE)
                await writer.drain()
        await writer.drain()


class Measured:
    """A gateway process, with a streaming pod behind it while a test runs."""

    def __init__(self, process: Process, pod_port: int) -> None:
        self.process = process
        self._pod_port = pod_port

    @property
    def resident(self) -> int:
        """What the process holds now."""
        return resident_bytes(self.process.process_id)

    async def client(self) -> Client:
        """A connection to it."""
        return Client(*await asyncio.open_connection("127.0.0.1", self.process.port))

    @contextlib.asynccontextmanager
    async def with_pod(self) -> AsyncIterator[None]:
        """The pod, and one request that has been served."""
        pod = ScriptedPod("pod", streaming, self._pod_port)
        await pod.start()
        try:
            client = await self.client()
            while (await client.ask(get("/api/items/upload"))).status != 200:
                pass  # the pod of the test before is being replaced
            client.abort()
            yield
        finally:
            await pod.stop()


@pytest.fixture(scope="module")
def it(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    """A started gateway; one for all tests, since starting costs most."""
    directory = tmp_path_factory.mktemp("gateway")
    issuer = Issuer()
    pod_port = free_port()
    registry, routes = directory / "instances", directory / "routes.yaml"
    registry.write_text(f"item-service 127.0.0.1 {pod_port}\n")
    routes.write_text(
        "routes: [{id: items, path: /api/items/**, service: item-service, public_methods: [GET, POST],"
        f" max_content_bytes: {_STREAMED_BYTES}, deadline_seconds: 300}}]\n"
    )
    environment = {**issuer.environment(), "ROUTES_FILE": str(routes), "DRAIN_SECONDS": "0"}
    process = Process([str(_HERE / "gateway_process.py"), str(registry)], environment)
    process.start()
    try:
        run(process.ready())
        yield Measured(process, pod_port)
    finally:
        process.kill()
        issuer.close()


def test_idle_it_holds_at_most_75_mib(it: Measured) -> None:
    assert it.resident <= 75 * _MIB


@pytest.mark.parametrize("slow_reader", [False, True])
@pytest.mark.parametrize("path", ["/api/items/download", "/api/items/chunks"])
def test_a_hundred_megabytes_down_in_constant_memory(it: Measured, path: str, slow_reader: bool) -> None:
    async def test() -> None:
        async with it.with_pod():
            client = await it.client()
            before = most = it.resident
            client.send(get(path))
            await read_head(client.reader)
            received = 0
            while received < _STREAMED_BYTES:
                piece = await client.reader.read(1 << 20)
                assert piece
                received += len(piece)
                most = max(most, it.resident)
                if slow_reader and received < 4 * _MIB:
                    # The pod could send all of it meanwhile, if the gateway took it.
                    await asyncio.sleep(0.02)
            client.abort()
            assert most - before < 8 * _MIB

    run(test())


def test_a_hundred_megabytes_up_in_constant_memory(it: Measured) -> None:
    async def test() -> None:
        async with it.with_pod():
            client = await it.client()
            before = most = it.resident
            client.send(get("/api/items/upload", f"Content-Length: {_STREAMED_BYTES}", method="POST"))
            for _ in range(_STREAMED_BYTES // len(_PIECE)):
                client.send(_PIECE)
                await client.writer.drain()
                most = max(most, it.resident)
            assert (await client.receive()).body == b"%09d" % _STREAMED_BYTES
            client.abort()
            assert most - before < 8 * _MIB

    run(test())


def test_two_thousand_idle_connections_cost_little(it: Measured) -> None:
    async def test() -> None:
        async with it.with_pod():
            before = it.resident
            clients = []
            for _ in range(2000):
                client = await it.client()
                assert (await client.ask(get("/api/items/upload"))).status == 200
                clients.append(client)
            grown = it.resident - before
            for client in clients:
                client.abort()
            assert grown < 60 * _MIB

    run(test())
