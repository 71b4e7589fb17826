"""Keeps this instance's registration true, and the cache of the others fresh.

Two supervised loops: heartbeats, and a fetch by delta each second. A change of readiness is told at once, not
with the next heartbeat; deregistration comes before draining. An outage of the registry costs nothing but
freshness: callers keep what was known, and where nothing is known they use the service's name in the cluster.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from mambogo_chassis.client.balancing import cluster_address
from mambogo_chassis.discovery.eureka import EurekaClient, EurekaError, InstanceStatus, Registration
from mambogo_chassis.discovery.registry import InstanceCache
from mambogo_chassis.lifecycle import BEAT_SECONDS, Phase, next_beat
from mambogo_chassis.metrics import Metrics

# A registry that answers deltas only would never correct a cache that drifted unseen.
FULL_FETCH_SECONDS: Final = 300.0
DEREGISTER_SECONDS: Final = 2.0

logger = logging.getLogger(__name__)


class EurekaAgent:
    """One process's dealings with the registry."""

    def __init__(
        self,
        client: EurekaClient,
        registration: Registration,
        *,
        is_ready: Callable[[], Awaitable[bool]],
        fetch_seconds: Callable[[], float],
        metrics: Metrics,
    ) -> None:
        self._client = client
        self._registration = registration
        self._is_ready = is_ready
        self._fetch_seconds = fetch_seconds
        self._status: InstanceStatus | None = None
        self._ended = False
        # A registration that is under way must not land after the deregistration.
        self._registering = asyncio.Lock()
        self._full_at = float("-inf")
        self._reported: set[str] = set()
        self.cache = InstanceCache()
        metrics.gauge_callback(
            "discovery_cache_age_seconds",
            "Since the registry was last read.",
            lambda: time.monotonic() - (self.cache.updated_at or float("-inf")),
        )
        metrics.gauge_callback(
            "discovery_registered", "1 while the registry shows this instance as UP.", self._is_registered
        )

    def resolve(self, service: str) -> Sequence[str]:
        """Addresses of a service: from the registry, else its name in the cluster."""
        return self.cache.base_urls(service) or cluster_address(service)

    async def on_phase(self, phase: Phase) -> None:
        """A lifecycle listener: tell the registry before anything else happens."""
        if phase is Phase.READY:
            await self.mirror()
        elif phase is Phase.DRAINING:
            await self.leave()

    async def keep_registered(self) -> None:
        """A supervised task: mirror readiness each second, renew the lease each heartbeat."""
        beat_at = 0.0
        while not self._ended:
            await self.mirror()
            if self._status is not None and time.monotonic() >= beat_at:
                await self._beat()
                beat_at = time.monotonic() + self._registration.heartbeat_seconds
            # Readiness is polled by this process itself, without a request.
            await next_beat()

    async def keep_cache_fresh(self) -> None:
        """A supervised task: fetch until cancelled."""
        while True:
            await self.fetch()
            pause = self._fetch_seconds()
            if pause == BEAT_SECONDS:
                await next_beat()
            else:
                # Jitter, so that a whole platform does not ask in step.
                await asyncio.sleep(pause * random.uniform(0.9, 1.1))  # noqa: S311 - jitter, no secret

    async def mirror(self) -> None:
        """Make the registry's status equal to readiness, if it is not."""
        # DOWN, not OUT_OF_SERVICE: Eureka takes an instance's own word only for DOWN and STARTING. For others
        # it keeps the lease's status (LeaseExistsRule), and overrides are the operators', not ours to touch.
        status: InstanceStatus = "UP" if await self._is_ready() else "DOWN"
        async with self._registering:
            if self._ended or status == self._status or (self._status is None and status != "UP"):
                return
            if await self._try("register", self._client.register(self._registration, status)):
                self._status = status
                logger.info("registered as %s", status)

    async def leave(self) -> None:
        """Deregister, within a bound; nothing registers again afterwards."""
        self._ended = True
        try:
            async with asyncio.timeout(DEREGISTER_SECONDS), self._registering:
                await self._client.deregister(self._registration)
            logger.info("deregistered")
        except (EurekaError, TimeoutError) as error:
            logger.warning("not deregistered, the lease has to run out: %s", error)
        self._status = None

    async def fetch(self) -> bool:
        """Bring the cache up to date; whether that worked."""
        full_due = time.monotonic() - self._full_at >= FULL_FETCH_SECONDS
        return await self._try("fetch", self._fetch_all() if full_due else self._fetch_delta())

    async def _fetch_all(self) -> None:
        _, entries = await self._client.applications()
        self.cache.replace(entry.instance for entry in entries)
        self._full_at = time.monotonic()

    async def _fetch_delta(self) -> None:
        answer = await self._client.changes()
        if answer is None:
            self.cache.confirm()
            return
        wanted, changes = answer
        self.cache.apply(changes)
        if wanted and self.cache.hash_code() != wanted:
            await self._fetch_all()

    async def _beat(self) -> None:
        async def renew() -> None:
            known = await self._client.heartbeat(self._registration)
            if not known and not self._ended:
                # The registry was restarted, or the lease ran out while the process was frozen.
                self._status = None
                await self.mirror()

        await self._try("heartbeat", renew())

    async def _try(self, what: str, work: Awaitable[None]) -> bool:
        try:
            await work
        except EurekaError as error:
            if what not in self._reported:
                self._reported.add(what)
                logger.warning("%s failed, going on with what is known: %s", what, error)
            return False
        if what in self._reported:
            self._reported.discard(what)
            logger.info("%s works again", what)
        return True

    def _is_registered(self) -> float:
        return float(self._status == "UP")
