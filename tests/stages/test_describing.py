"""Objects in a few lines: what is wrong with them is said, and what is well is not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from rehearsal.stages.describing import (
    describe_autoscaler,
    describe_events,
    describe_node,
    describe_pod,
    describe_workload,
    is_well,
)

SINCE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HPA: dict[str, Any] = {
    "metadata": {"name": "order-service-hpa"},
    "spec": {
        "minReplicas": 2,
        "maxReplicas": 6,
        "scaleTargetRef": {"name": "order-service"},
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
            },
            {"type": "Resource", "resource": {"name": "memory", "target": {"averageUtilization": 80}}},
        ],
    },
    "status": {
        "currentReplicas": 2,
        "desiredReplicas": 2,
        "currentMetrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "current": {"averageUtilization": 91, "averageValue": "57m"}},
            }
        ],
        "conditions": [
            {
                "type": "ScalingActive",
                "status": "False",
                "reason": "FailedGetResourceMetric",
                "message": "no metrics",
            }
        ],
    },
}


def _event(at: str, message: str, **more: Any) -> dict[str, Any]:
    return {
        "metadata": {"creationTimestamp": at},
        "type": "Warning",
        "reason": "BackOff",
        "involvedObject": {"kind": "Pod", "name": "order-1"},
        "message": message,
        **more,
    }


def test_events_are_the_newest_of_those_since_a_time_in_their_order() -> None:
    events = [_event(f"2026-01-02T03:{minute:02}:{second:02}Z", f"{minute}:{second}")
              for minute in range(59, -1, -1) for second in range(0, 60, 5)]  # fmt: skip
    lines = list(describe_events(events, SINCE))

    assert len(lines) == 500
    assert lines == sorted(lines)
    assert lines[-1].endswith("59:55")


def test_event_that_came_often_counts_from_its_last_time() -> None:
    (line,) = describe_events(
        [
            _event(
                "2026-01-02T03:00:00Z",
                "again",
                series={"count": 9, "lastObservedTime": "2026-01-02T03:30:00Z"},
            )
        ],
        SINCE,
    )

    assert line == "2026-01-02T03:30:00Z Warning BackOff Pod/order-1: again (9 times)"


def test_hpa_says_what_it_sees_wants_and_why_it_stands() -> None:
    said = describe_autoscaler(HPA)

    assert "order-service: 2 replicas, wants 2, of 2..6; last scaled never" in said
    assert "cpu: averageUtilization 91, averageValue 57m, target averageUtilization 70" in said
    assert "memory: unknown, target averageUtilization 80" in said
    assert "ScalingActive is False FailedGetResourceMetric no metrics" in said


def test_workload_says_how_many_of_its_replicas_are_ready() -> None:
    item = {
        "metadata": {"name": "order-service", "generation": 3},
        "spec": {"replicas": 4},
        "status": {
            "observedGeneration": 2,
            "readyReplicas": 1,
            "updatedReplicas": 2,
            "conditions": [
                {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable"},
                {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"},
                {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"},
            ],
        },
    }

    assert describe_workload("Deployment", item).splitlines() == [
        "Deployment order-service: 1 of 4 ready, 2 updated, its newest form not seen yet",
        "  not Available: MinimumReplicasUnavailable",
        "  ReplicaFailure: FailedCreate quota",
    ]


def test_node_says_what_is_wrong_with_it() -> None:
    item = {
        "metadata": {"name": "node-1"},
        "spec": {"unschedulable": True, "taints": [{"key": "disk", "effect": "NoSchedule"}]},
        "status": {
            "allocatable": {"memory": "8Gi", "cpu": "2"},
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "KubeletReady"},
                {"type": "DiskPressure", "status": "True", "reason": "KubeletHasDiskPressure"},
                {"type": "MemoryPressure", "status": "False", "reason": "Enough"},
            ],
        },
    }

    assert describe_node(item).splitlines() == [
        "node-1: cpu 2, memory 8Gi",
        "  takes no pods",
        "  taint disk=:NoSchedule",
        "  DiskPressure is True KubeletHasDiskPressure",
    ]


def test_pod_that_was_evicted_says_why() -> None:
    item = {
        "metadata": {"name": "order-1"},
        "status": {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."},
    }

    assert "Failed Evicted The node was low on memory." in describe_pod(item)


@pytest.mark.parametrize(
    ("status", "well"),
    [
        ({"phase": "Succeeded"}, True),
        ({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}, True),
        ({"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}, False),
        ({"phase": "Pending"}, False),
        (
            {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": "a", "restartCount": 1}],
            },
            False,
        ),
    ],
)
def test_pod_that_restarted_or_is_not_ready_is_not_well(status: dict[str, Any], well: bool) -> None:
    assert is_well({"metadata": {"name": "a"}, "status": status}) is well
