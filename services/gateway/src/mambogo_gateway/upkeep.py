"""What happens without a request: timeouts, idle connections, ejected pods, discovery, reloads, the edge's
addresses, the log's flush.

One timer for all connections, instead of one per request: a pass over 10,000 connections costs less than a
millisecond, setting and cancelling a timer for each request would cost more than that every 500 requests.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from mambogo_gateway.balancing import Pod, Upstream
from mambogo_gateway.config import load_config
from mambogo_gateway.errors import ConfigurationError
from mambogo_gateway.gateway import Gateway
from mambogo_gateway.proxy.upstream import UpstreamConnection

logger = logging.getLogger(__name__)

# The precision of every timeout.
SWEEP_SECONDS: Final = 0.1
# A new pod is used this much after discovery knows of it.
DISCOVERY_SECONDS: Final = 0.25
PROBE_SECONDS: Final = 0.25
SECOND: Final = 1.0


class Upkeep:
    """Runs the periodic work of a gateway."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        config_path: Path | None = None,
        look_edge_up: Callable[[], Awaitable[frozenset[str]]] | None = None,
    ) -> None:
        self._gateway = gateway
        self._look_edge_up = look_edge_up
        self._edge_known = True
        self._config_path = config_path
        self._config_mark = _mark(config_path)
        self._tasks: list[asyncio.Task[None]] = []
        self._probing: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start the periodic work."""
        for period, work in (
            (SWEEP_SECONDS, self.sweep),
            (DISCOVERY_SECONDS, self._gateway.refresh_instances),
            (PROBE_SECONDS, self.probe_ejected),
            (SECOND, self.every_second),
        ):
            self._tasks.append(self._gateway.loop.create_task(_periodically(period, work)))
        if self._look_edge_up is not None:
            self._tasks.append(self._gateway.loop.create_task(self._follow_edge(self._look_edge_up)))

    async def stop(self) -> None:
        """Stop it and wait until it has stopped."""
        tasks: list[Awaitable[object]] = [*self._tasks, *self._probing]
        for task in (*self._tasks, *self._probing):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def sweep(self) -> None:
        """Expire what is overdue."""
        now = self._gateway.loop.time()
        overdue = [client for client in self._gateway.connections if client.expires_at <= now]
        for client in overdue:
            client.expired()

    def every_second(self) -> None:
        """Close idle connections to pods, forget idle limits, and look at the configuration file."""
        gateway = self._gateway
        now = gateway.loop.time()
        before = now - gateway.config.upstreams.idle_timeout_seconds
        for upstream in gateway.upstreams.all():
            for pod in upstream.pods.values():
                pod.close_idle(before)
        for limiter in (gateway.user_limiter, gateway.address_limiter):
            if limiter is not None:
                limiter.sweep(now)
        mark = _mark(self._config_path)
        if mark != self._config_mark:
            self._config_mark = mark
            self.reload()

    def reload(self) -> None:
        """Take the configuration file's routes; what is wrong with them is logged and changes nothing."""
        if self._config_path is None:
            return
        try:
            self._gateway.reload(load_config(self._config_path))
        except ConfigurationError as error:
            self._gateway.metrics.reload_failures += 1
            logger.error("configuration not taken: %s", error)
        else:
            logger.info("configuration reloaded: %d routes", len(self._gateway.table.routes))

    async def _follow_edge(self, look_up: Callable[[], Awaitable[frozenset[str]]]) -> None:
        """Trust the addresses that the edge has now; while they cannot be looked up, the last ones."""
        while True:
            try:
                addresses = await look_up()
            except OSError as error:
                if self._edge_known:
                    logger.warning("the edge's addresses are unknown, the last ones stay: %s", error)
                self._edge_known = False
            else:
                self._edge_known = True
                self._gateway.edge.trust_addresses(addresses)
            await asyncio.sleep(SECOND)

    def probe_ejected(self) -> None:
        """Try a connection to each ejected pod whose time has come."""
        now = self._gateway.loop.time()
        for upstream in self._gateway.upstreams.all():
            for pod in upstream.pods.values():
                if pod.ejected and pod.retry_at <= now:
                    pod.retry_at = float("inf")
                    task = self._gateway.loop.create_task(self._probe(upstream, pod))
                    self._probing.add(task)
                    task.add_done_callback(self._probing.discard)

    async def _probe(self, upstream: Upstream, pod: Pod) -> None:
        gateway = self._gateway
        try:
            async with asyncio.timeout(gateway.config.upstreams.connect_timeout_seconds):
                _, connection = await gateway.loop.create_connection(
                    lambda: UpstreamConnection(pod), pod.instance.host, pod.instance.port
                )
        except (OSError, TimeoutError):
            upstream.eject(pod, gateway.loop.time())
        else:
            upstream.reinstate(pod)
            pod.keep(connection, gateway.loop.time())


def _mark(path: Path | None) -> tuple[int, int, int] | None:
    """What changes when a file does, a mounted ConfigMap's swapped link included."""
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


async def _periodically(seconds: float, work: Callable[[], None]) -> None:
    """Do `work` every `seconds`; one failure is logged and does not end the others."""
    while True:
        await asyncio.sleep(seconds)
        try:
            work()
        except Exception:
            logger.exception("periodic work failed")
