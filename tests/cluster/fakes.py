"""A machine in memory: engine, kind, registry and API server that share one state and can be cut off.

The fakes refuse what the real parts refuse (an address in use, a network with members, a second cluster of
the same name, a damaged kubeconfig), so that a step in the wrong order fails here as it would there. The
engine's fake passes the same contract as the real adapter: `test_engine_contract.py`.
"""

from __future__ import annotations

import itertools
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import yaml
from rehearsal.cluster import kubeconfig
from rehearsal.cluster.addons import METRICS_PATH
from rehearsal.cluster.api import UNREACHABLE
from rehearsal.cluster.assessment import OWNER_LABEL
from rehearsal.cluster.facts import (
    ContainerFacts,
    ContainerState,
    NetworkFacts,
    NodeFacts,
    PodFacts,
    WorkloadFacts,
)
from rehearsal.cluster.kind import BOOT_TIMEOUT
from rehearsal.cluster.plan import ClusterSpec
from rehearsal.core.errors import EnvironmentNotReadyError

from tests.cluster.machine import (
    HOLDS_ADDRESS,
    KIND_CLUSTER_LABEL,
    Container,
    Kubernetes,
    Link,
    Machine,
    refused,
)


@dataclass(frozen=True, slots=True)
class FakeNodeEngine:
    """`NodeEngine` on a machine in memory."""

    machine: Machine

    def nodes(self, cluster: str) -> list[ContainerFacts]:
        """Return kind's node containers of a cluster, whatever their state."""
        found = [
            one for one in self.machine.containers.values() if one.labels.get(KIND_CLUSTER_LABEL) == cluster
        ]
        return sorted((one.facts() for one in found), key=lambda one: one.name)

    def container(self, name: str) -> ContainerFacts | None:
        """Return one container, or None."""
        found = self.machine.containers.get(name)
        return found.facts() if found else None

    def networks(self) -> list[NetworkFacts]:
        """Return all networks."""
        return list(self.machine.networks.values())

    def create_network(self, name: str, subnet: IPv4Network, labels: Mapping[str, str]) -> None:
        """Create a bridge network with a fixed subnet."""
        with self.machine.changing(f"network {name} created"):
            for other in self.machine.networks.values():
                if other.name == name or (other.subnet and other.subnet.overlaps(subnet)):
                    raise refused(f"{name} {subnet} collides with {other.name} {other.subnet}")
            self.machine.networks[name] = NetworkFacts(name, subnet, dict(labels))

    def remove_network(self, name: str) -> None:
        """Remove a network; no error when it is gone."""
        if name not in self.machine.networks:
            return
        with self.machine.changing(f"network {name} removed"):
            members = [one for one in self.machine.containers.values() if name in one.links]
            if any(one.state in HOLDS_ADDRESS for one in members):
                raise refused(f"network {name} has active endpoints")
            del self.machine.networks[name]

    def disconnect(self, container: str, network: str) -> None:
        """Cut a container from a network; no error when it is not connected."""
        found = self._get(container)
        self._get_network(network)
        if network in found.links:
            with self.machine.changing(f"{container} cut from {network}"):
                del found.links[network]

    def connect(self, container: str, network: str, address: IPv4Address) -> None:
        """Connect a container to a network with a fixed address, which outlives engine restarts."""
        found = self._get(container)
        self._get_network(network)
        if network in found.links:
            raise refused(f"{container} is already connected to {network}")
        with self.machine.changing(f"{container} pinned to {address}"):
            holds = found.state in HOLDS_ADDRESS
            held = self.machine.allocate(network, address) if holds else None
            found.links[network] = Link(pinned=address, address=held)

    def start(self, container: str) -> None:
        """Start a stopped container."""
        found = self._get(container)
        if found.state is not ContainerState.RUNNING:
            with self.machine.changing(f"{container} started"):
                self.machine.start(found)

    def unpause(self, container: str) -> None:
        """Let a paused container run on."""
        found = self._get(container)
        if found.state is not ContainerState.PAUSED:
            raise refused(f"{container} is not paused")
        with self.machine.changing(f"{container} unpaused"):
            found.state = ContainerState.RUNNING

    def clone(
        self, like: str, name: str, labels: Mapping[str, str], network: str, address: IPv4Address
    ) -> None:
        """Make and start a container like another one, with a fixed address and without its ports."""
        model = self._get(like)
        self._get_network(network)
        with self.machine.changing(f"{name} created"):
            made = self.machine.create(
                name, image=model.image, labels={**model.labels, **labels}, network=network
            )
            made.links[network].pinned = address
        with self.machine.changing(f"{name} booted"):
            self.machine.start(made)

    def remove(self, container: str, *, volumes: bool) -> None:
        """Remove a container, running or not; no error when it is gone."""
        if container in self.machine.containers:
            with self.machine.changing(f"{container} removed"):
                self.machine.delete(container)

    def execute(self, container: str, argv: Sequence[str], stdin: str = "") -> str:
        """Run a program in a container and return its output; raises for a non-zero end."""
        found = self._get(container)
        if found.state is not ContainerState.RUNNING:
            raise refused(f"{container} is not running")
        code, said = self._program(found, argv, stdin)
        if code:
            raise EnvironmentNotReadyError(
                "NODE_COMMAND_FAILED", f"{argv} ended with {code}: {said}", hint=""
            )
        return said

    @contextmanager
    def converse(self, container: str, argv: Sequence[str]) -> Iterator[Callable[[str], str]]:
        """Have a program run in a container that answers each line by a line; it ends with its input."""
        if self._get(container).state is not ContainerState.RUNNING:
            raise refused(f"{container} is not running")
        ended = list(argv) == ["true"]

        def ask(line: str) -> str:
            if ended:
                raise EnvironmentNotReadyError("NODE_SILENT", f"{argv} has ended", hint="")
            return self.execute(container, argv, f"{line}\n").removesuffix("\n")

        yield ask

    def _program(self, container: Container, argv: Sequence[str], stdin: str) -> tuple[int, str]:
        if list(argv) == ["cat"]:
            return 0, stdin
        if list(argv) == ["node-network", "ensure"]:
            if container.network_config == stdin and container.guarded:
                return 0, "unchanged\n"
            with self.machine.changing(f"{container.name} network"):
                container.network_config, container.guarded = stdin, True
            return 0, "changed\n"
        if argv[0] in ("kubeadm", "systemctl", "tee"):
            return self._joining(container, argv, stdin)
        if list(argv) == ["node-network", "status"]:
            if not container.guarded:
                return 1, "No such file or directory"
            counters = [
                {"counter": {"name": name, "packets": count, "bytes": 0}}
                for name, count in container.packets.items()
            ]
            return 0, json.dumps({"nftables": [{"metainfo": {"json_schema_version": 1}}, *counters]})
        return 1, ""

    def _joining(self, container: Container, argv: Sequence[str], stdin: str) -> tuple[int, str]:
        kubernetes = self.machine.kubernetes.get(container.labels[KIND_CLUSTER_LABEL])
        if argv[0] == "systemctl":
            return 0, "active\n"
        if argv[0] == "tee":
            container.join_file = stdin
            return 0, stdin
        if kubernetes is None:
            return 1, "the API server does not answer"
        if argv[1] == "token":
            return 0, "kubeadm join cp:6443 --token a.b --discovery-token-ca-cert-hash sha256:c \n"
        if container.name in kubernetes.members:
            return 1, f"a Node with name {container.name} and status Ready already exists in the cluster"
        node = json.loads(container.join_file)["nodeRegistration"]
        address = next(one["value"] for one in node["kubeletExtraArgs"] if one["name"] == "node-ip")
        with self.machine.changing(f"{container.name} joined"):
            kubernetes.members[container.name] = IPv4Address(address)
        return 0, "This node has joined the cluster\n"

    def _get(self, name: str) -> Container:
        if name not in self.machine.containers:
            raise refused(f"there is no container {name}")
        return self.machine.containers[name]

    def _get_network(self, name: str) -> NetworkFacts:
        if name not in self.machine.networks:
            raise refused(f"there is no network {name}")
        return self.machine.networks[name]


