"""A gateway in this process, scripted pods behind it and raw sockets in front: what the data plane's tests
need.

A pod here is a script over raw bytes, because the interesting pods are broken ones. Nothing is mocked:
sockets, event loop and parsers are the product's.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import uvloop
from mambogo_chassis.service import Service
from mambogo_chassis.tracing import Tracer
from prometheus_client import generate_latest

from mambogo_gateway.auth import Principal, TokenRefusedError
from mambogo_gateway.config import GatewayConfig
from mambogo_gateway.gateway import Gateway
from mambogo_gateway.instances import FixedInstances, Instance
from mambogo_gateway.lifecycle import Server
from mambogo_gateway.limits.store import LimiterStore
from mambogo_gateway.wiring import SERVICE_NAME, GatewaySettings, make_server

# Generous: a test that reaches it has failed, on however slow a machine.
PATIENCE_SECONDS = 20.0

PodScript = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def run(test: Coroutine[Any, Any, None], *, seconds: float = 100) -> None:
    """Run an asynchronous test on the event loop that production uses."""
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    try:
        runner.run(asyncio.wait_for(test, timeout=seconds))
    finally:
        # uvloop warns of everything that a failed test has left open. As an error, the warning keeps it from
        # being closed, and the loop waits for it for ever.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            runner.close()


class ListedTokens:
    """A verifier that knows its tokens: `user-<anything>` is valid and speaks for itself."""

    def __init__(self) -> None:
        self.calls = 0

    async def verify(self, token: str) -> Principal:
        """Accept what looks like a user."""
        self.calls += 1
        await asyncio.sleep(0)
        if not token.startswith("user-"):
            raise TokenRefusedError("unknown token")
        return Principal(subject=token.encode(), expires_at=time.time() + 300)


@dataclass
class ScriptedPod:
    """A listening pod that runs `script` for each connection and remembers what it was sent."""

    name: str
    script: PodScript
    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    resets: int = 0
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and break every connection off."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            await self.script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.resets += 1
        finally:
            self._writers.discard(writer)
            writer.close()

    def instance(self, service: str) -> Instance:
        """How discovery would name it."""
        return Instance(service, "127.0.0.1", self.port, self.name)


async def read_head(reader: asyncio.StreamReader) -> bytes:
    """One head, with its empty line."""
    return await reader.readuntil(b"\r\n\r\n")


def value_of(head: bytes, name: bytes) -> bytes | None:
    """The first value of a field, by its whole name in lower case."""
    for line in head.split(b"\r\n")[1:]:
        key, colon, value = line.partition(b":")
        if colon and key.lower() == name:
            return value.strip()
    return None


def is_chunked(head: bytes) -> bool:
    """Whether the content is chunked, as the gateway and nginx say it."""
    return (value_of(head, b"transfer-encoding") or b"").lower() == b"chunked"


def content_length(head: bytes) -> int:
    """The Content-Length in a head, 0 without one."""
    return int(value_of(head, b"content-length") or b"0")


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """One request with its content, as a pod that trusts the gateway reads it."""
    head = await read_head(reader)
    if is_chunked(head):
        return head, await read_chunks(reader)
    return head, await reader.readexactly(content_length(head))


async def read_chunks(reader: asyncio.StreamReader) -> bytes:
    """Chunked content, in the one spelling that the gateway writes."""
    content = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        content += await reader.readexactly(size)
        assert await reader.readexactly(2) == b"\r\n"
    assert await reader.readexactly(2) == b"\r\n"
    return content


def fixed_answer(raw: bytes, *, then_close: bool = False) -> PodScript:
    """A script that answers each request with the same bytes."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(raw)
            await writer.drain()
            if then_close:
                return

    return script


def ok(body: bytes, *fields: bytes) -> bytes:
    """A 200 with a length."""
    return b"\r\n".join(
        (
            b"HTTP/1.1 200 OK",
            b"Content-Type: text/plain",
            b"Content-Length: %d" % len(body),
            *fields,
            b"",
            body,
        )
    )


def echo() -> PodScript:
    """A script that answers with what it was sent, head and content."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, content = await read_request(reader)
            writer.write(ok(head + content))
            await writer.drain()

    return script


@dataclass
class Answer:
    """A response as a client read it."""

    status: int
    head: bytes
    body: bytes

    def field(self, name: str) -> str | None:
        """The first value of a field."""
        value = value_of(self.head, name.lower().encode())
        return None if value is None else value.decode()


class Client:
    """A raw HTTP/1.1 client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, raw: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(raw)

    async def receive(self, *, to_head: bool = False) -> Answer:
        """Read one answer; raises IncompleteReadError when it is broken off."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = await read_head(self.reader)
            status = int(head[9:12])
            if to_head or status < 200 or status in (204, 304):
                body = b""
            elif is_chunked(head):
                body = await read_chunks(self.reader)
            elif value_of(head, b"content-length") is not None:
                body = await self.reader.readexactly(content_length(head))
            else:
                body = await self.reader.read()
            return Answer(status, head, body)

    async def ask(self, raw: bytes) -> Answer:
        """Send, then receive."""
        self.send(raw)
        return await self.receive()

    async def closed(self) -> bool:
        """Wait for the end of the connection; True when nothing came before it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            try:
                return await self.reader.read() == b""
            except ConnectionError:
                return True

    def abort(self) -> None:
        """Reset the connection."""
        self.writer.transport.abort()


