"""Whether what pods name is there: Secrets and ConfigMaps of their environment and volumes. Pure.

A pod that names another waits for it and says so only in its events: nothing fails before the time is over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from rehearsal.core.errors import ConfigurationError
from rehearsal.deploy.manifests import Manifest, identity, pod_spec

# What a pod names, by the key that holds the reference.
_REFERENCES = {
    "secretKeyRef": "Secret",
    "secretRef": "Secret",
    "secret": "Secret",
    "configMapKeyRef": "ConfigMap",
    "configMapRef": "ConfigMap",
    "configMap": "ConfigMap",
}
_IN_EACH_NAMESPACE = "kube-root-ca.crt"  # Kubernetes makes this ConfigMap itself


def require_references(objects: Sequence[Manifest], secrets: Collection[tuple[str, str]]) -> None:
    """Raise ConfigurationError for a Secret or ConfigMap that a pod names and nobody makes.

    `secrets` are namespace and name of those that are made beside the objects.
    """
    there = {("Secret", *one) for one in secrets} | {
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]) for one in objects
    }
    lost = [
        f"  {identity(one)} names {kind} {name}, which nobody makes"
        for one in objects
        for kind, name in sorted(set(references(pod_spec(one) or {})))
        if (kind, one["metadata"].get("namespace", ""), name) not in there and name != _IN_EACH_NAMESPACE
    ]
    if lost:
        raise ConfigurationError(
            "REFERENCE_MISSING",
            "pods would wait for what never comes:\n" + "\n".join(lost),
            hint="Correct the name in k8s/; a new Secret is made in harness/rehearsal/deploy/credentials.py.",
        )


def references(pod: Any) -> Iterator[tuple[str, str]]:
    """Yield kind and name of what a pod cannot start without."""
    if isinstance(pod, Mapping):
        for key, value in pod.items():
            if key in _REFERENCES and isinstance(value, Mapping) and not value.get("optional", False):
                # A volume of a Secret alone calls it by another key than everything else does.
                yield _REFERENCES[key], str(value.get("secretName", value.get("name")))
            yield from references(value)
    elif isinstance(pod, list):
        for one in pod:
            yield from references(one)
