"""Start and stop of a gateway process, so that neither costs a request.

Stopping follows Kubernetes: readiness turns false at once, while requests are still taken for as long as
the word needs to get around, each answer closing its connection; then the listening socket closes, idle
connections go, and what is under way gets the rest of the grace period.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from mambogo_gateway.gateway import Gateway
from mambogo_gateway.upkeep import Upkeep

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class DrainTimes:
    """How long each part of stopping may take."""

    propagation_seconds: float = 5.0
    """From readiness false until nobody sends new connections: a probe's period and an endpoint update."""
    grace_seconds: float = 20.0
    """For requests under way; below the pod's terminationGracePeriodSeconds."""


class Server:
    """A gateway that listens."""

    def __init__(self, gateway: Gateway, upkeep: Upkeep, times: DrainTimes) -> None:
        self._gateway = gateway
        self._upkeep = upkeep
        self._times = times
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int, *, backlog: int = 2048) -> int:
        """Listen; returns the port, which is of interest when 0 was asked for."""
        gateway = self._gateway
        self._server = await gateway.loop.create_server(gateway.accept, host, port, backlog=backlog)
        self._upkeep.start()
        gateway.ready = True
        bound: int = self._server.sockets[0].getsockname()[1]
        logger.info("listening on %s:%d", host, bound)
        return bound

    async def drain(self) -> int:
        """Stop without failing a request; returns how many were cut off at the end of the grace period."""
        gateway = self._gateway
        gateway.ready = False
        gateway.draining = True
        logger.info("draining: %d connections, %d requests", len(gateway.connections), gateway.in_flight)
        await self._until_idle(self._times.propagation_seconds, or_drained=False)
        if self._server is not None:
            self._server.close()
        for connection in list(gateway.connections):
            connection.close_if_idle()
        await self._until_idle(self._times.grace_seconds, or_drained=True)
        cut_off = gateway.in_flight
        for connection in list(gateway.connections):
            connection.abort_now()
        await self._upkeep.stop()
        for upstream in gateway.upstreams.all():
            upstream.update(())
        gateway.access_log.close()
        return cut_off

    async def _until_idle(self, seconds: float, *, or_drained: bool) -> None:
        """Wait `seconds`, or with `or_drained` until no connection is left."""
        gateway = self._gateway
        end = gateway.loop.time() + seconds
        while gateway.loop.time() < end and not (or_drained and not gateway.connections):
            await asyncio.sleep(_POLL_SECONDS)
            if or_drained:
                for connection in list(gateway.connections):
                    connection.close_if_idle()
