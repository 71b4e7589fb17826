"""Requests at a fixed rate, whether or not the answers come: latency counts from when each was due.

A closed loop asks later when the answers are late, and so leaves out the very waiting that is to be
measured ("coordinated omission"). Each request is sent when it is due, by a timer of the kernel's: the
event loop's own count milliseconds, so that ten requests came at once and queued behind each other, and a
loop that spins takes the core of the very upstream that it asks. Prints one line of JSON; run by `half_load`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import struct
import sys
import time
from collections import deque
from typing import cast

import uvloop

# As many as the closed-loop generator has.
_CONNECTIONS = 32
_LAST_ANSWERS_SECONDS = 10.0
_NANOSECONDS = 1_000_000_000


def periodic_timer(seconds: float) -> int:
    """A file that becomes readable each `seconds`; Python has no call of its own for it before 3.13."""
    libc = ctypes.CDLL(None, use_errno=True)
    timer = libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
    period = divmod(int(seconds * _NANOSECONDS), _NANOSECONDS)
    if timer < 0 or libc.timerfd_settime(timer, 0, struct.pack("4q", *period, *period), None) < 0:
        raise OSError(ctypes.get_errno(), "no timer")
    return int(timer)


class Generator:
    """Sends what is due over kept connections; what finds none free waits, and the wait counts."""

    def __init__(self, request: bytes, *, per_second: float, requests: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._request = request
        self._per_second = per_second
        self._requests = requests
        self._started = 0.0
        self._issued = 0
        self._due: deque[float] = deque()
        self._free: deque[Connection] = deque()
        self.latencies: list[float] = []
        self.errors = 0
        self.ended = self._loop.create_future()

    async def run(self, port: int) -> None:
        """Send all, then wait for the last answers; one that does not come is an error."""
        for _ in range(_CONNECTIONS):
            _, connection = await self._loop.create_connection(lambda: Connection(self), "127.0.0.1", port)
            self._free.append(connection)
        timer = periodic_timer(1 / self._per_second)
        # The loop's own clock counts whole milliseconds.
        self._started = time.perf_counter()
        self._loop.add_reader(timer, self._tick, timer)
        try:
            budget = self._requests / self._per_second + _LAST_ANSWERS_SECONDS
            await asyncio.wait_for(self.ended, budget)
        except TimeoutError:
            self.errors += self._requests - len(self.latencies)
        finally:
            self._loop.remove_reader(timer)
            os.close(timer)

    def _tick(self, timer: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(timer, 8)
        wanted = min(int((time.perf_counter() - self._started) * self._per_second) + 1, self._requests)
        self._due.extend(self._started + i / self._per_second for i in range(self._issued, wanted))
        self._issued = wanted
        self._send()

    def _send(self) -> None:
        while self._free and self._due:
            self._free.popleft().ask(self._request, self._due.popleft())

    def answered(self, connection: Connection, due: float, *, sound: bool) -> None:
        """An answer is complete."""
        self.latencies.append(time.perf_counter() - due)
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
    shares = (("p50", 0.5), ("p98", 0.98), ("p99", 0.99))
    at = {name: ordered[int(len(ordered) * share)] * 1000 for name, share in shares}
    print(json.dumps({**at, "errors": generator.errors}))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), sys.argv[4]))
