"""Requests at fixed times, whether or not the answers come: latency counts from when each was due.

A closed loop asks later when the answers are late, and so leaves out the very waiting that is to be measured
("coordinated omission"). Prints one line of JSON; run by `half_load`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from typing import cast

import uvloop

# As many as the closed-loop generator has.
_CONNECTIONS = 32
_LAST_ANSWERS_SECONDS = 10.0


class Generator:
    """Sends what is due over kept connections; what finds none free waits, and the wait counts."""

    def __init__(self, request: bytes, *, per_second: float, requests: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._request = request
        self._interval = 1 / per_second
        self._requests = requests
        self._started = 0.0
        self._sent = 0
        self._free: deque[Connection] = deque()
        self.latencies: list[float] = []
        self.errors = 0
        self.ended = self._loop.create_future()

    async def run(self, port: int) -> None:
        """Send all, then wait for the last answers; one that does not come is an error."""
        for _ in range(_CONNECTIONS):
            _, connection = await self._loop.create_connection(lambda: Connection(self), "127.0.0.1", port)
            self._free.append(connection)
        self._started = self._loop.time()
        self._tick()
        try:
            budget = self._requests * self._interval + _LAST_ANSWERS_SECONDS
            await asyncio.wait_for(self.ended, budget)
        except TimeoutError:
            self.errors += self._requests - len(self.latencies)

    def _tick(self) -> None:
        self._send()
        if self._sent < self._requests:
            self._loop.call_at(self._started + self._sent * self._interval, self._tick)

    def _send(self) -> None:
        now = self._loop.time()
        while self._free and self._sent < self._requests:
            due = self._started + self._sent * self._interval
            if due > now:
                return
            self._sent += 1
            self._free.popleft().ask(self._request, due)

    def answered(self, connection: Connection, due: float, *, sound: bool) -> None:
        """An answer is complete."""
        self.latencies.append(self._loop.time() - due)
        self.errors += not sound
        self._free.append(connection)
        self._send()
        if len(self.latencies) == self._requests:
            self.ended.set_result(None)


class Connection(asyncio.Protocol):
    """One request at a time; every answer is of a known length."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._due = 0.0
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes, due: float) -> None:
        """Send a request that was due at a time."""
        self._due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        buffer = self._buffer + data
        head, mark, body = buffer.partition(b"\r\n\r\n")
        length = head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
        if not mark or len(body) < int(length):
            self._buffer = buffer
            return
        self._buffer = b""
        self._generator.answered(self, self._due, sound=head.startswith(b"HTTP/1.1 200 "))


async def main(port: int, per_second: float, seconds: float, token: str) -> None:
    """Print what came of it, in milliseconds."""
    request = (
        "GET /api/items/42 HTTP/1.1\r\nHost: shop\r\nUser-Agent: bench/1.0\r\nAccept: application/json\r\n"
        f"Accept-Encoding: gzip, deflate\r\nAuthorization: Bearer {token}\r\n\r\n"
    )
    generator = Generator(request.encode(), per_second=per_second, requests=max(1, int(per_second * seconds)))
    await generator.run(port)
    ordered = sorted(generator.latencies)
    at = {name: ordered[int(len(ordered) * share)] * 1000 for name, share in (("p50", 0.5), ("p99", 0.99))}
    print(json.dumps({**at, "errors": generator.errors}))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), sys.argv[4]))
