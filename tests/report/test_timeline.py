"""The timeline: what was measured is drawn where it was, and a gap stays a gap."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rehearsal.core.events import Event, FaultMade, RunStarted, StageFinished, StageStarted
from rehearsal.core.verdicts import Ending
from rehearsal.report import writing
from rehearsal.report.building import build
from rehearsal.report.html import render_html
from rehearsal.report.model import Report
from rehearsal.report.series import Point, Replicas, read_points
from rehearsal.report.timeline import render_timeline, timeline_of

from tests.report.conftest import EVENTS, FACTS, of_events, records, write_events

STEADY = tuple(Point(1000 + second, "load", 4, 4, 20, 4, 0) for second in range(10))
GROWING = tuple(replace(one, served=number, p95_ms=10 + number) for number, one in enumerate(STEADY))
LOOKS = tuple(
    Replicas(1000.0 + second, "order-service", 2, 6, 2 + second // 5, 2, 2, {}, {}) for second in range(10)
)


def _drawn(
    points: Sequence[Point], *events: Event, looks: Sequence[Replicas] = (), report: Report | None = None
) -> ElementTree.Element:
    timeline = timeline_of(report or of_events(*events), points, looks)
    assert timeline is not None
    return ElementTree.fromstring("".join(render_timeline(timeline)))  # noqa: S314 - our own document


def _promising(seconds: float) -> Report:
    return build(records([RunStarted(replace(FACTS, order_p95_seconds=seconds))]))


def _lines(drawing: ElementTree.Element, kind: str) -> list[list[tuple[float, float]]]:
    found = (one.get("points", "") for one in drawing.iter("polyline") if one.get("class") == kind)
    return [[(float(x), float(y)) for x, y in (pair.split(",") for pair in one.split())] for one in found]


def _texts(drawing: ElementTree.Element, kind: str) -> list[str]:
    return [one.text or "" for one in drawing.iter("text") if one.get("class") == kind]


def test_run_without_a_series_has_no_timeline() -> None:
    assert "<svg class=" not in render_html(of_events(), ())


def test_each_second_is_a_point() -> None:
    (line,) = _lines(_drawn(GROWING), "served")

    assert len(line) == 10
    assert [x for x, _ in line] == sorted(x for x, _ in line)


def test_line_that_stays_at_its_height_needs_its_ends_only() -> None:
    (line,) = _lines(_drawn(STEADY), "offered")

    assert len(line) == 2


def test_everything_that_was_recorded_has_a_lane_on_one_axis() -> None:
    drawing = _drawn(STEADY, looks=LOOKS)

    assert _texts(drawing, "lane") == [
        "orders a second, offered (dashed) and served",
        "failed attempts a second",
        "p95 of orders, ms, in powers of ten",
        "replicas of order-service, desired (dashed) and ready",
    ]
    starts = {_lines(drawing, kind)[0][0][0] for kind in ("offered", "errors", "latency", "desired", "ready")}
    assert len(starts) == 1
    assert _texts(drawing, "tick") == ["0 s", "2 s", "4 s", "6 s", "8 s", "10 s"]


def test_lanes_do_not_lie_on_each_other() -> None:
    drawing = _drawn(STEADY, looks=LOOKS)
    heights = [
        [y for line in _lines(drawing, kind) for _, y in line]
        for kind in ("served", "errors", "latency", "ready")
    ]

    assert all(max(upper) < min(lower) for upper, lower in pairwise(heights))


def test_what_was_not_recorded_has_no_lane() -> None:
    old = [replace(one, served=None, failed=None) for one in STEADY]
    drawing = _drawn(old)

    assert len(_texts(drawing, "lane")) == 2
    assert not _lines(drawing, "errors")
    assert _lines(drawing, "served")


def test_orders_that_were_not_served_lie_below_those_that_were_offered() -> None:
    points = (*STEADY, Point(1010, "load", 4, 0, None, 0, 4))
    drawing = _drawn(points)
    offered, served = (_lines(drawing, kind)[0][-1] for kind in ("offered", "served"))

    assert served[1] > offered[1]  # y grows downwards


def test_orders_that_are_served_late_are_drawn_when_they_are() -> None:
    points = (*STEADY, Point(1010, "load", 0, 0, None, 8, 0))
    served = _lines(_drawn(points), "served")[0]

    assert served[-1][1] < served[-2][1]


def test_promised_latency_is_a_line_with_its_value() -> None:
    drawing = _drawn(STEADY, report=_promising(0.5))
    (bound,) = (one for one in drawing.iter("line") if one.get("class") == "bound")
    latency = _lines(drawing, "latency")[0]

    assert float(bound.get("y1", 0)) < latency[0][1]  # 20 ms lie below the 500 that are promised
    assert "promised: 500 ms" in _texts(drawing, "value")


def test_run_that_does_not_say_what_is_promised_has_no_such_line() -> None:
    assert "bound" not in {one.get("class") for one in _drawn(STEADY).iter("line")}


def test_latency_over_its_bound_lies_above_the_line_of_it() -> None:
    slow = [replace(one, p95_ms=30_000) for one in STEADY]
    drawing = _drawn(slow, report=_promising(1.0))
    (bound,) = (one for one in drawing.iter("line") if one.get("class") == "bound")

    assert _lines(drawing, "latency")[0][0][1] < float(bound.get("y1", 0))


def test_second_without_answers_is_a_gap_of_the_latency_only() -> None:
    points = [replace(one, p95_ms=None) if 1003 <= one.t < 1006 else one for one in GROWING]
    drawing = _drawn(points)

    assert [len(line) for line in _lines(drawing, "latency")] == [3, 4]
    assert len(_lines(drawing, "served")) == 1


@pytest.mark.parametrize("later", [(1020, "load"), (1010, "kill")], ids=["a gap", "another flow"])
def test_nothing_is_drawn_across_a_gap(later: tuple[int, str]) -> None:
    t, flow = later
    drawing = _drawn((*GROWING, Point(t, flow, 4, 4, 20, 3, 0), Point(t + 1, flow, 4, 4, 20, 4, 0)))

    assert [len(line) for line in _lines(drawing, "served")] == [10, 2]


def test_second_that_stands_alone_is_seen() -> None:
    drawing = _drawn((*STEADY, Point(1020, "load", 4, 4, 20, 4, 0)))

    assert [one.get("class") for one in drawing.iter("circle")] == ["offered", "served", "errors", "latency"]


def test_fault_is_drawn_over_all_lanes_from_its_start_to_its_end() -> None:
    drawing = _drawn(GROWING, FaultMade("kill all", 1002.0, 1006.0), looks=LOOKS)
    (band,) = (one for one in drawing.iter("rect"))
    start, top = (float(band.get(name, 0)) for name in ("x", "y"))
    line = _lines(drawing, "served")[0]

    ends = (start, start + float(band.get("width", 0)))
    assert ends == pytest.approx((line[2][0], line[6][0]), abs=0.2)  # each number is rounded to a tenth
    heights = [y for kind in ("served", "ready") for one in _lines(drawing, kind) for _, y in one]
    assert top <= min(heights)
    assert top + float(band.get("height", 0)) >= max(heights)


def test_fault_that_began_before_the_series_begins_with_it() -> None:
    drawing = _drawn(STEADY, FaultMade("kill all", 900.0, 1006.0))
    (band,) = (one for one in drawing.iter("rect"))

    assert float(band.get("x", 0)) == 70


def test_faults_are_numbered_because_their_titles_would_overlap() -> None:
    drawing = _drawn(STEADY, FaultMade("kill one", 1002.0, 1003.0), FaultMade("kill all", 1004.0, 1006.0))
    bands = [one for one in drawing.iter("g") if one.get("class") == "fault"]

    assert [one.findtext("text") for one in bands] == ["1", "2"]


def test_numbers_of_faults_that_follow_close_on_another_do_not_lie_on_each_other() -> None:
    long = tuple(Point(1000 + second, "load", 4, 4, 20) for second in range(1000))
    made = [FaultMade("kill one", at, at + 1.0) for at in (1002.0, 1003.0, 1004.0, 1900.0)]
    numbers = [one.find("text") for one in _drawn(long, *made).iter("g")]
    places = [float(one.get("x", 0)) for one in numbers if one is not None]

    assert all(later - earlier >= 20 for earlier, later in pairwise(places))
    assert places[-1] == pytest.approx(70 + 0.9 * 904, abs=1)  # one that stands alone is where its fault is


def _staged(*names_and_starts: tuple[str, float]) -> Report:
    """Return a report whose stages began so many seconds after the series."""
    report = of_events(
        *(
            event
            for name, _ in names_and_starts
            for event in (StageStarted(name, "", 1.0), StageFinished(name, Ending.PASS, 5.0))
        )
    )
    starts = dict(names_and_starts)
    stages = tuple(one.model_copy(update={"started": 1000 + starts[one.name]}) for one in report.stages)
    return report.model_copy(update={"stages": stages})


def _boundaries(drawing: ElementTree.Element) -> dict[str, float]:
    groups = [one for one in drawing.iter("g") if one.get("class") == "stage"]
    return {
        one.findtext("text") or f"({one.findtext('title')})": float(line.get("x1", 0))
        for one in groups
        for line in one.iter("line")
    }


def test_stages_begin_at_a_line_with_their_name() -> None:
    drawing = _drawn(STEADY, report=_staged(("load", 0.0), ("chaos", 5.0)))

    assert _boundaries(drawing) == {"load": 70, "chaos": 70 + 904 / 2}


def test_stage_under_way_when_the_series_begins_is_named_at_its_begin() -> None:
    assert _boundaries(_drawn(STEADY, report=_staged(("load", -3.0)))) == {"load": 70}


def test_stages_are_named_in_order_of_time() -> None:
    drawing = _drawn(STEADY, report=_staged(("chaos", 5.0), ("load", 0.0)))

    assert list(_boundaries(drawing)) == ["load", "chaos"]


def test_stages_before_and_after_the_series_are_not_drawn() -> None:
    assert _boundaries(_drawn(STEADY, report=_staged(("contract", -60.0), ("events", 60.0)))) == {}


def test_name_of_a_stage_without_room_is_where_it_is_pointed_at() -> None:
    drawing = _drawn(STEADY, report=_staged(("load", 0.0), ("events", 9.9)))

    assert list(_boundaries(drawing)) == ["load", "(stage events)"]


def test_stage_knows_when_it_began() -> None:
    began, staged = build(records(EVENTS)), next(one for one in records(EVENTS) if "summary" in one)

    assert began.stages[0].started is not None
    assert f"{began.run.started:%Y}" in staged["at"]
    assert [one.started is None for one in began.stages] == [False, False, True, False]


@pytest.mark.parametrize("seconds", [3, 45, 481, 3600, 90_000])
def test_times_are_few_and_begin_with_nothing(seconds: int) -> None:
    texts = _texts(_drawn([STEADY[0], replace(STEADY[0], t=1000 + seconds)]), "tick")

    assert texts[0] == "0 s"
    assert 3 <= len(texts) <= 9


def test_long_run_is_drawn_by_means() -> None:
    long = [Point(1000 + second, "load", second % 2, 0, 10 + second % 6, 0, 1) for second in range(3600)]
    drawing = _drawn(long)

    (errors,), (latency,) = (_lines(drawing, kind) for kind in ("errors", "latency"))
    assert len(errors) == 2
    assert len(ElementTree.tostring(drawing)) < 40_000
    assert len({y for _, y in latency}) == 1  # the worst of each six seconds is the same
    label = drawing.get("aria-label") or ""
    assert label.startswith("1800 orders were offered, 0 accepted")


def test_page_says_how_many_seconds_are_one_point() -> None:
    long = [replace(STEADY[0], t=1000 + second) for second in range(3600)]

    assert "means of 6 s" in render_html(of_events(), long)
    assert "means of" not in render_html(of_events(), STEADY)


def test_drawing_says_in_words_what_it_shows() -> None:
    report = _promising(1.0).model_copy(update={"faults": of_events(FaultMade("x", 1002.0, 1006.0)).faults})

    assert _drawn(STEADY, looks=LOOKS, report=report).get("aria-label") == (
        "40 orders were offered, 40 accepted; at most 0 attempts a second failed; "
        "the slowest second's p95 was 20 ms, promised are 1000 ms; "
        "order-service had 2 to 2 replicas ready; faults made: 1"
    )


def test_series_of_a_run_is_on_its_page(tmp_path: Path) -> None:
    run = write_events(tmp_path / "run", EVENTS)
    point = {"t": 1000, "flow": "load", "offered": 4, "acknowledged": 4, "p95_ms": 20}
    (run / "series.ndjson").write_text(json.dumps(point) + "\n", encoding="utf-8")
    writing.write(run)

    assert read_points(run) == (Point(**point),)  # type: ignore[arg-type]
    assert '<svg class="timeline"' in (run / writing.PAGE).read_text(encoding="utf-8")
