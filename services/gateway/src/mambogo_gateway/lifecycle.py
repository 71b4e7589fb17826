"""Start and stop of a gateway process, so that neither costs a request.

Stopping follows Kubernetes: readiness turns false and the registry is told at once, while requests are
still taken for as long as the word needs to get around, each answer closing its connection; then the
listening socket closes, idle connections go, and what is under way gets the rest of the grace period.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from mambogo_chassis.lifecycle import Lifecycle, Phase

from mambogo_gateway.gateway import Gateway
from mambogo_gateway.upkeep import Upkeep

logger = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.02
# As the chassis' servers: a burst of first connections must not be refused while the loop is busy.
BACKLOG: Final = 2048


class Server:
    """A gateway that listens."""

    def __init__(
        self,
        gateway: Gateway,
        upkeep: Upkeep,
        lifecycle: Lifecycle,
        *,
        drain_seconds: float,
        stop_timeout_seconds: float,
    ) -> None:
        self._gateway = gateway
        self._upkeep = upkeep
        self._lifecycle = lifecycle
        self._drain_seconds = drain_seconds
        self._stop_timeout_seconds = stop_timeout_seconds
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, then be ready; returns the port, which is of interest when 0 was asked for."""
        gateway = self._gateway
        await gateway.own_endpoints.start()
        self._upkeep.start()
        self._server = await gateway.loop.create_server(gateway.accept, host, port, backlog=BACKLOG)
        bound: int = self._server.sockets[0].getsockname()[1]
        await self._lifecycle.move_to(Phase.READY)
        logger.info("listening on %s:%d", host, bound)
        return bound

    async def stop(self) -> int:
        """Drain, then end; returns how many requests were cut off at the end of the grace period."""
        gateway = self._gateway
        gateway.draining = True
        await self._lifecycle.move_to(Phase.DRAINING)
        logger.info("draining: %d connections, %d requests", len(gateway.connections), gateway.in_flight)
        await asyncio.sleep(self._drain_seconds)
        if self._server is not None:
            self._server.close()
        await self._until_gone()
        cut_off = gateway.in_flight
        for connection in list(gateway.connections):
            connection.abort_now()
        await self._upkeep.stop()
        for upstream in gateway.upstreams.all():
            upstream.update(())
        await self._lifecycle.move_to(Phase.STOPPED)
        await gateway.own_endpoints.stop()
        logger.info("stopped, %d requests cut off", cut_off)
        return cut_off

    def reload(self) -> None:
        """Read the routes again."""
        self._upkeep.reload()

    async def _until_gone(self) -> None:
        """Close connections as they become idle, until none is left or the time is over."""
        gateway = self._gateway
        end = gateway.loop.time() + self._stop_timeout_seconds
        while gateway.connections and gateway.loop.time() < end:
            for connection in list(gateway.connections):
                connection.close_if_idle()
            await asyncio.sleep(_POLL_SECONDS)
