"""The floor of any gateway in Python: bytes go on to the upstream and back, none is read."""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop


class Upstream(asyncio.Protocol):
    """Brings answers back."""

    def __init__(self, client: asyncio.Transport) -> None:
        self._client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self._client.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._client.close()


class Client(asyncio.Protocol):
    """Takes requests; what comes before the upstream's connection is there waits."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._early: list[bytes] = []
        self._upstream: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self.transport = cast("asyncio.Transport", transport)
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, upstream = await loop.create_connection(lambda: Upstream(self.transport), "127.0.0.1", self._port)
        self._upstream = upstream.transport
        self._upstream.writelines(self._early)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        if self._upstream is None:
            self._early.append(data)
        else:
            self._upstream.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._connecting.cancel()
        if self._upstream is not None:
            self._upstream.close()


async def main(port: int, upstream: int) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(lambda: Client(upstream), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1]), int(sys.argv[2])))
