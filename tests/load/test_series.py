"""The series of a flow: one point a second, and a gap where nothing was due."""

from __future__ import annotations

from pathlib import Path

from rehearsal.load.flow import Flow, Placed
from rehearsal.load.series import of_flow
from rehearsal.shop.answers import Answer, Kind
from rehearsal.shop.history import History

from tests.load.flows import PLAN
from tests.shop.fakes import FakeShop

OK = Answer(Kind.OK, 201, {"order_id": "1"})


def _points(folder: Path, *orders: Placed) -> list[dict[str, object]]:
    with History(folder / "h.jsonl") as history:
        flow = Flow(PLAN, FakeShop(), history, list(orders), began_at=1000.25)
    return [dict(point) for point in of_flow(flow)]


def test_orders_are_counted_in_the_second_in_which_they_were_due(tmp_path: Path) -> None:
    first = Placed("1", "anna", "k1", due=0.2, answer=OK, answered=0.3)
    second = Placed("2", "anna", "k2", due=0.9, answer=OK, answered=5.9)

    one_served = {"served": 1, "failed": 0}
    assert _points(tmp_path, first, second) == [
        {"t": 1000, "flow": "orders", "offered": 2, "acknowledged": 2, "p95_ms": 5000, **one_served},
        {"t": 1005, "flow": "orders", "offered": 0, "acknowledged": 0, "p95_ms": None, **one_served},
    ]


def test_second_without_orders_is_a_gap(tmp_path: Path) -> None:
    orders = (Placed(str(due), "anna", str(due), due=due) for due in (0.5, 3.5))

    assert [point["t"] for point in _points(tmp_path, *orders)] == [1000, 1003]


def test_second_without_answers_has_no_latency(tmp_path: Path) -> None:
    (point,) = _points(tmp_path, Placed("1", "anna", "k", due=0.5))

    assert (point["acknowledged"], point["p95_ms"]) == (0, None)


def test_attempts_without_a_good_answer_are_counted(tmp_path: Path) -> None:
    tried = Placed("1", "anna", "k1", due=0.2, attempts=3, answer=OK, answered=0.3)
    given_up = Placed("2", "anna", "k2", due=0.4, attempts=2)

    assert [point["failed"] for point in _points(tmp_path, tried, given_up)] == [4]
