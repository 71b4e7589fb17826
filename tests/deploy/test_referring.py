"""Secrets and ConfigMaps that pods name are there before anything is applied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rehearsal.core.catalogue import load
from rehearsal.core.errors import ConfigurationError
from rehearsal.deploy.certificates import Certificate
from rehearsal.deploy.credentials import Credentials, secret_manifests, secret_names
from rehearsal.deploy.manifests import Manifest, named, pod_spec
from rehearsal.deploy.referring import references, require_references

from tests.deploy.base import ROOT, rendered

CATALOGUE = load(ROOT)


def _pod(objects: list[Manifest]) -> Any:
    return pod_spec(named(objects, "Deployment", "order-service"))


def _env(objects: list[Manifest], source: dict[str, Any]) -> None:
    _pod(objects)["containers"][0]["env"].append({"name": "X", "valueFrom": source})


def _volume(objects: list[Manifest], volume: dict[str, Any]) -> None:
    _pod(objects).setdefault("volumes", []).append({"name": "x", **volume})


PLANTED: dict[str, tuple[Callable[[list[Manifest]], object], str]] = {
    "secret": (
        lambda all_: _env(all_, {"secretKeyRef": {"name": "orders-databse", "key": "k"}}),
        "Secret orders-databse",
    ),
    "config-map": (
        lambda all_: _env(all_, {"configMapKeyRef": {"name": "lost", "key": "k"}}),
        "ConfigMap lost",
    ),
    "secret-volume": (lambda all_: _volume(all_, {"secret": {"secretName": "lost"}}), "Secret lost"),
    "config-volume": (lambda all_: _volume(all_, {"configMap": {"name": "lost"}}), "ConfigMap lost"),
    "projected": (
        lambda all_: _volume(all_, {"projected": {"sources": [{"secret": {"name": "lost"}}]}}),
        "Secret lost",
    ),
    "elsewhere": (
        lambda all_: _env(all_, {"secretKeyRef": {"name": "keycloak", "key": "k"}}),
        "Secret keycloak",
    ),
}


@pytest.mark.parametrize("profile", sorted(CATALOGUE.profiles))
def test_everything_that_a_profile_s_pods_name_is_there(profile: str) -> None:
    require_references(rendered(profile), secret_names())


@pytest.mark.parametrize("planted", PLANTED)
def test_what_nobody_makes_is_named_with_who_needs_it(planted: str) -> None:
    objects = rendered("light")
    plant, told = PLANTED[planted]
    plant(objects)
    with pytest.raises(ConfigurationError) as caught:
        require_references(objects, secret_names())
    assert (
        f"Deployment mambogo-production/order-service names {told}, which nobody makes"
        in caught.value.message
    )


def test_what_may_be_missing_is_not_asked_for() -> None:
    assert list(references({"env": [{"secretKeyRef": {"name": "x", "optional": True}}]})) == []


def test_names_are_those_of_the_secrets_that_are_made() -> None:
    credentials = Credentials(*["x"] * len(Credentials.__slots__))
    made = {
        (one["metadata"]["namespace"], one["metadata"]["name"])
        for one in secret_manifests(credentials, Certificate("x", "x"))
    }
    assert secret_names() == made
