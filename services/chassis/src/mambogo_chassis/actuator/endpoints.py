"""Answers `/actuator/...` in front of the application: no routing, no body, no log line, no token.

Probes and scrapes are most of an idle service's requests; this way each costs a dictionary look-up. They are
counted in the request metrics under their own routes. The network policy, not a token, keeps outsiders away.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from mambogo_chassis.actuator.health import Health, Reading
from mambogo_chassis.http import problems
from mambogo_chassis.metrics import Metrics

PREFIX: Final = "/actuator/"
_JSON: Final = b"application/json"
_METHODS: Final = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the edge sends."""

    status: int
    body: bytes
    media_type: bytes = _JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


Endpoint = Callable[[], Awaitable[Answer]]


class Actuator:
    """The endpoints of one service; `info` is read anew each time."""

    def __init__(self, *, health: Health, metrics: Metrics, info: Callable[[], Mapping[str, Any]]) -> None:
        self._health = health
        self._metrics = metrics
        self._info = info
        self._endpoints: dict[str, Endpoint] = {
            "/actuator/health": self._aggregate,
            "/actuator/health/liveness": self._liveness,
            "/actuator/health/readiness": self._readiness,
            "/actuator/prometheus": self._prometheus,
            "/actuator/info": self._describe,
        }

    @property
    def routes(self) -> tuple[str, ...]:
        """The paths, for the request metrics."""
        return tuple(self._endpoints)

    async def answer(self, method: str, path: str) -> tuple[str, Answer]:
        """The route's name and the answer; unknown paths and methods are problems."""
        endpoint = self._endpoints.get(path)
        if endpoint is None:
            return "unmatched", _problem(404, "not-found")
        if method not in _METHODS:
            allow = (b"allow", ", ".join(_METHODS).encode())
            return path, _problem(405, "method-not-allowed", allow)
        return path, await endpoint()

    async def _liveness(self) -> Answer:
        return _health_answer(self._health.liveness(), None)

    async def _readiness(self) -> Answer:
        return _health_answer(await self._health.readiness(), None)

    async def _aggregate(self) -> Answer:
        return _health_answer(*await self._health.aggregate())

    async def _prometheus(self) -> Answer:
        return Answer(200, self._metrics.render(), CONTENT_TYPE_PLAIN_0_0_4.encode())

    async def _describe(self) -> Answer:
        return Answer(200, msgspec.json.encode(self._info()))


def _health_answer(reading: Reading, components: Mapping[str, Reading] | None) -> Answer:
    content: dict[str, Any] = _shown(reading)
    if components is not None:
        content["components"] = {name: _shown(component) for name, component in components.items()}
    return Answer(200 if reading.status == "UP" else 503, msgspec.json.encode(content))


def _shown(reading: Reading) -> dict[str, Any]:
    return {"status": reading.status} | ({"details": reading.details} if reading.details else {})


def _problem(status: int, code: str, *headers: tuple[bytes, bytes]) -> Answer:
    return Answer(status, problems.document(status, code, None), problems.MEDIA_TYPE.encode(), headers)
