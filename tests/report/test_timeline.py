"""The timeline: what was measured is drawn where it was, and a gap stays a gap."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rehearsal.core.events import FaultMade
from rehearsal.report import writing
from rehearsal.report.html import render_html
from rehearsal.report.timeline import Point, read_points, render_timeline

from tests.report.conftest import EVENTS, of_events, write_events

STEADY = tuple(Point(1000 + second, "load", 4, 4, 20) for second in range(10))


def _drawn(points: tuple[Point, ...], *faults: FaultMade) -> ElementTree.Element:
    text = "".join(render_timeline(of_events(*faults), points))
    return ElementTree.fromstring(text)  # noqa: S314 - our own document


def _lines(drawing: ElementTree.Element, kind: str) -> list[list[tuple[float, float]]]:
    found = (one.get("points", "") for one in drawing.iter("polyline") if one.get("class") == kind)
    return [[(float(x), float(y)) for x, y in (pair.split(",") for pair in one.split())] for one in found]


def test_run_without_a_series_has_no_timeline() -> None:
    assert "<svg class=" not in render_html(of_events(), ())


def test_each_second_is_a_point() -> None:
    (line,) = _lines(_drawn(STEADY), "accepted")

    assert len(line) == 10
    assert [x for x, _ in line] == sorted(x for x, _ in line)


def test_orders_that_were_not_accepted_lie_below_those_that_were_offered() -> None:
    points = (*STEADY, Point(1010, "load", 4, 0, None))
    drawing = _drawn(points)
    offered, accepted = (_lines(drawing, kind)[0][-1] for kind in ("offered", "accepted"))

    assert accepted[1] > offered[1]  # y grows downwards


@pytest.mark.parametrize(
    "later", [Point(1020, "load", 4, 4, 20), Point(1010, "kill", 4, 4, 20)], ids=["a gap", "another flow"]
)
def test_nothing_is_drawn_across_a_gap(later: Point) -> None:
    drawing = _drawn((*STEADY, later, Point(later.t + 1, later.flow, 4, 4, 20)))

    assert [len(line) for line in _lines(drawing, "accepted")] == [10, 2]


def test_second_that_stands_alone_is_seen() -> None:
    drawing = _drawn((*STEADY, Point(1020, "load", 4, 4, 20)))

    assert [one.get("class") for one in drawing.iter("circle")] == ["offered", "accepted", "latency"]


def test_fault_is_drawn_from_its_start_to_its_end() -> None:
    drawing = _drawn(STEADY, FaultMade("kill all", 1002.0, 1006.0))
    (band,) = (one for one in drawing.iter("rect"))
    start = float(band.get("x", 0))
    line = _lines(drawing, "accepted")[0]

    ends = (start, start + float(band.get("width", 0)))
    assert ends == pytest.approx((line[2][0], line[6][0]), abs=0.2)  # each number is rounded to a tenth


def test_faults_are_numbered_because_their_titles_would_overlap() -> None:
    drawing = _drawn(STEADY, FaultMade("kill one", 1002.0, 1003.0), FaultMade("kill all", 1004.0, 1006.0))
    texts = [one.text for one in drawing.iter("text")]

    assert [one for one in texts if one in ("1", "2")] == ["1", "2"]


def test_numbers_of_faults_that_follow_close_on_another_do_not_lie_on_each_other() -> None:
    long = tuple(Point(1000 + second, "load", 4, 4, 20) for second in range(1000))
    made = [FaultMade("kill one", at, at + 1.0) for at in (1002.0, 1003.0, 1004.0, 1900.0)]
    numbers = [one.find("text") for one in _drawn(long, *made).iter("g")]
    places = [float(one.get("x", 0)) for one in numbers if one is not None]

    assert all(later - earlier >= 16 for earlier, later in pairwise(places))
    assert places[-1] == pytest.approx(
        70 + 0.9009 * 904, abs=1
    )  # one that stands alone is where its fault is


def test_drawing_says_in_words_what_it_shows() -> None:
    said = _drawn(STEADY, FaultMade("kill all", 1002.0, 1006.0)).get("aria-label")

    assert said == "40 orders were offered, 40 accepted; faults made: 1"


def test_series_of_a_run_is_on_its_page(tmp_path: Path) -> None:
    run = write_events(tmp_path / "run", EVENTS)
    point = {"t": 1000, "flow": "load", "offered": 4, "acknowledged": 4, "p95_ms": 20}
    (run / "series.ndjson").write_text(json.dumps(point) + "\n", encoding="utf-8")
    writing.write(run)

    assert read_points(run) == (Point(**point),)  # type: ignore[arg-type]
    assert '<svg class="timeline"' in (run / writing.PAGE).read_text(encoding="utf-8")
