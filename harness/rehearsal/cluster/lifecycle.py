"""Making, mending and removing the cluster.

`up` is a list of steps that can each be repeated: it finds out what is there, makes what is missing and
changes nothing else. `repair` is the same list on a cluster that is there. Everything that is removed carries
the project's label or stands in the project's record.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Protocol, TypeVar

from rehearsal.cluster import addons, kubeconfig, record
from rehearsal.cluster.api import UNREACHABLE, Api
from rehearsal.cluster.assessment import LOST, OWNER_LABEL, Assessment, State, assess
from rehearsal.cluster.engine import NodeEngine
from rehearsal.cluster.facts import ContainerFacts, ContainerState, NetworkFacts
from rehearsal.cluster.joining import join_worker
from rehearsal.cluster.kind import BOOT_TIMEOUT, Kind
from rehearsal.cluster.plan import ClusterSpec, kind_config, network_config
from rehearsal.cluster.record import Phase, Record
from rehearsal.core.catalogue import Versions
from rehearsal.core.errors import ConfigurationError, EnvironmentNotReadyError
from rehearsal.core.events import Emit, Level, Notice, Step, step
from rehearsal.core.locking import exclusive
from rehearsal.core.paths import Paths
from rehearsal.core.temporary import temporary_folder
from rehearsal.core.waiting import NotYet, wait_until

# Generous: on a loaded two-core machine kubeadm's images and certificates take their time.
_NODES_READY_SECONDS = 180.0
_ADDONS_READY_SECONDS = 240.0
_API_SECONDS = 120.0
_STOPPED = (ContainerState.EXITED, ContainerState.CREATED)
_METRICS = "metrics.k8s.io"
_STATUS_HINT = "`rehearsal cluster status` shows what is missing, `rehearsal cluster logs` collects the logs."


T = TypeVar("T")


class Registry(Protocol):
    """The image registry beside the cluster."""

    def ensure(self, spec: ClusterSpec) -> bool:
        """Bring the registry up on the cluster's network; return whether anything had to be done."""

    def remove(self, spec: ClusterSpec, *, data: bool) -> None:
        """Remove the registry, with its images if `data`."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """Makes, mends and removes the one cluster of a machine."""

    paths: Paths
    versions: Versions
    engine: NodeEngine
    kind: Kind
    registry: Registry
    connect_api: Callable[[Path, str], Api]
    emit: Emit

    def up(self, wanted: ClusterSpec, *, use_context: bool = False, maker: str = "") -> Record:
        """Make the cluster, or mend the one that is there; return its record, which names its `maker`.

        Raises ConfigurationError when a cluster of another profile is there, and EnvironmentNotReadyError
        when something foreign is in the way or a step does not come to its end.
        """
        with exclusive(self.paths.locks / "cluster.lock", purpose="cluster up", emit=self.emit):
            made = record.load(self.paths.state)
            self._refuse_second(wanted, made)
            state = self._assess(wanted, made)
            self._refuse(state, wanted)
            vanished = state.state is State.ABSENT and made is not None
            if vanished or state.state in (State.UNFINISHED, State.INCOMPLETE):
                self.emit(Notice(Level.WARNING, f"the cluster is made anew: {state.reason}"))
                self._remove_nodes(wanted)
                made = None
            if made is None or state.state is not State.PRESENT:
                made = self._create(wanted, maker)
            return self._ensure(replace(made, maker=maker), use_context=use_context)

    def repair(self, *, use_context: bool = False) -> Record:
        """Mend the cluster that is there. Raises EnvironmentNotReadyError when there is none."""
        with exclusive(self.paths.locks / "cluster.lock", purpose="cluster repair", emit=self.emit):
            made = record.load(self.paths.state)
            if made is None:
                raise _absent()
            state = self._assess(made.spec, made)
            self._refuse(state, made.spec)
            if state.state is not State.PRESENT:
                raise EnvironmentNotReadyError(
                    "CLUSTER_BEYOND_REPAIR",
                    f"the cluster cannot be repaired: {state.reason}",
                    hint="`rehearsal cluster up` makes it anew; what was in the missing part is lost.",
                )
            return self._ensure(made, use_context=use_context)

    def down(self, name_of: ClusterSpec, *, registry_data: bool = False) -> bool:
        """Remove the cluster, its network and its registry; return whether anything was there."""
        with exclusive(self.paths.locks / "cluster.lock", purpose="cluster down", emit=self.emit):
            made = record.load(self.paths.state)
            spec = made.spec if made else name_of
            state = self._assess(spec, made)
            if state.state is State.FOREIGN:
                self._refuse(state, spec)
            return self._remove_all(spec, registry_data=registry_data)

    def _assess(self, spec: ClusterSpec, made: Record | None) -> Assessment:
        return assess(spec, made, self.engine.nodes(spec.name), self._network(spec))

    def _network(self, spec: ClusterSpec) -> NetworkFacts | None:
        return next((one for one in self.engine.networks() if one.name == spec.network), None)

    def _refuse(self, state: Assessment, wanted: ClusterSpec) -> None:
        if state.state is State.FOREIGN:
            raise EnvironmentNotReadyError(
                "CLUSTER_FOREIGN",
                state.reason,
                hint="Remove or rename it, or set cluster.name in rehearsal.toml.",
            )
        if state.state is State.OTHER:
            raise ConfigurationError(
                "CLUSTER_OTHER_PROFILE",
                f"a cluster is there, but {state.reason}",
                hint=(
                    "Replace it: rehearsal cluster down && "
                    f"rehearsal cluster up --profile {wanted.profile} --timing {wanted.timing}"
                ),
            )

    def _refuse_second(self, wanted: ClusterSpec, made: Record | None) -> None:
        """Refuse a second name while a cluster of the first is there: it would be orphaned."""
        if made is not None and made.spec.name != wanted.name and self.engine.nodes(made.spec.name):
            raise ConfigurationError(
                "CLUSTER_OTHER_NAME",
                f"a cluster is there, but its name is {made.spec.name!r}, not {wanted.name!r}",
                hint="Remove it first: rehearsal cluster down",
            )

    # Making

    def _create(self, spec: ClusterSpec, maker: str) -> Record:
        made = Record(spec, Phase.CREATING, {}, maker)
        record.save(self.paths.state, made)
        self._ensure_network(spec)
        with (
            step(
                self.emit, "cluster", f"{1 + spec.workers} node(s), Kubernetes {self.versions.kubernetes}"
            ) as at,
            ThreadPoolExecutor() as beside,
        ):
            # It needs no more than the network. What goes wrong is met again, and said, by its own step.
            beside.submit(self.registry.ensure, spec)
            try:
                self._run_kind(spec, at)
            except EnvironmentNotReadyError as error:
                if error.code != BOOT_TIMEOUT:
                    raise
                self._say_slow(error)
                self._remove_nodes(spec)
                record.save(self.paths.state, made)
                self._run_kind(spec, at)
            at.detail = f"profile {spec.profile}, timing {spec.timing}"
        made = replace(made, phase=Phase.CREATED, addresses=self._addresses(spec))
        record.save(self.paths.state, made)
        return made

    def _run_kind(self, spec: ClusterSpec, at: Step) -> None:
        # kind merges into what is there, and fails in the end when that is damaged.
        kubeconfig.clear(self.paths.kubeconfig)
        with temporary_folder() as folder:
            self.kind.create(
                kind_config(spec),
                spec=spec,
                folder=folder,
                kubeconfig=self.paths.kubeconfig,
                progress=at.progress,
            )

    def _say_slow(self, error: EnvironmentNotReadyError) -> None:
        load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
        said = f"ENVIRONMENT: {error.message} (load average {load}); the cluster is made anew, once"
        self.emit(Notice(Level.WARNING, said))

    def _ensure_network(self, spec: ClusterSpec) -> None:
        there = self._network(spec)
        if there is not None and there.subnet == spec.ranges.docker:
            return
        if there is not None:
            # Ours, from a cluster that is gone, with a range that is not wanted any more.
            self.registry.remove(spec, data=False)
            self.engine.remove_network(spec.network)
        self.engine.create_network(spec.network, spec.ranges.docker, {OWNER_LABEL: spec.name})

    def _addresses(self, spec: ClusterSpec) -> dict[str, IPv4Address]:
        found = {node.name: node.addresses.get(spec.network) for node in self.engine.nodes(spec.name)}
        known = {name: address for name, address in found.items() if address is not None}
        if lost := [name for name in spec.node_names if name not in known]:
            raise EnvironmentNotReadyError(
                "NODE_DIED_EARLY",
                f"{', '.join(lost)} ended as soon as the cluster was made",
                hint="`docker logs` of that container says why; `rehearsal cluster up` tries again.",
            )
        return known

    # Mending: each step looks first, and says when it had nothing to do

    def _ensure(self, made: Record, *, use_context: bool) -> Record:
        spec = made.spec
        self._step("registry", lambda at: self.registry.ensure(spec))
        restarted = self._step("nodes", lambda at: self._ensure_nodes(made))
        self._step("kubeconfig", lambda at: self._ensure_kubeconfig(spec, use=use_context))
        api = self.connect_api(self.paths.kubeconfig, spec.context)
        wait_until("the API server", api.ready, timeout_seconds=_API_SECONDS, hint=_STATUS_HINT)
        if lost := self._lost_workers(made, self._members(api)):
            self._join(made, api, lost)
        fresh = made.phase is not Phase.READY
        if fresh:
            self._apply_addons(api, spec)
        self._step("network", lambda at: self._ensure_node_network(made, api))
        if not fresh:
            self._step("add-ons", lambda at: self._mend_addons(api, spec, force=restarted))
        with step(self.emit, "add-ons ready") as at:
            self._await_addons(api, at, {} if fresh else self._node_starts(spec), with_metrics=not fresh)
        if fresh:
            self.emit(
                Notice(Level.INFO, f"metrics have first values in {2 * spec.metrics_resolution_seconds} s")
            )
        made = replace(made, phase=Phase.READY)
        record.save(self.paths.state, made)
        return made

    def _step(self, name: str, work: Callable[[Step], bool]) -> bool:
        with step(self.emit, name) as at:
            changed = work(at)
            if not changed:
                at.unchanged()
        return changed

    def _ensure_nodes(self, made: Record) -> bool:
        nodes = [node for node in self.engine.nodes(made.spec.name) if node.name in made.addresses]
        paused = [node.name for node in nodes if node.state is ContainerState.PAUSED]
        stopped = [node.name for node in nodes if node.state in _STOPPED]
        for name in paused:
            self.engine.unpause(name)
        pinned = self._pin_addresses(made, nodes)
        for name in stopped:
            self.engine.start(name)
        return bool(paused or pinned or stopped)

    def _pin_addresses(self, made: Record, nodes: Sequence[ContainerFacts]) -> bool:
        network = made.spec.network
        loose = [node.name for node in nodes if node.pinned.get(network) != made.addresses[node.name]]
        # All are cut off before the first is connected: after a restart of the engine, one may have
        # another's address.
        for name in loose:
            self.engine.disconnect(name, network)
        for name in loose:
            self.engine.connect(name, network, made.addresses[name])
        return bool(loose)

    def _members(self, api: Api) -> set[str]:
        """Return the nodes that the cluster knows; there is always one."""
        known = _patient(lambda: {node.name for node in api.nodes()})
        return wait_until("the cluster's nodes", known, timeout_seconds=_API_SECONDS, hint=_STATUS_HINT)

    def _lost_workers(self, made: Record, members: Collection[str]) -> list[str]:
        """Return the workers without a container, and those that the cluster does not know."""
        alive = {one.name for one in self.engine.nodes(made.spec.name) if one.state not in LOST}
        return [name for name in made.spec.node_names[1:] if name not in alive or name not in members]

    def _join(self, made: Record, api: Api, lost: Sequence[str]) -> None:
        self.emit(
            Notice(
                Level.WARNING,
                f"{', '.join(lost)} is gone and joins the cluster anew; volumes that were on it are lost",
            )
        )
        with step(self.emit, "workers", ", ".join(lost)) as at:
            for name in lost:
                join_worker(self.engine, api, made.spec, name, made.addresses[name], at.progress)

    def _ensure_kubeconfig(self, spec: ClusterSpec, *, use: bool) -> bool:
        changed = False
        if not kubeconfig.usable(self.paths.kubeconfig, spec.context):
            kubeconfig.clear(self.paths.kubeconfig)
            self.kind.export_kubeconfig(spec, self.paths.kubeconfig)
            changed = True
        return self._merge_kubeconfig(spec, use=use) or changed

    def _merge_kubeconfig(self, spec: ClusterSpec, *, use: bool) -> bool:
        target = kubeconfig.users_file()
        if target == self.paths.kubeconfig:
            return False
        own = kubeconfig.read(self.paths.kubeconfig)
        try:
            theirs = kubeconfig.read(target)
            if not kubeconfig.belongs(theirs, own, spec.context):
                raise kubeconfig.UnreadableKubeconfigError(f"its context {spec.context} is somebody else's")
            wanted = kubeconfig.merged(theirs, own, spec.context, use=use)
            if wanted == theirs:
                return False
            kubeconfig.write(target, wanted)
        except (kubeconfig.UnreadableKubeconfigError, OSError) as error:
            self._leave_alone(target, error)
            return False
        return True

    def _leave_alone(self, target: Path, error: Exception) -> None:
        self.emit(Notice(Level.WARNING, f"{target} is left alone: {error}; use `rehearsal env`"))

    def _ensure_node_network(self, made: Record, api: Api) -> bool:
        spec = made.spec
        ranges = self._pod_ranges(made, api)
        changed = False
        for name in spec.node_names:
            wanted = network_config(spec, name, ranges)
            said = self.engine.execute(name, ["node-network", "ensure"], stdin=wanted)
            changed |= said.strip() == "changed"

        def all_ready() -> bool:
            ready = {node.name for node in api.nodes() if node.ready}
            if waiting := [name for name in spec.node_names if name not in ready]:
                raise NotYet(f"not Ready: {', '.join(waiting)}")
            return True

        wait_until(
            "all nodes Ready", _patient(all_ready), timeout_seconds=_NODES_READY_SECONDS, hint=_STATUS_HINT
        )
        return changed

    def _pod_ranges(self, made: Record, api: Api) -> dict[str, tuple[IPv4Network, IPv4Address]]:
        def assigned() -> dict[str, tuple[IPv4Network, IPv4Address]]:
            # Empty for a moment after a node has joined.
            found = {node.name: node.pod_cidr for node in api.nodes()}
            known = {name: cidr for name in made.spec.node_names if (cidr := found.get(name))}
            if without := [name for name in made.spec.node_names if name not in known]:
                raise NotYet(f"no pod range yet for {', '.join(without)}")
            return {name: (cidr, made.addresses[name]) for name, cidr in known.items()}

        return wait_until(
            "pod ranges of all nodes", _patient(assigned), timeout_seconds=_API_SECONDS, hint=_STATUS_HINT
        )

    def _apply_addons(self, api: Api, spec: ClusterSpec) -> None:
        objects = addons.manifests(self.paths.root, spec, self.versions, resolvers=addons.host_resolvers())
        for one in objects:
            self._apply(api, one)

    def _apply(self, api: Api, manifest: Mapping[str, Any]) -> None:
        """Apply one object; on a busy machine a request may end before the API server has come to it."""

        def applied() -> bool:
            try:
                api.apply(manifest)
            except EnvironmentNotReadyError as error:
                if error.code != UNREACHABLE:
                    raise
                raise NotYet(error.message) from error
            return True

        what = f"{manifest['kind']} {manifest['metadata']['name']}"
        wait_until(what, applied, timeout_seconds=_API_SECONDS, hint=_STATUS_HINT)

    def _mend_addons(self, api: Api, spec: ClusterSpec, *, force: bool) -> bool:
        if not force and not self._missing_addons(api):
            return False
        self._apply_addons(api, spec)
        return True

    def _missing_addons(self, api: Api) -> list[str]:
        unready = addons.unready(api.workloads(addons.NAMESPACES))
        # The APIService may read Available while what answers is not metrics-server: ask for the metrics.
        return unready or ([] if _metrics_served(api) else [_METRICS])

    def _node_starts(self, spec: ClusterSpec) -> dict[str, datetime]:
        return {node.name: node.started for node in self.engine.nodes(spec.name) if node.started is not None}

    def _await_addons(
        self, api: Api, at: Step, node_starts: Mapping[str, datetime], *, with_metrics: bool
    ) -> None:
        """Wait for all add-ons, on nodes started then.

        On a new cluster not for the first metrics, which no other part waits for.
        """
        waived = set() if with_metrics else {"/".join(addons.METRICS_SERVER), _METRICS}

        def whole() -> bool:
            # A node that was started a moment ago is Ready, and so are its pods, until its kubelet speaks.
            missing = addons.unsettled(api.pods(addons.NAMESPACES), node_starts) if node_starts else []
            missing += [name for name in self._missing_addons(api) if name not in waived]
            if missing:
                at.progress(f"waiting for {', '.join(missing)}")
                raise NotYet(f"not ready: {', '.join(missing)}")
            return True

        wait_until(
            "the cluster's add-ons", _patient(whole), timeout_seconds=_ADDONS_READY_SECONDS, hint=_STATUS_HINT
        )

    # Removing

    def _remove_nodes(self, spec: ClusterSpec) -> None:
        for node in self.engine.nodes(spec.name):
            self.engine.remove(node.name, volumes=True)
        record.forget(self.paths.state)

    def _remove_all(self, spec: ClusterSpec, *, registry_data: bool) -> bool:
        nodes: Sequence[object] = self.engine.nodes(spec.name)
        network = self._network(spec)
        with step(self.emit, "cluster down") as at:
            self._remove_nodes(spec)
            self.registry.remove(spec, data=registry_data)
            self.engine.remove_network(spec.network)
            self._forget_kubeconfig(spec)
            if not nodes and network is None:
                at.unchanged("nothing was there")
        return bool(nodes) or network is not None

    def _forget_kubeconfig(self, spec: ClusterSpec) -> None:
        own, target = self.paths.kubeconfig, kubeconfig.users_file()
        try:
            mine = kubeconfig.read(own)
        except kubeconfig.UnreadableKubeconfigError:
            mine = {}  # the mark tells, too
        try:
            theirs = kubeconfig.read(target)
            # Only what we wrote: the same name may by now belong to somebody else's cluster.
            if kubeconfig.belongs(theirs, mine, spec.context):
                remaining = kubeconfig.without(theirs, spec.context)
                if remaining != theirs:
                    kubeconfig.write(target, remaining)
        except (kubeconfig.UnreadableKubeconfigError, OSError) as error:
            self._leave_alone(target, error)
        kubeconfig.clear(own)


def _patient(probe: Callable[[], T]) -> Callable[[], T]:
    """Return a probe for which a hiccup of the API server is "not yet": it was ready before."""

    def ask() -> T:
        try:
            return probe()
        except EnvironmentNotReadyError as error:
            raise NotYet(error.message) from error

    return ask


def _metrics_served(api: Api) -> bool:
    try:
        answer = api.get(addons.METRICS_PATH)
    except EnvironmentNotReadyError:
        # 503 for as long as the API server does not reach metrics-server.
        return False
    return bool(answer and answer.get("items"))


def _absent() -> EnvironmentNotReadyError:
    return EnvironmentNotReadyError(
        "CLUSTER_ABSENT", "there is no cluster", hint="Make one: rehearsal cluster up"
    )
