"""A port on loopback whose connections go on to another port of this machine: whichever it is when one comes.

What is connected stays connected to where it went.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOPBACK = "127.0.0.1"
_CHUNK_BYTES = 1 << 16
_RESET = struct.pack("ii", 1, 0)  # linger for no time: what closes such a socket resets it


@contextmanager
def relayed(destination: Callable[[], int]) -> Iterator[int]:
    """Yield a port; each new connection to it goes on to the port that `destination` returns then.

    A connection that cannot go on is reset, as one is that breaks off on its way.
    """
    relay = _Relay(destination)
    with socket.create_server((LOOPBACK, 0)) as listening:
        # What is accepted inherits it; asyncio itself sets it only where a socket names TCP as its protocol,
        # which these do not. An answer in two parts would wait 40 ms for its first to be acknowledged.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Who uses the port may itself be in an event loop, and wait for an answer in it.
        thread = threading.Thread(target=relay.run, args=(listening,), name="relay", daemon=True)
        thread.start()
        try:
            yield int(listening.getsockname()[1])
        finally:
            relay.end()
            thread.join()


class _Relay:
    def __init__(self, destination: Callable[[], int]) -> None:
        self._destination = destination
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()
        self._connected: dict[asyncio.Future[None], asyncio.StreamWriter] = {}

    def run(self, listening: socket.socket) -> None:
        """Accept until the end; connections that are open then are closed."""
        asyncio.run(self._serve(listening))

    def end(self) -> None:
        """Have `run` return."""
        self._started.wait()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._ended.set)

    async def _serve(self, listening: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._started.set()
        async with await asyncio.start_server(self._take, sock=listening):
            await self._ended.wait()
        for writer in self._connected.values():
            writer.transport.abort()
        await asyncio.gather(*self._connected)

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._pass_on(reader, writer))
        self._connected[task] = writer
        task.add_done_callback(self._connected.pop)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(LOOPBACK, self._destination())
        except OSError:
            _reset(writer)
            return
        both = [asyncio.ensure_future(one) for one in (_pump(reader, back), _pump(there, writer))]
        # Who ends a connection of HTTP waits for nothing more, and kubectl hands on no half of an end.
        ended, others = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for one in others:
            one.cancel()
        # What was cut off must not look as if it had come to its end.
        end = _reset if any(one.exception() for one in ended) else asyncio.StreamWriter.close
        for side in (writer, back):
            end(side)
        await asyncio.gather(*others, writer.wait_closed(), back.wait_closed(), return_exceptions=True)


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while content := await reader.read(_CHUNK_BYTES):
        writer.write(content)
        await writer.drain()
