"""Pairing invocations with answers."""

from __future__ import annotations

from typing import Any

import pytest
from rehearsal.chaos.proving.operations import PLACE, operations_of
from rehearsal.core.errors import HarnessError
from rehearsal.shop.answers import Kind
from rehearsal.shop.history import Entry


def entry(type_: str, t_ns: int, **fields: Any) -> Entry:
    return Entry(
        **{"t_ns": t_ns, "process": "p", "op_id": "1", "f": PLACE, "type": type_, "idem_key": "k", **fields}
    )


def test_an_answer_belongs_to_its_invocation() -> None:
    answered = entry("ok", 9, value={"order_id": "o"}, http_status=201)
    (one,) = operations_of([entry("invoke", 3, value={"lines": []}), answered])
    assert (one.kind, one.status, one.invoked_ns, one.answered_ns) == (Kind.OK, 201, 3, 9)
    assert (one.key, one.order_id, one.asked) == ("k", "o", {"lines": []})


def test_without_an_answer_the_outcome_is_unknown() -> None:
    (one,) = operations_of([entry("invoke", 3)])
    assert (one.kind, one.answered_ns) == (Kind.INFO, None)


def test_operations_are_in_the_order_of_invocation() -> None:
    lines = [
        entry("invoke", 1),
        entry("invoke", 2, op_id="2"),
        entry("ok", 3, op_id="2"),
        entry("fail", 4),
        entry("invoke", 5, attempt=2),
    ]
    found = operations_of(lines)
    assert [(one.op_id, one.kind) for one in found] == [("1", Kind.FAIL), ("2", Kind.OK), ("1", Kind.INFO)]


@pytest.mark.parametrize(
    "lines",
    [
        [entry("ok", 1)],
        [entry("invoke", 1), entry("ok", 2), entry("ok", 3)],
        [entry("invoke", 1), entry("invoke", 2)],
        [entry("invoke", 1), entry("perhaps", 2)],
    ],
    ids=["answer-alone", "two-answers", "two-invocations", "unknown-type"],
)
def test_a_history_that_cannot_be_is_refused(lines: list[Entry]) -> None:
    with pytest.raises(HarnessError):
        operations_of(lines)
