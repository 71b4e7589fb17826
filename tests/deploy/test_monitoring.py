"""Prometheus' configuration: production's own has everything, and what runs here is a copy of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from rehearsal.deploy.manifests import Manifest, named
from rehearsal.deploy.monitoring import CONFIGURATION, configure

from tests.deploy.base import GRAFANA, overlay_objects, production_objects

_PRODUCTION: dict[str, str] = named(production_objects(), "ConfigMap", CONFIGURATION)["data"]
_CONFIGURED = configure(overlay_objects())
_PROMETHEUS: dict[str, Any] = yaml.safe_load(_PRODUCTION["prometheus.yml"])
_LOADED_RULES = [yaml.safe_load(_PRODUCTION[name]) for name in _PROMETHEUS["rule_files"]]
_GROUPS: dict[str, list[dict[str, Any]]] = {
    group["name"]: group["rules"] for file in _LOADED_RULES for group in file["groups"]
}


def test_what_runs_here_is_production_s() -> None:
    assert named(_CONFIGURED, "ConfigMap", "prometheus")["data"] == _PRODUCTION


def test_production_s_prometheus_loads_every_file_of_its_configuration() -> None:
    # A file that is applied beside it and named by nobody corrects nothing.
    named_files = {"prometheus.yml", *_PROMETHEUS["rule_files"], *_PROMETHEUS["scrape_config_files"]}
    assert set(_PRODUCTION) == named_files


def test_production_s_prometheus_scrapes_what_the_guide_s_does_not() -> None:
    files = [_PROMETHEUS, *(yaml.safe_load(_PRODUCTION[name]) for name in _PROMETHEUS["scrape_config_files"])]
    jobs = [one["job_name"] for file in files for one in file["scrape_configs"]]
    assert jobs == ["kubernetes-pods", "cadvisor", "kube-state-metrics", "prometheus", "alertmanager"]


def test_the_guide_s_rules_and_the_corrected_ones_are_groups_of_their_own() -> None:
    assert list(_GROUPS) == ["guide", "corrected"]


def test_every_alert_of_the_guide_s_has_a_corrected_one_of_its_name() -> None:
    guide, corrected = ({one["alert"] for one in _GROUPS[name]} for name in ("guide", "corrected"))
    assert corrected - guide == {"TargetDown"}
    assert guide <= corrected


@pytest.mark.parametrize(("group", "label"), [("guide", {None}), ("corrected", {"corrected"})])
def test_a_label_says_whose_an_alert_is(group: str, label: set[str | None]) -> None:
    assert {one["labels"].get("rules") for one in _GROUPS[group]} == label


def test_alertmanager_does_not_put_both_into_one_notification() -> None:
    alertmanager = yaml.safe_load(named(_CONFIGURED, "ConfigMap", "alertmanager")["data"]["alertmanager.yml"])
    assert "rules" in alertmanager["route"]["group_by"]


def test_no_dashboard_counts_both_together() -> None:
    asked = [
        target["expr"]
        for path in (GRAFANA / "dashboards").glob("*.json")
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]
        for target in panel.get("targets", ())
        if "ALERTS" in target["expr"]
    ]
    assert asked
    assert [one for one in asked if "rules=" not in one] == []


def _mark(objects: list[Manifest], name: str) -> str:
    template = named(objects, "Deployment", name)["spec"]["template"]
    return str(template["metadata"]["annotations"]["mambogo.com/configuration"])


@pytest.mark.parametrize(
    ("name", "config_map", "file"),
    [
        ("prometheus", CONFIGURATION, "alert_rules.yml"),
        ("alertmanager", "alertmanager", "alertmanager.yml"),
    ],
)
def test_other_files_roll_the_pod(name: str, config_map: str, file: str) -> None:
    changed = overlay_objects()
    named(changed, "ConfigMap", config_map)["data"][file] += "# changed\n"
    before = _mark(_CONFIGURED, name)
    assert _mark(configure(changed), name) != before == _mark(configure(overlay_objects()), name)


def test_the_given_objects_stay_as_they_are() -> None:
    given = overlay_objects()
    configure(given)
    assert given == overlay_objects()
