"""What runs here against what production applies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rehearsal.core.catalogue import load
from rehearsal.deploy.differences import PREMISES, RULES, Comparison, compare, describe
from rehearsal.deploy.manifests import Manifest, named

from tests.deploy.base import ROOT, production_objects, rendered

CATALOGUE = load(ROOT)


def _compared(profile: str) -> Comparison:
    return compare(production_objects(), rendered(profile))


@pytest.mark.parametrize("profile", sorted(CATALOGUE.profiles))
def test_every_difference_is_explained(profile: str) -> None:
    assert [str(one) for one in _compared(profile).unexplained] == []


def test_every_rule_explains_something() -> None:
    every = [_compared(profile) for profile in CATALOGUE.profiles]
    assert [rule.name for rule in RULES if not any(one.explained[rule.name] for one in every)] == []


def test_three_brokers_hold_as_many_replicas_as_production_s() -> None:
    assert [len(_compared(profile).explained["one-broker"]) for profile in ("light", "standard", "full")] == [
        1,
        1,
        0,
    ]


def _container(objects: list[Manifest]) -> Any:
    return named(objects, "Deployment", "order-service")["spec"]["template"]["spec"]["containers"][0]


def _cpu_target(objects: list[Manifest]) -> Any:
    hpa = named(objects, "HorizontalPodAutoscaler", "order-service-hpa")
    return hpa["spec"]["metrics"][0]["resource"]["target"]


PLANTED: dict[str, Callable[[list[Manifest]], Any]] = {
    "probe-path": lambda all_: _container(all_)["livenessProbe"]["httpGet"].update(path="/actuator/health"),
    "env": lambda all_: _container(all_)["env"].append({"name": "EXTRA", "value": "1"}),
    "lost-object": lambda all_: all_.remove(named(all_, "PodDisruptionBudget", "order-service")),
    "hpa-target": lambda all_: _cpu_target(all_).update(averageUtilization=90),
    "foreign-object": lambda all_: all_.append(
        {"kind": "ConfigMap", "metadata": {"name": "x", "namespace": "mambogo-production"}}
    ),
}


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_a_planted_change_is_unexplained(name: str) -> None:
    local = rendered("standard")
    PLANTED[name](local)
    assert len(compare(production_objects(), local).unexplained) >= 1


def test_what_no_manifest_shows_comes_first_the_great_exception_before_all() -> None:
    lines = describe(_compared("light")).splitlines()
    assert lines[: len(PREMISES)] == list(PREMISES)
    assert "Spring" in lines[0]


def test_that_network_policies_are_not_enforced_is_listed() -> None:
    assert any("network policies" in line and "not enforced" in line for line in PREMISES)


def test_what_is_unexplained_is_said_with_both_values() -> None:
    local = rendered("standard")
    PLANTED["probe-path"](local)
    last = describe(compare(production_objects(), local)).splitlines()[-1]
    assert last.endswith("livenessProbe.httpGet.path: /actuator/health/liveness -> /actuator/health")
