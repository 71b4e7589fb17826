"""The workflow's own steps on the live cluster: publish to its registry, deploy, wait, smoke test.

Afterwards everything is as it was: other tests ask about what Tilt deployed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rehearsal.cluster.record import Record
from rehearsal.core.catalogue import Catalogue
from rehearsal.core.paths import Paths
from rehearsal.core.waiting import NotYet, wait_until
from rehearsal.deploy.manifests import PRODUCTION, Manifest, containers, identity
from rehearsal.deploy.publishing import RELEASED
from rehearsal.deploy.releasing import Step, read_steps
from rehearsal.deploy.rolling_out import Kubectl, await_rollouts
from rehearsal.supply.supplies import make_supplies

from tests.workflows.steps import ROOT, named, run_script

# Its first session makes an environment, and its images may have to be built anew.
pytestmark = [pytest.mark.cluster, pytest.mark.pipeline, pytest.mark.timeout(3600)]

_OWN_IMAGES = {name for one in RELEASED if one.folder for name in (one.name, *one.also)}
_KINDS = "deployments,statefulsets,jobs,services,configmaps,secrets,serviceaccounts,hpa,pdb,networkpolicies"
_SERVER_S_OWN = (
    "creationTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
    "ownerReferences",
)
_KUBECTL_SECONDS = 300
_ROLLOUT_SECONDS = 900


@dataclass(frozen=True)
class Pipeline:
    """Runs steps of the workflow here, and sees what they did."""

    kubectl: Path
    env: Mapping[str, str]
    context: str

    def run(self, name: str, **values: str) -> str:
        """Run a step by its name; return what it said, and fail with it."""
        ended = run_script(named(name).script, env={**self.env, **values}, cwd=ROOT)
        assert ended.returncode == 0, f"{name}: {ended.stdout}{ended.stderr}"
        return ended.stdout

    def objects(self) -> dict[str, Manifest]:
        """Return what is in production's namespace, by identity."""
        found = json.loads(self.call("get", _KINDS, f"--namespace={PRODUCTION}", "--output=json"))["items"]
        return {identity(one): one for one in found}

    def call(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl."""
        ended = self._kubectl(*arguments, stdin=stdin)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def replace(self, one: Manifest) -> None:
        """Replace an object; its controller may change it meanwhile, then the newer one is replaced."""

        def probe() -> bool:
            ended = self._kubectl("replace", "--filename=-", stdin=json.dumps(one))
            if "(Conflict)" in ended.stderr:
                raise NotYet(ended.stderr)
            assert ended.returncode == 0, ended.stderr
            return True

        wait_until(identity(one), probe, timeout_seconds=60.0, hint="Who changes it all the time?")

    def _kubectl(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.kubectl), f"--context={self.context}", *arguments],
            input=stdin,
            env=dict(self.env),
            capture_output=True,
            text=True,
            check=False,
            timeout=_KUBECTL_SECONDS,
        )

    def put_back(self, before: Mapping[str, Manifest], steps: Sequence[Step]) -> None:
        """Make everything that a release applies what it was before, and wait until it is."""
        touched = {identity(one) for step in steps for one in step.objects}
        old = [one for name, one in before.items() if name in touched]
        jobs = [_without_its_run(one) for one in old if one["kind"] == "Job"]
        for one in old:
            if one["kind"] != "Job":
                self.replace(_bare(one))
        for job in jobs:
            self.call("delete", f"job/{job['metadata']['name']}", f"--namespace={PRODUCTION}")
        self.call("create", "--filename=-", stdin=_as_list(jobs))
        cluster = Kubectl(self.kubectl, self.context)
        await_rollouts(cluster, steps, lambda event: None, timeout_seconds=_ROLLOUT_SECONDS)


@pytest.fixture(scope="module")
def steps() -> tuple[Step, ...]:
    """What a release applies."""
    return read_steps(ROOT)


@pytest.fixture(scope="module")
def pipeline(
    folders: Paths, settings: Catalogue, made: Record, steps: tuple[Step, ...]
) -> Iterator[Pipeline]:
    """The pipeline with this cluster for production's; what it deploys is taken back at the end."""
    kubectl = make_supplies(folders, settings, emit=lambda event: None, docker=None).tool("kubectl")
    env = {
        **os.environ,
        # nox is a part of this environment.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "KUBECONFIG": str(folders.kubeconfig),
        "KUBE_CONTEXT": made.spec.context,
        "REGISTRY": f"localhost:{settings.ports.registry}/pipeline",
        "GITHUB_SHA": uuid.uuid4().hex,
        "REHEARSAL_PIPELINE_PROFILE": made.spec.profile,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", env["KUBECONFIG"])
        line = Pipeline(kubectl, env, made.spec.context)
        before = line.objects()
        yield line
        line.put_back(before, steps)


@pytest.fixture(scope="module")
def deployed(pipeline: Pipeline) -> tuple[dict[str, Manifest], dict[str, Manifest]]:
    """What was there before the steps of publishing and deploying, and after them."""
    before = pipeline.objects()
    for variant in named("Build and push").variants():
        pipeline.run("Build and push", IMAGE=variant["matrix.image"])
    pipeline.run("Deploy to Kubernetes")
    return before, pipeline.objects()


def test_every_rollout_of_the_release_ends(
    pipeline: Pipeline, deployed: object, steps: tuple[Step, ...]
) -> None:
    said = pipeline.run("Wait for every rollout")
    workloads = [one for step in steps for one in step.of_kinds("Deployment", "StatefulSet")]
    assert [one["metadata"]["name"] for one in workloads if f"/{one['metadata']['name']}:" not in said] == []


def test_the_gateway_passes_the_smoke_test(pipeline: Pipeline, deployed: object) -> None:
    said = pipeline.run("Run smoke tests")
    assert [one.split()[0] for one in said.splitlines() if "http://" in one] == ["ok", "ok"]


def test_what_runs_is_what_was_published(
    pipeline: Pipeline, deployed: tuple[dict[str, Manifest], dict[str, Manifest]]
) -> None:
    _, after = deployed
    images = {one["image"] for one in containers(after.values())}
    registry, tag = pipeline.env["REGISTRY"], pipeline.env["GITHUB_SHA"]
    # Config server and Eureka are supplies in every profile, and already in this registry.
    assert {f"{registry}/{name}:{tag}" for name in _OWN_IMAGES} <= images
    assert [one for one in images if one.startswith("mambogo/")] == []


def test_the_values_of_secrets_stay(deployed: tuple[dict[str, Manifest], dict[str, Manifest]]) -> None:
    before, after = (
        {name: one.get("data") for name, one in objects.items() if one["kind"] == "Secret"}
        for objects in deployed
    )
    assert before
    assert after == before


def test_the_hpa_s_replicas_stay(deployed: tuple[dict[str, Manifest], dict[str, Manifest]]) -> None:
    _, after = deployed
    floors = {
        one["spec"]["scaleTargetRef"]["name"]: one["spec"]["minReplicas"]
        for one in after.values()
        if one["kind"] == "HorizontalPodAutoscaler"
    }
    counts = {name: after[f"Deployment {PRODUCTION}/{name}"]["spec"]["replicas"] for name in floors}
    assert {name: count for name, count in counts.items() if count < floors[name]} == {}


def _as_list(objects: Sequence[Manifest]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


def _bare(one: Manifest) -> Manifest:
    metadata = {key: value for key, value in one["metadata"].items() if key not in _SERVER_S_OWN}
    return {key: value for key, value in one.items() if key != "status"} | {"metadata": metadata}


def _without_its_run(job: Manifest) -> Manifest:
    """Return a Job as it can be made again: without what ties it to its pods."""
    bare = _bare(job)
    spec: dict[str, Any] = {key: value for key, value in bare["spec"].items() if key != "selector"}
    template = spec["template"]
    spec["template"] = template | {"metadata": _untied(template["metadata"])}
    return bare | {"metadata": _untied(bare["metadata"]), "spec": spec}


def _untied(metadata: Manifest) -> Manifest:
    labels = metadata.get("labels", {}).items()
    kept = {name: value for name, value in labels if not name.endswith(("controller-uid", "job-name"))}
    return metadata | {"labels": kept}
