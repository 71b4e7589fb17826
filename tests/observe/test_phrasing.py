"""A trail for a person and for a script."""

from __future__ import annotations

import json
from dataclasses import replace

from rehearsal.observe.following import MOST_LINES, Trail
from rehearsal.observe.phrasing import describe, line_text, trail_record
from rehearsal.observe.spans import Span, arranged

from tests.observe.worlds import TRACE, line, span

SPANS = (
    span("gateway", "the client's", service="gateway-service"),
    span("order", "gateway", at_ms=2),
    span("send", "order", at_ms=4, kind="producer"),
    replace(span("pay", "send", at_ms=9, service="payment-service", kind="consumer"), failed=True),
    span("stock", "send", at_ms=7, service="inventory-service", kind="consumer"),
)


def _ids(spans: tuple[Span, ...]) -> list[tuple[int, str]]:
    return [(depth, one.id) for depth, one in arranged(spans)]


def test_each_span_stands_below_its_parent_and_siblings_by_their_start() -> None:
    assert _ids(SPANS[::-1]) == [(0, "gateway"), (1, "order"), (2, "send"), (3, "stock"), (3, "pay")]


def test_spans_whose_parent_is_lost_stand_at_the_top() -> None:
    assert _ids(SPANS[2:]) == [(0, "send"), (1, "stock"), (1, "pay")]


def test_spans_that_are_each_other_s_parents_are_shown_once() -> None:
    assert sorted(_ids((span("a", "b"), span("b", "a"), span("c", "c")))) == [(0, "a"), (0, "b"), (0, "c")]


def test_a_trail_is_a_tree_with_times_and_the_lines_below() -> None:
    text = describe(Trail(TRACE, SPANS, (line("POST /api/orders 201", at_ms=8),)))
    assert text.splitlines() == [
        f"trace {TRACE}: 5 spans of 4 services, 1 lines of logs",
        "",
        "    begins      takes",
        "    0.0 ms     5.0 ms  gateway-service    name of gateway",
        "    2.0 ms     5.0 ms    order-service      name of order",
        "    4.0 ms     5.0 ms      order-service      name of send (producer)",
        "    7.0 ms     5.0 ms        inventory-service  name of stock (consumer)",
        "    9.0 ms     5.0 ms        payment-service    name of pay (consumer) FAILED",
        "",
        "2026-01-01T12:00:00.008Z INFO    order-service      order-service-7f-abc  POST /api/orders 201",
    ]


def test_what_a_service_said_is_not_obeyed_by_a_terminal() -> None:
    said = line("a\x1b[1A\x1b[2K\u202eb\n2026-01-01T12:00:00.008Z INFO")
    span_of_it = replace(SPANS[0], name="GET \x9b8m")
    stack = replace(said, fields={"exception": "first\nsecond \x1b[0m"})
    text = describe(Trail(TRACE, (span_of_it,), (stack,)))

    assert not {"\x1b", "\x9b", "\u202e"} & set(text)
    assert "a\\x1b[1A\\x1b[2K\\u202eb\n    2026" in text


def test_without_spans_it_says_why_that_may_be() -> None:
    assert "not sampled" in describe(Trail(TRACE, (), (line("x"),)))


def test_a_cut_list_says_so() -> None:
    assert "only the newest" in describe(Trail(TRACE, (), (line("x"),) * MOST_LINES))


def test_an_exception_s_stack_is_below_its_line() -> None:
    text = line_text(line("unexpected error", exception="  File a\nValueError"))
    assert text.splitlines()[1:] == ["      File a", "    ValueError"]


def test_a_record_is_json_and_complete() -> None:
    trail = Trail(TRACE, SPANS, (line("x", status="201"),))
    record = json.loads(json.dumps(trail_record(trail)))
    assert record["trace_id"] == TRACE
    assert [one["id"] for one in record["spans"]] == [one.id for one in SPANS]
    assert record["spans"][3]["failed"] is True
    assert record["logs"][0]["fields"]["status"] == "201"
