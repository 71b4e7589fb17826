"""What the cluster layer relies on of an engine; the fake and the real adapter both have to keep it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Protocol

import pytest
from docker.errors import APIError
from rehearsal.cluster.engine import DockerNodeEngine, NodeEngine, connect
from rehearsal.cluster.facts import ContainerState, NetworkFacts
from rehearsal.cluster.host import host_ranges
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.waiting import NotYet, wait_until

from tests.cluster.fakes import FakeNodeEngine
from tests.cluster.machine import KIND_CLUSTER_LABEL, Machine

if TYPE_CHECKING:
    from docker import DockerClient

CLUSTER = f"contract-{os.getpid()}"
NETWORK = f"{CLUSTER}-network"
IMAGE = "rehearsal/debian:bookworm"
LABELS = {"owner": CLUSTER}


class Bench(Protocol):
    """An engine, and what is done to its containers from outside."""

    engine: NodeEngine
    subnet: IPv4Network

    def make(self, name: str, *, cluster: str = CLUSTER) -> str:
        """Create a container with kind's label on the network; return its full name."""

    def clone(self, like: str, name: str, labels: dict[str, str], address: IPv4Address) -> str:
        """Let the engine clone a container; return the clone's full name."""

    def stop(self, name: str) -> None:
        """Stop a container by hand."""

    def pause(self, name: str) -> None:
        """Pause a container by hand."""


class FakeBench:
    """The engine in memory."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.engine: NodeEngine = FakeNodeEngine(self.machine)
        self.subnet = IPv4Network("10.77.0.0/24")

    def make(self, name: str, *, cluster: str = CLUSTER) -> str:
        """Create a container with kind's label on the network; return its full name."""
        full = f"{CLUSTER}-{name}"
        self.machine.create(full, image=IMAGE, labels={KIND_CLUSTER_LABEL: cluster}, network=NETWORK)
        return full

    def clone(self, like: str, name: str, labels: dict[str, str], address: IPv4Address) -> str:
        """Let the engine clone a container; return the clone's full name."""
        self.engine.clone(like, f"{CLUSTER}-{name}", labels, NETWORK, address)
        return f"{CLUSTER}-{name}"

    def stop(self, name: str) -> None:
        """Stop a container by hand."""
        self.machine.stop(name)

    def pause(self, name: str) -> None:
        """Pause a container by hand."""
        self.machine.pause(name)


class DockerBench:
    """The real engine, with containers that do nothing."""

    def __init__(self, client: DockerClient) -> None:
        self.client = client
        self.engine: NodeEngine = DockerNodeEngine(client)
        self.made: list[str] = []
        taken = [*host_ranges(), *(one.subnet for one in self.engine.networks() if one.subnet)]
        candidates = list(IPv4Network("10.64.0.0/10").subnets(new_prefix=24))
        # Each worker begins elsewhere: two that look at the same moment would choose the same range.
        begin = os.getpid() % len(candidates)
        turn = [*candidates[begin:], *candidates[:begin]]
        self.subnet = next(one for one in turn if not any(one.overlaps(other) for other in taken))

    def make(self, name: str, *, cluster: str = CLUSTER) -> str:
        """Create a container with kind's label on the network; return its full name."""
        full = f"{CLUSTER}-{name}"
        self.client.containers.create(
            IMAGE,
            ["sleep", "infinity"],
            name=full,
            labels={KIND_CLUSTER_LABEL: cluster},
            network=NETWORK,
            init=True,
        )
        self.made.append(full)
        return full

    def clone(self, like: str, name: str, labels: dict[str, str], address: IPv4Address) -> str:
        """Let the engine clone a container; return the clone's full name."""
        full = f"{CLUSTER}-{name}"
        self.made.append(full)
        self.engine.clone(like, full, labels, NETWORK, address)
        return full

    def stop(self, name: str) -> None:
        """Stop a container by hand."""
        self.client.containers.get(name).stop(timeout=5)

    def pause(self, name: str) -> None:
        """Pause a container by hand."""
        container = self.client.containers.get(name)

        def freeze() -> bool:
            try:
                container.pause()
            except APIError as error:
                # cgroup v1's freezer gives up on processes that are just being made.
                if "unable to freeze" in str(error):
                    raise NotYet(str(error)) from error
                raise
            return True

        wait_until(f"{name} to be frozen", freeze, timeout_seconds=60, hint="")

    def clean(self) -> None:
        """Remove what was made here."""
        for name in self.made:
            self.engine.remove(name, volumes=True)
        self.engine.remove_network(NETWORK)


@pytest.fixture(
    params=["fake", pytest.param("docker", marks=[pytest.mark.engine, pytest.mark.enable_socket])]
)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Yield an engine with a network of the test's own."""
    if request.param == "fake":
        fake = FakeBench()
        fake.engine.create_network(NETWORK, fake.subnet, LABELS)
        yield fake
        return
    client = connect()
    docker = DockerBench(client)
    try:
        docker.engine.create_network(NETWORK, docker.subnet, LABELS)
        yield docker
    finally:
        docker.clean()
        client.close()


