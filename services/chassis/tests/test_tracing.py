"""Spans reach a collector, and a dead one costs nothing but them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, StatusCode
from opentelemetry.trace import Status as OtelStatus

from mambogo_chassis import span_export
from mambogo_chassis.span_export import GradualExporter
from mambogo_chassis.tracing import (
    FinishedSpan,
    Kind,
    RecordingTracer,
    TraceContext,
    child_of,
    make_tracer,
    parse,
)
from support.collector import endpoint_of, message_of, spans_of
from support.data import eventually
from support.faults import Behaviour, Exchange, FaultServer, answer, fault_server, garbage, hang, reset
from support.running import Settings, running

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_child_keeps_trace_flag_and_state() -> None:
    parent = parse(PARENT, "vendor=1")
    assert parent is not None
    child = child_of(parent)
    assert (child.trace_id, child.sampled, child.state) == (parent.trace_id, True, "vendor=1")
    assert child.span_id != parent.span_id


def test_a_new_trace_is_not_sampled_without_an_exporter() -> None:
    assert not child_of(None).sampled


def test_a_future_version_with_more_fields_is_read() -> None:
    assert parse("01" + PARENT[2:] + "-more") == TraceContext(
        "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", True
    )


def test_an_oversized_state_is_dropped() -> None:
    parent = parse(PARENT, "x" * 1000)
    assert parent is not None
    assert parent.state == ""


@pytest.mark.parametrize("make_parent", [lambda: parse(PARENT), lambda: None])
def test_without_an_endpoint_nothing_is_recorded(make_parent: Callable[[], TraceContext | None]) -> None:
    _, span = make_tracer("s", "1", None, lambda: 1.0).start(make_parent(), "server")
    assert span is None


async def test_a_requests_span_reaches_the_collector_under_its_route() -> None:
    with fault_server(answer(b"")) as collector:
        settings = Settings(otlp_endpoint=endpoint_of(collector), trace_sample_ratio=0.0)
        async with running(settings=settings) as service:
            await service.client.get("/nowhere", headers={"traceparent": PARENT})
            await service.client.get("/nowhere")  # its own root: not sampled
        # Closing has flushed.
        [span] = spans_of(collector)
        assert (span.name, span.kind) == ("GET unmatched", "server")
        assert (span.trace, span.parent) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


async def test_a_changed_share_is_in_force_at_once() -> None:
    share = 0.0
    with fault_server(answer(b"")) as collector:
        tracer = make_tracer("s", "1", endpoint_of(collector), lambda: share)
        for share in (0.0, 1.0):
            context, span = tracer.start(None, "server")
            assert (context.sampled, span is not None) == (bool(share), bool(share))
        tracer.close()


async def test_a_parent_that_is_not_sampled_has_no_recorded_child() -> None:
    with fault_server(answer(b"")) as collector:
        tracer = make_tracer("s", "1", endpoint_of(collector), lambda: 1.0)
        context, span = tracer.start(parse(PARENT[:-1] + "0"), "server")
        assert (context.trace_id, context.sampled, span) == (PARENT.split("-")[1], False, None)
        tracer.close()


async def test_a_collector_that_hangs_does_not_slow_requests_down() -> None:
    with fault_server(hang) as collector:
        settings = Settings(otlp_endpoint=endpoint_of(collector), trace_sample_ratio=1.0)
        async with running(settings=settings) as service:
            for _ in range(50):
                assert (await service.client.get("/nowhere")).status_code == 404
            tracer = service.service.tracer
            before = time.monotonic()
            tracer.close()
            assert time.monotonic() - before < span_export._SHUTDOWN_SECONDS + 3


async def test_memory_stays_bounded_while_the_collector_is_gone() -> None:
    with fault_server() as collector:
        collector.stop_listening()
        tracer = make_tracer("s", "1", endpoint_of(collector), lambda: 1.0)
        assert isinstance(tracer, RecordingTracer)
        for _ in range(span_export._QUEUE_SPANS * 3):
            _, span = tracer.start(None, "server")
            assert span is not None
            span.finish("GET /", {}, error=False)
        assert len(tracer._exporter._waiting) <= span_export._QUEUE_SPANS
        tracer.close()


async def test_a_batch_is_encoded_a_few_spans_at_a_time_and_arrives_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []
    encode = span_export.encode

    def counted(spans: Sequence[FinishedSpan]) -> bytes:
        sizes.append(len(spans))
        return encode(spans)

    monkeypatch.setattr(span_export, "encode", counted)
    with fault_server(answer(b"")) as collector:
        tracer = make_tracer("s", "1", endpoint_of(collector), lambda: 1.0)
        for number in range(100):
            _, span = tracer.start(None, "server")
            assert span is not None
            span.finish(f"GET /{number}", {}, error=False)
        tracer.close()
        assert sorted(span.name for span in spans_of(collector)) == sorted(f"GET /{n}" for n in range(100))
    assert max(sizes) == span_export._SPANS_AT_ONCE


async def requests_to(collector: FaultServer, count: int, *, timeout_seconds: float = 10.0) -> None:
    """Return when so many have come."""

    async def have_come() -> bool:
        return len(collector.requests) == count

    await eventually(f"{count} requests", have_come, timeout_seconds=timeout_seconds)


async def test_a_full_batch_is_sent_at_once() -> None:
    with fault_server(answer(b"")) as collector:
        tracer = make_tracer("s", "1", endpoint_of(collector), lambda: 1.0)
        for _ in range(span_export._BATCH_SPANS):
            _, span = tracer.start(None, "server")
            assert span is not None
            span.finish("GET /", {}, error=False)
        # Else it is not the batch that was waited for.
        await requests_to(collector, 1, timeout_seconds=span_export._INTERVAL_SECONDS / 2)
        assert len(spans_of(collector)) == span_export._BATCH_SPANS
        tracer.close()


async def test_a_single_span_is_sent_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_export, "_INTERVAL_SECONDS", 0.05)
    with fault_server(answer(b"")) as collector:
        tracer = make_tracer("s", "1", endpoint_of(collector), lambda: 1.0)
        for number in range(2):
            _, span = tracer.start(None, "server")
            assert span is not None
            span.finish("GET /", {}, error=False)
            await requests_to(collector, number + 1)
        tracer.close()
        assert [span.name for span in spans_of(collector)] == ["GET /", "GET /"]


async def test_a_span_that_cannot_be_written_takes_no_other_batch_along(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(span_export, "_BATCH_SPANS", 1)
    with fault_server(answer(b"")) as collector:
        tracer = make_tracer("s", "1", endpoint_of(collector), lambda: 1.0)
        for name in ("half of a pair: \ud800", "GET /"):
            _, span = tracer.start(None, "server")
            assert span is not None
            span.finish(name, {}, error=False)
        tracer.close()
        assert [span.name for span in spans_of(collector)] == ["GET /"]
    assert "1 spans were dropped" in caplog.text


async def test_the_message_is_the_one_that_opentelemetry_makes_of_the_same_spans(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    finished: list[FinishedSpan] = []
    add = GradualExporter.add

    def kept(self: GradualExporter, span: FinishedSpan) -> None:
        finished.append(span)
        add(self, span)

    monkeypatch.setattr(GradualExporter, "add", kept)
    kinds: tuple[Kind, ...] = ("server", "client", "producer", "consumer")
    with fault_server(answer(b"")) as collector:
        tracer = make_tracer("s", "1.2", endpoint_of(collector), lambda: 1.0, instance="s-1")
        for number, kind in enumerate(kinds):
            for parent in (None, parse(PARENT)):
                _, span = tracer.start(parent, kind)
                assert span is not None
                attributes: dict[str, str | int] = {
                    'path "quoted"\u2028\u00e9': "/ä\x00\n",
                    "bytes": 2**53 + 1,
                    "minus": -1,
                }
                span.finish(f"GET /{number}", attributes if number else {}, error=bool(number % 2))
        tracer.close()
        [request] = collector.requests
    resource = Resource({"service.name": "s", "service.version": "1.2", "service.instance.id": "s-1"})
    assert message_of(request) == encode_spans([as_opentelemetry_has_it(span, resource) for span in finished])


def as_opentelemetry_has_it(span: FinishedSpan, resource: Resource) -> ReadableSpan:
    """A span of its SDK."""

    def context(span_id: str, *, is_remote: bool) -> SpanContext:
        return SpanContext(int(span.trace_id, 16), int(span_id, 16), is_remote=is_remote)

    return ReadableSpan(
        span.name,
        context(span.span_id, is_remote=False),
        parent=context(span.parent_id, is_remote=True) if span.parent_id else None,
        resource=resource,
        attributes=span.attributes,
        kind=SpanKind[span.kind.upper()],
        status=OtelStatus(StatusCode.ERROR if span.has_failed else StatusCode.UNSET),
        start_time=span.started_ns,
        end_time=span.ended_ns,
        instrumentation_scope=InstrumentationScope("mambogo_chassis"),
    )


async def test_times_are_those_that_were_said_and_now() -> None:
    with fault_server(answer(b"")) as collector:
        tracer = make_tracer("s", "1", endpoint_of(collector), lambda: 1.0)
        _, span = tracer.start(None, "server", started_ns=123)
        assert span is not None
        before = time.time_ns()
        span.finish("GET /", {}, error=False)
        tracer.close()
        [[sent]] = [scope.spans for scope in message_of(collector.requests[0]).resource_spans[0].scope_spans]
        assert sent.start_time_unix_nano == 123
        assert before <= sent.end_time_unix_nano <= time.time_ns()


@pytest.mark.parametrize("trouble", [answer(status=503), reset, garbage])
async def test_a_collector_in_trouble_is_asked_once_more(trouble: Behaviour) -> None:
    with fault_server() as collector:

        async def recovering(exchange: Exchange) -> None:
            collector.behaviour = answer()
            await trouble(exchange)

        collector.behaviour = recovering
        tracer = make_tracer("s", "1", endpoint_of(collector), lambda: 1.0)
        _, span = tracer.start(None, "server")
        assert span is not None
        span.finish("GET /", {}, error=False)
        tracer.close()
        assert [span.name for span in spans_of(collector)] == ["GET /", "GET /"]
