"""Applies a release to a cluster, watches every rollout, and asks the gateway afterwards.

By kubectl, as production's pipeline does: with whatever context it is given. It decides nothing about what is
applied (`releasing`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rehearsal.core.errors import EnvironmentNotReadyError, RehearsalError
from rehearsal.core.events import Emit, step
from rehearsal.core.processes import ProcessFailedError, run
from rehearsal.core.verdicts import ExitCode
from rehearsal.core.waiting import NotYet, WaitTimeoutError, wait_until
from rehearsal.deploy.manifests import PRODUCTION, Manifest, dump
from rehearsal.deploy.releasing import Step, workloads
from rehearsal.deploy.rollouts import Rollout, rollout_of

_CALL_SECONDS = 120.0
_POLL_SECONDS = 2.0
# Each migration Job's own deadline is ten minutes; one that failed says so earlier.
_JOBS_SECONDS = 660.0
_ADDRESS_SECONDS = 300.0  # a cloud takes minutes to make a load balancer


class ReleaseFailedError(RehearsalError):
    """The cluster took the release, and the release does not work."""

    exit_code = ExitCode.FAIL


class Cluster(Protocol):
    """The part of kubectl that is needed here."""

    def apply(self, objects: Sequence[Manifest]) -> str:
        """Apply objects client-side, as the pipeline does; return what changed."""

    def delete(self, one: Manifest) -> None:
        """Delete an object and wait until it is gone; no error when there is none."""

    def list(self, kinds: str) -> list[Mapping[str, Any]]:
        """Return the objects of some kinds in production's namespace."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """A cluster by kubectl and a context; the kubeconfig is the environment's."""

    program: Path
    context: str

    def apply(self, objects: Sequence[Manifest]) -> str:
        """Apply objects client-side, as the pipeline does; return what changed."""
        return self._call("apply", "--filename=-", stdin=dump(objects).encode())

    def delete(self, one: Manifest) -> None:
        """Delete an object and wait until it is gone; no error when there is none."""
        name = f"{one['kind']}/{one['metadata']['name']}"
        self._call("delete", name, f"--namespace={one['metadata']['namespace']}", "--ignore-not-found")

    def list(self, kinds: str) -> list[Mapping[str, Any]]:
        """Return the objects of some kinds in production's namespace."""
        items: list[Mapping[str, Any]]
        items = json.loads(self._call("get", kinds, f"--namespace={PRODUCTION}", "--output=json"))["items"]
        return items

    def _call(self, *arguments: str, stdin: bytes | None = None) -> str:
        argv = [str(self.program), f"--context={self.context}", *arguments]
        try:
            return run(argv, timeout_seconds=_CALL_SECONDS, stdin=stdin).output
        except ProcessFailedError as error:
            raise EnvironmentNotReadyError(
                "KUBECTL_REFUSED",
                f"kubectl {arguments[0]} on {self.context}: {error.tail}",
                hint="Is the context the right one, and may it do that? k8s/base/rbac/ has what it needs.",
            ) from error


def roll_out(cluster: Cluster, steps: Sequence[Step], emit: Emit) -> None:
    """Apply a release step by step; its Jobs have ended before anything that needs their work is applied.

    Raises ReleaseFailedError when a Job fails.
    """
    for one in steps:
        jobs = one.of_kinds("Job")
        with step(emit, one.folder, f"{len(one.objects)} objects"):
            for job in jobs:
                cluster.delete(job)  # a Job is never updated in place
            if one.objects:
                cluster.apply(one.objects)
            if jobs:
                _await_jobs(cluster, {job["metadata"]["name"] for job in jobs})


def await_rollouts(
    cluster: Cluster, steps: Sequence[Step], emit: Emit, *, timeout_seconds: float
) -> tuple[Rollout, ...]:
    """Wait until every replica of every workload is of the newest template and ready.

    Raises ReleaseFailedError that names each one that is not.
    """
    wanted = [(one["kind"].lower(), one["metadata"]["name"]) for one in workloads(steps)]

    def rolled_out() -> tuple[Rollout, ...]:
        found = {(each.kind, each.name): each for each in _rollouts(cluster)}
        open_ = [
            str(found.get(one, f"{one[0]} {one[1]}: not there"))
            for one in wanted
            if not _done(found.get(one))
        ]
        if open_:
            doing.progress(f"{len(open_)} of {len(wanted)} to go")
            raise NotYet("\n  " + "\n  ".join(open_))
        return tuple(found[one] for one in wanted)

    with step(emit, "rollouts", f"{len(wanted)} workloads") as doing:
        try:
            return wait_until(
                "every rollout",
                rolled_out,
                timeout_seconds=timeout_seconds,
                interval_seconds=_POLL_SECONDS,
                hint="`kubectl describe` and `kubectl logs` of those say why.",
            )
        except WaitTimeoutError as error:
            raise ReleaseFailedError("ROLLOUT_INCOMPLETE", error.message, hint=error.hint) from error


def gateway_address(cluster: Cluster) -> str:
    """Return host:port of the gateway's load balancer; raises EnvironmentNotReadyError while it has none."""

    def assigned() -> str:
        (service,) = [one for one in cluster.list("services") if one["metadata"]["name"] == "gateway-service"]
        ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress", [])
        if not ingress:
            raise NotYet("its status names no ingress")
        return f"{ingress[0].get('ip') or ingress[0]['hostname']}:{service['spec']['ports'][0]['port']}"

    return wait_until(
        "an address of the gateway's load balancer",
        assigned,
        timeout_seconds=_ADDRESS_SECONDS,
        interval_seconds=_POLL_SECONDS,
        hint="Its cloud's controller writes it: `kubectl describe service gateway-service`.",
    )


def _done(found: Rollout | None) -> bool:
    return found is not None and found.complete


def _rollouts(cluster: Cluster) -> list[Rollout]:
    return [rollout_of(one["kind"].lower(), one) for one in cluster.list("deployments,statefulsets")]


def _await_jobs(cluster: Cluster, names: set[str]) -> None:
    def ended() -> bool:
        jobs = {one["metadata"]["name"]: one for one in cluster.list("jobs")}
        failed = sorted(name for name in names if _condition(jobs.get(name), "Failed"))
        if failed:
            raise ReleaseFailedError(
                "JOB_FAILED",
                f"{', '.join(failed)} failed; nothing that needs its work was applied",
                hint=f"kubectl --namespace {PRODUCTION} logs job/{failed[0]}",
            )
        waiting = sorted(name for name in names if not _condition(jobs.get(name), "Complete"))
        if waiting:
            raise NotYet(f"{', '.join(waiting)} not complete")
        return True

    wait_until(
        "the end of every Job",
        ended,
        timeout_seconds=_JOBS_SECONDS,
        interval_seconds=_POLL_SECONDS,
        hint=f"kubectl --namespace {PRODUCTION} get pods",
    )


def _condition(job: Mapping[str, Any] | None, kind: str) -> bool:
    conditions = (job or {}).get("status", {}).get("conditions", [])
    return any(one["type"] == kind and one["status"] == "True" for one in conditions)
