"""What every cluster carries besides Kubernetes itself: DNS, volumes, metrics, state, registry hosting.

The manifests are in `kind/addons/`; this module fills in what depends on the cluster and names the workloads
that have to be ready.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from string import Template
from typing import Any

from rehearsal.cluster.facts import PodFacts, WorkloadFacts
from rehearsal.cluster.plan import ClusterSpec
from rehearsal.core.catalogue import Versions

FOLDER = Path("kind") / "addons"
NAMESPACES = ("kube-system", "local-path-storage")
# The first two are kubeadm's: they are waited for, and cannot be made anew here.
WORKLOADS = (
    ("kube-system", "coredns"),
    ("kube-system", "kube-proxy"),
    ("kube-system", "kube-state-metrics"),
    ("kube-system", "metrics-server"),
    ("local-path-storage", "local-path-provisioner"),
)
_EVERYWHERE = "kube-proxy"  # on every node, by a DaemonSet
# metrics-server is ready once it has asked the kubelets twice, which takes its resolution.
METRICS_SERVER = ("kube-system", "metrics-server")
METRICS_PATH = "/apis/metrics.k8s.io/v1beta1/nodes"
# For a kubelet's answer, by default. One that does not come in time is a round without any metrics, of which
# HPAs know nothing; a node of two cores on which 50 pods start takes more than five seconds.
_METRICS_PATIENCE_SECONDS = 10

# CoreDNS first: its pods read the configuration when they start. Then what others wait for.
_ORDER = ("coredns", "registry-hosting", "local-path-provisioner", "metrics-server", "kube-state-metrics")


def manifests(
    root: Path, spec: ClusterSpec, versions: Versions, *, resolvers: Sequence[str]
) -> list[Mapping[str, Any]]:
    """Return all objects of the add-ons, in the order in which they are to be applied.

    `resolvers` are the host's name servers, used only by a cluster with egress.
    """
    import yaml

    values = {
        "registry_name": spec.registry_name,
        "registry_address": spec.registry_address,
        "local_path_image": f"docker.io/rancher/local-path-provisioner:v{versions.local_path_provisioner}",
        "metrics_server": versions.metrics_server,
        "kube_state_metrics": versions.kube_state_metrics,
        "metrics_resolution_seconds": str(spec.metrics_resolution_seconds),
        # metrics-server does not start with more than nine tenths of its resolution.
        "metrics_patience_seconds": str(
            min(_METRICS_PATIENCE_SECONDS, spec.metrics_resolution_seconds * 9 // 10)
        ),
        "outside_names": outside_names(spec, resolvers),
    }
    objects: list[Mapping[str, Any]] = []
    for name in _ORDER:
        text = (root / FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
        # Shell in ConfigMaps has variables of its own: unknown names stay as they are.
        filled = Template(text).safe_substitute(values)
        objects += [one for one in yaml.safe_load_all(filled) if one]
    return objects


def outside_names(spec: ClusterSpec, resolvers: Sequence[str]) -> str:
    """Return the CoreDNS plugin that answers for names outside the cluster."""
    reachable = [one for one in resolvers if not one.startswith(("127.", "::1"))]
    if spec.egress and reachable:
        return f"forward . {' '.join(reachable)}"
    return "template ANY ANY { rcode NXDOMAIN }"


def host_resolvers(resolv_conf: Path = Path("/etc/resolv.conf")) -> list[str]:
    """Return the host's name servers."""
    try:
        lines = resolv_conf.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    words = [line.split() for line in lines]
    return [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]


def unready(found: Iterable[WorkloadFacts]) -> list[str]:
    """Return which of the workloads that every cluster carries are gone or not healthy."""
    healthy = {(one.namespace, one.name) for one in found if one.healthy}
    return [f"{namespace}/{name}" for namespace, name in WORKLOADS if (namespace, name) not in healthy]


def unsettled(pods: Iterable[PodFacts], node_starts: Mapping[str, datetime]) -> list[str]:
    """Return the pods that do not run since their node was started, and the nodes that kube-proxy is not on.

    Nothing runs on through a node's restart: the API server still tells what a kubelet said before it. A
    workload's status does not say so either: it trails its pods, and a DaemonSet's counts the nodes that its
    controller has heard of.
    """
    settled: set[str] = set()
    waited_for = []
    for pod in pods:
        started = node_starts.get(pod.node)
        if started is None:
            continue
        if pod.ready and pod.running_since and pod.running_since >= started.replace(microsecond=0):
            settled |= {pod.node} if pod.name.startswith(_EVERYWHERE) else set()
        else:
            waited_for.append(f"{pod.namespace}/{pod.name}")
    return [*waited_for, *(f"{_EVERYWHERE} on {node}" for node in sorted(set(node_starts) - settled))]
