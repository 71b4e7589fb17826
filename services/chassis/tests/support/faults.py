"""A real TCP server on loopback whose behaviour a test chooses: answers, hangs, drips, resets, talks garbage.

It runs in a thread with a loop of its own, so that synchronous and asynchronous code can be tested with it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Behaviour = Callable[["Exchange"], Awaitable[None]]


@dataclass
class Exchange:
    """One request as it came in, and the way back."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    writer: asyncio.StreamWriter


def answer(body: bytes = b"{}", status: int = 200, headers: dict[str, str] | None = None) -> Behaviour:
    """Answer at once."""

    async def behave(exchange: Exchange) -> None:
        extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        head = f"HTTP/1.1 {status} Status\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
        exchange.writer.write(head.encode() + body)
        await exchange.writer.drain()

    return behave


async def hang(exchange: Exchange) -> None:
    """Take the request and never answer."""
    await asyncio.Event().wait()


async def drip(exchange: Exchange) -> None:
    """Answer one byte at a time, for ever: each read succeeds and the whole never ends."""
    exchange.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        exchange.writer.write(b" ")
        await exchange.writer.drain()
        await asyncio.sleep(0.05)


async def garbage(exchange: Exchange) -> None:
    """Something that is no HTTP."""
    exchange.writer.write(b"\x00\xff\x16 not http at all\r\n\r\n")
    await exchange.writer.drain()
    exchange.writer.close()


async def reset(exchange: Exchange) -> None:
    """Cut the connection by RST after the request was read."""
    sock = exchange.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    exchange.writer.transport.abort()


@dataclass
class FaultServer:
    """Serves `behaviour`; a test may change it at any time. `requests` keeps everything that came in."""

    behaviour: Behaviour = field(default_factory=answer)
    requests: list[Exchange] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    _loop: asyncio.AbstractEventLoop | None = None
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop_listening(self) -> None:
        """Refuse new connections and cut those there are."""
        self._call(self._close())

    def listen_again(self) -> None:
        """Come back on the same port."""
        self._call(self._listen())

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while not writer.is_closing():
                exchange = await _read_request(reader, writer)
                self.requests.append(exchange)
                await self.behaviour(exchange)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    def _call(self, coroutine: Awaitable[None]) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(_awaited(coroutine), self._loop).result(10)


@contextmanager
def fault_server(behaviour: Behaviour | None = None) -> Iterator[FaultServer]:
    """A server for the length of the block."""
    server = FaultServer(behaviour or answer())
    loop = asyncio.new_event_loop()
    server._loop = loop
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        server.listen_again()
        yield server
    finally:
        server.stop_listening()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Exchange:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        if name:
            headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Exchange(method, path, headers, body, writer)


async def _awaited(coroutine: Awaitable[None]) -> None:
    await coroutine
