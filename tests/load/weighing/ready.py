"""A ready pod as Kubernetes tells of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def ready_pod(name: str) -> Mapping[str, Any]:
    """Return a pod that runs on `node`, with a container of its own name."""
    status = {
        "startTime": "2026-01-01T00:00:00Z",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"containerID": f"containerd://{name}"}],
    }
    return {"metadata": {"name": name}, "spec": {"nodeName": "node"}, "status": status}
