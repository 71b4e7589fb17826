"""The cluster's network: pods, Services, names, and that nothing leaves it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rehearsal.cluster.api import KubernetesApi
from rehearsal.cluster.engine import DockerNodeEngine, connect
from rehearsal.cluster.record import Record
from rehearsal.cluster.status import look, parse_counters
from rehearsal.core.paths import Paths
from rehearsal.core.waiting import NotYet, wait_until

from tests.live.bench import Bench

pytestmark = pytest.mark.cluster

# Answers every connection with its own name; perl is what a minimal Debian has.
_NAME_SERVER = (
    "$s=IO::Socket::INET->new(LocalPort=>8000,Listen=>99,ReuseAddr=>1) or die; "
    'while($c=$s->accept){print $c "$ENV{HOSTNAME}\\n";close $c}'
)


@pytest.fixture(scope="module")
def web(bench: Bench) -> Bench:
    """A server on every node."""
    bench.serve("web", _NAME_SERVER, on_every_node=True)
    return bench


def test_a_pod_reaches_the_pods_of_all_nodes(web: Bench, made: Record) -> None:
    addresses = web.addresses("web")
    assert len(addresses) == len(made.spec.node_names)
    asked = "; ".join(f"cat < /dev/tcp/{address}/8000" for address in addresses)
    assert len(set(web.run("pod-to-pod", asked).split())) == len(addresses)


def test_a_pod_reaches_a_service_by_its_name(web: Bench) -> None:
    name = f"web.{web.namespace}.svc.cluster.local"
    assert web.run("by-name", f"cat < /dev/tcp/{name}/80").startswith("web-")


def test_a_name_outside_the_cluster_is_refused_at_once(bench: Bench) -> None:
    said = bench.run("outside-name", "timeout 3 getent hosts example.invalid; echo code $?")
    assert said.split() == ["code", "2"]  # not found; 124 would be a wait


@pytest.fixture
def neighbour() -> Iterator[str]:
    """The address of a container of ours on another network: outside the cluster, yet our own."""
    container = connect().containers.run("rehearsal/debian:bookworm", ["sleep", "60"], detach=True)
    try:
        container.reload()
        yield str(container.attrs["NetworkSettings"]["IPAddress"])
    finally:
        container.remove(force=True)


def test_a_pod_does_not_reach_the_host(bench: Bench, made: Record) -> None:
    assert (
        _outcome_of_connecting(bench, "to-host", f"{made.spec.ranges.gateway}/{made.spec.registry_port}") == 1
    )


def test_a_pod_does_not_reach_another_network(bench: Bench, neighbour: str) -> None:
    assert _outcome_of_connecting(bench, "to-neighbour", f"{neighbour}/80") == 1


def test_no_packet_to_pod_or_service_ranges_left_a_node(web: Bench, folders: Paths, made: Record) -> None:
    node = DockerNodeEngine(connect())
    before = _counters(node, made)
    unused = str(made.spec.ranges.services.broadcast_address - 1)
    web.run("to-nowhere", f"timeout 3 bash -c 'echo > /dev/tcp/{unused}/80'; true")
    after = _counters(node, made)
    assert after["refused"] > before["refused"], "the probe did not reach the guard"
    assert (after["to_services"], after["to_pods"]) == (0, 0)

    def well() -> bool:
        if problems := look(folders, node, KubernetesApi).problems:
            raise NotYet("; ".join(problems))
        return True

    # metrics-server forgets a node for a round when its kubelet was too busy to answer in time.
    wait_until("a cluster without a problem", well, timeout_seconds=45, hint="rehearsal cluster status")


def test_nothing_was_pulled_from_outside(bench: Bench, made: Record) -> None:
    bench.run("pulled", "true")
    events = bench.core.list_event_for_all_namespaces(field_selector="reason=Pulling").items
    images = [event.message.split('"')[1] for event in events]
    assert images, "no event shows any pull: the check has nothing to look at"
    assert [image for image in images if not image.startswith(made.spec.registry_name)] == []


def _outcome_of_connecting(bench: Bench, pod: str, target: str) -> int:
    """Return 1 when the connection is refused at once; 124 would be a packet that got lost outside."""
    said = bench.run(pod, f"timeout 3 bash -c 'echo > /dev/tcp/{target}'; echo code $?")
    return int(said.split()[-1])


def _counters(engine: DockerNodeEngine, made: Record) -> dict[str, int]:
    total: dict[str, int] = {}
    for name in made.spec.node_names:
        for counter, packets in parse_counters(engine.execute(name, ["node-network", "status"])).items():
            total[counter] = total.get(counter, 0) + packets
    return total