def _state(bench: Bench, name: str) -> ContainerState:
    found = bench.engine.container(name)
    assert found
    return found.state


def _running(bench: Bench, name: str) -> str:
    full = bench.make(name)
    bench.engine.start(full)
    return full


def test_network_is_listed_as_it_was_made(bench: Bench) -> None:
    assert [one for one in bench.engine.networks() if one.name == NETWORK] == [
        NetworkFacts(NETWORK, bench.subnet, LABELS)
    ]


def test_network_of_the_same_name_is_refused(bench: Bench) -> None:
    with pytest.raises(EnvironmentNotReadyError):
        bench.engine.create_network(NETWORK, IPv4Network("10.127.255.0/24"), {})


def test_network_with_the_same_range_is_refused(bench: Bench) -> None:
    with pytest.raises(EnvironmentNotReadyError):
        bench.engine.create_network(f"{NETWORK}-2", bench.subnet, {})


def test_network_with_a_running_member_is_not_removed(bench: Bench) -> None:
    _running(bench, "a")

    with pytest.raises(EnvironmentNotReadyError):
        bench.engine.remove_network(NETWORK)


def test_network_is_removed_once(bench: Bench) -> None:
    bench.engine.remove_network(NETWORK)
    bench.engine.remove_network(NETWORK)

    assert NETWORK not in [one.name for one in bench.engine.networks()]


def test_nodes_of_one_cluster_are_listed_by_name_whatever_their_state(bench: Bench) -> None:
    second, first = bench.make("b"), _running(bench, "a")
    bench.make("c", cluster=f"{CLUSTER}-other")

    found = bench.engine.nodes(CLUSTER)

    assert [(one.name, one.state) for one in found] == [
        (first, ContainerState.RUNNING),
        (second, ContainerState.CREATED),
    ]


def test_container_tells_its_network_before_it_has_an_address(bench: Bench) -> None:
    found = bench.engine.container(bench.make("a"))

    assert found
    assert (dict(found.addresses), dict(found.pinned)) == ({NETWORK: None}, {})


def test_running_container_has_an_address_that_is_not_pinned(bench: Bench) -> None:
    found = bench.engine.container(_running(bench, "a"))

    assert found
    assert found.addresses[NETWORK] in bench.subnet
    assert found.pinned == {}


def test_absent_container_is_none(bench: Bench) -> None:
    assert bench.engine.container(f"{CLUSTER}-nowhere") is None


def test_disconnected_container_is_on_no_network(bench: Bench) -> None:
    name = _running(bench, "a")

    bench.engine.disconnect(name, NETWORK)
    bench.engine.disconnect(name, NETWORK)

    found = bench.engine.container(name)
    assert found
    assert found.addresses == {}


@pytest.mark.parametrize("state", ["running", "stopped", "paused"])
def test_pinned_address_outlives_a_restart(bench: Bench, state: str) -> None:
    name = _running(bench, "a")
    address = bench.subnet[77]
    if state == "stopped":
        bench.stop(name)
    bench.engine.disconnect(name, NETWORK)
    bench.engine.connect(name, NETWORK, address)
    if state == "paused":
        bench.pause(name)
        bench.engine.unpause(name)

    bench.stop(name) if state != "stopped" else None
    bench.engine.start(name)

    found = bench.engine.container(name)
    assert found
    assert (found.addresses[NETWORK], found.pinned[NETWORK]) == (address, address)


def test_address_of_another_is_refused(bench: Bench) -> None:
    first, second = _running(bench, "a"), _running(bench, "b")
    found = bench.engine.container(first)
    assert found
    address = found.addresses[NETWORK]
    assert address
    bench.engine.disconnect(second, NETWORK)

    with pytest.raises(EnvironmentNotReadyError):
        bench.engine.connect(second, NETWORK, address)


def test_addresses_can_be_swapped_when_both_are_cut_off_first(bench: Bench) -> None:
    names = [_running(bench, "a"), _running(bench, "b")]
    held = [one.addresses[NETWORK] for one in bench.engine.nodes(CLUSTER)]
    for name in names:
        bench.engine.disconnect(name, NETWORK)
    for name, address in zip(names, reversed(held), strict=True):
        assert address
        bench.engine.connect(name, NETWORK, address)

    assert [one.addresses[NETWORK] for one in bench.engine.nodes(CLUSTER)] == held[::-1]


def test_connected_container_is_not_connected_again(bench: Bench) -> None:
    with pytest.raises(EnvironmentNotReadyError):
        bench.engine.connect(_running(bench, "a"), NETWORK, bench.subnet[77])


@pytest.mark.parametrize("work", ["disconnect", "connect"])
def test_absent_network_is_refused(bench: Bench, work: str) -> None:
    name = _running(bench, "a")
    more = [bench.subnet[77]] if work == "connect" else []

    with pytest.raises(EnvironmentNotReadyError):
        getattr(bench.engine, work)(name, f"{NETWORK}-nowhere", *more)


