"""Images, ports and Secrets on a machine of one's own."""

from __future__ import annotations

import re

import pytest
from rehearsal.core.catalogue import load
from rehearsal.deploy.certificates import Certificate
from rehearsal.deploy.credentials import Credentials, secret_manifests
from rehearsal.deploy.localising import Locality, localise
from rehearsal.deploy.manifests import containers

from tests.deploy.base import IMAGES, LOCAL, ROOT, base_objects, local_objects, rendered

CATALOGUE = load(ROOT)
HERE = localise(local_objects(), Locality.of(CATALOGUE, IMAGES))


def test_supplied_images_are_named_by_their_content() -> None:
    used = [container["image"] for container in containers(HERE)]
    assert {one for one in used if one.startswith("localhost:")} == set(IMAGES.values())


def test_every_other_image_is_one_of_ours() -> None:
    rest = [one["image"] for one in containers(HERE) if not one["image"].startswith("localhost:")]
    assert all(re.match(r"mambogo/[a-z-]+(:v1\.0\.0)?$", one) for one in rest)


def test_no_start_asks_the_registry_for_what_is_there() -> None:
    assert {one["imagePullPolicy"] for one in containers(HERE)} == {"IfNotPresent"}


def test_no_secret_is_deployed_by_tilt() -> None:
    assert [one for one in HERE if one["kind"] == "Secret"] == []


@pytest.mark.parametrize("profile", sorted(CATALOGUE.profiles))
def test_no_volume_goes_when_tilt_takes_down_what_it_applied(profile: str) -> None:
    claimed = [one["metadata"] for one in rendered(profile) if one["kind"] == "PersistentVolumeClaim"]
    assert claimed
    assert {one.get("annotations", {}).get("tilt.dev/down-policy") for one in claimed} == {"keep"}


def test_node_ports_come_from_the_catalogue() -> None:
    found = {
        (one["metadata"]["name"], port["name"]): port["nodePort"]
        for one in HERE
        if one["kind"] == "Service"
        for port in one["spec"].get("ports", ())
        if "nodePort" in port
    }
    ports = CATALOGUE.node_ports
    assert found == {
        ("cdn", "http"): ports.http,
        ("cdn", "https"): ports.https,
        ("keycloak", "http"): ports.identity,
        ("kafka-host", "kafka"): ports.kafka,
        ("payment-sandbox", "http"): ports.sandbox,
        ("prometheus", "http"): ports.prometheus,
        ("alertmanager", "http"): ports.alertmanager,
        ("victoria-logs", "http"): ports.logs,
        ("zipkin", "http"): ports.traces,
    }


def test_what_the_overlay_advertises_is_what_the_catalogue_publishes() -> None:
    text = "\n".join(path.read_text() for path in LOCAL.rglob("*.yaml"))
    advertised = {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", text)}
    assert advertised == {CATALOGUE.ports.identity, CATALOGUE.ports.kafka}


def test_every_secret_that_the_base_declares_is_made_with_its_keys() -> None:
    made = {
        (one["metadata"]["namespace"], one["metadata"]["name"]): set(one["data"])
        for one in secret_manifests(_ANY, _CERTIFICATE)
    }
    declared = [one for one in base_objects() if one["kind"] == "Secret"]
    assert declared
    for one in declared:
        metadata = one["metadata"]
        keys = set(metadata["annotations"]["mambogo.com/keys"].split(","))
        assert made[metadata["namespace"], metadata["name"]] == keys


def test_the_base_holds_no_value_of_a_secret() -> None:
    for one in base_objects():
        if one["kind"] == "Secret":
            assert set(one) == {"apiVersion", "kind", "metadata", "type"}


def test_every_secret_that_is_used_is_made() -> None:
    secrets = [one["metadata"] for one in secret_manifests(_ANY, _CERTIFICATE)]
    made = {(one["namespace"], one["name"]) for one in secrets}
    for one in local_objects():
        text = str(one)
        for name in re.findall(r"'secretKeyRef': \{'name': '([^']+)'|'secretName': '([^']+)'", text):
            assert (one["metadata"]["namespace"], "".join(name)) in made


_ANY = Credentials(*["x"] * len(Credentials.__slots__))
_CERTIFICATE = Certificate("x", "x")
