"""The outermost layer: everything that happens to each request before and after its operation.

One plain ASGI wrapper instead of a stack of middlewares, because each layer of a stack costs a coroutine
and a `send` closure per request. It answers the actuator, refuses what needs no operation (malformed
deadline, deadline passed, body too large), bounds the operation's time, turns an escaped error into a 500,
and counts and logs the answer. What goes into context, deadline, metrics and log is decided in their own
modules.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mambogo_chassis.http import context, deadlines, problems
from mambogo_chassis.http.access_log import AccessLine, AccessLog, now
from mambogo_chassis.http.metrics import UNMATCHED, HttpMetrics
from mambogo_chassis.tracing import SpanHandle, TraceContext, Tracer, parse

if TYPE_CHECKING:
    from mambogo_chassis.actuator import Actuator
    from mambogo_chassis.lifecycle import Lifecycle
    from mambogo_chassis.settings import LiveSettings, ServiceSettings

_CONNECTION_CLOSE: Final = (b"connection", b"close")
# What is read of the head; of a header sent twice the last wins, except the body's length, which the server
# itself has checked.
_READ: Final = frozenset(
    {
        b"content-length",
        b"idempotency-key",
        b"traceparent",
        b"tracestate",
        b"x-request-deadline",
        b"x-request-id",
    }
)
# nginx's code for a client that went away before the answer; only in metrics and logs, nobody receives it.
CLIENT_CLOSED: Final = 499

# Of a body that is too large anyway, before the connection is closed on the rest (nginx lingers likewise).
DISCARD_BYTES: Final = 1_048_576
DISCARD_SECONDS: Final = 1.0

logger = logging.getLogger(__name__)


class Edge:
    """Wraps the application of one service."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        actuator: Actuator,
        settings: LiveSettings[ServiceSettings],
        lifecycle: Lifecycle,
        metrics: HttpMetrics,
        access_log: AccessLog | None,
        tracer: Tracer,
    ) -> None:
        self.app = app
        self.actuator = actuator
        self.settings = settings
        self.lifecycle = lifecycle
        self.metrics = metrics
        self.access_log = access_log
        self.tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's entry point; websockets and lifespan pass through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["path"].startswith("/actuator/"):
            await self._answer_actuator(scope, send)
        else:
            await _Exchange(self, scope, receive, send).run()

    async def _answer_actuator(self, scope: Scope, send: Send) -> None:
        started = time.perf_counter()
        method = scope["method"]
        route, answer = await self.actuator.answer(method, scope["path"])
        headers = [
            (b"content-type", answer.media_type),
            (b"content-length", b"%d" % len(answer.body)),
            *answer.headers,
        ]
        if self.lifecycle.is_draining:
            headers.append(_CONNECTION_CLOSE)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else answer.body})
        self.metrics.observe(method, route, answer.status, time.perf_counter() - started)