def test_stopped_container_is_started(bench: Bench) -> None:
    name = _running(bench, "a")
    bench.stop(name)
    assert _state(bench, name) is ContainerState.EXITED

    bench.engine.start(name)

    assert _state(bench, name) is ContainerState.RUNNING


def test_container_tells_when_it_was_started_last(bench: Bench) -> None:
    name = _running(bench, "a")
    first = bench.engine.container(name)
    assert first is not None
    bench.stop(name)

    bench.engine.start(name)

    again = bench.engine.container(name)
    assert again is not None
    assert first.started is not None
    assert again.started is not None
    assert again.started > first.started


def test_running_container_may_be_started(bench: Bench) -> None:
    name = _running(bench, "a")

    bench.engine.start(name)

    assert _state(bench, name) is ContainerState.RUNNING


def test_paused_container_is_unpaused(bench: Bench) -> None:
    name = _running(bench, "a")
    bench.pause(name)
    assert _state(bench, name) is ContainerState.PAUSED

    bench.engine.unpause(name)

    assert _state(bench, name) is ContainerState.RUNNING


def test_paused_container_is_not_started(bench: Bench) -> None:
    name = _running(bench, "a")
    bench.pause(name)

    with pytest.raises(EnvironmentNotReadyError):
        bench.engine.start(name)


def test_running_container_is_not_unpaused(bench: Bench) -> None:
    with pytest.raises(EnvironmentNotReadyError):
        bench.engine.unpause(_running(bench, "a"))


@pytest.mark.parametrize("work", ["start", "unpause"])
def test_absent_container_is_refused(bench: Bench, work: str) -> None:
    with pytest.raises(EnvironmentNotReadyError):
        getattr(bench.engine, work)(f"{CLUSTER}-nowhere")


def test_container_is_removed_while_it_runs_and_only_once(bench: Bench) -> None:
    name = _running(bench, "a")

    bench.engine.remove(name, volumes=True)
    bench.engine.remove(name, volumes=True)

    assert bench.engine.container(name) is None


def test_clone_is_a_node_of_the_same_cluster_with_an_address_of_its_own(bench: Bench) -> None:
    model, address = _running(bench, "a"), bench.subnet[77]
    name = bench.clone(model, "b", {"role": "worker"}, address)

    found = bench.engine.container(name)
    original = bench.engine.container(model)
    assert found
    assert original
    assert (found.state, found.addresses[NETWORK], found.pinned[NETWORK]) == (
        ContainerState.RUNNING,
        address,
        address,
    )
    assert found.labels == {**original.labels, "role": "worker"}
    assert [one.name for one in bench.engine.nodes(CLUSTER)] == [model, name]


def test_clone_of_what_is_not_there_is_refused(bench: Bench) -> None:
    with pytest.raises(EnvironmentNotReadyError):
        bench.clone(f"{CLUSTER}-nowhere", "b", {}, bench.subnet[77])


def test_clone_under_a_name_in_use_is_refused(bench: Bench) -> None:
    model = _running(bench, "a")

    with pytest.raises(EnvironmentNotReadyError):
        bench.clone(model, "a", {}, bench.subnet[77])


@pytest.mark.parametrize("text", ["", "one\n", "quotes ' \" $HOME `x` \\n\nsecond line"])
def test_program_gets_its_input_as_it_is(bench: Bench, text: str) -> None:
    assert bench.engine.execute(_running(bench, "a"), ["cat"], stdin=text) == text


def test_program_that_fails_is_reported(bench: Bench) -> None:
    with pytest.raises(EnvironmentNotReadyError) as caught:
        bench.engine.execute(_running(bench, "a"), ["false"])

    assert caught.value.code == "NODE_COMMAND_FAILED"


def test_program_that_fails_on_its_input_is_reported(bench: Bench) -> None:
    with pytest.raises(EnvironmentNotReadyError):
        bench.engine.execute(_running(bench, "a"), ["false"], stdin="x")


def test_program_answers_line_by_line(bench: Bench) -> None:
    with bench.engine.converse(_running(bench, "a"), ["cat"]) as ask:
        assert [ask("one"), ask("two words")] == ["one", "two words"]


def test_program_that_has_ended_answers_nothing(bench: Bench) -> None:
    with (
        bench.engine.converse(_running(bench, "a"), ["true"]) as ask,
        pytest.raises(EnvironmentNotReadyError) as caught,
    ):
        ask("one")

    assert caught.value.code == "NODE_SILENT"


def test_nobody_answers_in_a_container_that_does_not_run(bench: Bench) -> None:
    with (
        pytest.raises(EnvironmentNotReadyError),
        bench.engine.converse(bench.make("a"), ["cat"]),
    ):
        pass


def test_nothing_runs_in_a_container_that_does_not(bench: Bench) -> None:
    with pytest.raises(EnvironmentNotReadyError):
        bench.engine.execute(bench.make("a"), ["cat"])


def test_nothing_runs_in_an_absent_container(bench: Bench) -> None:
    with pytest.raises(EnvironmentNotReadyError):
        bench.engine.execute(f"{CLUSTER}-nowhere", ["cat"])
