"""What is collected when a stage does not pass: since it began, without secrets, within bounds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.redaction import HIDDEN
from rehearsal.stages.collecting import collect
from rehearsal.stages.room import Room

SINCE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
POD = {
    "metadata": {"name": "order-1", "namespace": "shop"},
    "spec": {"nodeName": "node-1"},
    "status": {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}],
        "containerStatuses": [
            {
                "name": "order-service",
                "restartCount": 2,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
            }
        ],
    },
}


def _event(at: str, message: str) -> Mapping[str, Any]:
    thing = {"kind": "Pod", "name": "order-1"}
    return {
        "metadata": {"creationTimestamp": at},
        "lastTimestamp": at,
        "type": "Warning",
        "reason": "BackOff",
        "involvedObject": thing,
        "message": message,
    }


class Cluster:
    """A namespace with one pod that is not well."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.events = [_event("2026-01-02T03:04:00Z", "old"), _event("2026-01-02T03:05:00Z", "back-off")]

    def get(self, path: str) -> Mapping[str, Any] | None:
        """Answer for events and pods."""
        return {"items": self.events if path.endswith("events") else [POD]}

    def text(self, path: str) -> str:
        """Answer for logs."""
        self.asked.append(path)
        if "previous" in path:
            raise EnvironmentNotReadyError("API_REFUSED", "no previous container", hint="")
        return "connecting to postgres://orders:geheim@db/orders"


@pytest.fixture
def diagnosis(room: Room) -> Mapping[str, str]:
    """Return everything that was collected, by file."""
    list(collect(Cluster(), ["shop"], room, SINCE))
    folder = room.folder / "diagnosis"
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_events_are_those_since_the_stage_began(diagnosis: Mapping[str, str]) -> None:
    assert "back-off" in diagnosis["shop-events.txt"]
    assert "old" not in diagnosis["shop-events.txt"]


def test_pod_is_described_by_what_is_wrong_with_it(diagnosis: Mapping[str, str]) -> None:
    said = diagnosis["shop-pods.txt"]

    assert all(word in said for word in ("not Ready", "2 restarts", "CrashLoopBackOff", "OOMKilled", "137"))


def test_logs_are_without_secrets(diagnosis: Mapping[str, str]) -> None:
    assert "geheim" not in diagnosis["logs/order-1-order-service.log"]
    assert HIDDEN in diagnosis["logs/order-1-order-service.log"]


def test_log_that_cannot_be_had_says_why(diagnosis: Mapping[str, str]) -> None:
    assert "no previous container" in diagnosis["logs/order-1-order-service-previous.log"]


def test_logs_are_bounded_and_begin_with_the_stage(room: Room) -> None:
    cluster = Cluster()
    list(collect(cluster, ["shop"], room, SINCE))

    assert "limitBytes=262144" in cluster.asked[0]
    assert "sinceTime=2026-01-02T03%3A04%3A05Z" in cluster.asked[0]


def test_files_are_named_relative_to_the_run(room: Room) -> None:
    named = list(collect(Cluster(), ["shop"], room, SINCE))

    assert named == ["stage/diagnosis/shop-events.txt", "stage/diagnosis/shop-pods.txt"]
    assert all((room.run / name).is_file() for name in named)
