"""Kafka's brokers: one, as the overlay has it, and three."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

import pytest
from rehearsal.core.catalogue import load
from rehearsal.core.errors import ConfigurationError
from rehearsal.deploy.brokers import Brokers, add_brokers
from rehearsal.deploy.localising import Locality, localise
from rehearsal.deploy.manifests import Manifest, named
from rehearsal.deploy.scaling import Scale, scale

from tests.deploy.base import IMAGES, ROOT, local_objects, rendered

CATALOGUE = load(ROOT)
SINGLE = [name for name, profile in CATALOGUE.profiles.items() if profile.brokers == 1]


def _kafka(objects: list[Manifest]) -> Manifest:
    spec: Manifest = named(objects, "StatefulSet", "kafka")["spec"]
    return spec


def _environment(objects: list[Manifest], kind: str, name: str, number: int = 0) -> dict[str, str]:
    """Return a container's variables as the kubelet sets them in the pod of this number."""
    fields = {
        "metadata.name": f"{name}-{number}",
        "metadata.labels['apps.kubernetes.io/pod-index']": str(number),
    }
    known: dict[str, str] = {}
    for one in named(objects, kind, name)["spec"]["template"]["spec"]["containers"][0]["env"]:
        value = one["value"] if "value" in one else fields[one["valueFrom"]["fieldRef"]["fieldPath"]]
        known[one["name"]] = re.sub(r"\$\((\w+)\)", lambda found: known.get(found[1], found[0]), value)
    return known


def _listener(environment: dict[str, str], name: str) -> str:
    listeners = environment["KAFKA_CFG_ADVERTISED_LISTENERS"].split(",")
    return dict(one.split("://") for one in listeners)[name]


def _services(objects: list[Manifest]) -> dict[str, dict[str, Any]]:
    return {
        one["metadata"]["name"]: one["spec"]
        for one in objects
        if one["kind"] == "Service" and one["metadata"]["name"].startswith("kafka-")
    }


FULL = rendered("full")


@pytest.mark.parametrize("profile", SINGLE)
def test_a_profile_with_one_broker_is_rendered_as_the_overlay_has_it(profile: str) -> None:
    local = localise(local_objects(), Locality.of(CATALOGUE, IMAGES))
    assert rendered(profile) == scale(local, Scale.of(CATALOGUE, profile))


def test_light_and_standard_have_one_broker_and_full_has_three() -> None:
    assert [_kafka(rendered(profile))["replicas"] for profile in ("light", "standard", "full")] == [1, 1, 3]


def test_the_given_objects_stay_as_they_are() -> None:
    given = localise(local_objects(), Locality.of(CATALOGUE, IMAGES))
    before = deepcopy(given)
    add_brokers(given, Brokers.of(CATALOGUE, "full"))
    assert given == before


def test_an_unknown_profile_has_no_brokers() -> None:
    with pytest.raises(ConfigurationError, match="no profile 'huge'"):
        Brokers.of(CATALOGUE, "huge")


def test_every_broker_votes_under_the_name_of_its_pod() -> None:
    voters = _environment(FULL, "StatefulSet", "kafka")["KAFKA_CFG_CONTROLLER_QUORUM_VOTERS"].split(",")
    assert voters == [f"{n}@kafka-{n}.kafka.mambogo-managed.svc.cluster.local:9093" for n in range(3)]


@pytest.mark.parametrize("number", range(3))
def test_a_broker_names_its_own_service_to_pods_and_its_own_port_to_the_host(number: int) -> None:
    environment = _environment(FULL, "StatefulSet", "kafka", number)
    name, port = _listener(environment, "PLAINTEXT").split(":")
    assert _services(FULL)[name.partition(".")[0]]["selector"] == _pod(number)
    assert port == "9092"
    published = CATALOGUE.ports.model_dump()[CATALOGUE.brokers("full")[number]]
    assert _listener(environment, "HOST") == f"127.0.0.1:{published}"


