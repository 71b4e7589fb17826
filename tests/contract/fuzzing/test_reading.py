"""What a run of the fuzzer has left is read: each failure by the operation that was asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rehearsal.contract.fuzzing.reading import Failure, read
from rehearsal.contract.fuzzing.running import EVENTS, SUMMARY

DELETE = {"method": "DELETE", "path": "/api/things/{thing_id}"}
SUMMED: dict[str, Any] = {
    "stop_reason": "completed",
    "complete": True,
    "operations": {"tested": 1, "selected": 1},
    "test_cases": {"generated": 1},
    "errors": [],
    "warnings": {},
}


def _failure(folder: Path, label: str, named: str | None) -> Failure:
    failure = {"operation": named, "title": "Custom check failed", "message": "it is still there"}
    check = {"name": "ChangesAreSeen", "status": "failure", "failure_info": {"failure": failure}}
    recorder = {"label": label, "cases": {"one": {"value": DELETE}}, "checks": {"one": [check]}}
    event = {"ScenarioFinished": {"phase": "stateful", "recorder": recorder}}
    (folder / SUMMARY).write_text(json.dumps(SUMMED), encoding="utf-8")
    (folder / EVENTS).write_text(json.dumps(event) + "\n", encoding="utf-8")
    (found,) = read(folder).failures
    return found


@pytest.mark.parametrize(
    ("label", "named", "operation"),
    [
        pytest.param(
            "Stateful tests", "Stateful tests", "DELETE /api/things/{thing_id}", id="of no operation"
        ),
        pytest.param("Stateful tests", None, "DELETE /api/things/{thing_id}", id="without one"),
        pytest.param("Stateful tests", "GET /api/things", "GET /api/things", id="of another one"),
    ],
)
def test_failure_between_operations_is_of_the_one_that_was_asked(
    tmp_path: Path, label: str, named: str | None, operation: str
) -> None:
    assert _failure(tmp_path, label, named).operation == operation
