"""Adapter: the Kubernetes API, as far as the cluster layer needs it.

It reads through the `kubernetes` package and applies manifests by server-side apply under the project's own
field manager. It decides nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rehearsal.cluster.facts import NodeFacts, PodFacts, WorkloadFacts
from rehearsal.core.errors import EnvironmentNotReadyError

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

FIELD_MANAGER = "rehearsal"
_REQUEST_SECONDS = 10
_HTTP_MULTIPLE_CHOICES = 300
_CHUNK_BYTES = 1 << 16
_NEVER_BY_PROXY = ("127.0.0.1", "localhost")

# The code of an error that says nothing about the request: no answer, or one that was cut off.
UNREACHABLE = "API_UNREACHABLE"
_CODES = {404: "API_NOT_FOUND", 409: "API_CONFLICT"}
# Kinds that the harness itself applies, with the path of their collection.
_COLLECTIONS = {
    "Namespace": "/api/v1/namespaces",
    "ConfigMap": "/api/v1/namespaces/{namespace}/configmaps",
    "Secret": "/api/v1/namespaces/{namespace}/secrets",
    "PersistentVolumeClaim": "/api/v1/namespaces/{namespace}/persistentvolumeclaims",
    "Pod": "/api/v1/namespaces/{namespace}/pods",
    "Service": "/api/v1/namespaces/{namespace}/services",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings",
    "StorageClass": "/apis/storage.k8s.io/v1/storageclasses",
    "APIService": "/apis/apiregistration.k8s.io/v1/apiservices",
}


class Api(Protocol):
    """What the cluster layer asks of Kubernetes."""

    def ready(self) -> bool:
        """Return whether the API server says that it is ready."""

    def nodes(self) -> list[NodeFacts]:
        """Return all nodes."""

    def workloads(self, namespaces: Iterable[str]) -> list[WorkloadFacts]:
        """Return the Deployments and DaemonSets of some namespaces."""

    def pods(self, namespaces: Iterable[str]) -> list[PodFacts]:
        """Return the pods of some namespaces that have a node and are to stay."""

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Apply one object server-side; fields of other managers are taken over."""

    def get(self, path: str) -> Mapping[str, Any] | None:
        """Return what a path answers, parsed; None for 404."""

    def delete(self, path: str) -> None:
        """Delete the object of a path; no error when it is gone."""


