"""The upstream of every peer: a raw protocol that answers 1 KB of JSON, so that the gateway is measured."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import cast

import uvloop

_BODY = json.dumps({"id": 42, "name": "x" * 960}).encode()
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"Date: Mon, 23 Nov 2026 12:00:00 GMT\r\n\r\n%b"
) % (len(_BODY), _BODY)


class Upstream(asyncio.Protocol):
    """Answers each request without content, pipelined or not."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self.transport.write(_ANSWER * data.count(b"\r\n\r\n"))


async def main(port: int) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1])))