@dataclass(frozen=True, slots=True)
class FakeKind:
    """`Kind` on a machine in memory."""

    machine: Machine

    def create(
        self,
        config: Mapping[str, object],
        *,
        spec: ClusterSpec,
        folder: Path,
        kubeconfig: Path,
        progress: Callable[[str], None],
    ) -> None:
        """Make a cluster, node by node; its kubeconfig comes last."""
        assert folder.is_dir()
        engine = FakeNodeEngine(self.machine)
        if engine.nodes(spec.name):
            raise refused(f"node(s) already exist for a cluster with the name {spec.name}")
        nodes = config["nodes"]
        assert isinstance(nodes, list)
        workers = itertools.count(1)
        for node in nodes:
            self._node(spec, node["role"], next(workers) if node["role"] == "worker" else 0)
            progress(f"node of role {node['role']}")
        with self.machine.changing("kubeadm"):
            members = {one.name: one.addresses[spec.network] for one in engine.nodes(spec.name)}
            authority = f"authority-{self.machine.new_id()}"
            self.machine.kubernetes[spec.name] = Kubernetes(
                authority, spec, {name: address for name, address in members.items() if address}
            )
        self.export_kubeconfig(spec, kubeconfig)

    def export_kubeconfig(self, spec: ClusterSpec, target: Path) -> None:
        """Write the cluster's kubeconfig as kind does: under a lock file, and not atomically."""
        lock = target.with_name(f"{target.name}.lock")
        target.parent.mkdir(parents=True, exist_ok=True)
        if lock.exists():
            raise refused(f"failed to lock config file: {lock} exists")
        lock.touch()
        self.machine.moment()
        try:
            there = kubeconfig.read(target)
        except kubeconfig.UnreadableKubeconfigError as error:
            raise refused(f"failed to read {target}: {error}") from error
        assert not there, "the project's own file is written anew"
        text = yaml.safe_dump(context_of(spec.context, self.machine.kubernetes[spec.name].authority))
        target.write_text(text[: len(text) // 2], encoding="utf-8")
        self.machine.moment()
        target.write_text(text, encoding="utf-8")
        self.machine.changes.append(f"kubeconfig {target.name}")
        self.machine.moment()
        lock.unlink()

    def export_logs(self, spec: ClusterSpec, folder: Path) -> None:
        """Collect nothing."""

    def _node(self, spec: ClusterSpec, role: str, number: int) -> None:
        name = f"{spec.name}-{role}" + (str(number) if number > 1 else "")
        with self.machine.changing(f"{name} created"):
            made = self.machine.create(
                name, image=spec.node_image, labels={KIND_CLUSTER_LABEL: spec.name}, network=spec.network
            )
        if self.machine.slow_boots:
            self.machine.slow_boots -= 1
            raise EnvironmentNotReadyError(BOOT_TIMEOUT, f"{name} did not boot", hint="again")
        with self.machine.changing(f"{name} booted"):
            self.machine.start(made)


@dataclass(frozen=True, slots=True)
class FakeRegistry:
    """`Registry` on a machine in memory."""

    machine: Machine

    def ensure(self, spec: ClusterSpec) -> bool:
        """Bring the registry up on the cluster's network; return whether anything had to be done."""
        name = spec.registry_container
        before = len(self.machine.changes)
        there = self.machine.containers.get(name)
        if there and self._pinned(there, spec) != spec.ranges.registry:
            with self.machine.changing(f"{name} removed"):
                self.machine.delete(name)
            there = None
        if not there:
            with self.machine.changing(f"{name} created"):
                there = self.machine.create(
                    name, image="registry", labels={OWNER_LABEL: spec.name}, network=spec.network
                )
                there.links[spec.network].pinned = spec.ranges.registry
                self.machine.volumes.add(name)
        if there.state is not ContainerState.RUNNING:
            with self.machine.changing(f"{name} started"):
                self.machine.start(there)
        return len(self.machine.changes) > before

    def remove(self, spec: ClusterSpec, *, data: bool) -> None:
        """Remove the registry, with its images if `data`."""
        FakeNodeEngine(self.machine).remove(spec.registry_container, volumes=False)
        if data and spec.registry_container in self.machine.volumes:
            with self.machine.changing("volume removed"):
                self.machine.volumes.discard(spec.registry_container)

    def _pinned(self, there: Container, spec: ClusterSpec) -> IPv4Address | None:
        link = there.links.get(spec.network)
        return link.pinned if link else None


@dataclass(frozen=True, slots=True)
class FakeApi:
    """`Api` on a machine in memory; it answers only who has a kubeconfig of this very cluster."""

    machine: Machine
    context: str
    trusted: object

    @classmethod
    def connect(cls, machine: Machine, file: Path, context: str) -> FakeApi:
        """Return a client that trusts whom the kubeconfig trusts now."""
        return cls(machine, context, authority_of(kubeconfig.read(file), context))

    def ready(self) -> bool:
        """Return whether the API server says that it is ready."""
        try:
            self._kubernetes()
        except EnvironmentNotReadyError as error:
            self.machine.not_ready(error.message)
            return False
        return True

    def nodes(self) -> list[NodeFacts]:
        """Return all nodes; one is Ready with its old address and a network configuration."""
        kubernetes = self._kubernetes()
        ranges = kubernetes.spec.ranges.pods.subnets(new_prefix=24)
        found = [
            NodeFacts(name, self._node_works(name), cidr, address)
            for (name, address), cidr in zip(sorted(kubernetes.members.items()), ranges, strict=False)
        ]
        if not all(one.ready for one in found):
            self.machine.not_ready(f"nodes: {found}")
        return found

    def workloads(self, namespaces: Iterable[str]) -> list[WorkloadFacts]:
        """Return the Deployments and DaemonSets of some namespaces; all pods run when the nodes do."""
        kubernetes = self._kubernetes()
        wanted = set(namespaces)
        names = {("kube-system", "coredns"), ("kube-system", "kube-proxy")}
        names |= {(namespace, name) for kind, namespace, name in kubernetes.applied if kind == "Deployment"}
        works = all(self._node_works(name) for name in kubernetes.members)
        return [
            WorkloadFacts(*name, wanted=1, ready=int(works)) for name in sorted(names) if name[0] in wanted
        ]

    def pods(self, namespaces: Iterable[str]) -> list[PodFacts]:
        """Return one pod of each node, as its kubelet described it last."""
        containers = [self.machine.containers[name] for name in self._kubernetes().members]
        for one in containers:
            if one.silent_looks:
                one.silent_looks -= 1
            else:
                one.pods_since = one.started
        return [
            PodFacts("kube-system", f"kube-proxy-{one.name}", one.name, one.pods_since, ready=True)
            for one in containers
        ]

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Apply one object; its namespace has to be there."""
        kubernetes = self._kubernetes()
        if self.machine.late_answers:
            self.machine.late_answers -= 1
            raise EnvironmentNotReadyError(UNREACHABLE, "no answer in time", hint="")
        metadata = manifest["metadata"]
        namespace = metadata.get("namespace", "")
        known = {"", "default", "kube-system", "kube-public"}
        known |= {name for kind, _, name in kubernetes.applied if kind == "Namespace"}
        if namespace not in known:
            raise EnvironmentNotReadyError("API_REFUSED", f"no namespace {namespace}", hint="")
        key = (manifest["kind"], namespace, metadata["name"])
        if kubernetes.applied.get(key) != manifest:
            with self.machine.changing(f"{key} applied"):
                kubernetes.applied[key] = manifest

    def get(self, path: str) -> Mapping[str, Any] | None:
        """Return metrics once metrics-server is there; its APIService without it answers 503."""
        kubernetes = self._kubernetes()
        if path != METRICS_PATH or ("APIService", "", "v1beta1.metrics.k8s.io") not in kubernetes.applied:
            return None
        if ("Deployment", "kube-system", "metrics-server") not in kubernetes.applied:
            raise EnvironmentNotReadyError("API_REFUSED", "503", hint="")
        return {"items": [{"metadata": {"name": name}} for name in kubernetes.members]}

    def delete(self, path: str) -> None:
        """Delete a Node; no error when it is gone."""
        name = path.removeprefix("/api/v1/nodes/")
        if name in self._kubernetes().members:
            with self.machine.changing(f"Node {name} deleted"):
                del self._kubernetes().members[name]

    def _kubernetes(self) -> Kubernetes:
        """Return the cluster if its control plane answers the authority of the kubeconfig."""
        cluster = self.context.removeprefix("kind-")
        found = self.machine.kubernetes.get(cluster)
        control_plane = f"{cluster}-control-plane"
        if found is None or not self._has_its_address(control_plane, found):
            raise EnvironmentNotReadyError(UNREACHABLE, f"{control_plane} does not answer", hint="")
        if self.trusted != found.authority:
            raise EnvironmentNotReadyError(UNREACHABLE, "certificate of an unknown authority", hint="")
        return found

    def _has_its_address(self, node: str, kubernetes: Kubernetes) -> bool:
        container = self.machine.containers.get(node)
        link = container.links.get(kubernetes.spec.network) if container else None
        runs = container is not None and container.state is ContainerState.RUNNING
        return runs and link is not None and link.address == kubernetes.members[node]

    def _node_works(self, node: str) -> bool:
        there = self._has_its_address(node, self._kubernetes())
        return there and bool(self.machine.containers[node].network_config)


def context_of(context: str, authority: str) -> dict[str, Any]:
    """Return a kubeconfig with one whole context, as kind writes it."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": context,
                "cluster": {"certificate-authority-data": pem(authority), "server": "https://x:1"},
            }
        ],
        "users": [
            {
                "name": context,
                "user": {"client-certificate-data": pem(f"of-{authority}"), "client-key-data": pem("key")},
            }
        ],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        "current-context": context,
    }


def pem(name: str) -> str:
    """Return what stands for a certificate of this name."""
    return b64encode(f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n".encode()).decode()


def authority_of(content: Mapping[str, Any], context: str) -> object:
    """Return the authority that a kubeconfig trusts for a context."""
    found = [one for one in content.get("clusters") or [] if one["name"] == context]
    if not found:
        return None
    return b64decode(found[0]["cluster"]["certificate-authority-data"]).decode().splitlines()[1]
