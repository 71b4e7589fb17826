"""What is read of a run's series: all of it, whoever wrote it and however it ended."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from rehearsal.core.errors import HarnessError
from rehearsal.report import writing
from rehearsal.report.series import FILE_NAME, Point, Replicas, by_hpa, read_points, read_replicas

from tests.report.conftest import EVENTS, write_events

FIRST, SECOND = (Point(1000 + second, "load", 4, 3, 20, 3, 1) for second in (0, 1))
LOOK = Replicas(1000.5, "order-service", 2, 6, 3, 2, 3, {"cpu": 80}, {"cpu": 70})


def _write(run: Path, *records: Point | Replicas, cut: int = 0) -> Path:
    text = "".join(json.dumps(asdict(one)) + "\n" for one in records)
    (run / FILE_NAME).write_text(text[: len(text) - cut], encoding="utf-8")
    return run


def test_run_without_a_series_has_nothing_to_draw(tmp_path: Path) -> None:
    assert (read_points(tmp_path), read_replicas(tmp_path)) == ((), ())


def test_orders_and_hpas_lie_in_one_file(tmp_path: Path) -> None:
    run = _write(tmp_path, SECOND, LOOK, FIRST)

    assert (read_points(run), read_replicas(run)) == ((FIRST, SECOND), (LOOK,))


@pytest.mark.parametrize("cut", [2, 40])
def test_last_line_that_a_killed_run_left_unfinished_is_left_out(tmp_path: Path, cut: int) -> None:
    run = _write(tmp_path, LOOK, FIRST, SECOND, cut=cut)

    assert (read_points(run), read_replicas(run)) == ((FIRST,), (LOOK,))


def test_killed_run_whose_series_was_cut_has_a_page(tmp_path: Path) -> None:
    run = _write(write_events(tmp_path / "run", EVENTS[:-3]), LOOK, FIRST, SECOND, cut=9)
    writing.read(run)

    assert 'id="timeline"' in (run / writing.PAGE).read_text(encoding="utf-8")


def test_line_that_is_broken_elsewhere_is_an_error(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text('{"t": 1\n' + json.dumps(asdict(FIRST)) + "\n", encoding="utf-8")

    with pytest.raises(HarnessError, match="line 1"):
        read_points(tmp_path)


def test_series_from_before_does_not_say_what_was_served_or_failed(tmp_path: Path) -> None:
    old = {"t": 1000, "flow": "load", "offered": 4, "acknowledged": 4, "p95_ms": 20}
    (tmp_path / FILE_NAME).write_text(json.dumps(old) + "\n", encoding="utf-8")

    (point,) = read_points(tmp_path)
    assert (point.served, point.failed) == (None, None)


def test_looks_are_told_apart_by_their_hpa() -> None:
    other = Replicas(1000.5, "cart-service", 2, 6, 2, 2, 2, {}, {})

    assert by_hpa([LOOK, other, LOOK]) == {"order-service": [LOOK, LOOK], "cart-service": [other]}
