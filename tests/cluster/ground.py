"""What tests of the cluster layer stand on: a planned cluster, and `Clusters` on a machine in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path

import yaml
from rehearsal.cluster import addons, kubeconfig, record
from rehearsal.cluster.lifecycle import Clusters
from rehearsal.cluster.plan import ClusterSpec, Ranges, network_config, plan_cluster
from rehearsal.cluster.record import Phase
from rehearsal.core.catalogue import load
from rehearsal.core.events import Event, Level, Notice, Outcome, StepFinished
from rehearsal.core.paths import Paths
from rehearsal.core.timing import Timing

from tests.cluster.fakes import FakeApi, FakeKind, FakeNodeEngine, FakeRegistry, authority_of
from tests.cluster.machine import Killed, Machine

CHECKOUT = Path(__file__).resolve().parents[2]
CATALOGUE = load(CHECKOUT)
RANGES = Ranges(IPv4Network("172.30.0.0/24"), IPv4Network("10.244.0.0/16"), IPv4Network("10.96.0.0/16"))
USERS_OWN = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "office", "cluster": {"server": "https://office:6443"}}],
    "users": [{"name": "me", "user": {"token": "x"}}],
    "contexts": [{"name": "office", "context": {"cluster": "office", "user": "me"}}],
    "current-context": "office",
    "preferences": {"colors": True},
}


def planned(profile: str = "full", timing: Timing | None = None, ranges: Ranges = RANGES) -> ClusterSpec:
    """Return the specification of a cluster of the committed catalogue."""
    return plan_cluster(
        CATALOGUE, profile=profile, timing=timing, ranges=ranges, node_image="rehearsal/node:1"
    )


@dataclass(slots=True)
class Ground:
    """A user's folders and a machine, and the harness on them."""

    folder: Path
    machine: Machine = field(default_factory=Machine)
    seen: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        kubeconfig.write(self.users_file, USERS_OWN)

    @property
    def users_file(self) -> Path:
        """The user's own kubeconfig; the caller points KUBECONFIG to it."""
        return self.folder / "home" / "config"

    @property
    def paths(self) -> Paths:
        """The project's folders."""
        return Paths(root=CHECKOUT, cache=self.folder / "cache", state=self.folder / "state")

    @property
    def clusters(self) -> Clusters:
        """The harness, started anew: it knows nothing but what is on the machine."""
        return Clusters(
            paths=self.paths,
            versions=CATALOGUE.versions,
            engine=FakeNodeEngine(self.machine),
            kind=FakeKind(self.machine),
            registry=FakeRegistry(self.machine),
            connect_api=partial(FakeApi.connect, self.machine),
            emit=self._emit,
        )

    def up(self, spec: ClusterSpec | None = None) -> None:
        """Bring a cluster up."""
        self.clusters.up(spec or planned())

    def down(self, spec: ClusterSpec | None = None) -> bool:
        """Remove the cluster."""
        return self.clusters.down(spec or planned(), registry_data=True)

    def killed_at(self, moment: int, work: str) -> bool:
        """Let the harness do its work until the given moment from now; return whether it was killed."""
        self.machine.kill_at = self.machine.moments + moment
        try:
            getattr(self, work)()
        except Killed:
            return True
        finally:
            self.machine.kill_at = None
            self.machine.impatience = 0
        return False

    def changed_by_up(self) -> list[str]:
        """Return what another `up` changes."""
        before = len(self.machine.changes)
        self.up()
        return self.machine.changes[before:]

    def warnings(self) -> list[str]:
        """Return the warnings of all that was done."""
        return [one.message for one in self.seen if isinstance(one, Notice) and one.level is Level.WARNING]

    def outcomes(self) -> dict[str, Outcome]:
        """Return how each step ended the last time."""
        return {one.name: one.outcome for one in self.seen if isinstance(one, StepFinished)}

    def flaws(self) -> list[str]:
        """Return everything in which the machine is not what a whole cluster of profile full is."""
        spec = planned()
        flaws = self._node_flaws(spec)
        registry = self.machine.containers.get(spec.registry_container)
        if not registry or registry.links[spec.network].address != spec.ranges.registry:
            flaws.append("registry")
        made = record.load(self.paths.state)
        if made is None or made.phase is not Phase.READY or made.spec != spec:
            flaws.append(f"record {made}")
        kubernetes = self.machine.kubernetes[spec.name]
        objects = addons.manifests(CHECKOUT, spec, CATALOGUE.versions, resolvers=[])
        if len(kubernetes.applied) != len(objects):
            flaws.append("add-ons")
        for file in (self.paths.kubeconfig, self.users_file):
            content = kubeconfig.read(file)
            if not kubeconfig.usable(file, spec.context):
                flaws.append(f"{file.name}: no whole context")
            if authority_of(content, spec.context) != kubernetes.authority:
                flaws.append(f"{file.name}: authority of another cluster")
        return flaws

    def remains(self) -> list[str]:
        """Return what is left of the project where nothing should be."""
        left = [*self.machine.containers, *self.machine.networks, *self.machine.volumes]
        if self.paths.kubeconfig.exists():
            left.append("own kubeconfig")
        if record.load(self.paths.state):
            left.append("record")
        if yaml.safe_load(self.users_file.read_text(encoding="utf-8")) != USERS_OWN:
            left.append("context in the user's kubeconfig")
        return left

    def _node_flaws(self, spec: ClusterSpec) -> list[str]:
        members = self.machine.kubernetes[spec.name].members
        subnets = dict(zip(sorted(members), spec.ranges.pods.subnets(new_prefix=24), strict=False))
        pods = {name: (subnet, members[name]) for name, subnet in subnets.items()}
        flaws: list[str] = []
        for name in spec.node_names:
            node = self.machine.containers[name]
            link = node.links[spec.network]
            if not link.address == link.pinned == members[name]:
                flaws.append(f"{name} has {link}, not {members[name]}")
            if node.network_config != network_config(spec, name, pods):
                flaws.append(f"{name} is configured by {node.network_config}")
        return flaws

    def _emit(self, event: Event) -> None:
        self.seen.append(event)
        self.machine.moment()
