"""A request is found by whichever of its ids somebody has."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rehearsal.core.errors import ConfigurationError
from rehearsal.observe.following import Trail, follow

from tests.observe.worlds import TRACE, FakeLogs, FakeSpans, line, span

SPANS = FakeSpans({TRACE: (span("a"), span("b", "a", at_ms=1))})
LOGS = FakeLogs(
    (line("GET /"), line("done", at_ms=2), line("another's", trace="9" * 32, request_id="request-2"))
)


@pytest.mark.parametrize(
    "given",
    [TRACE, TRACE.upper(), f"00-{TRACE}-00f067aa0ba902b7-01", "request-1", f" {TRACE}\n"],
    ids=["trace", "upper-case", "traceparent", "request", "blanks"],
)
def test_each_id_leads_to_the_same_trail(given: str) -> None:
    trail = follow(given, SPANS, LOGS)
    assert trail == Trail(TRACE, SPANS.stored[TRACE], LOGS.stored[:2])


def test_a_trace_that_was_not_sampled_has_its_lines() -> None:
    assert follow(TRACE, FakeSpans(), LOGS) == Trail(TRACE, (), LOGS.stored[:2])


def test_a_trace_that_logged_nothing_has_its_spans() -> None:
    assert follow(TRACE, SPANS, FakeLogs()) == Trail(TRACE, SPANS.stored[TRACE], ())


def test_a_line_of_who_knows_the_request_s_id_alone_belongs_to_it() -> None:
    edge = replace(line("GET /", at_ms=1), container="cdn", fields={"request_id": "request-1"})
    foreign = replace(edge, fields={"request_id": "request-2"})
    trail = follow(TRACE, SPANS, FakeLogs((*LOGS.stored, edge, foreign)))
    assert trail.lines == (LOGS.stored[0], edge, LOGS.stored[1])


def test_a_request_id_that_looks_like_a_trace_s_is_found() -> None:
    looks = "0af7651916cd43dd8448eb211c80319c"
    assert follow(looks, SPANS, FakeLogs((line("x", request_id=looks),))).trace_id == TRACE


@pytest.mark.parametrize("given", ["", "../../etc", 'a" or *', "-rf", "x" * 65], ids=range(5))
def test_what_is_no_id_is_refused_before_anybody_is_asked(given: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        follow(given, SPANS, LOGS)
    assert caught.value.code == "ID_MALFORMED"


@pytest.mark.parametrize("given", ["a" * 32, "request-9"])
def test_an_id_that_nobody_knows_is_an_error_of_usage(given: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        follow(given, SPANS, LOGS)
    assert caught.value.code == "ID_UNKNOWN"


def test_a_request_id_of_several_traces_names_them() -> None:
    reused = FakeLogs((line("x", request_id="retried-1"), line("y", trace="9" * 32, request_id="retried-1")))
    with pytest.raises(ConfigurationError) as caught:
        follow("retried-1", SPANS, reused)
    assert caught.value.code == "ID_AMBIGUOUS"
    assert TRACE in caught.value.hint
    assert "9" * 32 in caught.value.hint
