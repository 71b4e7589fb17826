"""A release: order, images, and what a profile makes of it."""

from __future__ import annotations

import re
from copy import deepcopy

import pytest
from rehearsal.core.errors import ConfigurationError
from rehearsal.deploy.manifests import containers, identity
from rehearsal.deploy.releasing import (
    ADMINISTRATORS_FOLDERS,
    FOLDERS,
    Version,
    as_rendered,
    at_version,
    read_steps,
    workloads,
)

from tests.deploy.base import BASE, ROOT, base_objects

GUIDES_ORDER = ["namespace", "config", "secrets", "deployments", "services"]
COMMIT = Version("registry.example/shop", "0123abc")


def test_the_guide_s_folders_come_in_the_guide_s_order() -> None:
    assert [one for one in FOLDERS if one in GUIDES_ORDER] == GUIDES_ORDER


def test_every_folder_of_the_base_is_the_pipeline_s_or_the_administrator_s() -> None:
    there = {path.name for path in BASE.iterdir() if path.is_dir()}
    assert there == {*FOLDERS, *ADMINISTRATORS_FOLDERS}


def test_jobs_come_before_what_needs_their_work() -> None:
    assert FOLDERS.index("jobs") < FOLDERS.index("deployments")


def test_every_object_of_those_folders_is_applied_once() -> None:
    applied = [identity(one) for step in read_steps(ROOT) for one in step.objects]
    of_the_administrator = {"ServiceAccount mambogo-production/mambogo-deployer"}
    wanted = [identity(one) for one in base_objects() if not identity(one).startswith("Role")]
    assert sorted(applied) == sorted(set(wanted) - of_the_administrator)


def test_every_image_of_our_own_is_the_release_s() -> None:
    steps = at_version(read_steps(ROOT), COMMIT)
    images = [one["image"] for one in containers(one for step in steps for one in step.objects)]
    assert images
    assert [one for one in images if not re.fullmatch(r"registry\.example/shop/[a-z-]+:0123abc", one)] == []


def test_other_images_stay() -> None:
    (step,) = (one for one in read_steps(ROOT) if one.folder == "deployments")
    workload = deepcopy(step.objects[0])
    workload["spec"]["template"]["spec"]["containers"][0]["image"] = "somebody/else:1"
    (changed,) = at_version([type(step)("deployments", (workload,))], COMMIT)
    assert [one["image"] for one in containers(changed.objects)] == ["somebody/else:1"]


def test_the_manifests_themselves_stay_as_they_are() -> None:
    steps = read_steps(ROOT)
    before = deepcopy(steps)
    at_version(steps, COMMIT)
    assert steps == before


def test_an_image_s_name_has_no_capital_letters() -> None:
    assert Version("ghcr.io/Mambogo/Shop", "Tag").reference("cart") == "ghcr.io/mambogo/shop/cart:Tag"


def test_a_tag_that_moves_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="must not move"):
        Version("registry.example/shop", "latest")


def test_a_profile_gives_the_bodies_and_the_base_the_order() -> None:
    steps = read_steps(ROOT)
    rendered = [deepcopy(one) for one in base_objects() if one["kind"] != "Secret"]
    for one in rendered:
        one["metadata"]["labels"] = {"profile": "small"}
    local = as_rendered(steps, reversed(rendered))
    assert [identity(one) for step in local for one in step.objects] == [
        identity(one) for step in steps for one in step.objects
    ]
    bodies = [one for step in local for one in step.objects if one["kind"] != "Secret"]
    assert all(one["metadata"]["labels"] == {"profile": "small"} for one in bodies)


def test_what_a_profile_does_not_have_is_not_applied() -> None:
    left = as_rendered(read_steps(ROOT), [])
    assert {one["kind"] for step in left for one in step.objects} == {"Secret"}


def test_secrets_are_applied_without_values() -> None:
    (secrets,) = (one for one in read_steps(ROOT) if one.folder == "secrets")
    assert [one for one in secrets.objects if "data" in one or "stringData" in one] == []


def test_every_workload_is_watched_not_three_of_six() -> None:
    watched = {one["metadata"]["name"] for one in workloads(read_steps(ROOT))}
    services = {f"{one}-service" for one in ("gateway", "product", "cart", "order", "payment", "inventory")}
    assert watched == services | {"config-server", "eureka"}
