"""The tap's judgement: silent about a clean run, defects found and named, blindness never a pass."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from rehearsal.contract.tapping.explaining import FOLDER, REASONS, read_explanations
from rehearsal.contract.tapping.judging import cost_of, unseen_types
from rehearsal.contract.tapping.records import Record
from rehearsal.contract.tapping.seen import Seen
from rehearsal.core.events import Level
from rehearsal.core.verdicts import Verdict

from tests.contract.tapping.shop_events import (
    CONTENT_TYPE,
    KNOWN,
    bad,
    captured,
    changed,
    clean,
    dead,
    order_id,
    placed,
    record,
    reserved,
    see,
    verdict,
)

FAIL, INVALID = Verdict.FAIL, Verdict.INVALID
PLACED = "com.mambogo.order.placed.v1"
ON_ORDERS = f"{PLACED} on orders"
NEW = order_id(1000)
EXPLANATION = """
topic = "orders"
consumer = "inventory-service"
type = "com.mambogo.order.placed.v1"
reason = "handler-failed"
because = "it is rehearsed here"
expires = 2026-01-31
"""


def _with(change: Callable[[dict[str, Any]], object]) -> Record:
    one = placed(NEW)
    change(one)
    return record("orders", one)


def test_clean_run_is_passed_over_in_silence() -> None:
    checks = verdict(see(clean()))

    assert bad(checks) == []
    assert len(checks) == 12
    assert "1 copies" in next(one.sentence for one in checks if one.id == "events.identity")


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        pytest.param(record("orders", b"\xff{"), ("events.valid", "orders"), id="no-json"),
        pytest.param(record("orders", b'{"a": NaN}'), ("events.valid", "orders"), id="no-number"),
        pytest.param(record("orders", None), ("events.valid", "orders"), id="no-value"),
        pytest.param(record("orders", b"[]"), ("events.valid", "orders"), id="no-object"),
        pytest.param(
            _with(lambda one: one.pop("specversion")), ("events.valid", ON_ORDERS), id="no-specversion"
        ),
        pytest.param(_with(lambda one: one.pop("time")), ("events.valid", ON_ORDERS), id="no-time"),
        pytest.param(
            _with(lambda one: one.update(time="yesterday")), ("events.valid", ON_ORDERS), id="wrong-time"
        ),
        pytest.param(
            _with(lambda one: one.update(source="/mambogo/cart-service")),
            ("events.valid", ON_ORDERS),
            id="wrong-writer",
        ),
        pytest.param(_with(lambda one: one.update(extra=1)), ("events.valid", ON_ORDERS), id="open-writer"),
        pytest.param(
            _with(lambda one: one["data"]["lines"][0].update(quantity="1")),
            ("events.valid", ON_ORDERS),
            id="wrong-data",
        ),
        pytest.param(
            _with(lambda one: one["data"].update(order_id=order_id(5))),
            ("events.valid", ON_ORDERS),
            id="another-order",
        ),
        pytest.param(record("orders", placed(NEW), key="1"), ("events.valid", ON_ORDERS), id="wrong-key"),
        pytest.param(
            record("orders", placed(NEW), headers=()), ("events.valid", ON_ORDERS), id="no-content-type"
        ),
        pytest.param(
            _with(lambda one: one.update(type="com.mambogo.order.shipped.v1")),
            ("events.known", "com.mambogo.order.shipped.v1 on orders"),
            id="unknown-type",
        ),
        pytest.param(
            _with(lambda one: one.update(type="com.mambogo.order.placed.v2")),
            ("events.known", "com.mambogo.order.placed.v2 on orders"),
            id="unknown-version",
        ),
        pytest.param(_with(lambda one: one.pop("type")), ("events.known", "None on orders"), id="no-type"),
        pytest.param(
            record("orders", captured(NEW)),
            ("events.known", "com.mambogo.payment.captured.v1 on orders"),
            id="wrong-topic",
        ),
        pytest.param(record("audit", placed(NEW)), ("events.known", "audit"), id="topic-without-schema"),
        pytest.param(dead("orders", placed(NEW)), ("events.dead_letters", "orders"), id="dead-letter"),
    ],
)
def test_planted_record_is_found_and_named(planted: Record, found: tuple[str, str]) -> None:
    assert bad(verdict(see([*clean(), planted]))) == [(*found, FAIL)]


def _nested(depth: int) -> dict[str, Any]:
    return {"a": _nested(depth - 1)} if depth else {}


@pytest.mark.parametrize(
    ("planted", "check"),
    [
        pytest.param(record("orders", b'{"type": "\\ud800"}'), "events.known", id="type"),
        pytest.param(_with(lambda one: one.update(source="\ud800")), "events.valid", id="source"),
        pytest.param(_with(lambda one: one["data"].update(user_id=_nested(400))), "events.valid", id="depth"),
        pytest.param(dead("orders", {"type": "\ud800"}), "events.dead_letters", id="dead-letter"),
        pytest.param(record("orders", placed("\ud800", 0), key=NEW), "events.valid", id="subject"),
    ],
)
def test_record_that_json_can_hold_and_nothing_else_is_found_like_any_other(
    planted: Record, check: str
) -> None:
    seen = see([*clean(), planted])

    # What is wrong with one record must not keep the tap from telling of the others.
    assert Seen.model_validate_json(seen.model_dump_json()) == seen
    assert {id_ for id_, _, _ in bad(verdict(seen))} == {check}


def test_number_of_an_aggregate_without_a_name_is_told() -> None:
    planted = [placed("\ud800"), placed("\ud800", 3)]
    seen = see([*clean(), *(record("orders", one, key=NEW) for one in planted)])

    assert "events.sequence" in seen.model_dump_json()


def test_id_with_other_content_is_found() -> None:
    first, second = placed(order_id(7)), placed(order_id(8))
    second["id"] = first["id"]

    assert bad(verdict(see([*clean(), record("orders", first), record("orders", second)]))) == [
        ("events.identity", ON_ORDERS, FAIL)
    ]


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([placed(NEW), reserved(NEW, 3)], "number 3 where 2 was due"),
        ([placed(NEW), reserved(NEW, 1)], "number 1 where 2 was due"),
        ([placed(NEW, 2)], "number 2 where 1 was due"),
    ],
    ids=["gap", "disorder", "no-beginning"],
)
def test_sequence_that_does_not_count_up_is_found(events: list[dict[str, Any]], said: str) -> None:
    checks = verdict(see([*clean(), *(record("orders", one) for one in events)]))

    assert bad(checks) == [("events.sequence", "orders", FAIL)]
    assert said in next(one.sentence for one in checks if one.verdict is FAIL)


@pytest.mark.parametrize(("second", "found"), [(2.0, []), (3.0, [("events.sequence", "orders", FAIL)])])
def test_number_that_is_written_as_a_fraction_counts_as_what_it_is(second: float, found: list[Any]) -> None:
    events = [placed(NEW), reserved(NEW)]
    for one, number in zip(events, (1.0, second), strict=True):
        one["data"]["sequence"] = number

    assert bad(verdict(see([*clean(), *(record("orders", one) for one in events)]))) == found


def test_version_of_a_product_counts_up_too() -> None:
    assert bad(verdict(see([*clean(), record("products", changed(4))]))) == [
        ("events.sequence", "products", FAIL)
    ]


def test_order_that_began_before_the_tap_goes_on_where_it_was() -> None:
    before = [record("orders", placed(NEW)), record("orders", b"no event", key=NEW)]

    assert bad(verdict(see([*clean(), record("orders", reserved(NEW))], before=before))) == []


def test_record_sent_again_whose_first_copy_is_from_before_the_tap_is_no_gap() -> None:
    before = [record("orders", placed(NEW)), record("orders", reserved(NEW))]

    assert bad(verdict(see([*clean(), record("orders", reserved(NEW))], before=before))) == []


def test_many_cases_of_one_defect_are_one_finding() -> None:
    planted = [record("orders", placed(order_id(number)), headers=()) for number in range(100, 140)]
    failed = [one for one in verdict(see([*clean(), *planted])) if one.verdict is FAIL]

    assert [one.sentence.partition("; ")[2] for one in failed] == ["in 40 records, the first at orders/0@0"]


def test_more_findings_than_can_be_told_apart_are_no_pass() -> None:
    planted = [record(f"topic-{number}", placed(NEW)) for number in range(250)]
    seen = see([*clean(), *planted])

    assert seen.uncounted == 50
    assert ("events.identity", "all topics", INVALID) in bad(verdict(seen))


@pytest.mark.parametrize("check", ["events.valid", "events.sequence", "events.dead_letters"])
def test_more_findings_than_can_be_told_apart_are_no_pass_of_any_topic(check: str) -> None:
    planted = [record(f"topic-{number}", placed(NEW)) for number in range(250)]
    checks = verdict(see([*clean(), *planted]))

    assert {one.verdict for one in checks if one.id == check} == {INVALID}


def test_records_of_which_none_is_an_event_show_nothing_of_types_ids_and_numbers() -> None:
    checks = verdict(see([record("orders", b"{"), record("products", b"{")]))

    for name in ("known", "identity", "sequence"):
        assert {one.verdict for one in checks if one.id == f"events.{name}"} == {INVALID}


def test_nothing_seen_is_invalid() -> None:
    assert {one.verdict for one in verdict(see([]))} == {INVALID}


def test_tap_that_did_not_begin_is_invalid() -> None:
    checks = verdict(None, why="no broker")

    assert {one.verdict for one in checks} == {INVALID}
    assert len({one.id for one in checks}) == 5


def test_tap_that_ended_early_is_invalid_and_its_findings_stay() -> None:
    planted = record("orders", placed(NEW), headers=())
    checks = verdict(see([*clean(), planted]), why="it ended early")

    assert {one.verdict for one in checks} == {INVALID, FAIL}
    assert [one.subject for one in checks if one.verdict is FAIL] == [ON_ORDERS]


def test_topic_that_was_not_read_whole_is_invalid_and_the_others_are_not() -> None:
    checks = verdict(see(clean(), blind={"payments": "it was removed"}))

    assert bad(checks) == [
        ("events.known", "all topics", INVALID),
        ("events.valid", "payments", INVALID),
        ("events.identity", "all topics", INVALID),
        ("events.dead_letters", "payments", INVALID),
    ]


def test_gap_where_records_were_missed_is_the_tap_s_own() -> None:
    records = [*clean(), record("orders", placed(NEW)), record("orders", reserved(NEW, 3))]
    checks = verdict(see(records, blind={"orders": "records 4 to 5 were gone"}))

    assert ("events.sequence", "orders", INVALID) in bad(checks)
    assert FAIL not in {one.verdict for one in checks}


def test_explained_dead_letter_is_passed_and_counted(tmp_path: Path) -> None:
    explained = _explained(tmp_path, date(2026, 1, 31))
    checks = verdict(see([*clean(), dead("orders", placed(NEW))]), explained=explained)

    assert bad(checks) == []
    assert any("1 dead letters are explained by one.toml" in one.sentence for one in checks)


@pytest.mark.parametrize(
    ("planted", "today"),
    [
        (dead("orders", placed(NEW), "contention"), date(2026, 1, 31)),
        (dead("orders", reserved(NEW)), date(2026, 1, 31)),
    ],
    ids=["another-reason", "another-type"],
)
def test_explanation_holds_for_nothing_else(tmp_path: Path, planted: Record, today: date) -> None:
    checks = verdict(see([*clean(), planted]), explained=_explained(tmp_path, today))

    assert bad(checks) == [("events.dead_letters", "orders", FAIL)]


@pytest.mark.parametrize("planted", [[], [dead("orders", placed(NEW))]], ids=["clean", "dead-letter"])
def test_explanation_that_is_past_its_day_is_found(tmp_path: Path, planted: list[Record]) -> None:
    checks = verdict(see([*clean(), *planted]), explained=_explained(tmp_path, date(2026, 2, 1)))

    of_topic = [("events.dead_letters", "orders", FAIL)] * len(planted)
    assert bad(checks) == [("events.dead_letters", "one.toml", FAIL), *of_topic]
    assert "it ended on 2026-01-31" in checks[0].sentence


def test_explanation_that_was_not_needed_in_a_run_is_no_finding(tmp_path: Path) -> None:
    assert bad(verdict(see(clean()), explained=_explained(tmp_path, date(2026, 1, 31)))) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('"orders"', '"order"'), "there is no topic order"),
        (("com.mambogo.order.placed.v1", "com.mambogo.order.plced.v1"), "there is no type"),
        (('"handler-failed"', '"handler failed"'), "nothing is given up for 'handler failed'"),
    ],
    ids=["topic", "type", "reason"],
)
def test_explanation_of_what_there_cannot_be_is_found(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    checks = verdict(see(clean()), explained=_explained(tmp_path, date(2026, 1, 31), change))

    assert bad(checks) == [("events.dead_letters", "one.toml", FAIL)]
    assert said in checks[0].sentence


@pytest.mark.parametrize(
    "change",
    [
        ("order.placed.v1", "order.placed.v2"),
        ('"com.mambogo.order.placed.v1"\nreason = "handler-failed"', '"no event"\nreason = "undecodable"'),
    ],
    ids=["unknown-version", "undecodable"],
)
def test_explanation_of_what_no_schema_knows_may_be_right(tmp_path: Path, change: tuple[str, str]) -> None:
    assert bad(verdict(see(clean()), explained=_explained(tmp_path, date(2026, 1, 31), change))) == []


def test_reasons_are_those_of_the_services() -> None:
    source = Path(__file__).parents[3] / "services/chassis/src/mambogo_chassis/events/errors.py"
    (said,) = re.findall(r"^Reason = Literal\[(.*)\]$", source.read_text(encoding="utf-8"), re.MULTILINE)

    assert json.loads(f"[{said}]") == list(REASONS)


def test_explanation_that_cannot_be_read_is_invalid(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / "one.toml").write_text('topic = "orders"', encoding="utf-8")
    checks = verdict(see(clean()), explained=read_explanations(tmp_path, date(2026, 1, 1)))

    assert {(one[0], one[2]) for one in bad(checks)} == {("events.dead_letters", INVALID)}


def test_types_that_nobody_wrote_are_listed() -> None:
    unseen = unseen_types(see(clean()), KNOWN)

    assert PLACED not in unseen
    assert "com.mambogo.inventory.lost.v1" in unseen


@pytest.mark.parametrize(("cpu_seconds", "level"), [(4.9, Level.INFO), (5.1, Level.WARNING)])
def test_cost_has_a_bound(cpu_seconds: float, level: Level) -> None:
    notice = cost_of(see(clean()).model_copy(update={"cpu_seconds": cpu_seconds}))

    assert (notice.level, f"took {cpu_seconds} % of a core" in notice.message) == (level, True)


def test_evidence_hides_what_looks_like_a_secret() -> None:
    one = record("orders", {**placed(NEW), "token": "s3cret-of-somebody"}, headers=CONTENT_TYPE)

    assert "s3cret" not in one.line()


def _explained(root: Path, today: date, change: tuple[str, str] = ("", "")) -> Any:
    (root / FOLDER).mkdir(parents=True)
    (root / FOLDER / "one.toml").write_text(EXPLANATION.replace(*change, 1), encoding="utf-8")
    return read_explanations(root, today)
