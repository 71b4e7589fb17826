"""Whether every replica is there, from what the Kubernetes API answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from rehearsal.deploy.rollouts import Rollout, read_all, read_named, read_rollouts, read_templates


class FakeApi:
    """Answers workloads by their collection."""

    def __init__(self, **collections: list[dict[str, Any]]) -> None:
        self.collections = collections

    def get(self, path: str) -> Mapping[str, Any] | None:
        if path == "/api/v1/namespaces?labelSelector=app.kubernetes.io/part-of%3Dmambogo-rehearsal":
            return {"items": [{"metadata": {"name": name}} for name in ("shop", "test")]}
        assert path.endswith("?labelSelector=app.kubernetes.io%2Fmanaged-by%3Dtilt")
        return {"items": self.collections.get(path.split("?")[0].rsplit("/", 1)[-1], [])}


def deployment(name: str = "echo", namespace: str = "shop", wanted: int = 2, **status: int) -> dict[str, Any]:
    """A Deployment as the API gives it; all is well but for what `status` says."""
    well = {
        "observedGeneration": 3,
        "replicas": wanted,
        "updatedReplicas": wanted,
        "readyReplicas": wanted,
    }
    return {
        "metadata": {"name": name, "namespace": namespace, "generation": 3},
        "spec": {"replicas": wanted},
        "status": {**well, **status},
    }


def _only(api: FakeApi, *applied: str) -> Rollout:
    (one,) = read_rollouts(api, applied)
    return one


def test_all_replicas_ready_is_complete() -> None:
    assert _only(FakeApi(deployments=[deployment()]), "echo:deployment", "echo:service").complete


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({"readyReplicas": 1}, id="one is not ready"),
        pytest.param({"updatedReplicas": 1}, id="one is of the old template"),
        pytest.param({"replicas": 3}, id="an old one is left"),
        pytest.param({"observedGeneration": 2}, id="the controller has not looked"),
    ],
)
def test_anything_less_is_not_complete(status: dict[str, int]) -> None:
    one = deployment()
    one["status"] |= status
    assert not _only(FakeApi(deployments=[one]), "echo:deployment").complete


def test_no_status_yet_is_not_complete() -> None:
    fresh = {**deployment(), "status": {}}
    assert not _only(FakeApi(deployments=[fresh]), "echo:deployment").complete


def test_a_workload_that_is_gone_is_not_complete() -> None:
    one = _only(FakeApi(), "echo:deployment")
    assert (one.name, one.complete) == ("echo", False)


def test_zero_wanted_replicas_are_complete() -> None:
    assert _only(FakeApi(deployments=[deployment(wanted=0)]), "echo:deployment").complete


def test_others_workloads_are_left_out() -> None:
    api = FakeApi(deployments=[deployment(), deployment("old", readyReplicas=0)])
    assert [one.name for one in read_rollouts(api, ["echo:deployment"])] == ["echo"]


def test_the_namespace_tells_two_of_one_name_apart() -> None:
    api = FakeApi(deployments=[deployment(), deployment(namespace="test", readyReplicas=0)])
    assert _only(api, "echo:deployment:shop").complete
    assert not _only(api, "echo:deployment:test").complete


def test_a_workload_of_the_same_name_in_a_namespace_of_others_is_none_of_ours() -> None:
    theirs = FakeApi(
        deployments=[deployment(namespace="theirs"), {**_pods(), **deployment(namespace="theirs")}]
    )

    assert not _only(theirs, "echo:deployment").complete
    assert [one.namespace for one in read_named(theirs, ["echo"])] == ["?"]
    assert (read_all(theirs), read_templates(theirs)) == ((), {})


def test_a_stateful_set_counts() -> None:
    api = FakeApi(statefulsets=[deployment("kafka", readyReplicas=1)])
    assert not _only(api, "kafka:statefulset").complete


@pytest.mark.parametrize(("ready", "complete"), [(3, True), (2, False)])
def test_a_daemon_set_counts_nodes(ready: int, complete: bool) -> None:
    item = {
        "metadata": {"name": "agent", "namespace": "shop", "generation": 1},
        "spec": {},
        "status": {
            "observedGeneration": 1,
            "desiredNumberScheduled": 3,
            "currentNumberScheduled": 3,
            "updatedNumberScheduled": 3,
            "numberReady": ready,
        },
    }
    assert _only(FakeApi(daemonsets=[item]), "agent:daemonset").complete is complete


def _job(succeeded: int) -> dict[str, Any]:
    return {
        "metadata": {"name": "migrations", "namespace": "shop"},
        "spec": {"completions": 1},
        "status": {"succeeded": succeeded} if succeeded else {},
    }


@pytest.mark.parametrize(("succeeded", "complete"), [(1, True), (0, False)])
def test_a_job_that_is_looked_up_by_name_counts_when_it_has_succeeded(succeeded: int, complete: bool) -> None:
    (one,) = read_named(FakeApi(jobs=[_job(succeeded)]), ["migrations"])
    assert (one.kind, one.complete) == ("job", complete)


def test_a_name_finds_a_workload_of_any_kind() -> None:
    api = FakeApi(deployments=[deployment()], statefulsets=[deployment("kafka")])
    assert [one.kind for one in read_named(api, ["kafka", "echo"])] == ["deployment", "statefulset"]


def test_a_name_that_nothing_has_is_not_complete() -> None:
    (one,) = read_named(FakeApi(deployments=[deployment()]), ["cart"])
    assert (one.name, one.complete) == ("cart", False)


def test_without_names_nothing_is_asked() -> None:
    assert read_named(FakeApi(), []) == ()


def _pods(**changes: Any) -> dict[str, Any]:
    item = deployment()
    template = {"metadata": {"annotations": {}}, "spec": {"containers": [{"image": "one"}]}}
    item["spec"]["template"] = {**template, **changes}
    return item


def test_template_is_another_when_its_pods_are_to_be_others() -> None:
    before = read_templates(FakeApi(deployments=[_pods()]))
    after = read_templates(FakeApi(deployments=[_pods(spec={"containers": [{"image": "two"}]})]))

    assert before.keys() == after.keys() == {"deployment shop/echo"}
    assert before != after


def test_template_is_the_same_after_scaling_and_a_restart() -> None:
    scaled = _pods(metadata={"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}})
    scaled["spec"]["replicas"] = 7

    assert read_templates(FakeApi(deployments=[scaled])) == read_templates(FakeApi(deployments=[_pods()]))
