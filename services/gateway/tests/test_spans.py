"""What the gateway records of a trace, and what it tells the pod about it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mambogo_chassis.tracing import Kind, SpanHandle, TraceContext, child_of
from rig import Answer, configuration, echo, get, rig, run

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SAMPLED = f"traceparent: 00-{TRACE}-00f067aa0ba902b7-01"
NOT_SAMPLED = SAMPLED[:-1] + "0"


@dataclass
class Recorded:
    """A span of the fake tracer."""

    parent: TraceContext | None
    context: TraceContext
    name: str = ""
    attributes: dict[str, str | int] = field(default_factory=dict)
    error: bool = False

    def finish(self, name: str, attributes: dict[str, str | int], *, error: bool) -> None:
        """See SpanHandle."""
        self.name, self.attributes, self.error = name, attributes, error


@dataclass
class FakeTracer:
    """Records what is sampled, and each trace that begins here if `samples_roots`."""

    samples_roots: bool = True
    spans: list[Recorded] = field(default_factory=list)
    is_recording: bool = True

    def start(
        self, parent: TraceContext | None, kind: Kind, *, started_ns: int | None = None
    ) -> tuple[TraceContext, SpanHandle | None]:
        """See Tracer."""
        context = child_of(parent)
        if not (self.samples_roots if parent is None else parent.sampled):
            return context, None
        span = Recorded(parent, TraceContext(context.trace_id, context.span_id, sampled=True))
        self.spans.append(span)
        return span.context, span

    def close(self) -> None:
        """See Tracer."""


def _context_at_the_pod(answer: Answer) -> tuple[str, str, str]:
    found = re.search(rb"traceparent: 00-(\w{32})-(\w{16})-(\w\w)", answer.body)
    assert found is not None
    trace, span, flags = (one.decode() for one in found.groups())
    return trace, span, flags


def test_an_exchange_is_a_span_below_the_client_s_and_above_the_pod_s() -> None:
    async def test() -> None:
        tracer = FakeTracer()
        async with rig(echo(), tracer=tracer) as it:
            answer = await it.ask(get("/api/items/7", SAMPLED))
        [span] = tracer.spans
        assert span.parent is not None
        assert (span.parent.trace_id, span.parent.span_id) == (TRACE, "00f067aa0ba902b7")
        assert _context_at_the_pod(answer) == (TRACE, span.context.span_id, "01")
        assert (span.name, span.error) == ("GET /api/items/**", False)
        assert span.attributes["http.response.status_code"] == 200

    run(test())


def test_a_trace_that_begins_here_and_is_recorded_has_a_root() -> None:
    async def test() -> None:
        tracer = FakeTracer()
        async with rig(echo(), tracer=tracer) as it:
            answer = await it.ask(get())
        [span] = tracer.spans
        assert span.parent is None
        assert _context_at_the_pod(answer) == (span.context.trace_id, span.context.span_id, "01")

    run(test())


def test_a_trace_that_is_not_recorded_keeps_the_client_s_span_as_parent() -> None:
    async def test() -> None:
        tracer = FakeTracer()
        async with rig(echo(), tracer=tracer) as it:
            answer = await it.ask(get("/api/items", NOT_SAMPLED))
        assert tracer.spans == []
        assert _context_at_the_pod(answer) == (TRACE, "00f067aa0ba902b7", "00")

    run(test())


def test_a_trace_that_begins_here_and_is_not_recorded_says_so_to_the_pod() -> None:
    async def test() -> None:
        tracer = FakeTracer(samples_roots=False)
        async with rig(echo(), tracer=tracer) as it:
            answer = await it.ask(get())
        assert tracer.spans == []
        assert _context_at_the_pod(answer)[2] == "00"

    run(test())


def test_a_refusal_is_a_failed_span() -> None:
    async def test() -> None:
        tracer = FakeTracer()
        nobody_s = {
            "id": "other",
            "path": "/api/others/**",
            "service": "other-service",
            "public_methods": ["GET"],
        }
        async with rig(echo(), config=configuration(routes=[nobody_s]), tracer=tracer) as it:
            answer = await it.ask(get("/api/others/1", SAMPLED))
        [span] = tracer.spans
        assert (answer.status, span.error) == (503, True)

    run(test())
