"""What a container may do that it does not need, and what it may use without a bound. Pure.

Read from the manifests, as they are applied. What is production's own holds as well for what stands in for
its managed parts here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rehearsal.deploy.manifests import Manifest, identity, pod_spec

# What a workload does need, and why.
NEEDED: Final = {
    ("DaemonSet mambogo-monitoring/node-exporter", "is in the node's namespaces"): "it tells of the node",
}
_SECRET_NAMES: Final = ("PASSWORD", "SECRET", "TOKEN", "API_KEY")


@dataclass(frozen=True, slots=True)
class Weakness:
    """One thing about one container."""

    workload: str
    container: str
    what: str

    def __str__(self) -> str:
        return f"{self.workload} {self.container}: {self.what}"


def weaknesses(objects: Sequence[Manifest]) -> Iterator[Weakness]:
    """Yield what is weak about the containers of all workloads and Jobs, and not needed."""
    for one in objects:
        pod = pod_spec(one)
        if pod is None:
            continue
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            for what in (*_rights(pod, container), *_bounds(container), *_secrets(container)):
                if (identity(one), what) not in NEEDED:
                    yield Weakness(identity(one), container["name"], what)


def _rights(pod: Manifest, container: Manifest) -> Iterator[str]:
    own: dict[str, Any] = container.get("securityContext", {})
    context = {**pod.get("securityContext", {}), **own}
    if context.get("runAsNonRoot") is not True:
        yield "may run as root"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "may gain privileges"
    if own.get("readOnlyRootFilesystem") is not True:
        yield "may write into its image"
    if own.get("privileged") or "ALL" not in own.get("capabilities", {}).get("drop", ()):
        yield "keeps capabilities"
    if pod.get("hostNetwork") or pod.get("hostPID"):
        yield "is in the node's namespaces"


def _bounds(container: Manifest) -> Iterator[str]:
    resources: dict[str, Any] = container.get("resources", {})
    for name in ("cpu", "memory"):
        if name not in resources.get("requests", {}):
            yield f"requests no {name}"
    if "memory" not in resources.get("limits", {}):
        yield "has no limit of memory"


def _secrets(container: Manifest) -> Iterator[str]:
    for variable in container.get("env", ()):
        name = str(variable["name"])
        is_file = name.endswith(("_FILE", "_PATH", "_URL"))
        if variable.get("value") and not is_file and any(part in name for part in _SECRET_NAMES):
            yield f"has a secret in its manifest: {name}"
