"""Prometheus' configuration where Prometheus runs: production's ConfigMap, in monitoring's namespace. Pure.

What is in it is production's (k8s/base/monitoring). Here Prometheus stands in a namespace of its own, and a
pod mounts only what is in its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from copy import deepcopy

from rehearsal.deploy.manifests import Manifest, named

MONITORING = "mambogo-monitoring"
CONFIGURATION = "prometheus-config"  # production's ConfigMap
_PROMETHEUS, _ALERTMANAGER = "prometheus", "alertmanager"  # Deployments, each with a ConfigMap of its name
_DIGEST_CHARACTERS = 12


def configure(objects: Sequence[Manifest]) -> list[Manifest]:
    """Return the objects with Prometheus configured; the given ones stay as they are.

    A pod of either program reads its files once, so its template carries their digest: other files roll it.
    """
    local = deepcopy(list(objects))
    files: dict[str, str] = dict(named(local, "ConfigMap", CONFIGURATION)["data"])
    metadata = {"name": _PROMETHEUS, "namespace": MONITORING}
    local.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": files})
    for name in (_PROMETHEUS, _ALERTMANAGER):
        read = named(local, "ConfigMap", name)["data"]
        digest = hashlib.sha256(repr(sorted(read.items())).encode()).hexdigest()
        template = named(local, "Deployment", name)["spec"]["template"]
        template["metadata"]["annotations"] = {"mambogo.com/configuration": digest[:_DIGEST_CHARACTERS]}
    return local
