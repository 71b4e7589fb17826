"""The plan: free ranges, kind's configuration and the node network's, from the catalogue alone."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rehearsal.cluster.plan import Ranges, choose_ranges, kind_config, network_config
from rehearsal.core.catalogue import BROKERS
from rehearsal.core.errors import ConfigurationError, EnvironmentNotReadyError
from rehearsal.core.timing import Timing
from syrupy.assertion import SnapshotAssertion

from tests.cluster.ground import CATALOGUE, planned

DOCKER = CATALOGUE.network.docker_subnets
prefixes = st.integers(min_value=8, max_value=28)
networks = st.builds(
    lambda address, prefix: IPv4Network((address, prefix), strict=False),
    st.ip_addresses(v=4, network="172.16.0.0/12") | st.ip_addresses(v=4, network="10.0.0.0/8"),
    prefixes,
)


def _pods(spec_nodes: tuple[str, ...]) -> dict[str, tuple[IPv4Network, IPv4Address]]:
    return {
        name: (IPv4Network(f"10.244.{number}.0/24"), IPv4Address(f"172.30.0.{number + 2}"))
        for number, name in enumerate(spec_nodes)
    }


def test_first_candidates_are_taken_on_a_free_host() -> None:
    network = CATALOGUE.network

    assert choose_ranges(CATALOGUE, []) == Ranges(
        network.docker_subnets[0], network.pod_subnets[0], network.service_subnets[0]
    )


def test_candidate_that_overlaps_the_host_s_is_passed_over() -> None:
    assert choose_ranges(CATALOGUE, [IPv4Network("172.30.0.128/25")]).docker == DOCKER[1]


def test_candidate_inside_a_range_of_the_host_is_passed_over() -> None:
    assert choose_ranges(CATALOGUE, [IPv4Network("172.16.0.0/12")]).docker == DOCKER[2]


@pytest.mark.parametrize("key", ["docker_subnets", "pod_subnets", "service_subnets"])
def test_key_without_a_free_candidate_is_named(key: str) -> None:
    with pytest.raises(EnvironmentNotReadyError, match=f"network.{key} overlaps") as caught:
        choose_ranges(CATALOGUE, getattr(CATALOGUE.network, key))

    assert caught.value.code == "NO_FREE_RANGE"


@given(st.lists(networks, max_size=6))
def test_chosen_ranges_overlap_neither_the_host_nor_each_other(taken: list[IPv4Network]) -> None:
    try:
        chosen = choose_ranges(CATALOGUE, taken)
    except EnvironmentNotReadyError:
        return
    ranges = [chosen.docker, chosen.pods, chosen.services, *taken]

    assert not [
        (one, other) for at, one in enumerate(ranges[:3]) for other in ranges[at + 1 :] if one.overlaps(other)
    ]


def test_registry_s_address_is_in_the_range_and_far_from_those_that_docker_hands_out() -> None:
    ranges = planned().ranges

    assert ranges.registry == IPv4Address("172.30.0.249")
    assert ranges.gateway == IPv4Address("172.30.0.1")


@pytest.mark.parametrize(
    ("profile", "names"),
    [
        ("light", ("mambogo-control-plane",)),
        ("standard", ("mambogo-control-plane",)),
        ("full", ("mambogo-control-plane", "mambogo-worker", "mambogo-worker2")),
    ],
)
def test_nodes_are_named_as_kind_names_them(profile: str, names: tuple[str, ...]) -> None:
    assert planned(profile).node_names == names


def test_timing_that_is_asked_for_outranks_the_profile_s() -> None:
    assert planned("light", Timing.COMPRESSED).metrics_resolution_seconds == 10


def test_unknown_profile_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no profile 'huge'"):
        planned("huge")


@pytest.mark.parametrize(
    ("profile", "published"),
    [
        ("light", {19092: 30092}),
        ("standard", {19092: 30092}),
        ("full", {19092: 30092, 19192: 30192, 19292: 30292}),
    ],
)
def test_only_brokers_that_are_there_are_published(profile: str, published: dict[int, int]) -> None:
    brokers = {CATALOGUE.node_ports.model_dump()[name] for name in BROKERS}

    assert {port.host: port.node for port in planned(profile).ports if port.node in brokers} == published


@pytest.mark.parametrize("profile", ["light", "standard", "full"])
@pytest.mark.parametrize("timing", Timing)
def test_configuration_of_kind(profile: str, timing: Timing, snapshot: SnapshotAssertion) -> None:
    assert kind_config(planned(profile, timing)) == snapshot


@pytest.mark.parametrize("profile", ["light", "full"])
def test_network_configuration_of_the_first_node(profile: str, snapshot: SnapshotAssertion) -> None:
    spec = planned(profile)

    assert network_config(spec, spec.node_names[0], _pods(spec.node_names)) == snapshot


def test_each_node_has_every_other_as_its_peer() -> None:
    spec = planned("full")
    pods = _pods(spec.node_names)

    for name in spec.node_names:
        peers = {line for line in network_config(spec, name, pods).splitlines() if line.startswith("peer ")}
        assert peers == {f"peer {cidr} {at}" for other, (cidr, at) in pods.items() if other != name}


def test_egress_is_written_down() -> None:
    spec = replace(planned("light"), egress=True)

    assert "egress yes\n" in network_config(spec, spec.node_names[0], _pods(spec.node_names))