class KubernetesApi:
    """The API server behind `Api`, by a kubeconfig file and a context."""

    def __init__(self, kubeconfig: Path, context: str) -> None:
        self._client = _client(kubeconfig, context)

    def ready(self) -> bool:
        """Return whether the API server says that it is ready."""
        try:
            return self._call("GET", "/readyz") == b"ok"
        except EnvironmentNotReadyError:
            return False

    def nodes(self) -> list[NodeFacts]:
        """Return all nodes."""
        return [_node(item) for item in self._items("/api/v1/nodes")]

    def workloads(self, namespaces: Iterable[str]) -> list[WorkloadFacts]:
        """Return the Deployments and DaemonSets of some namespaces."""
        found: list[WorkloadFacts] = []
        for namespace in namespaces:
            root = f"/apis/apps/v1/namespaces/{namespace}"
            found += [_deployment(item) for item in self._items(f"{root}/deployments")]
            found += [_daemon_set(item) for item in self._items(f"{root}/daemonsets")]
        return found

    def pods(self, namespaces: Iterable[str]) -> list[PodFacts]:
        """Return the pods of some namespaces that have a node and are to stay."""
        items = [item for name in namespaces for item in self._items(f"/api/v1/namespaces/{name}/pods")]
        return [_pod(item) for item in items if _stays(item)]

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Apply one object server-side; fields of other managers are taken over."""
        metadata = manifest["metadata"]
        collection = _COLLECTIONS[manifest["kind"]].format(namespace=metadata.get("namespace", ""))
        self._call(
            "PATCH",
            f"{collection}/{metadata['name']}",
            query=[("fieldManager", FIELD_MANAGER), ("force", "true")],
            body=manifest,
        )

    def get(self, path: str) -> Mapping[str, Any] | None:
        """Return what a path answers, parsed; None for 404."""
        try:
            parsed = json.loads(self._call("GET", path))
        except EnvironmentNotReadyError as error:
            if error.code == "API_NOT_FOUND":
                return None
            raise
        return dict(parsed)

    def tail(self, path: str, most_bytes: int) -> str:
        """Return the end of what a path answers that is no JSON, such as a log; more is never held."""
        content = self._call("GET", path, most_bytes=most_bytes + 1)
        if len(content) > most_bytes:
            kept = content[1:]
            content = b"... the beginning was left out\n" + (kept.partition(b"\n")[2] or kept)
        return content.decode("utf-8", "replace")

    def delete(self, path: str, *, grace_seconds: int | None = None, uid: str = "") -> None:
        """Delete the object of a path; no error when it is gone. Without a grace its own one counts.

        With a `uid` only that object is deleted, and none that has its name since.
        """
        # All in the body: the API server looks at no query when there is one.
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            self._call("DELETE", path, body=options, content_type="application/json")
        except EnvironmentNotReadyError as error:
            is_gone = error.code == "API_NOT_FOUND" or (uid and error.code == "API_CONFLICT")
            if not is_gone:
                raise

    def scale(self, path: str, replicas: int) -> None:
        """Set how many replicas a Deployment or StatefulSet is to have."""
        body = {"spec": {"replicas": replicas}}
        self._call("PATCH", f"{path}/scale", body=body, content_type="application/merge-patch+json")

    def _items(self, path: str) -> list[Mapping[str, Any]]:
        answer = self.get(path)
        return list(answer["items"]) if answer else []

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: list[tuple[str, str]] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/apply-patch+yaml",
        most_bytes: int | None = None,
    ) -> bytes:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = content_type
        request = self._client.param_serialize(
            method=method, resource_path=path, query_params=query or [], header_params=headers, body=body
        )
        try:
            response = self._client.call_api(*request, _request_timeout=_REQUEST_SECONDS)
            content = _content(response, most_bytes)
        except (HTTPError, ApiException) as error:
            # The client turns a connection that is cut during its handshake into an answer of its own.
            raise EnvironmentNotReadyError(
                UNREACHABLE,
                f"the API server does not answer {method} {path}: {error}",
                hint="`rehearsal cluster status` says what is down; `rehearsal cluster repair` mends it.",
            ) from error
        if response.status >= _HTTP_MULTIPLE_CHOICES:
            raise _refused(method, path, response.status, content)
        return content


def _client(kubeconfig: Path, context: str) -> ApiClient:
    from kubernetes import config
    from kubernetes.client import Configuration

    settings = Configuration()
    # Callers wait and ask again; a hidden retry would stretch their time limits.
    settings.retries = False
    # Go's clients never send loopback to a proxy; this one does wherever no_proxy leaves it out.
    settings.no_proxy = ",".join(filter(None, [settings.no_proxy, *_NEVER_BY_PROXY]))
    try:
        return config.new_client_from_config(str(kubeconfig), context, client_configuration=settings)
    except (config.ConfigException, OSError, ValueError) as error:
        raise EnvironmentNotReadyError(
            "KUBECONFIG_UNUSABLE",
            f"{kubeconfig} has no usable context {context}: {error}",
            hint="`rehearsal cluster repair` writes it anew.",
        ) from error


def _content(response: Any, most_bytes: int | None) -> bytes:
    """Return a body, or its last bytes."""
    if most_bytes is None:
        return bytes(response.read())
    kept = bytearray()
    for chunk in response.response.stream(_CHUNK_BYTES):
        kept += chunk
        # Not for each chunk: what is left would be copied each time.
        if len(kept) > 2 * most_bytes:
            del kept[:-most_bytes]
    return bytes(kept[-most_bytes:])


def _refused(method: str, path: str, status: int, body: bytes) -> EnvironmentNotReadyError:
    said = body.decode("utf-8", "replace")
    return EnvironmentNotReadyError(
        _CODES.get(status, "API_REFUSED"),
        f"the API server answered {status} to {method} {path}: {said[:500]}",
        hint="`rehearsal cluster status`",
    )


def _node(item: Mapping[str, Any]) -> NodeFacts:
    status = item.get("status", {})
    conditions = {one["type"]: one["status"] for one in status.get("conditions", [])}
    addresses = [one["address"] for one in status.get("addresses", []) if one["type"] == "InternalIP"]
    cidr = item.get("spec", {}).get("podCIDR")
    return NodeFacts(
        name=item["metadata"]["name"],
        ready=conditions.get("Ready") == "True",
        pod_cidr=IPv4Network(cidr) if cidr else None,
        address=IPv4Address(addresses[0]) if addresses else None,
    )


def _stays(item: Mapping[str, Any]) -> bool:
    has_ended = item.get("status", {}).get("phase") in ("Succeeded", "Failed")
    is_leaving = "deletionTimestamp" in item["metadata"]
    return bool(item["spec"].get("nodeName")) and not has_ended and not is_leaving


def _pod(item: Mapping[str, Any]) -> PodFacts:
    status = item.get("status", {})
    conditions = {one["type"]: one["status"] for one in status.get("conditions", [])}
    states = [one["state"] for one in status.get("containerStatuses", [])]
    begun = [datetime.fromisoformat(one["running"]["startedAt"]) for one in states if "running" in one]
    return PodFacts(
        namespace=item["metadata"]["namespace"],
        name=item["metadata"]["name"],
        node=item["spec"]["nodeName"],
        running_since=min(begun, default=None),
        ready=conditions.get("Ready") == "True",
    )


def _deployment(item: Mapping[str, Any]) -> WorkloadFacts:
    status = item.get("status", {})
    # A status of an older generation says nothing about what was just applied.
    current = status.get("observedGeneration", 0) >= item["metadata"].get("generation", 0)
    return WorkloadFacts(
        namespace=item["metadata"]["namespace"],
        name=item["metadata"]["name"],
        wanted=item["spec"].get("replicas", 1),
        ready=min(status.get("readyReplicas", 0), status.get("updatedReplicas", 0)) if current else 0,
        created=datetime.fromisoformat(item["metadata"]["creationTimestamp"]),
    )


def _daemon_set(item: Mapping[str, Any]) -> WorkloadFacts:
    status = item.get("status", {})
    return WorkloadFacts(
        namespace=item["metadata"]["namespace"],
        name=item["metadata"]["name"],
        wanted=status.get("desiredNumberScheduled", 1),
        ready=status.get("numberReady", 0),
    )
