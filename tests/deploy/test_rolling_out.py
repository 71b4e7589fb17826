"""A release on a cluster: in order, Jobs first, every rollout watched, the gateway asked."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.verdicts import ExitCode
from rehearsal.deploy.manifests import Manifest, identity
from rehearsal.deploy.releasing import FOLDERS, Step, read_steps, workloads
from rehearsal.deploy.rolling_out import (
    Kubectl,
    ReleaseFailedError,
    await_rollouts,
    gateway_address,
    roll_out,
)
from rehearsal.deploy.smoking import PATHS, smoke

from tests.deploy.base import ROOT

STEPS = read_steps(ROOT)


@dataclass
class FakeCluster:
    """A cluster that has at once what it is given."""

    failing_job: str = ""
    lagging: str = ""  # a workload with a replica of the old template
    done: list[str] = field(default_factory=list)
    objects: dict[str, Manifest] = field(default_factory=dict)

    def apply(self, objects: Sequence[Manifest]) -> str:
        for one in objects:
            self.done.append(f"apply {identity(one)}")
            self.objects[identity(one)] = one
        return ""

    def delete(self, one: Manifest) -> None:
        self.done.append(f"delete {identity(one)}")

    def list(self, kinds: str) -> list[Mapping[str, Any]]:
        wanted = {kind.removesuffix("s") for kind in kinds.split(",")}
        found = [one for one in self.objects.values() if one["kind"].lower() in wanted]
        return [{**one, "status": self._status(one)} for one in found]

    def _status(self, one: Manifest) -> Mapping[str, Any]:
        if one["kind"] == "Job":
            failed = one["metadata"]["name"] == self.failing_job
            return {"conditions": [{"type": "Failed" if failed else "Complete", "status": "True"}]}
        wanted = one["spec"].get("replicas", 1)
        old = one["metadata"]["name"] == self.lagging
        counts = {"readyReplicas": wanted, "updatedReplicas": wanted - old, "replicas": wanted}
        return {**counts, "observedGeneration": 1}


def test_everything_is_applied_folder_by_folder() -> None:
    cluster = FakeCluster()
    roll_out(cluster, STEPS, lambda event: None)
    applied = [one.removeprefix("apply ") for one in cluster.done if one.startswith("apply")]
    assert applied == [identity(one) for step in STEPS for one in step.objects]
    assert [step.folder for step in STEPS] == list(FOLDERS)


def test_a_job_is_replaced_because_it_cannot_be_changed() -> None:
    cluster = FakeCluster()
    roll_out(cluster, STEPS, lambda event: None)
    job = "Job mambogo-production/orders-migrations"
    assert cluster.done.index(f"delete {job}") < cluster.done.index(f"apply {job}")


def test_nothing_is_rolled_out_after_a_failed_migration() -> None:
    cluster = FakeCluster(failing_job="orders-migrations")
    with pytest.raises(ReleaseFailedError, match="orders-migrations failed") as raised:
        roll_out(cluster, STEPS, lambda event: None)
    assert raised.value.exit_code == ExitCode.FAIL
    assert [one for one in cluster.done if "Deployment" in one] == []


def test_a_release_is_done_when_every_workload_is() -> None:
    cluster = FakeCluster()
    roll_out(cluster, STEPS, lambda event: None)
    found = await_rollouts(cluster, STEPS, lambda event: None, timeout_seconds=0)
    assert len(found) == len(workloads(STEPS))


# cart-service is among the three that the guide does not watch.
@pytest.mark.parametrize("name", ["cart-service", "order-service", "eureka"])
def test_one_old_replica_of_any_workload_fails_the_release(name: str) -> None:
    cluster = FakeCluster(lagging=name)
    roll_out(cluster, STEPS, lambda event: None)
    with pytest.raises(ReleaseFailedError, match=f"mambogo-production/{name}: ") as raised:
        await_rollouts(cluster, STEPS, lambda event: None, timeout_seconds=0)
    assert raised.value.exit_code == ExitCode.FAIL


def test_a_workload_that_is_not_there_fails_it_too() -> None:
    cluster = FakeCluster()
    with pytest.raises(ReleaseFailedError, match="deployment cart-service: not there"):
        await_rollouts(cluster, STEPS, lambda event: None, timeout_seconds=0)


@pytest.mark.parametrize("ingress", [{"ip": "10.1.2.3"}, {"hostname": "10.1.2.3"}])
def test_the_gateway_is_where_its_load_balancer_says(ingress: dict[str, str]) -> None:
    class Cloud(FakeCluster):
        def list(self, kinds: str) -> list[Mapping[str, Any]]:
            (services,) = (step for step in STEPS if step.folder == "services")
            return [{**one, "status": {"loadBalancer": {"ingress": [ingress]}}} for one in services.objects]

    assert gateway_address(Cloud()) == "10.1.2.3:8080"


def _gateway(answers: Mapping[str, int]) -> httpx.Client:
    return httpx.Client(transport=httpx.MockTransport(lambda asked: httpx.Response(answers[asked.url.path])))


def test_the_smoke_test_asks_what_the_guide_asks() -> None:
    answers = smoke("10.1.2.3:8080", _gateway(dict.fromkeys(PATHS, 200)))
    assert [(one.url, one.good) for one in answers] == [
        ("http://10.1.2.3:8080/actuator/health", True),
        ("http://10.1.2.3:8080/api/products", True),
    ]


@pytest.mark.parametrize("code", [503, 404, 302])
def test_any_other_answer_is_a_failure(code: int) -> None:
    answers = smoke("10.1.2.3:8080", _gateway({PATHS[0]: 200, PATHS[1]: code}))
    assert [(one.good, one.said) for one in answers] == [(True, "200"), (False, str(code))]


def test_so_is_none() -> None:
    def refuse(asked: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=asked)

    answers = smoke("10.1.2.3:8080", httpx.Client(transport=httpx.MockTransport(refuse)))
    assert {(one.good, one.said) for one in answers} == {(False, "ConnectError: refused")}


def _program(folder: Path, body: str) -> Path:
    program = folder / "kubectl"
    program.write_text(f"#!{sys.executable}\nimport sys\n{body}\n", encoding="utf-8")
    program.chmod(0o755)
    return program


def test_kubectl_gets_the_context_and_the_objects(tmp_path: Path) -> None:
    echo = _program(tmp_path, "print(sys.argv[1:], sys.stdin.read())")
    said = Kubectl(echo, "there").apply([{"kind": "Secret", "metadata": {"name": "one"}}])
    assert said.startswith("['--context=there', 'apply', '--filename=-'] kind: Secret")


def test_what_kubectl_refuses_is_the_environment_s_fault(tmp_path: Path) -> None:
    refusing = _program(tmp_path, "sys.exit('Error from server (Forbidden)')")
    with pytest.raises(EnvironmentNotReadyError, match="Forbidden") as raised:
        Kubectl(refusing, "there").list("jobs")
    assert raised.value.exit_code == ExitCode.ENVIRONMENT


def test_an_empty_folder_is_applied_as_nothing() -> None:
    cluster = FakeCluster()
    roll_out(cluster, [Step("pdb", ())], lambda event: None)
    assert cluster.done == []
