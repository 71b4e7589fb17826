"""The adapters of both stores, against answers as the real ones give them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from rehearsal.core.errors import EnvironmentNotReadyError, HarnessError
from rehearsal.observe.logs import VictoriaLogs, of_container, of_requests, of_trace
from rehearsal.observe.spans import Zipkin

from tests.observe.worlds import TRACE

_SPAN = {
    "traceId": TRACE,
    "parentId": "00f067aa0ba902b7",
    "id": "b7ad6b7169203331",
    "kind": "SERVER",
    "name": "post /api/orders",
    "timestamp": 1767268800123456,
    "duration": 45678,
    "localEndpoint": {"serviceName": "order-service", "ipv4": "10.0.0.1"},
    "tags": {"http.route": "/api/orders", "error": "true"},
}
_LINE = {
    "_time": "2026-01-01T12:00:00.123456789Z",
    "_stream_id": "00",
    "_stream": '{k8s.container.name="order-service"}',
    "_msg": "POST /api/orders 201 in 12.5 ms",
    "k8s.namespace.name": "mambogo-production",
    "k8s.pod.name": "order-service-7f-abc",
    "k8s.container.name": "order-service",
    "severity": "INFO",
    "trace_id": TRACE,
    "request_id": "request-1",
}


def _client(answer: Callable[[httpx.Request], httpx.Response]) -> httpx.Client:
    return httpx.Client(base_url="http://store", transport=httpx.MockTransport(answer))


def _zipkin(status: int, content: Any) -> Zipkin:
    return Zipkin(_client(lambda request: httpx.Response(status, json=content)))


def _logs(*lines: Any) -> VictoriaLogs:
    text = "".join(json.dumps(one) + "\n" for one in lines)
    return VictoriaLogs(_client(lambda request: httpx.Response(200, text=text)))


def test_a_span_has_its_service_times_and_tags() -> None:
    [span] = _zipkin(200, [_SPAN]).spans(TRACE)
    assert (span.id, span.parent_id, span.service, span.kind) == (
        "b7ad6b7169203331",
        "00f067aa0ba902b7",
        "order-service",
        "server",
    )
    assert span.started == datetime(2026, 1, 1, 12, 0, 0, 123456, UTC)
    assert (span.seconds, span.failed, span.attributes["http.route"]) == (0.045678, True, "/api/orders")


def test_a_span_may_lack_all_that_the_api_calls_optional() -> None:
    [span] = _zipkin(200, [{"traceId": TRACE, "id": "b7ad6b7169203331"}]).spans(TRACE)
    assert (span.parent_id, span.service, span.failed) == ("", "", False)


def test_spans_are_in_the_order_of_their_start() -> None:
    later = {**_SPAN, "id": "1" * 16, "timestamp": _SPAN["timestamp"] + 1}  # type: ignore[operator]  # a number
    assert [one.id for one in _zipkin(200, [later, _SPAN]).spans(TRACE)] == ["b7ad6b7169203331", "1" * 16]


def test_a_trace_that_is_not_there_has_no_spans() -> None:
    assert _zipkin(404, {}).spans(TRACE) == ()


def test_a_line_has_its_place_and_its_fields() -> None:
    [line] = _logs(_LINE).lines("*", 10)
    assert (line.namespace, line.pod, line.container) == (
        "mambogo-production",
        "order-service-7f-abc",
        "order-service",
    )
    assert line.at == datetime(2026, 1, 1, 12, 0, 0, 123456, UTC)
    assert (line.severity, line.message) == ("INFO", "POST /api/orders 201 in 12.5 ms")
    assert line.fields == {"request_id": "request-1", "trace_id": TRACE}


@pytest.mark.parametrize("time", ["2026-01-01T12:00:00Z", "2026-01-01T12:00:00.5Z"])
def test_a_time_may_have_any_fraction(time: str) -> None:
    [line] = _logs({**_LINE, "_time": time}).lines("*", 10)
    assert line.at.replace(microsecond=0) == datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_lines_are_in_the_order_of_their_time_and_equal_ones_are_one() -> None:
    later = {**_LINE, "_time": "2026-01-01T12:00:01Z", "_msg": "later"}
    assert [one.message for one in _logs(later, _LINE, later).lines("*", 10)] == [_LINE["_msg"], "later"]


def test_question_and_bound_reach_the_store() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, text="")

    assert VictoriaLogs(_client(answer)).lines(of_trace(TRACE), 7) == ()
    assert asked[0].url.path == "/select/logsql/query"
    assert dict(asked[0].url.params) == {"query": f'trace_id:="{TRACE}"', "limit": "7"}


def _refused(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def _stumbles(request: httpx.Request) -> httpx.Response:
    return httpx.Response(503, text="no disk")


@pytest.mark.parametrize(("answer", "code"), [(_refused, "STORE_SILENT"), (_stumbles, "STORE_REFUSES")])
@pytest.mark.parametrize("store", ["Zipkin", "VictoriaLogs"])
def test_a_store_in_trouble_is_the_environment_s_fault(
    store: str, answer: Callable[[httpx.Request], httpx.Response], code: str
) -> None:
    with pytest.raises(EnvironmentNotReadyError, match=store) as caught:
        Zipkin(_client(answer)).spans(TRACE) if store == "Zipkin" else VictoriaLogs(_client(answer)).lines(
            "*", 1
        )
    assert caught.value.code == code


@pytest.mark.parametrize("line", [{"_msg": "no time"}, {"_time": "yesterday"}, [1]], ids=str)
def test_lines_that_are_none_are_an_error_of_the_harness(line: Any) -> None:
    with pytest.raises(HarnessError, match="VictoriaLogs"):
        _logs(line).lines("*", 1)


def test_spans_that_are_none_are_an_error_of_the_harness() -> None:
    with pytest.raises(HarnessError, match="Zipkin"):
        _zipkin(200, {"not": "a list"}).spans(TRACE)


def test_a_question_quotes_what_it_is_given() -> None:
    assert of_requests(['a" or *', "b"]) == 'request_id:in("a\\" or *","b")'


def test_a_container_s_question_has_only_the_filters_that_are_asked_for() -> None:
    assert of_container("", since="15m", text="") == "_time:15m"
    assert of_container("cdn", since="2h", text="") == '_time:2h "k8s.container.name":="cdn"'


def test_a_text_is_searched_literally() -> None:
    assert of_container("", since="1d", text="a.b (c) d-e") == r'_time:1d _msg:~"a\\.b \\(c\\) d-e"'
