"""A pod that is cheap enough for a busy machine and stops as the chassis' services do.

On SIGTERM it goes on answering for DRAIN_SECONDS, each answer closing its connection; then it closes its
socket and what is idle, and ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import cast

import uvloop

_BODY = b'{"state":"fine"}'
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(_BODY)


class Pod(asyncio.Protocol):
    """Answers requests of up to one packet."""

    draining = False
    open: set[Pod] = set()  # noqa: RUF012 - shared by all connections on purpose

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self.transport = cast("asyncio.Transport", transport)
        Pod.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        Pod.open.discard(self)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        close = Pod.draining or b"\r\nConnection: close\r\n" in data
        self.transport.write(_HEAD + (b"Connection: close\r\n\r\n" if close else b"\r\n") + _BODY)
        if close:
            self.transport.close()


async def main() -> None:
    """Serve until SIGTERM, then drain."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    server = await loop.create_server(Pod, "127.0.0.1", int(os.environ["PORT"]), backlog=2048)
    await stop.wait()
    Pod.draining = True
    await asyncio.sleep(float(os.environ["DRAIN_SECONDS"]))
    server.close()
    for pod in list(Pod.open):
        pod.transport.close()
    await server.wait_closed()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