class _Exchange:
    """One request and its answer."""

    __slots__ = (
        "_close",
        "_content_length",
        "_edge",
        "_limit",
        "_receive",
        "_received",
        "_refused",
        "_scope",
        "_send",
        "_sent",
        "_span",
        "_started",
        "_status",
        "context",
    )

    def __init__(self, edge: Edge, scope: Scope, receive: Receive, send: Send) -> None:
        self._edge = edge
        self._scope = scope
        self._receive = receive
        self._send = send
        self._started = time.perf_counter()
        self._status = 0
        self._sent = 0
        self._received = 0
        self._refused = ""
        self._close = False
        self._limit = edge.settings.current.max_body_bytes
        self._content_length: bytes | None = None
        self._span: SpanHandle | None = None
        self.context: context.RequestContext

    async def run(self) -> None:
        edge = self._edge
        edge.metrics.in_flight += 1
        try:
            refusal = self._enter()
            if refusal is None:
                await self._run_operation()
            else:
                await self._refuse(*refusal)
        finally:
            edge.metrics.in_flight -= 1
            self._finish()

    def _enter(self) -> tuple[int, str, str] | None:
        """Establish the request's context; (status, code, detail) when it is refused."""
        headers = {name: value for name, value in self._scope["headers"] if name in _READ}
        settings = self._edge.settings.current
        refusal: tuple[int, str, str] | None = None
        try:
            deadline = deadlines.deadline_of(
                headers.get(b"x-request-deadline"), settings.request_timeout_seconds
            )
        except deadlines.MalformedDeadlineError as error:
            deadline = deadlines.deadline_in(settings.request_timeout_seconds)
            refusal = (400, error.code, error.message)
        trace, self._span = self._edge.tracer.start(_parent(headers), "server")
        self.context = context.RequestContext(
            context.request_id_of(headers.get(b"x-request-id")),
            trace,
            deadline,
            idempotency_key=headers.get(b"idempotency-key", b"").decode("latin-1"),
        )
        context.enter(self.context)
        self._content_length = headers.get(b"content-length")
        return refusal or self._check_limits(settings.deadline_margin_seconds)

    def _check_limits(self, margin_seconds: float) -> tuple[int, str, str] | None:
        if self.context.deadline.remaining_seconds() <= margin_seconds:
            return 504, "deadline-exceeded", "The deadline has passed; nothing was done."
        if self._content_length is not None and int(self._content_length) > self._limit:
            return 413, "content-too-large", f"At most {self._limit} bytes are accepted."
        return None

    async def _run_operation(self) -> None:
        remaining = self.context.deadline.remaining_seconds()
        timeout = asyncio.timeout(remaining)
        try:
            async with timeout:
                await self._edge.app(self._scope, self.receive, self.send)
        except TimeoutError:
            if not timeout.expired():
                raise
            await self._refuse(504, "deadline-exceeded", "The work was not done in time; it may have effect.")
        except Exception as error:
            logger.error("unexpected error in %s", self._route(), exc_info=error)
            await self._refuse(500, "internal-error", None)

    async def receive(self) -> Message:
        """The server's messages; a body past the limit is cut short here, also without Content-Length."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            if self._received > self._limit:
                if message.get("more_body"):
                    await self._discard_body()
                raise problems.Problem(413, "content-too-large", f"At most {self._limit} bytes are accepted.")
        return message

    async def _discard_body(self) -> None:
        """Read on for a little, so that the client gets its answer.

        Closing a socket with unread data resets the connection, and the reset may overtake the answer.
        """
        discarded = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DISCARD_SECONDS):
                while discarded < DISCARD_BYTES:
                    message = await self._receive()
                    discarded += len(message.get("body", b""))
                    if message["type"] != "http.request" or not message.get("more_body"):
                        return
        self._close = True

    async def send(self, message: Message) -> None:
        """The application's messages, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = [*message["headers"], (b"x-request-id", self.context.request_id.encode())]
            if self._close or self._edge.lifecycle.is_draining:
                headers.append(_CONNECTION_CLOSE)
            message["headers"] = headers
        else:
            self._sent += len(message.get("body", b""))
        await self._send(message)

    async def _refuse(self, status: int, code: str, detail: str | None) -> None:
        self._refused = code
        if self._status:
            # The answer has begun; only an unfinished one tells the client. The server closes the connection.
            return
        response = problems.render(
            status, code, detail, headers={"Connection": "close"} if status == 413 else None
        )
        await response(self._scope, self._receive, self.send)

    def _finish(self) -> None:
        seconds = time.perf_counter() - self._started
        status = self._status or CLIENT_CLOSED
        route = self._route()
        method = self._scope["method"]
        self._edge.metrics.observe(method, route, status, seconds)
        if self._span is not None:
            attributes: dict[str, str | int] = {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status,
            }
            self._span.finish(f"{method} {route}", attributes, error=status >= 500)
        if self._edge.access_log is not None and self._edge.settings.current.access_log:
            self._log(method, route, status, seconds)

    def _log(self, method: str, route: str, status: int, seconds: float) -> None:
        assert self._edge.access_log is not None  # noqa: S101 - the caller has checked
        self._edge.access_log.write(
            AccessLine(
                time=now(),
                service=self._edge.access_log.service,
                method=method if method in problems.METHODS else "other",
                route=route,
                status=status,
                duration_ms=round(seconds * 1000, 3),
                request_id=self.context.request_id,
                trace_id=self.context.trace.trace_id,
                client=self.context.client,
                sent=self._sent,
                refused=self._refused,
            )
        )

    def _route(self) -> str:
        route = self._scope.get("route")
        return getattr(route, "path_format", UNMATCHED) if route is not None else UNMATCHED


def _parent(headers: dict[bytes, bytes]) -> TraceContext | None:
    traceparent = headers.get(b"traceparent")
    if traceparent is None:
        return None
    return parse(traceparent.decode("latin-1"), headers.get(b"tracestate", b"").decode("latin-1"))
