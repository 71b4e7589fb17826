"""Runs an application under uvicorn and stops it without losing a request.

On SIGTERM: readiness turns false and the registry is told; for `drain_seconds` requests are still answered,
each with `Connection: close`, while callers learn of it; then the socket closes and what is in flight gets
`stop_timeout_seconds`. A second signal skips the waiting. The pod's preStop sleep covers the EndpointSlice,
which the process cannot see; this covers the registry and kept-alive connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import math
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from mambogo_chassis.lifecycle import Lifecycle, Phase, until_next_beat

# Longer than the clients' own (client.transport): the side that may still send must be the one that closes.
KEEP_ALIVE_SECONDS: Final = 75
# Connections that the kernel keeps while the loop is busy; a burst of first requests must not be refused.
BACKLOG: Final = 2048
# uvicorn's own count of its ticks in one beat; it renews the answers' Date header at each tenth.
TICKS_PER_BEAT: Final = 10
# From a connection's accept to its first bytes, on a busy machine.
LINGER_SECONDS: Final = 0.5
# New objects until the young ones are looked through, and how often of that the older ones are; Python's
# own first number, 700, is a handful of requests.
_COLLECT_AFTER: Final = (20_000, 10, 10)

logger = logging.getLogger(__name__)


class GracefulServer(uvicorn.Server):
    """uvicorn with a drain before its own shutdown."""

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle, drain_seconds: float) -> None:
        self._ended = asyncio.Event()
        super().__init__(config)
        self._lifecycle = lifecycle
        self._drain_seconds = drain_seconds
        self._draining: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def should_exit(self) -> bool:
        """uvicorn's own flag; setting it ends `main_loop` at once."""
        return self._ended.is_set()

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        if value:
            self._ended.set()

    async def main_loop(self) -> None:
        """Until the drain is over. uvicorn's own wakes up ten times a second, more than all else here."""
        counter = 0
        while not await self.on_tick(counter):
            counter += TICKS_PER_BEAT
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(until_next_beat(asyncio.get_running_loop().time())):
                    await self._ended.wait()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Ready only once the socket listens."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started:
            await self._lifecycle.move_to(Phase.READY)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal's handler; the work is done by a task of the loop."""
        if self._loop is None:
            self.should_exit = True  # nothing has started yet
            return
        logger.info("%s received", signal.Signals(sig).name)
        self._loop.call_soon_threadsafe(self.begin_stop)

    def begin_stop(self) -> None:
        """Start draining; a second call ends the drain at once."""
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drain())
        else:
            self._hurry.set()

    async def _drain(self) -> None:
        await self._lifecycle.move_to(Phase.DRAINING)
        try:
            async with asyncio.timeout(self._drain_seconds):
                await self._hurry.wait()
        except TimeoutError:
            pass  # the drain's regular end
        await self._stop_accepting()
        self.should_exit = True

    async def _stop_accepting(self) -> None:
        """Close the listening socket first, and give what was just accepted the time to send its request.

        uvicorn closes both in one step, and a request that is on its way to a new connection is reset. As
        every answer closes its connection by now, most end by themselves within this time.
        """
        for listening in self.servers:
            listening.close()
        deadline = time.monotonic() + LINGER_SECONDS
        while (  # noqa: ASYNC110 - uvicorn has no event for its connections
            self.server_state.connections and not self._hurry.is_set() and time.monotonic() < deadline
        ):
            await asyncio.sleep(LINGER_SECONDS / 20)


def make_server(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    lifecycle: Lifecycle,
    drain_seconds: float,
    stop_timeout_seconds: float,
) -> GracefulServer:
    """A server on httptools and uvloop, ready to `serve()` within a running loop."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        # Behind the gateway; what a client says about itself must not become its address.
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(stop_timeout_seconds),
    )
    return GracefulServer(config, lifecycle, drain_seconds)


def settle_memory() -> None:
    """Leave what exists by now out of garbage collections, and have fewer of them.

    Ninety thousand objects of imported libraries are looked through otherwise, for 30 ms of CPU at a time and
    in the middle of requests. Hardly any of them is garbage, so nothing is collected before. Most of what a
    request leaves behind goes by itself.
    """
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


def run(make: Callable[[], Awaitable[GracefulServer]]) -> None:
    """Run the server that `make` makes, on uvloop, until it has stopped."""
    import uvloop

    async def main() -> None:
        server = await make()
        settle_memory()
        await server.serve()

    uvloop.run(main())
