"""HPAs that cannot work: each planted obstacle is named, production's manifests have none."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from rehearsal.core import catalogue
from rehearsal.deploy.manifests import Manifest
from rehearsal.deploy.scalability import obstacles

from tests.deploy.base import ROOT, production_objects

_SHARE = {"type": "Utilization", "averageUtilization": 80}
_WORKLOAD: Manifest = {
    "kind": "Deployment",
    "metadata": {"name": "order-service", "namespace": "shop"},
    "spec": {
        "template": {
            "spec": {
                "containers": [
                    {"name": "order", "resources": {"requests": {"cpu": "250m", "memory": "150Mi"}}}
                ]
            }
        }
    },
}
_HPA: Manifest = {
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "order-service-hpa", "namespace": "shop"},
    "spec": {
        "scaleTargetRef": {"kind": "Deployment", "name": "order-service"},
        "minReplicas": 5,
        "maxReplicas": 20,
        "metrics": [
            {"type": "Resource", "resource": {"name": "cpu", "target": _SHARE}},
            {"type": "Resource", "resource": {"name": "memory", "target": _SHARE}},
        ],
    },
}
# 100 of 150 MiB is just what 80 % * 5 / 6 allows.
_IDLE = {"order-service": 100}


def _found(spoil: Callable[[Any, Any], object], idle: dict[str, int] = _IDLE) -> list[str]:
    workload, hpa = deepcopy(_WORKLOAD), deepcopy(_HPA)
    spoil(workload["spec"], hpa["spec"])
    return [one.what for one in obstacles([workload, hpa], idle)]


def test_sound_hpa_has_none() -> None:
    assert _found(lambda workload, hpa: None) == []


def test_production_s_own_have_none() -> None:
    working_set_mib = catalogue.load(ROOT).working_set_mib
    assert list(obstacles(production_objects(), working_set_mib)) == []


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda workload, hpa: workload.update(replicas=5), "5 replicas"),
        (lambda workload, hpa: _requests(workload).pop("cpu"), "requests no cpu"),
        (lambda workload, hpa: _requests(workload).pop("memory"), "requests no memory"),
        (
            lambda workload, hpa: _requests(workload).update(memory="149Mi"),
            "goes back to 5 replicas only below",
        ),
        (lambda workload, hpa: hpa.update(minReplicas=4), "goes back to 4 replicas only below 64 %"),
        (lambda workload, hpa: hpa.update(metrics=[]), "has no metric"),
        (lambda workload, hpa: hpa["scaleTargetRef"].update(name="orders"), "scales what is not there"),
    ],
)
def test_planted_obstacle_is_named(spoil: Callable[[Any, Any], object], what: str) -> None:
    (found,) = _found(spoil)

    assert what in found


def test_two_hpas_of_one_workload_are_named() -> None:
    found = obstacles([_WORKLOAD, _HPA, deepcopy(_HPA)], _IDLE)

    assert next(found).what == "2 HPAs scale it against each other"


def test_memory_of_which_nobody_knows_is_not_judged() -> None:
    assert _found(lambda workload, hpa: _requests(workload).update(memory="1Mi"), idle={}) == []


def _requests(workload: Any) -> Any:
    return workload["template"]["spec"]["containers"][0]["resources"]["requests"]
