"""What Kubernetes would refuse or drop is said before anything is applied, by object, field and file."""

from __future__ import annotations

import os
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import kubernetes_validate
import pytest
from rehearsal.core.catalogue import load
from rehearsal.core.errors import ConfigurationError
from rehearsal.core.verdicts import ExitCode
from rehearsal.deploy.manifests import Manifest, named
from rehearsal.deploy.validating import SCHEMAS, mistakes, require_valid

from tests.deploy.base import ROOT, base_objects, rendered
from tests.deploy.pruned_schemas import as_text, pruned

CATALOGUE = load(ROOT)
VERSION = CATALOGUE.versions.kubernetes.rpartition(".")[0]
_WRITE = "MAMBOGO_WRITE_SCHEMAS"


def _order(objects: list[Manifest]) -> Any:
    return named(objects, "Deployment", "order-service")


def _container(objects: list[Manifest]) -> Any:
    return _order(objects)["spec"]["template"]["spec"]["containers"][0]


def _hpa(objects: list[Manifest]) -> Any:
    return named(objects, "HorizontalPodAutoscaler", "order-service-hpa")


PLANTED: dict[str, tuple[Callable[[list[Manifest]], object], str]] = {
    "misspelt": (lambda all_: _order(all_)["spec"].update(replica=2), "spec.replica: there is no such field"),
    "deep": (
        lambda all_: _container(all_)["readinessProbe"].update(failureTreshold=3),
        "spec.template.spec.containers.0.readinessProbe.failureTreshold: there is no such field; "
        "failureThreshold is meant?",
    ),
    "top": (lambda all_: _order(all_).update(speck={}), "speck: there is no such field; spec is meant?"),
    "type": (lambda all_: _order(all_)["spec"].update(replicas="two"), "spec.replicas"),
    "missing": (lambda all_: _order(all_)["spec"].pop("selector"), '"selector" is a required property'),
    "hpa": (lambda all_: _hpa(all_)["spec"].update(minReplica=1), "minReplicas is meant?"),
    "kind": (lambda all_: _order(all_).update(kind="Deploymnt"), "there is no Deploymnt in apps/v1"),
    "version": (
        lambda all_: _order(all_).update(apiVersion="apps/v1beta1"),
        "there is no Deployment in apps/v1beta1",
    ),
}


@pytest.mark.parametrize("profile", sorted(CATALOGUE.profiles))
def test_a_profile_s_rendering_has_no_mistake(profile: str) -> None:
    assert [str(mistake) for one in rendered(profile) for mistake in mistakes(one)] == []


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_mistake_is_told_with_object_and_field(planted: str) -> None:
    objects = deepcopy(base_objects())
    plant, told = PLANTED[planted]
    plant(objects)
    (mistake,) = [mistake for one in objects for mistake in mistakes(one)]
    assert "mambogo-production/order-service" in mistake.object
    assert told in str(mistake)


@pytest.mark.parametrize("planted", [name for name in PLANTED if name not in ("kind", "version")])
def test_kubernetes_whole_schemas_find_the_same(planted: str) -> None:
    objects = deepcopy(base_objects())
    PLANTED[planted][0](objects)
    (wrong,) = [one for one in objects if list(mistakes(one))]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


def test_a_mistake_is_the_user_s_and_its_file_is_named() -> None:
    objects = deepcopy(base_objects())
    PLANTED["misspelt"][0](objects)
    with pytest.raises(ConfigurationError) as caught:
        require_valid(objects, ROOT)
    assert caught.value.exit_code is ExitCode.USAGE
    assert "(k8s/base/deployments/order-service.yaml)" in caught.value.message


def test_many_mistakes_are_counted() -> None:
    wrong = {f"field{number}": 1 for number in range(8)}
    with pytest.raises(ConfigurationError, match="and 3 more"):
        require_valid([{**base_objects()[0], **wrong}], ROOT)


def test_kinds_of_others_are_left_to_the_api_server() -> None:
    foreign = {"apiVersion": "monitoring.coreos.com/v1", "kind": "Rule", "metadata": {"name": "x"}, "any": 1}
    assert list(mistakes(foreign)) == []


def test_the_schemas_are_those_of_the_pinned_version() -> None:
    """With MAMBOGO_WRITE_SCHEMAS=1 they are written anew, after another version was pinned."""
    text = as_text(pruned(VERSION))
    if os.environ.get(_WRITE):
        SCHEMAS.write_text(text, encoding="utf-8")
    assert SCHEMAS.read_text(encoding="utf-8") == text
