"""One line per proxied request, in the chassis' form with what only a gateway knows: service, pod,
outcome.

The route's pattern is logged, never path, query, token, subject or address. Writing, batching and dropping
when the reader stalls are the chassis'.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from mambogo_chassis.http.access_log import AccessLine

if TYPE_CHECKING:
    from mambogo_gateway.proxy.admission import Admission


class GatewayLine(AccessLine):
    """A proxied request, finished."""

    upstream: str = ""
    pod: str = ""
    outcome: str = ""
    retries: int = 0


class LineSink(Protocol):
    """Where lines go; the chassis' AccessLog is one. It must not block."""

    def write(self, line: AccessLine) -> None:
        """Take one line."""
        ...


class GatewayLog:
    """Makes the lines; with a `sink` of None nothing is made."""

    def __init__(self, service: str, sink: LineSink | None) -> None:
        self._service = service
        self._sink = sink
        self._second = 0
        self._stamp = ""

    def finished(self, exchange: Admission, seconds: float) -> None:
        """Log an exchange that has ended."""
        sink = self._sink
        if sink is None:
            return
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        sink.write(
            GatewayLine(
                time=f"{self._stamp}.{int((now - second) * 1000):03d}Z",
                service=self._service,
                method=exchange.request.method.decode(),
                route=exchange.route.path,
                status=exchange.status,
                duration_ms=round(seconds * 1000, 2),
                request_id=exchange.request_id.decode(),
                trace_id=exchange.trace_id.decode(),
                sent=exchange.response_bytes,
                upstream=exchange.route.service,
                pod=exchange.answered_by or "",
                outcome=exchange.outcome,
                retries=exchange.retries,
            )
        )
