"""Judging what is there against what should be: pure, so that every bad situation is a line in a test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rehearsal.cluster.facts import ContainerFacts, ContainerState, NetworkFacts
from rehearsal.cluster.plan import ClusterSpec
from rehearsal.cluster.record import Phase, Record

OWNER_LABEL = "dev.mambogo.rehearsal"

# The engine cannot start what is in these states.
LOST = (ContainerState.DEAD, ContainerState.REMOVING)
# What profile and timing stand for, as far as rehearsal.toml can change it under the same names.
_SETTINGS = (
    "workers",
    "egress",
    "registry_port",
    "ports",
    "controller_manager",
    "metrics_resolution_seconds",
)


class State(StrEnum):
    """What is to be done with what is there."""

    ABSENT = "absent"  # nothing is there: make it
    FOREIGN = "foreign"  # somebody else made a cluster of this name: touch nothing
    OTHER = "other"  # ours, of another profile or timing: refuse, and say how to replace it
    UNFINISHED = "unfinished"  # its making was cut off before it could be relied on: make it anew
    INCOMPLETE = "incomplete"  # ours, but the control plane is gone, and the cluster's data with it
    PRESENT = "present"  # ours; may need repair


@dataclass(frozen=True, slots=True)
class Assessment:
    """What is there, in one word, and in one sentence why."""

    state: State
    reason: str


def assess(
    wanted: ClusterSpec,
    record: Record | None,
    nodes: Sequence[ContainerFacts],
    network: NetworkFacts | None,
) -> Assessment:
    """Return what is to be done with the cluster named `wanted.name`.

    `network` is the Docker network of the project's name, if there is one. Only containers on a network that
    carries the project's label are the project's own; one such network that an earlier cluster left does not
    make somebody else's nodes ours.
    """
    owned = network is not None and network.labels.get(OWNER_LABEL) == wanted.name
    # A node of ours that was cut off while its address was pinned is on no network at all.
    elsewhere = any(node.addresses and wanted.network not in node.addresses for node in nodes)
    if nodes and (not owned or elsewhere):
        return Assessment(
            State.FOREIGN, f"a kind cluster {wanted.name!r} is there that this project did not make"
        )
    if network is not None and not owned:
        return Assessment(
            State.FOREIGN, f"a Docker network {wanted.network!r} is there that this project did not make"
        )
    if not nodes:
        return Assessment(State.ABSENT, "no node container is there")
    if record is None:
        return Assessment(State.UNFINISHED, "its record is missing or unreadable")
    if record.phase is Phase.CREATING:
        return Assessment(State.UNFINISHED, "its making was cut off")
    if set(record.addresses) != set(record.spec.node_names):
        return Assessment(State.UNFINISHED, "its record does not name the address of each node")
    if difference := _difference(wanted, record.spec):
        return Assessment(State.OTHER, difference)
    names = {node.name for node in nodes if node.state not in LOST}
    missing = tuple(name for name in record.spec.node_names if name not in names)
    if record.spec.control_plane in missing:
        return Assessment(State.INCOMPLETE, f"{', '.join(missing)} is gone")
    return Assessment(State.PRESENT, _condition(nodes, missing))


def _difference(wanted: ClusterSpec, made: ClusterSpec) -> str:
    """Return what was fixed when the cluster was made and is wanted otherwise now; ranges may differ."""
    if wanted.profile != made.profile:
        return f"it was made with profile {made.profile}, not {wanted.profile}"
    if wanted.timing != made.timing:
        return f"it was made with timing {made.timing}, not {wanted.timing}"
    changed = [name for name in _SETTINGS if getattr(wanted, name) != getattr(made, name)]
    return f"rehearsal.toml has changed since it was made: {', '.join(changed)}" if changed else ""


def _condition(nodes: Sequence[ContainerFacts], missing: Sequence[str]) -> str:
    troubles = [f"{node.name} is {node.state}" for node in nodes if node.state is not ContainerState.RUNNING]
    troubles += [f"{name} is gone" for name in missing if name not in {node.name for node in nodes}]
    return ", ".join(troubles) or "all node containers run"
