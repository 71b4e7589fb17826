"""What is collected when a stage does not pass: since it began, without secrets, within bounds."""

from __future__ import annotations

from collections.abc import Generator, Mapping
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


def _pod(name: str, namespace: str = "shop", *, ready: bool = True, init: bool = False) -> Mapping[str, Any]:
    containers = {"containerStatuses": [{"name": "main", "restartCount": 0}]}
    if init:
        containers["initContainerStatuses"] = [{"name": "wait", "restartCount": 0}]
    condition = {"type": "Ready", "status": str(ready)}
    return {
        "metadata": {"name": name, "namespace": namespace},
        "status": {"phase": "Running", "conditions": [condition], **containers},
    }


class Cluster:
    """A cluster that answers what it was told; at first a namespace with one pod that is not well."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.items: dict[str, list[Mapping[str, Any]]] = {
            "/api/v1/namespaces/shop/events": [
                _event("2026-01-02T03:04:00Z", "old"),
                _event("2026-01-02T03:05:00Z", "back-off"),
            ],
            "/api/v1/namespaces/shop/pods": [POD],
        }
        self.log = "connecting to postgres://orders:geheim@db/orders"
        self.broken: tuple[str, ...] = ()  # ends of paths that nobody answers

    def get(self, path: str) -> Mapping[str, Any] | None:
        """Answer for objects."""
        self.asked.append(path)
        if path.endswith(self.broken):
            raise EnvironmentNotReadyError("API_UNREACHABLE", f"no answer to {path}", hint="")
        return {"items": self.items[path]} if path in self.items else None

    def tail(self, path: str, most_bytes: int) -> str:
        """Answer for logs."""
        self.asked.append(path)
        if "previous" in path:
            raise EnvironmentNotReadyError("API_REFUSED", "no previous container", hint="")
        return self.log[-most_bytes:]

    def asked_for_logs(self) -> list[str]:
        """Return the questions for logs."""
        return [path for path in self.asked if "/log?" in path]


def _collected(cluster: Cluster, room: Room) -> Mapping[str, str]:
    """Return everything that is collected, by file."""
    list(collect(cluster, ["shop"], room, SINCE))
    folder = room.folder / "diagnosis"
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def diagnosis(room: Room) -> Mapping[str, str]:
    """Return everything that was collected, by file."""
    return _collected(Cluster(), room)


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
    assert "the log of order-1-order-service-previous" in diagnosis["missing.txt"]


def test_logs_begin_with_the_stage_and_are_not_cut_off_at_their_end(room: Room) -> None:
    cluster = Cluster()
    list(collect(cluster, ["shop"], room, SINCE))

    # The kubelet counts `limitBytes` from the beginning.
    assert "limitBytes" not in cluster.asked_for_logs()[0]
    assert "tailLines=500&sinceTime=2026-01-02T03%3A04%3A05Z" in cluster.asked_for_logs()[0]


def test_logs_of_all_namespaces_have_one_bound(room: Room) -> None:
    cluster = Cluster()
    cluster.log = "x" * (1 << 20)
    for namespace in ("shop", "managed"):
        pods = [_pod(f"{namespace}-{number}", namespace) for number in range(40)]
        cluster.items[f"/api/v1/namespaces/{namespace}/pods"] = pods
    list(collect(cluster, ["shop", "managed"], room, SINCE))

    sizes = [path.stat().st_size for path in (room.folder / "diagnosis" / "logs").iterdir()]
    assert max(sizes) <= (1 << 18) + 1
    assert (14 << 20) < sum(sizes) <= (15 << 20) + len(sizes)
    assert "the log of managed-39-main: there are too many" in _missing(room)


def test_what_is_not_well_comes_first_when_there_are_too_many_logs(room: Room) -> None:
    cluster = Cluster()
    cluster.log = "x" * (1 << 20)
    pods = [*(_pod(f"well-{number:02}") for number in range(70)), _pod("ill", ready=False)]
    cluster.items["/api/v1/namespaces/shop/pods"] = pods

    assert "logs/ill-main.log" in _collected(cluster, room)


def test_logs_of_init_containers_are_there_from_their_beginning(room: Room) -> None:
    cluster = Cluster()
    cluster.items["/api/v1/namespaces/shop/pods"] = [_pod("order-2", init=True)]

    assert "logs/order-2-wait.log" in _collected(cluster, room)
    assert "sinceTime" not in next(path for path in cluster.asked_for_logs() if "container=wait" in path)


def test_what_the_shop_stands_on_is_looked_at_too(room: Room) -> None:
    cluster = Cluster()
    cluster.items |= {
        "/api/v1/namespaces/kube-system/pods": [
            _pod("metrics-server-1", "kube-system"),
            _pod("coredns-1", "kube-system", ready=False),
            _pod("kube-proxy-1", "kube-system"),
        ],
        "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers": [
            {"metadata": {"name": "order-hpa"}}
        ],
        "/apis/apps/v1/namespaces/shop/deployments": [{"metadata": {"name": "order-service"}}],
        "/apis/apps/v1/namespaces/mambogo-monitoring/statefulsets": [{"metadata": {"name": "prometheus"}}],
        "/api/v1/nodes": [{"metadata": {"name": "node-1"}}],
        "/api/v1/namespaces/default/events": [
            {**_event("2026-01-02T03:05:00Z", "low"), "involvedObject": {"kind": "Node", "name": "node-1"}},
            _event("2026-01-02T03:05:00Z", "another's"),
        ],
    }
    found = _collected(cluster, room)

    assert "order-hpa" in found["shop-hpas.txt"]
    assert "Deployment order-service" in found["shop-workloads.txt"]
    assert "StatefulSet prometheus" in found["mambogo-monitoring-workloads.txt"]
    assert "node-1" in found["nodes.txt"]
    assert "Node/node-1: low" in found["nodes.txt"]
    assert "another's" not in found["nodes.txt"]
    assert {name for name in found if name.startswith("logs/")} >= {
        "logs/metrics-server-1-main.log", "logs/coredns-1-main.log"
    }  # fmt: skip
    assert "logs/kube-proxy-1-main.log" not in found


@pytest.mark.parametrize("broken", ["shop/events", "shop/pods", "/nodes", "shop/deployments"])
def test_one_part_that_cannot_be_had_does_not_keep_the_others(room: Room, broken: str) -> None:
    cluster = Cluster()
    cluster.items["/api/v1/nodes"] = [{"metadata": {"name": "node-1"}}]
    cluster.broken = (broken,)
    found = _collected(cluster, room)

    assert (
        f"no answer to {next(path for path in cluster.asked if path.endswith(broken))}"
        in found["missing.txt"]
    )
    assert len({"shop-events.txt", "shop-pods.txt", "nodes.txt"} & set(found)) >= 2


def test_object_of_an_unknown_form_does_not_keep_the_others(room: Room) -> None:
    cluster = Cluster()
    cluster.items["/apis/apps/v1/namespaces/shop/deployments"] = [{"kind": "nameless"}]
    found = _collected(cluster, room)

    assert "shop-workloads: KeyError('metadata')" in found["missing.txt"]
    assert "shop-pods.txt" in found


def test_cluster_that_does_not_answer_is_soon_given_up(room: Room) -> None:
    cluster = Cluster()
    cluster.broken = ("",)

    with pytest.raises(EnvironmentNotReadyError):
        list(collect(cluster, ["shop"], room, SINCE))
    assert len(cluster.asked) == 3


def test_what_is_missing_is_said_when_the_time_is_over(room: Room) -> None:
    cluster = Cluster()
    cluster.broken = ("shop/events",)
    under_way = collect(cluster, ["shop"], room, SINCE)
    assert isinstance(under_way, Generator)
    next(under_way)
    under_way.close()

    assert "shop-events" in _missing(room)


def test_no_file_is_without_a_bound(room: Room) -> None:
    cluster = Cluster()
    cluster.items["/api/v1/namespaces/shop/pods"] = [_pod(f"{number:0200}") for number in range(9000)]

    said = _collected(cluster, room)["shop-pods.txt"]
    assert len(said) < (1 << 20) + 100
    assert f"{8999:0200}" in said


def test_files_are_named_relative_to_the_run(room: Room) -> None:
    named = list(collect(Cluster(), ["shop"], room, SINCE))

    assert named == [f"stage/diagnosis/{name}.txt" for name in ("shop-events", "shop-pods", "missing")]
    assert all((room.run / name).is_file() for name in named)


def _missing(room: Room) -> str:
    return (room.folder / "diagnosis" / "missing.txt").read_text(encoding="utf-8")
