"""Every object of every profile against Kubernetes' own schemas, strictly: unknown fields are mistakes."""

from __future__ import annotations

import kubernetes_validate
import pytest
from rehearsal.core.catalogue import load
from rehearsal.deploy.manifests import Manifest, identity

from tests.deploy.base import ROOT, base_objects, rendered

CATALOGUE = load(ROOT)
VERSION = CATALOGUE.versions.kubernetes.rpartition(".")[0]


def _mistakes(objects: list[Manifest]) -> list[str]:
    found = []
    for one in objects:
        try:
            kubernetes_validate.validate(one, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"{identity(one)}: {error.message}")
    return found


def test_the_base_is_valid() -> None:
    assert _mistakes(base_objects()) == []


@pytest.mark.parametrize("profile", sorted(CATALOGUE.profiles))
def test_a_profile_s_rendering_is_valid(profile: str) -> None:
    assert _mistakes(rendered(profile)) == []


@pytest.mark.parametrize(
    ("field", "value"), [("replicas", "two"), ("replica", 2)], ids=["wrong-type", "misspelt"]
)
def test_a_planted_mistake_is_found(field: str, value: object) -> None:
    planted = base_objects()
    deployment = next(one for one in planted if one["kind"] == "Deployment")
    changed = {**deployment, "spec": {**deployment["spec"], field: value}}
    assert len(_mistakes([changed])) == 1