@pytest.mark.parametrize("profile", ["light", "standard", "full"])
def test_brokers_of_a_cluster_with_other_ports_name_those(profile: str) -> None:
    moved = {"kafka": 29092, "kafka_1": 29192, "kafka_2": 29292}
    catalogue = CATALOGUE.model_copy(update={"ports": CATALOGUE.ports.model_copy(update=moved)})
    brokers = Brokers.of(catalogue, profile)

    objects = add_brokers(local_objects(), brokers)

    named_ports = [
        _listener(_environment(objects, "StatefulSet", "kafka", number), "HOST")
        for number in range(len(brokers.node_ports))
    ]
    assert named_ports == [f"127.0.0.1:{moved[name]}" for name in catalogue.brokers(profile)]


@pytest.mark.parametrize(("number", "service"), [(0, "kafka-host"), (1, "kafka-host-1"), (2, "kafka-host-2")])
def test_the_port_of_a_broker_leads_to_it_alone(number: int, service: str) -> None:
    spec = _services(FULL)[service]
    assert (spec["type"], spec["selector"]) == ("NodePort", _pod(number))
    node_port = CATALOGUE.node_ports.model_dump()[CATALOGUE.brokers("full")[number]]
    assert spec["ports"] == [{"name": "kafka", "port": 19092, "targetPort": "host", "nodePort": node_port}]


def test_clients_in_the_cluster_begin_at_any_broker() -> None:
    assert _services(FULL)["kafka-bootstrap"]["selector"] == {"app": "kafka"}


def test_whatever_one_broker_keeps_once_three_keep_three_times_and_acknowledge_after_two() -> None:
    environment = _environment(FULL, "StatefulSet", "kafka")
    text = (ROOT / "images" / "kafka" / "server.properties").read_text(encoding="utf-8")
    alone = re.findall(r"^(\S*replication\.factor|\S*min\.\S*)=1$", text, re.MULTILINE)
    assert len(alone) == 7
    for key in alone:
        wanted = "3" if key.endswith("factor") else "2"
        assert environment[f"KAFKA_CFG_{key.replace('.', '_').upper()}"] == wanted


def test_topics_are_made_as_in_production() -> None:
    assert _environment(FULL, "Job", "topics")["REPLICATION_FACTOR"] == "3"
    assert _environment(rendered("standard"), "Job", "topics")["REPLICATION_FACTOR"] == "1"


def test_brokers_go_to_a_node_each_the_control_plane_s_included() -> None:
    pod = _kafka(FULL)["template"]["spec"]
    (spread,) = pod["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == (
        "kubernetes.io/hostname",
        "ScheduleAnyway",
    )
    assert (
        spread["labelSelector"]["matchLabels"].items()
        <= _kafka(FULL)["template"]["metadata"]["labels"].items()
    )
    (toleration,) = pod["tolerations"]
    assert toleration["key"] == "node-role.kubernetes.io/control-plane"


def test_drained_nodes_leave_two_brokers() -> None:
    budget = named(FULL, "PodDisruptionBudget", "kafka")
    assert budget["metadata"]["namespace"] == "mambogo-managed"
    assert budget["spec"] == {"maxUnavailable": 1, "selector": _kafka(FULL)["selector"]}


def test_two_brokers_are_possible_too() -> None:
    two = add_brokers(
        localise(local_objects(), Locality.of(CATALOGUE, IMAGES)), Brokers("19{}92", (30092, 30192))
    )
    environment = _environment(two, "StatefulSet", "kafka", 1)
    assert environment["KAFKA_CFG_CONTROLLER_QUORUM_VOTERS"].count("@") == 2
    assert (
        environment["KAFKA_CFG_DEFAULT_REPLICATION_FACTOR"],
        environment["KAFKA_CFG_MIN_INSYNC_REPLICAS"],
    ) == (
        "2",
        "1",
    )
    assert "kafka-2" not in _services(two)


def _pod(number: int) -> dict[str, str]:
    return {"statefulset.kubernetes.io/pod-name": f"kafka-{number}"}
