"""Whether the parts of a service are well: asked on demand, bounded in time, and not more than once a second.

Liveness is about the process only, so that a database outage never becomes a restart storm; readiness is
the lifecycle's phase and those parts that are registered for it; the aggregate shows everything. A probe's
failure is DOWN with the kind of its error, never its message: health is readable without a token.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from mambogo_chassis.lifecycle import Lifecycle, Supervisor

Status = Literal["UP", "DOWN", "OUT_OF_SERVICE"]
# A probe that hangs is DOWN well within the kubelet's own timeout (production: 5 s).
PROBE_TIMEOUT_SECONDS: Final = 2.0
# Many watchers ask; the dependency is asked once for all of them.
CACHE_SECONDS: Final = 1.0

Probe = Callable[[], Awaitable[Mapping[str, object] | None]]


@dataclass(frozen=True, slots=True)
class Reading:
    """One part's state, as it is shown."""

    status: Status
    details: Mapping[str, object]


@dataclass(slots=True)
class _Part:
    probe: Probe
    readiness: bool
    reading: Reading = Reading("DOWN", {"reason": "not asked yet"})
    asked_at: float = float("-inf")
    asking: asyncio.Task[Reading] | None = None


class Health:
    """The parts of one service and what is known about them."""

    def __init__(self, lifecycle: Lifecycle, supervisor: Supervisor) -> None:
        self._lifecycle = lifecycle
        self._supervisor = supervisor
        self._parts: dict[str, _Part] = {}

    def add(self, name: str, probe: Probe, *, readiness: bool = False) -> None:
        """Register a part. `probe` returns details or raises; `readiness`: without it no work can be done.

        A dependency that all instances share does not belong into readiness: with it down, none would be left
        to say so.
        """
        self._parts[name] = _Part(probe, readiness)

    def liveness(self) -> Reading:
        """Only what a restart can cure: a background task that died."""
        dead = self._supervisor.dead
        return Reading("DOWN", {"deadTasks": dict(dead)}) if dead else Reading("UP", {})

    async def readiness(self) -> Reading:
        """Whether new work may be sent here."""
        if not self._lifecycle.is_ready:
            return Reading("OUT_OF_SERVICE", {"phase": self._lifecycle.phase.value})
        needed = {name: part for name, part in self._parts.items() if part.readiness}
        readings = await self._read(needed)
        down = sorted(name for name, reading in readings.items() if reading.status != "UP")
        return Reading("OUT_OF_SERVICE", {"down": down}) if down else Reading("UP", {})

    async def aggregate(self) -> tuple[Reading, Mapping[str, Reading]]:
        """Everything: the worst of all parts, and each."""
        readings = {
            "livenessState": self.liveness(),
            "readinessState": await self.readiness(),
            **await self._read(self._parts),
        }
        worst: Status = "UP" if all(reading.status == "UP" for reading in readings.values()) else "DOWN"
        return Reading(worst, {}), readings

    async def _read(self, parts: Mapping[str, _Part]) -> dict[str, Reading]:
        readings = await asyncio.gather(*(_current_reading(part) for part in parts.values()))
        return dict(zip(parts, readings, strict=True))


async def _current_reading(part: _Part) -> Reading:
    if time.monotonic() - part.asked_at < CACHE_SECONDS:
        return part.reading
    if part.asking is None:
        part.asking = asyncio.create_task(_ask(part))
    # Shielded: one watcher that goes away must not cut the others' answer short.
    return await asyncio.shield(part.asking)


async def _ask(part: _Part) -> Reading:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
            part.reading = Reading("UP", await part.probe() or {})
    except Exception as error:
        part.reading = Reading("DOWN", {"error": getattr(error, "code", type(error).__name__)})
    part.asked_at = time.monotonic()
    part.asking = None
    return part.reading
