"""What the cluster should look like: a pure plan from catalogue, profile and free address ranges.

Nothing here talks to an engine or to Kubernetes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from rehearsal.core.catalogue import BROKERS, Catalogue
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.timing import Timing

# Docker hands out addresses from the low end; this one stays free for the registry.
_REGISTRY_OFFSET_FROM_END = 6
_REGISTRY_CONTAINER_PORT = 5000
# The node image has them; see kind/node-image/README.md.
_STATIC_POD_PATCHES = "kind: InitConfiguration\npatches:\n  directory: /kind/patches\n"


# There is one control plane: a lease that nobody else wants costs a second at the start, and two writes every
# other second for ever.
_ALONE = {"leader-elect": "false"}
# Each of the controllers asks for a token of its own first; at the default of 20 requests a second the first
# pod of a new cluster waits 5 s for that.
_QUICK_START = {"kube-api-burst": "400", "kube-api-qps": "200"}
# Not one after the other, as is kubeadm's default and not EKS': the database would wait behind whatever was
# asked for while its volume was made. Four at once are this project's bound, for two cores.
_KUBELET_PATCH = "kind: KubeletConfiguration\nserializeImagePulls: false\nmaxParallelImagePulls: 4\n"


@dataclass(frozen=True, slots=True)
class Ranges:
    """Address ranges of one cluster; they overlap neither each other nor the host's."""

    docker: IPv4Network
    pods: IPv4Network
    services: IPv4Network

    @property
    def gateway(self) -> IPv4Address:
        """The host's address on the Docker network."""
        return self.docker.network_address + 1

    @property
    def registry(self) -> IPv4Address:
        """The registry's fixed address on the Docker network."""
        return self.docker.broadcast_address - _REGISTRY_OFFSET_FROM_END


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """A NodePort of the first node, published on 127.0.0.1."""

    host: int
    node: int


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """Everything that is fixed when a cluster is made."""

    name: str
    profile: str
    timing: Timing
    workers: int
    egress: bool
    ranges: Ranges
    registry_port: int
    ports: tuple[PublishedPort, ...]
    node_image: str
    controller_manager: Mapping[str, str]
    metrics_resolution_seconds: int

    @property
    def context(self) -> str:
        """Name of the kubeconfig context."""
        return f"kind-{self.name}"

    @property
    def network(self) -> str:
        """Name of the Docker network."""
        return f"{self.name}-rehearsal"

    @property
    def registry_container(self) -> str:
        """Name of the registry's container."""
        return f"{self.name}-registry"

    @property
    def registry_address(self) -> str:
        """Where nodes find the registry."""
        return f"{self.ranges.registry}:{_REGISTRY_CONTAINER_PORT}"

    @property
    def registry_name(self) -> str:
        """What image references say: the host's name for the registry."""
        return f"localhost:{self.registry_port}"

    @property
    def control_plane(self) -> str:
        """Name of the node that holds the cluster's data."""
        return self.node_names[0]

    @property
    def node_names(self) -> tuple[str, ...]:
        """Names of the node containers, as kind gives them; the control plane first."""
        workers = [
            f"{self.name}-worker" + (str(number) if number > 1 else "")
            for number in range(1, self.workers + 1)
        ]
        return (f"{self.name}-control-plane", *workers)


def choose_ranges(catalogue: Catalogue, taken: Iterable[IPv4Network]) -> Ranges:
    """Return the first candidate of each kind that overlaps nothing on this host.

    `taken` are the host's routes and addresses and the engine's other networks.
    """
    used = list(taken)
    chosen: list[IPv4Network] = []
    network = catalogue.network
    candidates = {
        "docker_subnets": network.docker_subnets,
        "pod_subnets": network.pod_subnets,
        "service_subnets": network.service_subnets,
    }
    for key, ranges in candidates.items():
        free = next((one for one in ranges if not any(one.overlaps(other) for other in used)), None)
        if free is None:
            raise EnvironmentNotReadyError(
                "NO_FREE_RANGE",
                f"every range of network.{key} overlaps one that this host uses",
                hint=f"Add a free range to network.{key} in rehearsal.toml; `rehearsal doctor` lists all.",
            )
        chosen.append(free)
        used.append(free)
    return Ranges(*chosen)


def plan_cluster(
    catalogue: Catalogue, *, profile: str, timing: Timing | None, ranges: Ranges, node_image: str
) -> ClusterSpec:
    """Return the specification of a cluster that is to be made."""
    chosen = catalogue.profile(profile)
    pace = timing or chosen.timing
    settings = catalogue.timings[pace]
    absent = set(BROKERS) - set(catalogue.brokers(profile))
    published = {name: node for name, node in catalogue.node_ports.model_dump().items() if name not in absent}
    hosts = catalogue.ports.model_dump()
    return ClusterSpec(
        name=catalogue.cluster.name,
        profile=profile,
        timing=pace,
        workers=chosen.workers,
        egress=chosen.egress,
        ranges=ranges,
        registry_port=catalogue.ports.registry,
        ports=tuple(PublishedPort(hosts[name], node) for name, node in sorted(published.items())),
        node_image=node_image,
        controller_manager=settings.controller_manager,
        metrics_resolution_seconds=settings.metrics_resolution_seconds,
    )


def kind_config(spec: ClusterSpec) -> dict[str, object]:
    """Return the configuration file for `kind create cluster`."""
    control_plane: dict[str, object] = {
        "role": "control-plane",
        "extraPortMappings": [
            {"containerPort": port.node, "hostPort": port.host, "listenAddress": "127.0.0.1"}
            for port in spec.ports
        ],
        "kubeadmConfigPatches": [_cluster_patch(spec), _KUBELET_PATCH, _STATIC_POD_PATCHES],
    }
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": spec.name,
        "networking": {"podSubnet": str(spec.ranges.pods), "serviceSubnet": str(spec.ranges.services)},
        "nodes": [control_plane, *({"role": "worker"} for _ in range(spec.workers))],
    }


def network_config(
    spec: ClusterSpec, node: str, pod_cidrs: Mapping[str, tuple[IPv4Network, IPv4Address]]
) -> str:
    """Return what `node-network ensure` reads on `node`; see kind/node-image.

    `pod_cidrs` gives the pod range and the address of every node.
    """
    own, _ = pod_cidrs[node]
    lines = [
        f"pod_subnet {spec.ranges.pods}",
        f"service_subnet {spec.ranges.services}",
        f"pod_cidr {own}",
        f"registry {spec.registry_name} {spec.registry_address}",
        f"egress {'yes' if spec.egress else 'no'}",
    ]
    lines += [f"peer {cidr} {address}" for name, (cidr, address) in sorted(pod_cidrs.items()) if name != node]
    return "\n".join(lines) + "\n"


def _cluster_patch(spec: ClusterSpec) -> str:
    lines = ["kind: ClusterConfiguration"]
    for part, flags in (
        ("controllerManager", {**_ALONE, **_QUICK_START, **spec.controller_manager}),
        ("scheduler", _ALONE),
    ):
        lines += [f"{part}:", "  extraArgs:"]
        lines += [f'    {flag}: "{value}"' for flag, value in sorted(flags.items())]
    return "\n".join(lines) + "\n"
