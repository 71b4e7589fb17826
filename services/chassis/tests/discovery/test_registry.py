"""Deltas, full answers, outages and restarts of the registry, without a network."""

from __future__ import annotations

from typing import Any

import pytest

from mambogo_chassis.discovery.registry import (
    GRACE_SECONDS,
    Change,
    InstanceCache,
    RegisteredInstance,
    parse_applications,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def instance(number: int, status: str = "UP", application: str = "ORDER-SERVICE") -> RegisteredInstance:
    return RegisteredInstance(application, f"i{number}", f"http://10.0.0.{number}:8080", status)


def test_only_instances_that_are_up_are_called() -> None:
    cache = InstanceCache()
    cache.replace([instance(1), instance(2, "OUT_OF_SERVICE"), instance(3, "STARTING"), instance(4, "DOWN")])
    assert cache.base_urls("order-service") == ("http://10.0.0.1:8080",)


def test_a_delta_adds_modifies_and_deletes() -> None:
    cache = InstanceCache()
    cache.replace([instance(1), instance(2)])
    cache.apply(
        [
            Change("ADDED", instance(3)),
            Change("MODIFIED", instance(1, "OUT_OF_SERVICE")),
            Change("DELETED", instance(2)),
        ]
    )
    assert cache.base_urls("order-service") == ("http://10.0.0.3:8080",)


def test_a_delta_that_comes_again_changes_nothing() -> None:
    cache = InstanceCache()
    cache.replace([instance(1), instance(2)])
    delta = [Change("ADDED", instance(3)), Change("DELETED", instance(2))]
    cache.apply(delta)
    before = cache.base_urls("order-service")
    cache.apply(delta)
    assert cache.base_urls("order-service") == before


def test_the_hash_is_eurekas() -> None:
    cache = InstanceCache()
    cache.replace([instance(1), instance(2), instance(3, "DOWN"), instance(4, "OUT_OF_SERVICE")])
    assert cache.hash_code() == "DOWN_1_OUT_OF_SERVICE_1_UP_2_"


def test_an_empty_registry_after_a_restart_empties_nothing_at_once() -> None:
    clock = Clock()
    cache = InstanceCache(clock)
    cache.replace([instance(1)])
    cache.replace([])
    assert cache.base_urls("order-service") == ("http://10.0.0.1:8080",)
    clock.now += GRACE_SECONDS
    cache.replace([])
    assert cache.base_urls("order-service") == ()


def test_an_instance_that_is_gone_while_its_service_lives_is_gone() -> None:
    cache = InstanceCache()
    cache.replace([instance(1), instance(2)])
    cache.replace([instance(2)])
    assert cache.base_urls("order-service") == ("http://10.0.0.2:8080",)


def test_a_service_that_came_back_gets_a_new_grace() -> None:
    clock = Clock()
    cache = InstanceCache(clock)
    cache.replace([instance(1)])
    cache.replace([])
    cache.replace([instance(1)])
    clock.now += GRACE_SECONDS
    cache.replace([])
    assert cache.base_urls("order-service") == ("http://10.0.0.1:8080",)


def entry(**changes: Any) -> dict[str, Any]:
    return {
        "instanceId": "i1",
        "hostName": "h",
        "ipAddr": "10.0.0.1",
        "status": "UP",
        "port": {"$": 8080, "@enabled": "true"},
        **changes,
    }


@pytest.mark.parametrize(
    "applications",
    [
        [{"name": "ORDER-SERVICE", "instance": [entry()]}],
        {"name": "ORDER-SERVICE", "instance": entry()},
        [{"name": "order-service", "instance": [entry(actionType="ADDED")]}],
    ],
    ids=["lists", "a-list-of-one-as-the-one", "lower-case"],
)
def test_answers_are_read_in_each_of_their_forms(applications: object) -> None:
    hash_code, changes = parse_applications(
        {"applications": {"apps__hashcode": "UP_1_", "application": applications}}
    )
    assert (hash_code, changes) == ("UP_1_", [Change("ADDED", instance(1))])


def test_an_empty_registry_is_an_answer() -> None:
    assert parse_applications({"applications": {"apps__hashcode": "", "application": []}}) == ("", [])


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        None,
        {"applications": None},
        {"applications": {"application": [{"name": "X"}]}},
        {"applications": {"application": [{"name": "X", "instance": [entry(port=1)]}]}},
        {"applications": {"application": [{"name": "X", "instance": [entry(port={"$": "http"})]}]}},
    ],
)
def test_anything_else_is_refused_as_a_whole(document: object) -> None:
    with pytest.raises(ValueError, match=r"applications|invalid literal"):
        parse_applications(document)
