"""Looking at the cluster without changing it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rehearsal.cluster import addons, record
from rehearsal.cluster.api import Api
from rehearsal.cluster.engine import NodeEngine
from rehearsal.cluster.facts import ContainerFacts, ContainerState, NodeFacts, WorkloadFacts
from rehearsal.cluster.record import Phase, Record
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.paths import Paths

# Twice the slower resolution, and the start of the pod on a machine that is busy with the rest of the stack.
_FIRST_METRICS_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """What is there, and what is wrong with it."""

    made: Record | None
    containers: Sequence[ContainerFacts] = ()
    nodes: Sequence[NodeFacts] = ()
    workloads: Sequence[WorkloadFacts] = ()
    # Packets that left, or tried to leave, a node for where nothing of the cluster is; by node, by counter.
    way_out: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    problems: Sequence[str] = ()
    starting: Sequence[str] = ()  # not ready, and too young for that to be a problem

    @property
    def healthy(self) -> bool:
        """Whether a whole cluster is there."""
        return self.made is not None and not self.problems

    def as_record(self) -> dict[str, object]:
        """Return the status as JSON values."""
        spec = self.made.spec if self.made else None
        return {
            "healthy": self.healthy,
            "name": spec.name if spec else None,
            "profile": spec.profile if spec else None,
            "timing": spec.timing if spec else None,
            "context": spec.context if spec else None,
            "registry": spec.registry_name if spec else None,
            "nodes": {one.name: "Ready" if one.ready else "NotReady" for one in self.nodes},
            "containers": {one.name: one.state for one in self.containers},
            "workloads": {
                f"{one.namespace}/{one.name}": f"{one.ready}/{one.wanted}" for one in self.workloads
            },
            "way_out": {node: dict(counters) for node, counters in self.way_out.items()},
            "problems": list(self.problems),
            "starting": list(self.starting),
        }


def look(paths: Paths, engine: NodeEngine, connect_api: Callable[[Path, str], Api]) -> ClusterStatus:
    """Return the cluster's status; nothing is changed."""
    made = record.load(paths.state)
    if made is None:
        return ClusterStatus(None, problems=["there is no cluster: rehearsal cluster up"])
    containers = engine.nodes(made.spec.name)
    problems = _container_problems(made, containers)
    if problems:
        return ClusterStatus(made, containers, problems=problems)
    way_out, silent = _ways_out(engine, containers)
    problems += [*silent, *_leaks(way_out)]
    try:
        api = connect_api(paths.kubeconfig, made.spec.context)
        nodes, workloads = api.nodes(), api.workloads(addons.NAMESPACES)
    except EnvironmentNotReadyError as error:
        return ClusterStatus(made, containers, way_out=way_out, problems=[*problems, error.message])
    members = {one.name for one in nodes}
    problems += [f"{name} is not in the cluster" for name in made.spec.node_names if name not in members]
    problems += [f"node {one.name} is not Ready" for one in nodes if not one.ready]
    unready, metrics = addons.unready(workloads), _metrics_problems(api)
    starting: list[str] = []
    if _metrics_are_new(workloads):
        # Ready is metrics-server before the API server hands its metrics on.
        starting = [name for name in unready if name == "/".join(addons.METRICS_SERVER)] or metrics
        metrics = []
    problems += [f"{name} is not ready" for name in unready if name not in starting]
    problems += metrics
    return ClusterStatus(made, containers, nodes, workloads, way_out, problems, starting)


def render(found: ClusterStatus) -> str:
    """Return the status for people."""
    if found.made is None:
        return found.problems[0]
    spec = found.made.spec
    lines = [
        f"cluster   {spec.name}: profile {spec.profile}, timing {spec.timing}, context {spec.context}",
        f"registry  {spec.registry_name}",
        f"ranges    nodes {spec.ranges.docker}, pods {spec.ranges.pods}, services {spec.ranges.services}",
    ]
    lines += [
        f"node      {one.name}: {'Ready' if one.ready else 'NotReady'}, pods {one.pod_cidr}"
        for one in found.nodes
    ]
    if not found.nodes:
        lines += [f"node      {one.name}: container {one.state}" for one in found.containers]
    ready = sum(one.healthy for one in found.workloads)
    lines.append(f"add-ons   {ready} of {len(found.workloads)} ready")
    escaped = sum(counters["to_services"] + counters["to_pods"] for counters in found.way_out.values())
    refused = sum(counters["refused"] for counters in found.way_out.values())
    lines.append(
        f"way out   {escaped} packets to pod or service ranges left a node, {refused} to elsewhere refused"
    )
    lines += [f"starting  {name}" for name in found.starting]
    lines += [f"PROBLEM   {problem}" for problem in found.problems]
    if found.problems:
        lines.append("next      rehearsal cluster repair")
    return "\n".join(lines)


def _container_problems(made: Record, containers: Sequence[ContainerFacts]) -> list[str]:
    there = {one.name for one in containers}
    problems = [f"node container {name} is gone" for name in made.spec.node_names if name not in there]
    problems += [
        f"{one.name} is {one.state}" for one in containers if one.state is not ContainerState.RUNNING
    ]
    if made.phase is Phase.CREATING:
        problems.append("its making was cut off: rehearsal cluster up")
    return problems


def _metrics_are_new(workloads: Sequence[WorkloadFacts]) -> bool:
    """Return whether metrics-server is too young for it to be a problem that there are no metrics."""
    now = datetime.now(UTC)
    return any(
        one.created is not None and (now - one.created).total_seconds() < _FIRST_METRICS_SECONDS
        for one in workloads
        if (one.namespace, one.name) == addons.METRICS_SERVER
    )


def _metrics_problems(api: Api) -> list[str]:
    try:
        metrics = api.get(addons.METRICS_PATH)
    except EnvironmentNotReadyError as error:
        # Without a pod behind it, the path answers 503; the nodes and the other add-ons may well be whole.
        return [error.message]
    return [] if metrics and metrics.get("items") else ["metrics.k8s.io answers without metrics"]


def _ways_out(
    engine: NodeEngine, containers: Sequence[ContainerFacts]
) -> tuple[dict[str, dict[str, int]], list[str]]:
    """Return the counters of each node that tells them, and a problem for each that does not."""
    found: dict[str, dict[str, int]] = {}
    problems = []
    for one in containers:
        try:
            found[one.name] = parse_counters(engine.execute(one.name, ["node-network", "status"]))
        except EnvironmentNotReadyError:
            problems.append(f"{one.name}: its network guard is gone or does not answer")
    return found, problems


def _leaks(way_out: Mapping[str, Mapping[str, int]]) -> list[str]:
    return [
        f"{node}: {count} packets left the node by {name}"
        for node, counters in way_out.items()
        for name, count in counters.items()
        if name != "refused" and count
    ]


def parse_counters(listing: str) -> dict[str, int]:
    """Return the packets by counter of what `node-network status` says."""
    counters = [one["counter"] for one in json.loads(listing)["nftables"] if "counter" in one]
    return {one["name"]: int(one["packets"]) for one in counters}
