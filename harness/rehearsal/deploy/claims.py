"""The volume claims that StatefulSets make, as their controller would make them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rehearsal.deploy.manifests import Manifest

# What the scheduler writes on a claim once it has chosen a node for its pod; a provisioner waits for that.
_SELECTED_NODE = "volume.kubernetes.io/selected-node"


def claims(objects: Iterable[Manifest], node: str) -> Iterator[Manifest]:
    """Yield the claims of all StatefulSets, for volumes on one node."""
    for one in objects:
        if one["kind"] != "StatefulSet":
            continue
        spec = one["spec"]
        for ordinal in range(spec.get("replicas", 1)):
            for template in spec.get("volumeClaimTemplates", ()):
                yield {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "metadata": {
                        "name": f"{template['metadata']['name']}-{one['metadata']['name']}-{ordinal}",
                        "namespace": one["metadata"]["namespace"],
                        "labels": dict(spec["selector"]["matchLabels"]),
                        "annotations": {_SELECTED_NODE: node},
                    },
                    "spec": template["spec"],
                }
