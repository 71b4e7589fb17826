"""Looking at a cluster: what is well is not named, and what is not well is."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from rehearsal.cluster import record
from rehearsal.cluster.api import Api
from rehearsal.cluster.record import Phase
from rehearsal.cluster.status import ClusterStatus, look, render
from rehearsal.core.errors import EnvironmentNotReadyError

from tests.cluster.fakes import FakeApi, FakeNodeEngine
from tests.cluster.ground import Ground, planned

SPEC = planned()
CONTROL_PLANE, WORKER, *_ = SPEC.node_names


@pytest.fixture
def standing(ground: Ground) -> Ground:
    """Return a machine with a whole cluster of profile full."""
    ground.up()
    return ground


def _look(ground: Ground) -> ClusterStatus:
    connect = partial(FakeApi.connect, ground.machine)
    return look(ground.paths, FakeNodeEngine(ground.machine), connect)


def _api(ground: Ground) -> FakeApi:
    return FakeApi.connect(ground.machine, ground.paths.kubeconfig, SPEC.context)


def test_whole_cluster_is_healthy(standing: Ground) -> None:
    found = _look(standing)

    assert (found.healthy, list(found.problems)) == (True, [])


def test_looking_changes_nothing(standing: Ground) -> None:
    before = list(standing.machine.changes)
    files = {file: file.read_bytes() for file in standing.folder.rglob("*") if file.is_file()}

    _look(standing)

    assert standing.machine.changes == before
    assert {file: file.read_bytes() for file in standing.folder.rglob("*") if file.is_file()} == files


def test_no_cluster_is_no_healthy_cluster(ground: Ground) -> None:
    found = _look(ground)

    assert not found.healthy
    assert render(found) == "there is no cluster: rehearsal cluster up"


def test_stopped_node_is_named(standing: Ground) -> None:
    standing.machine.stop(WORKER)

    found = _look(standing)

    assert list(found.problems) == [f"{WORKER} is exited"]
    assert not found.healthy


def test_paused_node_is_named(standing: Ground) -> None:
    standing.machine.pause(CONTROL_PLANE)

    assert list(_look(standing).problems) == [f"{CONTROL_PLANE} is paused"]


def test_missing_node_is_named(standing: Ground) -> None:
    standing.machine.delete(WORKER)

    assert list(_look(standing).problems) == [f"node container {WORKER} is gone"]


def test_every_stopped_node_is_named(standing: Ground) -> None:
    for name in SPEC.node_names:
        standing.machine.stop(name)

    assert sorted(_look(standing).problems) == sorted(f"{name} is exited" for name in SPEC.node_names)


def test_cluster_whose_making_was_cut_off_is_not_healthy(standing: Ground) -> None:
    made = record.load(standing.paths.state)
    assert made is not None
    record.save(standing.paths.state, replace(made, phase=Phase.CREATING))

    assert list(_look(standing).problems) == ["its making was cut off: rehearsal cluster up"]


def test_unreachable_api_is_named(standing: Ground) -> None:
    standing.machine.kubernetes.clear()

    found = _look(standing)

    assert list(found.problems) == [f"{CONTROL_PLANE} does not answer"]
    assert found.way_out, "what the nodes themselves said is kept"


def test_kubeconfig_that_cannot_be_used_is_a_problem_and_no_crash(standing: Ground) -> None:
    def connect(file: Path, context: str) -> Api:
        raise EnvironmentNotReadyError("KUBECONFIG_UNUSABLE", f"{file.name} is of no use", hint="")

    found = look(standing.paths, FakeNodeEngine(standing.machine), connect)

    assert list(found.problems) == ["kubeconfig is of no use"]


def test_node_that_is_not_ready_is_named(standing: Ground) -> None:
    standing.machine.containers[WORKER].network_config = ""

    assert f"node {WORKER} is not Ready" in _look(standing).problems


@pytest.mark.parametrize(
    "name",
    [
        ("kube-system", "metrics-server"),
        ("kube-system", "kube-state-metrics"),
        ("local-path-storage", "local-path-provisioner"),
    ],
    ids="/".join,
)
def test_deleted_deployment_is_named(standing: Ground, name: tuple[str, str]) -> None:
    del standing.machine.kubernetes[SPEC.name].applied[("Deployment", *name)]

    assert f"{'/'.join(name)} is not ready" in _look(standing).problems


@pytest.mark.parametrize(("age_seconds", "young"), [(1, True), (100, True), (140, False), (10**6, False)])
def test_metrics_server_may_take_two_minutes_for_its_first_values(
    standing: Ground, monkeypatch: pytest.MonkeyPatch, age_seconds: int, young: bool
) -> None:
    made = datetime.now(UTC) - timedelta(seconds=age_seconds)
    workloads = [
        replace(one, ready=0 if one.name == "metrics-server" else 1, created=made)
        for one in FakeApi.workloads(_api(standing), ["kube-system", "local-path-storage"])
    ]
    monkeypatch.setattr(FakeApi, "workloads", lambda self, namespaces: workloads)

    found = _look(standing)

    assert (found.healthy, list(found.starting)) == (young, ["kube-system/metrics-server"] if young else [])
    assert ("starting  kube-system/metrics-server" in render(found)) is young


@pytest.mark.parametrize(("age_seconds", "young"), [(1, True), (140, False)])
def test_metrics_server_that_is_ready_may_have_no_values_yet(
    standing: Ground, monkeypatch: pytest.MonkeyPatch, age_seconds: int, young: bool
) -> None:
    made = datetime.now(UTC) - timedelta(seconds=age_seconds)
    workloads = [
        replace(one, created=made)
        for one in FakeApi.workloads(_api(standing), ["kube-system", "local-path-storage"])
    ]
    monkeypatch.setattr(FakeApi, "workloads", lambda self, namespaces: workloads)
    monkeypatch.setattr(FakeApi, "get", lambda self, path: {"items": []})

    found = _look(standing)

    said = ["metrics.k8s.io answers without metrics"]
    assert (found.healthy, list(found.starting)) == (young, said if young else [])
    assert list(found.problems) == ([] if young else said)


def test_other_add_ons_are_never_excused_by_their_age(
    standing: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    workloads = [
        replace(one, ready=int(one.name != "coredns"), created=datetime.now(UTC))
        for one in FakeApi.workloads(_api(standing), ["kube-system", "local-path-storage"])
    ]
    monkeypatch.setattr(FakeApi, "workloads", lambda self, namespaces: workloads)

    assert list(_look(standing).problems) == ["kube-system/coredns is not ready"]


def test_metrics_that_do_not_answer_hide_nothing_else(standing: Ground) -> None:
    del standing.machine.kubernetes[SPEC.name].applied[("Deployment", "kube-system", "metrics-server")]

    found = _look(standing)

    assert list(found.problems) == ["kube-system/metrics-server is not ready", "503"]
    assert [one.name for one in found.nodes] == list(SPEC.node_names)


def test_api_without_metrics_is_named(standing: Ground) -> None:
    del standing.machine.kubernetes[SPEC.name].applied[("APIService", "", "v1beta1.metrics.k8s.io")]

    assert list(_look(standing).problems) == ["metrics.k8s.io answers without metrics"]


@pytest.mark.parametrize("counter", ["to_services", "to_pods"])
def test_packets_that_left_a_node_are_named(standing: Ground, counter: str) -> None:
    standing.machine.containers[WORKER].packets[counter] = 3

    assert list(_look(standing).problems) == [f"{WORKER}: 3 packets left the node by {counter}"]


def test_packets_that_were_refused_are_no_problem(standing: Ground) -> None:
    standing.machine.containers[WORKER].packets["refused"] = 7

    found = _look(standing)

    assert found.healthy
    assert "0 packets to pod or service ranges left a node, 7 to elsewhere refused" in render(found)


def test_node_without_its_guard_hides_nothing_else(standing: Ground) -> None:
    standing.machine.containers[WORKER].guarded = False
    standing.machine.containers[CONTROL_PLANE].packets["to_pods"] = 3

    found = _look(standing)

    assert list(found.problems) == [
        f"{WORKER}: its network guard is gone or does not answer",
        f"{CONTROL_PLANE}: 3 packets left the node by to_pods",
    ]
    assert [one.name for one in found.nodes] == list(SPEC.node_names)
    assert f"PROBLEM   {WORKER}: its network guard is gone or does not answer" in render(found)


def test_worker_that_the_cluster_does_not_know_is_named(standing: Ground) -> None:
    del standing.machine.kubernetes[SPEC.name].members[WORKER]

    assert list(_look(standing).problems) == [f"{WORKER} is not in the cluster"]


def test_leak_is_named_while_the_api_is_down(standing: Ground) -> None:
    standing.machine.containers[WORKER].packets["to_pods"] = 1
    standing.machine.kubernetes.clear()

    assert len(_look(standing).problems) == 2


def test_record_of_a_whole_cluster(standing: Ground) -> None:
    shown = json.loads(json.dumps(_look(standing).as_record()))

    assert shown == {
        "healthy": True,
        "name": "mambogo",
        "profile": "full",
        "timing": "production",
        "context": "kind-mambogo",
        "registry": "localhost:5001",
        "nodes": dict.fromkeys(SPEC.node_names, "Ready"),
        "containers": dict.fromkeys(SPEC.node_names, "running"),
        "workloads": {
            "kube-system/coredns": "1/1",
            "kube-system/kube-proxy": "1/1",
            "kube-system/kube-state-metrics": "1/1",
            "kube-system/metrics-server": "1/1",
            "local-path-storage/local-path-provisioner": "1/1",
        },
        "way_out": {name: {"to_services": 0, "to_pods": 0, "refused": 0} for name in SPEC.node_names},
        "problems": [],
        "starting": [],
    }


def test_record_has_the_same_keys_without_a_cluster(standing: Ground) -> None:
    with_cluster = _look(standing).as_record()
    standing.down()

    without = json.loads(json.dumps(_look(standing).as_record()))

    assert list(without) == list(with_cluster)
    assert (without["healthy"], without["name"]) == (False, None)


def test_whole_cluster_is_rendered_without_a_next_step(standing: Ground) -> None:
    assert render(_look(standing)).splitlines() == [
        "cluster   mambogo: profile full, timing production, context kind-mambogo",
        "registry  localhost:5001",
        "ranges    nodes 172.30.0.0/24, pods 10.244.0.0/16, services 10.96.0.0/16",
        "node      mambogo-control-plane: Ready, pods 10.244.0.0/24",
        "node      mambogo-worker: Ready, pods 10.244.1.0/24",
        "node      mambogo-worker2: Ready, pods 10.244.2.0/24",
        "add-ons   5 of 5 ready",
        "way out   0 packets to pod or service ranges left a node, 0 to elsewhere refused",
    ]


def test_problems_are_rendered_with_the_next_step(standing: Ground) -> None:
    standing.machine.stop(WORKER)

    lines = render(_look(standing)).splitlines()

    assert f"node      {WORKER}: container exited" in lines
    assert lines[-2:] == [f"PROBLEM   {WORKER} is exited", "next      rehearsal cluster repair"]
