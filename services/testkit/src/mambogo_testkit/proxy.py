"""A TCP proxy on loopback between a client and a dependency, which does what a network does on bad days.

    with FaultProxy(database.host, database.port) as proxy:
        with proxy.inject(Latency(0.5)):
            ...  # talk to proxy.port

It runs in a thread with a loop of its own, so that synchronous and asynchronous code can be tested with it
and a busy test does not slow it. One fault at a time, on connections that are there and on new ones. Which
faults there are is `faults`'. A connection is always accepted: what a client sees while it connects to
nothing is shown by `refuse`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeVar

from mambogo_testkit.errors import TestkitError
from mambogo_testkit.faults import Direction, Fault, Link
from mambogo_testkit.running import HOST

_CHUNK_BYTES = 65_536
_BACKLOG = 128
# Of a call into the proxy's thread: far above what any takes, so that a test never hangs in it.
_CALL_SECONDS = 30.0

F = TypeVar("F", bound=Fault)
T = TypeVar("T")


class FaultProxy:
    """Passes everything on to `host:port`, but for what the current fault does to it.

    It listens on a port of its own choice, or on `listen_on`.
    """

    def __init__(self, host: str, port: int, *, listen_on: int = 0) -> None:
        self.port = listen_on
        self.connections = 0
        self._target = (host, port)
        self._fault: Fault | None = None
        self._links: set[_Link] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._socket: socket.socket | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)

    @property
    def host(self) -> str:
        """Where it listens."""
        return HOST

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{HOST}:{self.port}"

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CALL_SECONDS)
        self._loop.close()

    @contextmanager
    def inject(self, fault: F) -> Iterator[F]:
        """Apply a fault for the length of the block; TestkitError `no-effect` if it touched nothing."""
        self._call(self._set(fault))
        try:
            yield fault
        finally:
            self._call(self._set(None))
        if not fault.acted:
            raise TestkitError(
                "no-effect", f"the fault {fault.name} met no traffic", "send something through the proxy"
            )

    @contextmanager
    def refuse(self) -> Iterator[None]:
        """Cut every connection and refuse new ones for the length of the block; then listen as before."""
        self._call(self._close())
        try:
            yield
        finally:
            self._call(self._listen())

    def cut_all(self) -> int:
        """Reset every connection there is, idle ones too; how many they were."""
        return self._call(self._cut_all())

    async def pass_on(self, link: _Link, direction: Direction, data: bytes) -> None:
        """Hand `data` to the current fault, or on."""
        fault = self._fault
        if fault is not None and fault.direction == direction:
            await fault.pass_on(link, data)
        else:
            await link.send(direction, data)

    async def _set(self, fault: Fault | None) -> None:
        if self._fault is not None:
            self._fault.gone.set()
        self._fault = fault

    async def _listen(self) -> None:
        # An own listening socket: asyncio's server loses connections that arrive while it closes.
        self._socket = socket.create_server((HOST, self.port), backlog=_BACKLOG)
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]
        self._loop.add_reader(self._socket, self._accept, self._socket)

    async def _close(self) -> None:
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        await self._cut_all()
        await asyncio.gather(*self._serving)

    async def _cut_all(self) -> int:
        links = list(self._links)
        for link in links:
            link.cut(reset=True)
        return len(links)

    def _accept(self, listening: socket.socket) -> None:
        client, _ = listening.accept()
        client.setblocking(False)
        self.connections += 1
        task = self._loop.create_task(self._serve(client))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, client: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=client)
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:
            _abort(writer)
            await _closed(writer)
            return
        link = _Link(self, writer, server_writer)
        self._links.add(link)
        if self._socket is None:  # closed while this connection was being made
            link.cut(reset=True)
        await link.run(reader, server_reader)
        self._links.discard(link)

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_CALL_SECONDS)


class _Link(Link):
    """One client's connection and the one to the server that belongs to it."""

    def __init__(self, proxy: FaultProxy, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._ended = asyncio.Event()
        self._keeps_client = False

    async def run(self, client: asyncio.StreamReader, server: asyncio.StreamReader) -> None:
        """Pump both ways until both sides have ended, or the connection was cut."""
        pumps = [
            asyncio.create_task(self._pump("request", client)),
            asyncio.create_task(self._pump("reply", server)),
        ]
        for pump in pumps:
            pump.add_done_callback(lambda _: self._end_if(pumps))
        await self._ended.wait()
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        await _closed(self._client)
        await _closed(self._server)

    def _end_if(self, pumps: list[asyncio.Task[None]]) -> None:
        if all(pump.done() for pump in pumps):
            self._ended.set()

    async def send(self, direction: Direction, data: bytes) -> None:
        """Pass bytes on; those for a side that is gone are lost, as on a wire."""
        writer = self._server if direction == "request" else self._client
        with contextlib.suppress(ConnectionError):
            writer.write(data)
            await writer.drain()

    def cut(self, *, reset: bool) -> None:
        """End both sides."""
        if reset:
            _abort(self._client)
        self._ended.set()

    def close_server(self) -> None:
        """End the server's side; its end is not told to the client."""
        self._keeps_client = True
        self._server.close()

    async def _pump(self, direction: Direction, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(_CHUNK_BYTES):
                await self._proxy.pass_on(self, direction, data)
        self._end_of(direction)

    def _end_of(self, direction: Direction) -> None:
        """Tell the other side that this one has ended."""
        if direction == "reply" and self._keeps_client:
            return
        writer = self._server if direction == "request" else self._client
        with contextlib.suppress(OSError, RuntimeError):
            writer.write_eof()


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


def _abort(writer: asyncio.StreamWriter) -> None:
    """End a connection by RST."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