def get(path: str = "/api/items/1", *fields: str, method: str = "GET") -> bytes:
    """A request without content."""
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: shop", *fields, "", "")).encode("latin-1")


def post(content: bytes, *fields: str, path: str = "/api/items", method: str = "POST") -> bytes:
    """A request with a length."""
    return get(path, *fields, f"Content-Length: {len(content)}", method=method) + content


ROUTE: Mapping[str, Any] = {
    "id": "items",
    "path": "/api/items/**",
    "service": "item-service",
    "public_methods": ["GET", "HEAD", "POST", "PUT", "DELETE"],
}


def configuration(
    *,
    route: Mapping[str, Any] | None = None,
    limits: Mapping[str, Any] | None = None,
    upstreams: Mapping[str, Any] | None = None,
    routes: list[Mapping[str, Any]] | None = None,
) -> GatewayConfig:
    """A configuration with one route, changed where a test needs it."""
    return GatewayConfig.model_validate(
        {
            "routes": routes or [{**ROUTE, **(route or {})}],
            "limits": {"per_user": None, "per_address": None, **(limits or {})},
            # A machine that is busy with other tests may take longer for a connect on loopback.
            "upstreams": {"connect_timeout_seconds": 20.0, **(upstreams or {})},
        }
    )


def service_for_tests(**settings_of_a_test: Any) -> Service[GatewaySettings]:
    """A service that is ready at once and gone at once."""
    settings = GatewaySettings(
        application_name=SERVICE_NAME, drain_seconds=0.0, stop_timeout_seconds=5.0, **settings_of_a_test
    )
    return Service.of(settings)


@dataclass
class Rig:
    """A running gateway with its pods."""

    gateway: Gateway
    server: Server
    service: Service[GatewaySettings]
    port: int
    instances: FixedInstances
    pods: list[ScriptedPod]
    verifier: ListedTokens
    clients: list[Client] = field(default_factory=list)

    async def client(self) -> Client:
        """A new connection to the gateway."""
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24))
        self.clients.append(client)
        return client

    async def ask(self, raw: bytes) -> Answer:
        """One request on a connection of its own."""
        return await (await self.client()).ask(raw)

    def metric(self, sample: str) -> float:
        """The value of a sample as a scrape shows it, 0.0 when it is not there."""
        for line in generate_latest(self.service.metrics.registry).decode().splitlines():
            if line.startswith(sample + " "):
                return float(line.rpartition(" ")[2])
        return 0.0

    @property
    def pod(self) -> ScriptedPod:
        """The only pod."""
        return self.pods[0]


@contextlib.asynccontextmanager
async def rig(
    *scripts: PodScript,
    config: GatewayConfig | None = None,
    store: LimiterStore | None = None,
    service: Service[GatewaySettings] | None = None,
    tracer: Tracer | None = None,
) -> AsyncIterator[Rig]:
    """A gateway in front of one pod per script; afterwards nothing may be left in flight.

    A `service` that is given brings its own verifier.
    """
    pods = [ScriptedPod(f"pod-{index}", script) for index, script in enumerate(scripts)]
    for pod in pods:
        await pod.start()
    instances = FixedInstances({"item-service": [pod.instance("item-service") for pod in pods]})
    verifier = ListedTokens()
    given = service
    service = given or service_for_tests()
    service.tracer = tracer or service.tracer
    server, gateway = make_server(
        service,
        config or configuration(),
        verifier=None if given else verifier,
        instances=instances,
        store=store,
    )
    port = await server.start("127.0.0.1", 0)
    made = Rig(gateway, server, service, port, instances, pods, verifier)
    try:
        yield made
        for client in made.clients:
            client.abort()
        await eventually(lambda: gateway.in_flight == 0 and not gateway.connections)
        for upstream in gateway.upstreams.all():
            assert upstream.in_flight == 0
            assert all(pod.in_flight == 0 for pod in upstream.pods.values())
    finally:
        for client in made.clients:
            client.abort()
        await server.stop()
        for pod in pods:
            await pod.stop()


async def eventually(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until `condition` holds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not condition():
        assert loop.time() < end, "the condition did not come true in time"
        await asyncio.sleep(0.005)
