"""W3C trace context, and spans when an exporter is configured.

The context is always carried on, in logs and in outgoing headers; parsing and making it costs a few
microseconds. Spans go through a bounded queue to a thread (`span_export`): a dead collector costs dropped
spans, never a request's time. Sampling is parent-based, so that a trace is whole or absent.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from mambogo_chassis.span_export import GradualExporter

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
# https://www.w3.org/TR/trace-context/#traceparent-header; a version other than 00 may have more fields.
_TRACEPARENT: Final = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_MAX_TRACESTATE_CHARACTERS: Final = 512  # what the recommendation asks everyone to carry on at least

# OpenTelemetry's kinds: who asks and who answers, who sends an event and who takes it.
Kind = Literal["server", "client", "producer", "consumer"]


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


class FinishedSpan(NamedTuple):
    """What is sent of a span; ids are lower-case hex, the parent's of a trace's first span is empty."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: Kind
    started_ns: int
    ended_ns: int
    attributes: Mapping[str, str | int]
    has_failed: bool


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
    # Its HTTP client is paid for by those who use it.
    from mambogo_chassis.span_export import GradualExporter

    resource = {"service.name": service_name, "service.version": version, "service.instance.id": instance}
    return RecordingTracer(GradualExporter(endpoint, resource), sample_ratio)


class RecordingTracer:
    """Has the spans of sampled traces sent."""

    is_recording = True

    def __init__(self, exporter: GradualExporter, sample_ratio: Callable[[], float]) -> None:
        self._exporter = exporter
        self._sample_ratio = sample_ratio

    def start(
        self, parent: TraceContext | None, kind: Kind, *, started_ns: int | None = None
    ) -> tuple[TraceContext, SpanHandle | None]:
        """Start a span below `parent`, or that of a new trace, if the trace is recorded."""
        if parent is None and self._samples_one():
            context = TraceContext(_hex_id(128), _hex_id(64), sampled=True)
        else:
            context = child_of(parent)
        if not context.sampled:
            return context, None
        parent_id = parent.span_id if parent is not None else ""
        began = time.time_ns() if started_ns is None else started_ns
        return context, _Span(self._exporter, context, parent_id, kind, began)

    def _samples_one(self) -> bool:
        return random.random() < self._sample_ratio()  # noqa: S311 - a share, no secret

    def close(self) -> None:
        """Send what is left, within a bound."""
        self._exporter.close()


class _Span:
    __slots__ = ("_context", "_exporter", "_kind", "_parent_id", "_started_ns")

    def __init__(
        self, exporter: GradualExporter, context: TraceContext, parent_id: str, kind: Kind, started_ns: int
    ) -> None:
        self._exporter = exporter
        self._context = context
        self._parent_id = parent_id
        self._kind = kind
        self._started_ns = started_ns

    def finish(self, name: str, attributes: dict[str, str | int], *, error: bool) -> None:
        ids = self._context
        self._exporter.add(
            FinishedSpan(
                ids.trace_id,
                ids.span_id,
                self._parent_id,
                name,
                self._kind,
                self._started_ns,
                time.time_ns(),
                attributes,
                error,
            )
        )
