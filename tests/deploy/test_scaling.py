"""Production's sizes, as a profile wants them."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Any

import pytest
from rehearsal.core.catalogue import load
from rehearsal.core.errors import ConfigurationError
from rehearsal.deploy.manifests import mebibytes, millicores, named
from rehearsal.deploy.scaling import Scale, scale

from tests.deploy.base import ROOT, base_objects, local_objects

CATALOGUE = load(ROOT)
SERVICES = ("gateway", "product", "cart", "order", "payment", "inventory")
PROFILES = tuple(CATALOGUE.profiles)


def _scaled(profile: str) -> list[dict[str, Any]]:
    return scale(local_objects(), Scale.of(CATALOGUE, profile))


def _container(objects: list[dict[str, Any]], name: str) -> dict[str, Any]:
    found: dict[str, Any] = named(objects, "Deployment", name)["spec"]["template"]["spec"]["containers"][0]
    return found


def test_the_given_objects_stay_as_they_are() -> None:
    before = deepcopy(base_objects())
    scale(base_objects(), Scale.of(CATALOGUE, "light"))
    assert base_objects() == before


@pytest.mark.parametrize("profile", ["standard", "full"])
def test_counts_are_production_s_outside_of_light(profile: str) -> None:
    order = named(_scaled(profile), "HorizontalPodAutoscaler", "order-service-hpa")["spec"]
    assert (order["minReplicas"], order["maxReplicas"]) == (5, 20)
    assert named(_scaled(profile), "StatefulSet", "eureka")["spec"]["replicas"] == 3


def test_light_has_few_pods() -> None:
    light = _scaled("light")
    order = named(light, "HorizontalPodAutoscaler", "order-service-hpa")["spec"]
    cart = named(light, "HorizontalPodAutoscaler", "cart-service-hpa")["spec"]
    assert (order["minReplicas"], order["maxReplicas"]) == (2, 6)
    assert (cart["minReplicas"], cart["maxReplicas"]) == (1, 2)
    assert named(light, "Deployment", "config-server")["spec"]["replicas"] == 1


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("service", SERVICES)
def test_nothing_under_an_hpa_has_replicas(profile: str, service: str) -> None:
    assert "replicas" not in named(_scaled(profile), "Deployment", f"{service}-service")["spec"]


@pytest.mark.parametrize("profile", PROFILES)
def test_cpu_requests_follow_the_factor(profile: str) -> None:
    requests = _container(_scaled(profile), "order-service")["resources"]["requests"]
    assert millicores(requests["cpu"]) == pytest.approx(250 * CATALOGUE.profiles[profile].factor, abs=1)


@pytest.mark.parametrize("service", SERVICES)
def test_limits_keep_production_s_ratio_to_requests(service: str) -> None:
    of = _container(_scaled("standard"), f"{service}-service")["resources"]
    assert millicores(of["limits"]["cpu"]) == 2 * millicores(of["requests"]["cpu"])
    assert mebibytes(of["limits"]["memory"]) == 2 * mebibytes(of["requests"]["memory"])


@pytest.mark.parametrize("profile", ["standard", "full"])
def test_what_has_no_hpa_may_start_as_fast_as_in_production(profile: str) -> None:
    limits = _container(_scaled(profile), "config-server")["resources"]["limits"]
    assert limits["cpu"] == _container(local_objects(), "config-server")["resources"]["limits"]["cpu"]


def test_light_limits_no_cpu() -> None:
    assert list(_container(_scaled("light"), "order-service")["resources"]["limits"]) == ["memory"]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("service", SERVICES)
def test_idle_memory_keeps_no_pod_alive(profile: str, service: str) -> None:
    name, objects = f"{service}-service", _scaled(profile)
    hpa = named(objects, "HorizontalPodAutoscaler", f"{name}-hpa")["spec"]
    target = hpa["metrics"][1]["resource"]["target"]["averageUtilization"] / 100
    request = mebibytes(_container(objects, name)["resources"]["requests"]["memory"])
    usage = CATALOGUE.working_set_mib[name] / request
    for pods in range(hpa["minReplicas"] + 1, hpa["maxReplicas"] + 1):
        assert math.ceil(pods * usage / target) < pods


def test_services_ask_only_registries_that_are_there() -> None:
    light, standard = _scaled("light"), _scaled("standard")
    urls = [
        named(one, "ConfigMap", "service-environment")["data"]["EUREKA_URLS"] for one in (light, standard)
    ]
    assert [one.count("http://eureka-") for one in urls] == [1, 3]
    assert named(light, "ConfigMap", "eureka-peers")["data"]["peered"] == "false"
    assert named(standard, "ConfigMap", "eureka-peers")["data"] == {"peered": "true", "urls": urls[1]}


def test_what_production_buys_has_its_own_sizes() -> None:
    before, after = local_objects(), _scaled("light")
    assert named(after, "StatefulSet", "kafka") == named(before, "StatefulSet", "kafka")


def test_a_workload_whose_memory_nobody_measured_is_refused() -> None:
    size = Scale(0.1, True, {}, {"order-service": 90})
    with pytest.raises(ConfigurationError, match="nobody says how much memory"):
        scale(base_objects(), size)
