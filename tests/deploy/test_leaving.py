"""Pods that end or restart badly: each planted way is named, production's manifests have none."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from rehearsal.deploy.leaving import rudenesses, served
from rehearsal.deploy.manifests import Manifest

from tests.deploy.base import production_objects

_SERVICE: Manifest = {
    "kind": "Service",
    "metadata": {"name": "order-service", "namespace": "mambogo-production"},
    "spec": {"selector": {"app": "order-service"}},
}
_WORKLOAD: Manifest = {
    "kind": "Deployment",
    "metadata": {"name": "order-service", "namespace": "mambogo-production"},
    "spec": {
        "template": {
            "metadata": {"labels": {"app": "order-service", "tier": "backend"}},
            "spec": {
                "terminationGracePeriodSeconds": 30,
                "containers": [
                    {
                        "name": "order-service",
                        "ports": [{"containerPort": 8080}],
                        "lifecycle": {"preStop": {"sleep": {"seconds": 2}}},
                        "livenessProbe": {"httpGet": {"path": "/actuator/health/liveness"}},
                    }
                ],
            },
        }
    },
}


def _found(spoil: Callable[[Any], object]) -> list[str]:
    workload = deepcopy(_WORKLOAD)
    spoil(workload["spec"]["template"]["spec"]["containers"][0])
    return [one.what for one in rudenesses([_SERVICE, workload])]


def test_polite_pod_has_none() -> None:
    assert _found(lambda container: None) == []


def test_production_s_own_are_polite() -> None:
    assert len(served(production_objects())) >= 6
    assert list(rudenesses(production_objects())) == []


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda one: one.pop("lifecycle"), "has no preStop"),
        (lambda one: one["lifecycle"]["preStop"]["sleep"].update(seconds=30), "takes all of the 30 s"),
        (
            lambda one: one["livenessProbe"]["httpGet"].update(path="/actuator/health"),
            "asks /actuator/health",
        ),
        (
            lambda one: one["livenessProbe"]["httpGet"].update(path="/actuator/health/readiness"),
            "asks /actuator/health/readiness",
        ),
    ],
)
def test_planted_rudeness_is_named(spoil: Callable[[Any], object], what: str) -> None:
    (found,) = _found(spoil)

    assert what in found


def test_what_no_service_sends_traffic_to_may_end_as_it_likes() -> None:
    assert list(rudenesses([deepcopy(_WORKLOAD)])) == []
