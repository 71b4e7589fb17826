"""W3C trace context, and spans when an exporter is configured.

The context is always carried on, in logs and in outgoing headers; parsing and making it costs a few
microseconds and needs no SDK. The OpenTelemetry SDK is imported only when an endpoint is set, because every
pod would pay its memory. Spans go through a bounded queue to a thread: a dead collector costs dropped spans,
never a request's time. Sampling is parent-based, so that a trace is whole or absent; it is decided here and
not by the SDK, which takes ten times as long to record nothing.
"""

from __future__ import annotations

import logging
import random
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, SpanKind

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
# https://www.w3.org/TR/trace-context/#traceparent-header; a version other than 00 may have more fields.
_TRACEPARENT: Final = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_MAX_TRACESTATE_CHARACTERS: Final = 512  # what the recommendation asks everyone to carry on at least
_QUEUE_SPANS: Final = 2048
# A collector that hangs may hold the process's end up for this long, and no longer.
_SHUTDOWN_SECONDS: Final = 2.0

# OpenTelemetry's kinds: who asks and who answers, who sends an event and who takes it.
Kind = Literal["server", "client", "producer", "consumer"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Ids of the trace and of this hop's span, as lower-case hex."""

    trace_id: str
    span_id: str
    sampled: bool = False
    state: str = ""

    @property
    def traceparent(self) -> str:
        """The header that the next hop gets."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def parse(traceparent: str | None, tracestate: str = "") -> TraceContext | None:
    """The caller's context; None for a header that is absent or not well-formed."""
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if match is None or (match[1] == "00" and match[5]):
        return None
    if match[2].strip("0") == "" or match[3].strip("0") == "":
        return None
    state = tracestate if len(tracestate) <= _MAX_TRACESTATE_CHARACTERS else ""
    return TraceContext(match[2], match[3], bool(int(match[4], 16) & 1), state)


def child_of(parent: TraceContext | None) -> TraceContext:
    """A context for this hop: the parent's trace, or a new one that is not sampled."""
    if parent is None:
        return TraceContext(_hex_id(128), _hex_id(64))
    return TraceContext(parent.trace_id, _hex_id(64), parent.sampled, parent.state)


def _hex_id(bits: int) -> str:
    # All zeroes is invalid. Ids need to be unique, not secret.
    return f"{random.getrandbits(bits) or 1:0{bits // 4}x}"


class SpanHandle(Protocol):
    """A span in progress."""

    def finish(self, name: str, attributes: dict[str, str | int], *, error: bool) -> None:
        """End it under its final name: the route is known only after routing."""


class Tracer(Protocol):
    """Starts spans; `NoTracer` is the one without an exporter."""

    @property
    def is_recording(self) -> bool:
        """Whether spans go anywhere: what costs something to find out for them is else left out."""

    def start(
        self, parent: TraceContext | None, kind: Kind, *, started_ns: int | None = None
    ) -> tuple[TraceContext, SpanHandle | None]:
        """This hop's context, and its span if it is recorded; it began now, or at a Unix time."""

    def close(self) -> None:
        """Send what is left, within a bound."""


class NoTracer:
    """Carries contexts on and records nothing."""

    is_recording = False

    def start(
        self, parent: TraceContext | None, kind: Kind, *, started_ns: int | None = None
    ) -> tuple[TraceContext, SpanHandle | None]:
        """A child context without a span."""
        return child_of(parent), None

    def close(self) -> None:
        """Nothing to send."""


def make_tracer(
    service_name: str,
    version: str,
    endpoint: str | None,
    sample_ratio: Callable[[], float],
    instance: str = "",
) -> Tracer:
    """A tracer that exports by OTLP/HTTP to `endpoint` (`http://host:4318/v1/traces`), if there is one.

    `sample_ratio` is asked for each trace that begins here, so it may change while the service runs.
    """
    if endpoint is None:
        return NoTracer()
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON

    from mambogo_chassis.span_export import GradualExporter

    # The SDK logs every failed export with its stack: in all pods, for as long as the collector is away.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    resource = Resource(
        {"service.name": service_name, "service.version": version, "service.instance.id": instance}
    )
    provider = TracerProvider(resource=resource, sampler=ALWAYS_ON, shutdown_on_exit=False)
    processor = BatchSpanProcessor(GradualExporter(endpoint), max_queue_size=_QUEUE_SPANS)
    provider.add_span_processor(processor)
    return OpenTelemetryTracer(provider, sample_ratio)


class OpenTelemetryTracer:
    """Spans of the OpenTelemetry SDK under our own contexts."""

    is_recording = True

    def __init__(self, provider: TracerProvider, sample_ratio: Callable[[], float]) -> None:
        self._provider = provider
        self._sample_ratio = sample_ratio
        self._tracer = provider.get_tracer("mambogo_chassis")

    def start(
        self, parent: TraceContext | None, kind: Kind, *, started_ns: int | None = None
    ) -> tuple[TraceContext, SpanHandle | None]:
        """Start a span below `parent`, or that of a new trace, if the trace is recorded."""
        sampled = parent.sampled if parent is not None else self._samples_one()
        if not sampled:
            return child_of(parent), None
        span = self._tracer.start_span(
            kind, context=_otel_context(parent), kind=_otel_kind(kind), start_time=started_ns
        )
        ids = span.get_span_context()
        context = TraceContext(
            f"{ids.trace_id:032x}",
            f"{ids.span_id:016x}",
            sampled,
            parent.state if parent is not None else "",
        )
        return context, _Span(span)

    def _samples_one(self) -> bool:
        return random.random() < self._sample_ratio()  # noqa: S311 - a share, no secret

    def close(self) -> None:
        """Flush in a thread of its own: the exporter retries a dead collector for longer than we may wait."""
        thread = threading.Thread(target=self._provider.shutdown, name="tracer-shutdown", daemon=True)
        thread.start()
        thread.join(_SHUTDOWN_SECONDS)
        if thread.is_alive():
            logger.warning("spans not delivered within %g s were given up", _SHUTDOWN_SECONDS)


class _Span:
    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        self._span = span

    def finish(self, name: str, attributes: dict[str, str | int], *, error: bool) -> None:
        from opentelemetry.trace import StatusCode

        self._span.update_name(name)
        self._span.set_attributes(attributes)
        if error:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


def _otel_kind(kind: Kind) -> SpanKind:
    from opentelemetry.trace import SpanKind

    return SpanKind[kind.upper()]


def _otel_context(parent: TraceContext | None) -> Context:
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    if parent is None:
        return Context()
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    ids = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(ids), Context())
