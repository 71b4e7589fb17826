"""Weak containers: each planted weakness is found and named, a sound pod gives none."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from rehearsal.deploy import hardening
from rehearsal.deploy.hardening import weaknesses
from rehearsal.deploy.manifests import Manifest

from tests.deploy.base import local_objects, production_objects

_SOUND: Manifest = {
    "kind": "Deployment",
    "metadata": {"name": "order-service", "namespace": "shop"},
    "spec": {
        "template": {
            "spec": {
                "securityContext": {"runAsNonRoot": True},
                "containers": [
                    {
                        "name": "order-service",
                        "env": [
                            {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {}}},
                            {"name": "TOKEN_URL", "value": "http://identity"},
                        ],
                        "resources": {
                            "requests": {"cpu": "10m", "memory": "64Mi"},
                            "limits": {"memory": "64Mi"},
                        },
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]},
                        },
                    }
                ],
            }
        }
    },
}
_Pod = dict[str, Any]


def _weak(spoil: Callable[[_Pod, _Pod], object]) -> list[str]:
    one = deepcopy(_SOUND)
    pod = one["spec"]["template"]["spec"]
    spoil(pod, pod["containers"][0])
    return [found.what for found in weaknesses([one])]


def test_sound_pod_has_no_weakness() -> None:
    assert _weak(lambda pod, container: None) == []


def test_production_s_own_and_its_stand_ins_have_none() -> None:
    assert list(weaknesses(production_objects())) == []
    assert list(weaknesses(local_objects())) == []


def test_nothing_is_excused_that_nobody_does(monkeypatch: pytest.MonkeyPatch) -> None:
    excused = set(hardening.NEEDED)
    monkeypatch.setattr(hardening, "NEEDED", {})
    assert {(one.workload, one.what) for one in weaknesses(local_objects())} == excused


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda pod, one: pod.pop("securityContext"), "may run as root"),
        (lambda pod, one: one["securityContext"].update(runAsNonRoot=False), "may run as root"),
        (lambda pod, one: one["securityContext"].pop("allowPrivilegeEscalation"), "may gain privileges"),
        (lambda pod, one: one["securityContext"].pop("readOnlyRootFilesystem"), "may write into its image"),
        (lambda pod, one: one["securityContext"].pop("capabilities"), "keeps capabilities"),
        (lambda pod, one: one["securityContext"].update(privileged=True), "keeps capabilities"),
        (lambda pod, one: pod.update(hostNetwork=True), "is in the node's namespaces"),
        (lambda pod, one: one["resources"]["requests"].pop("cpu"), "requests no cpu"),
        (lambda pod, one: one["resources"].pop("limits"), "has no limit of memory"),
        (
            lambda pod, one: one["env"].append({"name": "API_KEY", "value": "abc"}),
            "has a secret in its manifest: API_KEY",
        ),
    ],
)
def test_planted_weakness_is_named(spoil: Callable[[_Pod, _Pod], object], what: str) -> None:
    assert _weak(spoil) == [what]


def test_container_that_starts_before_the_others_is_looked_at_too() -> None:
    found = _weak(lambda pod, one: pod.update(initContainers=[{"name": "init", "securityContext": {}}]))
    assert "may write into its image" in found
