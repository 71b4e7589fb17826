"""Drift of a service's document: every place is found and named, the same document gives no finding."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from rehearsal.contract.drift import differences, judge_drift, text_of
from rehearsal.core.verdicts import Verdict

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "paths": {
        "/api/orders": {
            "get": {"parameters": [{"name": "cursor"}, {"name": "limit"}]},
            "post": {"responses": {"201": {"description": "Created"}}},
        }
    },
}


def _changed(*place: str | int, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    at: Any = document
    for key in place[:-1]:
        at = at[key]
    if value is None:
        del at[place[-1]]
    else:
        at[place[-1]] = value
    return document


def test_same_document_in_another_order_gives_no_finding() -> None:
    live = json.loads(json.dumps(DOCUMENT, sort_keys=True))

    assert judge_drift("order-service", DOCUMENT, live, ()).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("live", "pointer"),
    [
        (_changed("paths", "/api/orders", "post", value=None), "/paths/~1api~1orders/post"),
        (_changed("paths", "/api/orders", "delete", value={}), "/paths/~1api~1orders/delete"),
        (
            _changed("paths", "/api/orders", "get", "parameters", 1, "name", value="size"),
            "/paths/~1api~1orders/get/parameters/1/name",
        ),
        (
            _changed("paths", "/api/orders", "get", "parameters", value=[{"name": "cursor"}]),
            "/paths/~1api~1orders/get/parameters",
        ),
        (
            _changed("paths", "/api/orders", "post", "responses", "409", value={"description": "Conflict"}),
            "/paths/~1api~1orders/post/responses/409",
        ),
        (_changed("openapi", value="3.0.3"), "/openapi"),
    ],
    ids=["operation gone", "operation new", "parameter renamed", "parameter gone", "status new", "version"],
)
def test_each_change_is_found_at_its_place(live: dict[str, Any], pointer: str) -> None:
    check = judge_drift("order-service", DOCUMENT, live, ("contract/order-service.openapi.json",))

    assert check.verdict is Verdict.FAIL
    assert [one.pointer for one in differences(DOCUMENT, live)] == [pointer]
    assert pointer in check.sentence
    assert check.source == "contract-tests/openapi/order-service.json"


def test_number_is_no_boolean() -> None:
    assert list(differences({"minimum": 1}, {"minimum": True}))


def test_nothing_to_compare_with_is_no_pass() -> None:
    assert judge_drift("order-service", None, DOCUMENT, ()).verdict is Verdict.INVALID


def test_document_without_operations_is_no_pass() -> None:
    empty = {"openapi": "3.1.0", "paths": {}}

    assert judge_drift("order-service", empty, empty, ()).verdict is Verdict.INVALID


def test_committed_text_does_not_depend_on_the_order_of_keys() -> None:
    assert text_of({"b": 1, "a": 2}) == text_of({"a": 2, "b": 1})
