"""The card of an HPA: what was seen is drawn where it was, and what was not known stays a gap."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from xml.etree import ElementTree

from rehearsal.core.checks import CheckKind, Severity
from rehearsal.core.events import CheckFinished
from rehearsal.report import writing
from rehearsal.report.autoscaling import render_replicas
from rehearsal.report.html import render_html
from rehearsal.report.series import Replicas, by_hpa, read_points, read_replicas

from tests.report.conftest import EVENTS, of_events, write_events

TARGETS = {"cpu": 70, "memory": 80}
SCALED = CheckKind("load.scaled", "It scales", Severity.HIGH)


def _look(second: int, desired: int = 2, ready: int = 2, wanted: int | None = 2) -> Replicas:
    used = {"cpu": 40, "memory": 30}
    return Replicas(1000.0 + second, "order-service", 2, 6, desired, ready, wanted, used, TARGETS)


CALM = tuple(_look(second) for second in range(10))
GROWN = (*CALM, *(_look(second, 5, 4, 5) for second in range(10, 20)))


def _drawn(looks: tuple[Replicas, ...]) -> ElementTree.Element:
    return ElementTree.fromstring("".join(render_replicas(looks)))  # noqa: S314 - our own document


def _lines(drawing: ElementTree.Element, kind: str) -> list[list[tuple[float, float]]]:
    found = (one.get("points", "") for one in drawing.iter("polyline") if one.get("class") == kind)
    return [[(float(x), float(y)) for x, y in (pair.split(",") for pair in one.split())] for one in found]


def test_run_that_watched_no_hpa_has_no_card() -> None:
    assert "Autoscaling" not in render_html(of_events())


def test_change_of_replicas_is_a_step() -> None:
    (line,) = _lines(_drawn(GROWN), "desired")

    assert len(line) == 5  # where it begins, where it was seen last, the step, where it ends
    assert line[2][0] == line[3][0]
    assert line[3][1] < line[2][1]  # y grows downwards


def test_less_was_ready_than_asked_for() -> None:
    drawing = _drawn(GROWN)

    assert _lines(drawing, "ready")[0][-1][1] > _lines(drawing, "desired")[0][-1][1]


def test_time_without_looks_is_a_gap() -> None:
    later = tuple(_look(second) for second in range(30, 35))

    assert len(_lines(_drawn((*CALM, *later)), "ready")) == 2


def test_formula_that_could_not_be_computed_is_a_gap() -> None:
    blind = tuple(replace(one, wanted=None) if 3 <= one.t - 1000 < 6 else one for one in CALM)
    drawing = _drawn(blind)

    assert len(_lines(drawing, "wanted")) == 2
    assert len(_lines(drawing, "ready")) == 1


def test_metric_that_was_never_measured_has_no_line() -> None:
    blind = tuple(replace(one, used={"cpu": None, "memory": 30}) for one in CALM)

    assert _lines(_drawn(blind), "metric-0") == []


def test_targets_are_drawn_with_their_numbers() -> None:
    texts = [one.text for one in _drawn(CALM).iter("text")]

    assert "cpu target 70" in texts
    assert "memory target 80" in texts


def test_words_of_two_targets_close_together_do_not_lie_on_the_other_ones_line() -> None:
    drawing = _drawn(CALM)
    cpu, memory = (
        float(one.get("y1", 0)) for one in drawing.iter("line") if "target" in one.get("class", "")
    )
    words = {one.text: float(one.get("y", 0)) for one in drawing.iter("text")}

    assert words["memory target 80"] < memory < cpu < words["cpu target 70"]


def test_drawing_says_in_words_what_it_shows() -> None:
    label = _drawn(GROWN).get("aria-label", "")

    assert label == "order-service, 2 to 6 replicas, targets cpu 70 %, memory 80 %: at most 4 were ready"


def test_each_hpa_has_a_card_of_its_own() -> None:
    other = tuple(replace(one, hpa="cart-service") for one in CALM)

    assert list(by_hpa((*CALM, *other))) == ["order-service", "cart-service"]
    assert render_html(of_events(), (), (*CALM, *other)).count('class="timeline"') == 2


def test_card_shows_the_checks_of_its_hpa_only() -> None:
    own = CheckFinished("load", SCALED.passed("order-service", "it went from 2 to 5"))
    other = CheckFinished("load", SCALED.passed("cart-service", "it stayed"))
    page = render_html(of_events(own, other), (), CALM)
    card = page[page.index('id="autoscaling"') : page.index('id="findings"')]

    assert "it went from 2 to 5" in card
    assert "it stayed" not in card


def test_series_of_both_kinds_lie_in_one_file(tmp_path: Path) -> None:
    write_events(tmp_path, EVENTS)
    order = {"t": 1000, "flow": "step", "offered": 1, "acknowledged": 1, "p95_ms": 20}
    lines = [json.dumps(one) + "\n" for one in (order, asdict(CALM[0]))]
    (tmp_path / "series.ndjson").write_text("".join(lines), encoding="utf-8")

    assert (len(read_points(tmp_path)), read_replicas(tmp_path)) == (1, CALM[:1])
    writing.write(tmp_path)
    assert "Autoscaling" in (tmp_path / "report.html").read_text(encoding="utf-8")
