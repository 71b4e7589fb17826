"""What is wrong with production's guide, shown on its own words; docs/production-findings.md names these."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml
from rehearsal.deploy.hardening import weaknesses
from rehearsal.deploy.manifests import Manifest, mebibytes, named, parse
from rehearsal.deploy.scalability import obstacles

from tests.deploy.base import BASE, ROOT, base_objects

_FOLDER = ROOT / "docs" / "production-guide"
_OBJECTS = [
    one
    for file in ("order-service.yaml", "prometheus-config.yaml")
    for one in parse((_FOLDER / file).read_text())
]
_DEPLOYMENT = named(_OBJECTS, "Deployment", "order-service")
_CONTAINER = _DEPLOYMENT["spec"]["template"]["spec"]["containers"][0]
_JOB: dict[str, Any] = yaml.safe_load(
    named(_OBJECTS, "ConfigMap", "prometheus-config")["data"]["prometheus.yml"]
)["scrape_configs"][0]
_PIPELINE = (_FOLDER / "pipeline.yml").read_text()


def test_its_replicas_are_an_obstacle_to_its_own_autoscaler() -> None:
    (obstacle,) = obstacles(_OBJECTS, {})
    assert obstacle.what == "its manifest says 5 replicas, and takes the HPA's away when it is applied"


def test_its_heap_alone_is_above_its_autoscaler_s_target() -> None:
    share = re.search(r"MaxRAMPercentage=([\d.]+)", (_FOLDER / "Dockerfile").read_text())
    assert share is not None
    heap_mib = float(share[1]) / 100 * mebibytes(_CONTAINER["resources"]["limits"]["memory"])
    memory = named(_OBJECTS, "HorizontalPodAutoscaler", "order-service-hpa")["spec"]["metrics"][1]["resource"]
    target_mib = (
        memory["target"]["averageUtilization"]
        / 100
        * mebibytes(_CONTAINER["resources"]["requests"]["memory"])
    )
    assert (heap_mib, round(target_mib)) == (768, 410)


def test_its_container_may_do_what_it_does_not_need() -> None:
    assert [one.what for one in weaknesses([_DEPLOYMENT])] == [
        "may run as root",
        "may gain privileges",
        "may write into its image",
        "keeps capabilities",
    ]


def test_its_container_knows_no_user_and_no_password() -> None:
    assert {one["name"] for one in _CONTAINER["env"]} == {
        "SPRING_PROFILES_ACTIVE",
        "DB_HOST",
        "KAFKA_BOOTSTRAP_SERVERS",
    }
    assert "envFrom" not in _CONTAINER
    assert "volumeMounts" not in _CONTAINER


def _sed(line: str) -> str:
    found = re.search(r'sed -i ("s\|.*?\|g")', _PIPELINE)
    assert found is not None
    script = (
        found[1].replace("${{ env.REGISTRY }}", "ghcr.io").replace("${{ env.IMAGE_NAME }}", "mambogo/shop")
    )
    argv = [str(shutil.which("sed")), script.strip('"')]
    ended = subprocess.run(argv, input=line, capture_output=True, text=True, check=True, timeout=10)
    return ended.stdout


def test_its_sed_writes_what_it_has_found_into_the_image_s_name() -> None:
    assert _sed("image: mambogo/order-service:latest") == (
        "image: ghcr.io/mambogo/shop/image: mambogo/order-service:latest:latest"
    )


def test_its_sed_finds_nothing_in_its_own_manifest() -> None:
    manifest = (_FOLDER / "order-service.yaml").read_text()
    assert _sed(manifest) == manifest


def test_no_job_of_its_prometheus_knows_what_two_of_its_alerts_ask_for() -> None:
    # Containers' memory is the kubelets', restarts are kube-state-metrics': no pod with these annotations.
    assert [_JOB["job_name"], [one["role"] for one in _JOB["kubernetes_sd_configs"]]] == [
        "kubernetes-pods",
        ["pod"],
    ]
    kept = [one for one in _JOB["relabel_configs"] if one["action"] == "keep"]
    assert [one["source_labels"] for one in kept] == [
        ["__meta_kubernetes_pod_annotation_prometheus_io_scrape"]
    ]


@pytest.mark.parametrize("label", ["pod_template_hash", "job"])
def test_any_label_of_a_pod_becomes_one_of_its_series(label: str) -> None:
    (rule,) = (one for one in _JOB["relabel_configs"] if one["action"] == "labelmap")
    found = re.fullmatch(rule["regex"], f"__meta_kubernetes_pod_label_{label}")
    assert found is not None
    assert found[1] == label


def test_none_of_its_rules_asks_whether_a_pod_has_ended() -> None:
    asked = {label for one in _JOB["relabel_configs"] for label in one.get("source_labels", ())}
    assert "__meta_kubernetes_pod_phase" not in asked


def _kinds(objects: list[Manifest]) -> set[str]:
    return {one["kind"] for one in objects}


def test_nothing_of_it_runs_its_prometheus_or_lets_it_look_into_the_cluster() -> None:
    assert _kinds(_OBJECTS) == {"Deployment", "Service", "HorizontalPodAutoscaler", "ConfigMap"}
    assert _DEPLOYMENT["metadata"]["name"] == "order-service"


def test_the_version_that_its_label_says_is_the_manifest_s_for_ever() -> None:
    # What its pipeline changes is a line that begins with `image:`.
    assert _sed("version: v1.0.0") == "version: v1.0.0"
    labels = {one["metadata"]["labels"]["version"] for one in base_objects() if one["kind"] == "Deployment"}
    assert labels == {"v1.0.0"}


def test_what_it_applies_from_a_checkout_has_no_values_here() -> None:
    assert "kubectl apply -f k8s/secrets/" in _PIPELINE
    secrets = [one for path in (BASE / "secrets").glob("*.yaml") for one in parse(path.read_text())]
    assert secrets
    assert [one["metadata"]["name"] for one in secrets if "data" in one or "stringData" in one] == []
