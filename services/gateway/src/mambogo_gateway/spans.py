"""The gateway's part of a trace: whether a request is recorded, and the span of its exchange.

Most requests are not recorded, and pay a few microseconds for it: their context is passed on as it came, or
made here. What is recorded goes through the chassis' tracer; sending it is a thread's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mambogo_chassis.tracing import SpanHandle, Tracer, parse

from mambogo_gateway.proxy import heads

if TYPE_CHECKING:
    from mambogo_gateway.parsing.request import RequestHead
    from mambogo_gateway.proxy.admission import Admission


class Spans:
    """One span for each exchange whose trace is recorded."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def begin(self, request: RequestHead) -> tuple[bytes, SpanHandle | None]:
        """The trace context that goes to the pod, and the span if there is one."""
        given = heads.traceparent_of(request)
        if not self._tracer.is_recording:
            return given or heads.new_traceparent(), None
        context, span = self._tracer.start(parse(given.decode()) if given else None, "server")
        if span is None and given:
            # Without a span of the gateway's own the client's stays the parent.
            return given, None
        return context.traceparent.encode(), span

    def finish(self, exchange: Admission) -> None:
        """Record an exchange that has ended."""
        if exchange.span is None:
            return
        method, route = exchange.request.method.decode(), exchange.route.path
        attributes: dict[str, str | int] = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": exchange.status,
            "mambogo.outcome": exchange.outcome,
            "mambogo.upstream": exchange.route.service,
            "mambogo.pod": exchange.answered_by or "",
            "mambogo.retries": exchange.retries,
        }
        exchange.span.finish(f"{method} {route}", attributes, error=exchange.status >= 500)
