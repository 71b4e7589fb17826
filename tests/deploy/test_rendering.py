"""What a rendering consists of, on a machine with everything and on one that lacks what is optional."""

from __future__ import annotations

from pathlib import Path

import pytest
from rehearsal.core.catalogue import load
from rehearsal.deploy import kustomize
from rehearsal.deploy.localising import OPTIONAL
from rehearsal.deploy.manifests import Manifest, containers, identity, named
from rehearsal.deploy.rendering import Renderer

from tests.deploy.base import GRAFANA, LOCAL, ROOT, grafana_objects, overlay_objects


@pytest.fixture(autouse=True)
def _without_kubectl(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = {LOCAL: overlay_objects, GRAFANA: grafana_objects}
    monkeypatch.setattr(kustomize, "build", lambda kubectl, folder: folders[folder]())


def _renderer(*optional: str) -> Renderer:
    return Renderer(
        ROOT,
        load(ROOT),
        Path("kubectl"),
        lambda name: f"rehearsal/{name}:abc",
        optional.__contains__,
        "registry.example/shop",
    )


def _of_grafana(objects: list[Manifest]) -> list[str]:
    return [identity(one) for one in objects if one["metadata"]["name"].startswith("grafana")]


def test_grafana_is_left_out_where_it_is_not_to_be_had() -> None:
    assert _of_grafana(_renderer().render("light")) == []


def test_grafana_comes_with_its_dashboards_where_it_is() -> None:
    assert _of_grafana(_renderer("grafana").render("light")) == [
        "Deployment mambogo-monitoring/grafana",
        "Service mambogo-monitoring/grafana",
        "ConfigMap mambogo-monitoring/grafana-provisioning",
        "ConfigMap mambogo-monitoring/grafana-dashboards",
    ]


def test_everything_else_is_the_same_with_and_without() -> None:
    without, all_ = (_renderer(*some).render("standard") for some in ((), ("grafana",)))
    assert [one for one in all_ if "grafana" not in one["metadata"]["name"]] == without


@pytest.mark.parametrize("profile", ["light", "standard", "full"])
def test_a_profile_has_the_brokers_that_the_catalogue_says(profile: str) -> None:
    kafka = named(_renderer().render(profile), "StatefulSet", "kafka")
    assert kafka["spec"]["replicas"] == load(ROOT).profiles[profile].brokers


def test_only_images_that_are_here_are_pushed() -> None:
    assert set(_renderer("grafana").references()) - set(_renderer().references()) == {"rehearsal/grafana:abc"}


def test_what_runs_is_what_was_pushed() -> None:
    renderer = _renderer(*OPTIONAL.values())
    used = {one["image"] for one in containers(renderer.render("full")) if "registry.example" in one["image"]}
    assert used == {f"registry.example/shop/{reference}" for reference in renderer.references()}
