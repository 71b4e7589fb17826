"""How `tilt ci` ends when one thing is wrong, in the shape of the snapshots that Tilt 0.37.6 writes.

Written by hand after `snapshots/pull-failed.json` and a snapshot of the whole stack. What Tilt says of a
build, of a pod that cannot start and of what waits is by its own source.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# The part of the stack that stands for the whole: what each waits for.
NEEDS = {
    "settings": (),
    "postgres": ("settings",),
    "config-server": ("settings",),
    "orders-migrations": ("settings", "postgres"),
    "order-service": ("settings", "config-server", "orders-migrations"),
    "gateway-service": ("settings", "config-server"),
    "cdn": ("settings", "gateway-service"),
}
_PRODUCTION = "mambogo-production"
_WHEN = "2026-11-27T14:18:42.322706Z"


@dataclass(frozen=True)
class Ending:
    """One thing that is wrong: in a resource, by what Tilt says of it and the last lines of its log."""

    resource: str
    lines: Sequence[str]
    span: str = "events"
    update: str = "ok"
    runtime: str = "pending"
    build_error: str = ""
    pod_status: str = ""
    kind: str = "deployment"
    says: Sequence[str] = field(default=())  # of what is shown to a person besides the lines

    def write(self, path: Path) -> None:
        """Write the snapshot that Tilt would leave."""
        path.parent.mkdir(parents=True, exist_ok=True)
        resources = [_tiltfile(), *(self._resource(name) for name in NEEDS)]
        span = f"{self.span}:{self.resource}"
        logs = {
            "spans": {"": {}, span: {"manifestName": self.resource}},
            "segments": [{"spanId": span, "time": _WHEN, "text": f"{one}\n"} for one in self.lines],
        }
        view = {"uiResources": resources, "logList": logs, "isComplete": True}
        path.write_text(json.dumps({"view": view}), encoding="utf-8")

    def _resource(self, name: str) -> dict[str, Any]:
        if name == self.resource:
            return _resource(name, self._status())
        if waits_for := self._waits_for(name):
            on = [{"group": "tilt.dev", "apiVersion": "v1alpha1", "kind": "UIResource", "name": waits_for}]
            held = {"waiting": {"reason": "waiting-for-dep", "on": on}, "runtimeStatus": "pending"}
            return _resource(name, held | {"updateStatus": "pending"})
        return _resource(name, {"updateStatus": "ok", "runtimeStatus": "ok"})

    def _waits_for(self, name: str) -> str:
        return next((one for one in NEEDS[name] if one == self.resource or self._waits_for(one)), "")

    def _status(self) -> dict[str, Any]:
        pod = {
            "podName": f"{self.resource}-5cb94f8f86-vqzm8",
            "podStatus": self.pod_status,
            "displayNames": [f"{self.resource}:{self.kind}"],
        }
        build = {"startTime": _WHEN, "finishTime": _WHEN, "spanID": "build:19"}
        return {
            "updateStatus": self.update,
            "runtimeStatus": self.runtime,
            "buildHistory": [build | ({"error": self.build_error} if self.build_error else {})],
            "k8sResourceInfo": pod,
        }


def _resource(name: str, status: dict[str, Any]) -> dict[str, Any]:
    enabled = {"disableStatus": {"enabledCount": 1, "disabledCount": 0, "state": "Enabled"}}
    return {
        "kind": "UIResource",
        "apiVersion": "tilt.dev/v1alpha1",
        "metadata": {"name": name},
        "status": status | enabled,
    }


def _tiltfile() -> dict[str, Any]:
    return _resource("(Tiltfile)", {"updateStatus": "ok", "runtimeStatus": "not_applicable"})


def _event(resource: str, text: str) -> str:
    return f"[event: pod {_PRODUCTION}/{resource}-5cb94f8f86-vqzm8] {text}"


ENDINGS = {
    "missing-secret": Ending(
        "order-service",
        [_event("order-service", 'Error: secret "orders-databse" not found')],
        pod_status="CreateContainerConfigError",
        says=["not ready in time", "its pod is CreateContainerConfigError", "`rehearsal prepare`"],
    ),
    "build-failed": Ending(
        "order-service",
        [
            " > [stage-1 3/5] RUN pip install --require-hashes -r requirements.txt:",
            "ERROR: No matching distribution found for fastapi==999",
        ],
        span="build",
        update="error",
        build_error='ImageBuild: process "/bin/sh -c pip" did not complete successfully: exit code: 1',
        says=["exit code: 1", "Correct what its build complains about", "`rehearsal up --ci order-service`"],
    ),
    "refused-by-the-api": Ending(
        "order-service",
        ["Build Failed: kubernetes apply: Deployment.apps is invalid: spec.selector: field is immutable"],
        span="build",
        update="error",
        build_error="kubernetes apply: Deployment.apps is invalid: spec.selector: field is immutable",
        says=["field is immutable", "`rehearsal render`"],
    ),
    "failed-migration": Ending(
        "orders-migrations",
        ["INFO Running upgrade  -> 0001, orders", 'ERROR relation "orders" already exists'],
        span="pod",
        runtime="error",
        pod_status="Error",
        kind="job",
        says=["Error", "run the Job again", "`rehearsal up --ci orders-migrations`"],
    ),
    "never-ready": Ending(
        "gateway-service",
        [_event("gateway-service", "Readiness probe failed: HTTP probe failed with statuscode: 503")],
        pod_status="Running",
        says=[
            "not ready in time: update ok, runtime pending, its pod is Running",
            "`rehearsal logs gateway-service`",
        ],
    ),
    "no-room": Ending(
        "order-service",
        [_event("order-service", "0/1 nodes are available: 1 Insufficient memory.")],
        pod_status="Pending",
        says=["No node has room", "`rehearsal up --profile light`"],
    ),
    "not-pulled": Ending(
        "order-service",
        [_event("order-service", "Back-off pulling image")],
        runtime="error",
        pod_status="ImagePullBackOff",
        says=["ImagePullBackOff", "`rehearsal cluster repair`"],
    ),
}
