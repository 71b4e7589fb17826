"""Every situation that `up`, `repair` and `down` can find, and what it is called."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from rehearsal.cluster.assessment import OWNER_LABEL, State, assess
from rehearsal.cluster.facts import ContainerFacts, ContainerState, NetworkFacts
from rehearsal.cluster.plan import ClusterSpec
from rehearsal.cluster.record import Phase, Record
from rehearsal.core.timing import Timing

from tests.cluster.ground import planned

WANTED = planned("full")
ADDRESSES = {name: IPv4Address(f"172.30.0.{at + 2}") for at, name in enumerate(WANTED.node_names)}
READY = Record(WANTED, Phase.READY, ADDRESSES)
OURS = NetworkFacts(WANTED.network, WANTED.ranges.docker, {OWNER_LABEL: WANTED.name})
THEIRS = replace(OURS, labels={})
ANOTHER_S = replace(OURS, labels={OWNER_LABEL: "second"})
CONTROL_PLANE, WORKER, WORKER2 = WANTED.node_names


def _node(
    name: str, state: ContainerState = ContainerState.RUNNING, network: str | None = OURS.name
) -> ContainerFacts:
    addresses = {network: ADDRESSES[name]} if network else {}
    return ContainerFacts(name=name, id=name, state=state, addresses=addresses, image="node")


NODES = [_node(name) for name in WANTED.node_names]


def _made(spec: ClusterSpec, phase: Phase = Phase.READY) -> Record:
    return Record(spec, phase, ADDRESSES)


@pytest.mark.parametrize(
    ("state", "record", "nodes", "network"),
    [
        pytest.param(State.ABSENT, None, [], None, id="nothing"),
        pytest.param(State.ABSENT, None, [], OURS, id="our-network-was-left"),
        pytest.param(State.ABSENT, READY, [], None, id="all-removed-by-hand"),
        pytest.param(
            State.ABSENT, _made(WANTED, Phase.CREATING), [], OURS, id="cut-off-before-the-first-node"
        ),
        pytest.param(State.FOREIGN, None, NODES, None, id="nodes-without-our-network"),
        pytest.param(State.FOREIGN, None, NODES, THEIRS, id="nodes-on-a-network-without-label"),
        pytest.param(State.FOREIGN, None, [], THEIRS, id="network-without-label"),
        pytest.param(State.FOREIGN, None, [], ANOTHER_S, id="network-of-another-cluster-of-ours"),
        pytest.param(State.FOREIGN, READY, NODES, THEIRS, id="record-does-not-make-it-ours"),
        pytest.param(
            State.FOREIGN,
            READY,
            [_node(CONTROL_PLANE, network="kind")],
            OURS,
            id="nodes-elsewhere-than-our-network",
        ),
        pytest.param(
            State.FOREIGN, READY, [*NODES[:2], _node(WORKER2, network="kind")], OURS, id="one-node-elsewhere"
        ),
        pytest.param(State.UNFINISHED, None, NODES, OURS, id="record-missing"),
        pytest.param(State.UNFINISHED, _made(WANTED, Phase.CREATING), NODES, OURS, id="making-cut-off"),
        pytest.param(State.UNFINISHED, replace(READY, addresses={}), NODES, OURS, id="addresses-unknown"),
        pytest.param(
            State.UNFINISHED,
            _made(planned("light"), Phase.CREATING),
            NODES[:1],
            OURS,
            id="other-profile-cut-off",
        ),
        pytest.param(State.OTHER, _made(replace(WANTED, profile="mine")), NODES, OURS, id="other-profile"),
        pytest.param(State.OTHER, _made(planned("full", Timing.COMPRESSED)), NODES, OURS, id="other-timing"),
        pytest.param(State.OTHER, _made(replace(WANTED, ports=())), NODES, OURS, id="other-ports"),
        pytest.param(State.PRESENT, READY, NODES[:2], OURS, id="worker-missing"),
        pytest.param(State.INCOMPLETE, READY, NODES[1:], OURS, id="control-plane-missing"),
        pytest.param(
            State.INCOMPLETE,
            READY,
            [_node(CONTROL_PLANE, ContainerState.DEAD), *NODES[1:]],
            OURS,
            id="control-plane-dead",
        ),
        pytest.param(
            State.INCOMPLETE,
            READY,
            [_node(CONTROL_PLANE, ContainerState.REMOVING), *NODES[1:]],
            OURS,
            id="control-plane-going",
        ),
        pytest.param(State.PRESENT, READY, NODES, OURS, id="whole"),
        pytest.param(State.PRESENT, _made(WANTED, Phase.CREATED), NODES, OURS, id="add-ons-missing"),
        pytest.param(
            State.PRESENT,
            READY,
            [_node(CONTROL_PLANE, ContainerState.EXITED), *NODES[1:]],
            OURS,
            id="stopped",
        ),
        pytest.param(
            State.PRESENT, READY, [_node(CONTROL_PLANE, ContainerState.PAUSED), *NODES[1:]], OURS, id="paused"
        ),
        pytest.param(
            State.PRESENT, READY, [*NODES[:2], _node(WORKER2, network=None)], OURS, id="cut-off-while-pinned"
        ),
        pytest.param(
            State.PRESENT,
            _made(replace(WANTED, node_image="rehearsal/node:0")),
            NODES,
            OURS,
            id="older-node-image",
        ),
    ],
)
def test_situation(
    state: State, record: Record | None, nodes: list[ContainerFacts], network: NetworkFacts | None
) -> None:
    assert assess(WANTED, record, nodes, network).state is state


def test_missing_workers_are_named() -> None:
    found = assess(WANTED, READY, NODES[:1], OURS)

    assert found.reason == "mambogo-worker is gone, mambogo-worker2 is gone"


def test_state_of_what_does_not_run_is_told() -> None:
    found = assess(WANTED, READY, [*NODES[:2], _node(WORKER2, ContainerState.PAUSED)], OURS)

    assert found.reason == "mambogo-worker2 is paused"
