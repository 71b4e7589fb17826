"""Grafana's manifest: its parts fit each other and the rest, and nobody can change anything in it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import yaml
from rehearsal.deploy.manifests import named

from tests.deploy.base import GRAFANA, grafana_objects, local_objects

_OBJECTS = grafana_objects()
_POD = named(_OBJECTS, "Deployment", "grafana")["spec"]["template"]["spec"]
_ENVIRONMENT = {one["name"]: one["value"] for one in _POD["containers"][0]["env"]}
_DASHBOARDS: dict[str, str] = named(_OBJECTS, "ConfigMap", "grafana-dashboards")["data"]


def _provisioned(file: str) -> dict[str, Any]:
    text = named(_OBJECTS, "ConfigMap", "grafana-provisioning")["data"][file]
    parsed: dict[str, Any] = yaml.safe_load(text)
    return parsed


def _mounted(volume: str) -> str:
    (mount,) = (one for one in _POD["containers"][0]["volumeMounts"] if one["name"] == volume)
    return str(mount["mountPath"])


def test_every_dashboard_of_the_folder_is_provisioned() -> None:
    assert set(_DASHBOARDS) == {path.name for path in (GRAFANA / "dashboards").iterdir()}


def test_dashboards_are_looked_for_where_they_are_mounted() -> None:
    (provider,) = _provisioned("provider.yaml")["providers"]
    assert provider["options"]["path"] == _mounted("dashboards")


def test_what_is_provisioned_lies_where_grafana_reads_it() -> None:
    (volume,) = (one for one in _POD["volumes"] if one["name"] == "provisioning")
    items = {one["key"]: one["path"] for one in volume["configMap"]["items"]}
    assert (_mounted("provisioning"), items) == (
        "/etc/grafana/provisioning",
        {"datasource.yaml": "datasources/prometheus.yaml", "provider.yaml": "dashboards/mambogo.yaml"},
    )


def test_the_source_is_the_prometheus_of_the_cluster() -> None:
    (source,) = _provisioned("datasource.yaml")["datasources"]
    service = named(local_objects(), "Service", "prometheus")
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    port = service["spec"]["ports"][0]["port"]
    assert urlsplit(source["url"]).netloc == f"{name}.{namespace}.svc.cluster.local:{port}"


def test_rates_look_back_as_far_as_prometheus_scrapes() -> None:
    (source,) = _provisioned("datasource.yaml")["datasources"]
    configuration = yaml.safe_load(
        named(local_objects(), "ConfigMap", "prometheus")["data"]["prometheus.yml"]
    )
    assert source["jsonData"]["timeInterval"] == configuration["global"]["scrape_interval"]


def test_the_first_page_is_a_dashboard() -> None:
    folder, _, file = _ENVIRONMENT["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].rpartition("/")
    assert folder == _mounted("dashboards")
    assert file in _DASHBOARDS


def test_everybody_may_look_and_nobody_may_log_in() -> None:
    wanted = {
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
        "GF_AUTH_BASIC_ENABLED": "false",
        "GF_AUTH_DISABLE_LOGIN_FORM": "true",
        "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION": "true",
    }
    assert wanted.items() <= _ENVIRONMENT.items()
