"""A pod of an earlier image beside those of a service: the same in all else, and a member of it as they are.

It stands in the ledger before it is made, so that it does not outlive whoever made it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from rehearsal.cluster.usage import PodOnNode, ready_pods
from rehearsal.core.ledger import Ledger
from rehearsal.core.waiting import NotYet, wait_until
from rehearsal.load.weighing.baseline import container, deployment

POD_ENTRY: Final = "weighed-pod"
_LABEL: Final = "mambogo.dev/weighed"
_NAME_DIGITS: Final = 5
_READY_SECONDS: Final = 120.0  # an image that the node has no more is pulled


class Api(Protocol):
    """What is asked of Kubernetes."""

    def get(self, path: str) -> Mapping[str, Any] | None:
        """Return what a path answers, parsed; None for 404."""

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Apply one object."""

    def delete(self, path: str) -> None:
        """Delete the object of a path; no error when it is gone."""


@dataclass(frozen=True, slots=True)
class Beside:
    """Makes such pods, and takes them away."""

    api: Api
    ledger: Ledger
    namespace: str

    @contextmanager
    def pod(self, service: str, image: str) -> Iterator[PodOnNode]:
        """Yield a ready pod of this image. Raises WaitTimeoutError when it does not become ready."""
        # A name of its own: one that the last weighing took away may be ending for a while yet.
        name = f"{service}-before-{uuid.uuid4().hex[:_NAME_DIGITS]}"
        manifest = pod_of(deployment(self.api, self.namespace, service), service, image, name)
        entry = self.ledger.enter(
            POD_ENTRY, f"{name}, a pod of an earlier image", namespace=self.namespace, name=name
        )
        try:
            self.api.apply(manifest)
            yield self._ready(service, name)
        finally:
            remove(self.api, entry.arguments)
            self.ledger.strike(entry)

    def _ready(self, service: str, name: str) -> PodOnNode:
        def probe() -> PodOnNode:
            for one in ready_pods(self.api, self.namespace, service):
                if one.name == name:
                    return one
            raise NotYet(_why(self.api.get(_path(self.namespace, name)) or {}))

        return wait_until(
            f"the pod {name}",
            probe,
            timeout_seconds=_READY_SECONDS,
            hint="An image that this machine's registry no longer has is made by deploying that tree again.",
        )


def remove(api: Api, arguments: Mapping[str, str]) -> None:
    """Take a pod away, also one that was never made."""
    api.delete(_path(arguments["namespace"], arguments["name"]))


def pod_of(found: Mapping[str, Any], service: str, image: str, name: str) -> Mapping[str, Any]:
    """Return the manifest of a pod as a Deployment's, but of this image.

    No ReplicaSet adopts it: it lacks the hash that their pods are told by.
    """
    template = found["spec"]["template"]
    own = container(found, service)
    containers = [
        {**one, "image": image} if one["name"] == own["name"] else one
        for one in template["spec"]["containers"]
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": found["metadata"]["namespace"],
            "labels": {**template["metadata"].get("labels", {}), _LABEL: "before"},
            "annotations": template["metadata"].get("annotations", {}),
        },
        "spec": {**template["spec"], "containers": containers},
    }


def _path(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods/{name}"


def _why(pod: Mapping[str, Any]) -> str:
    status = pod.get("status", {})
    for one in status.get("containerStatuses", ()):
        if waiting := one.get("state", {}).get("waiting"):
            return f"{waiting.get('reason', 'waiting')}: {waiting.get('message', '')}".rstrip(": ")
    return f"{status.get('phase', 'it is not there yet')}, not ready"
