"""The Tiltfile, evaluated by Tilt itself in a copy of the checkout; no cluster is asked."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from rehearsal.core import catalogue, paths
from rehearsal.supply.optional import Answers
from rehearsal.supply.supplies import make_supplies

from tests.core.test_catalogue import STAGING
from tests.servers import running

pytestmark = [pytest.mark.cluster, pytest.mark.enable_socket]

_ROOT = Path(__file__).parents[2]
_READ_BY_TILT = ("Tiltfile", "tilt", "rehearsal.toml", "services", "k8s", "images", "kind")
_CACHES = shutil.ignore_patterns(".*", "__pycache__", "tests", "bench")
_EVALUATION_SECONDS = 100  # a second, on a machine with nothing else to do


@cache
def _tilt() -> Path:
    """The project's own Tilt, whatever PATH has."""
    supplies = make_supplies(
        paths.for_checkout(_ROOT), catalogue.load(_ROOT), emit=lambda event: None, docker=None
    )
    return supplies.tool("tilt")


class Registry(BaseHTTPRequestHandler):
    """A registry as far as the Tiltfile asks it."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class BrokenRegistry(Registry):
    """One that answers errors."""

    status = 500


class Checkout:
    """A copy of what Tilt reads, with a registry and a kubeconfig of its own."""

    def __init__(self, folder: Path, registry_port: int) -> None:
        self.folder, self.kubeconfig = folder, folder / "kubeconfig"
        for name in _READ_BY_TILT:
            source, target = _ROOT / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=_CACHES)
            else:
                shutil.copy(source, target)
        self.change_catalogue(r"^registry = \d+", f"registry = {registry_port}")
        self.use_context("kind-mambogo")

    def change_catalogue(self, pattern: str, replacement: str) -> None:
        path = self.folder / "rehearsal.toml"
        changed, count = re.subn(pattern, replacement, path.read_text(), flags=re.MULTILINE)
        assert count == 1
        path.write_text(changed)

    def use_context(self, name: str) -> None:
        # Nothing listens on port 9: nothing may ask.
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": name, "cluster": {"server": "https://127.0.0.1:9"}}],
            "users": [{"name": name, "user": {"token": "none"}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        }
        self.kubeconfig.write_text(yaml.safe_dump(content))

    def evaluate(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.tilt(
            "alpha", "tiltfile-result", *(["--", *arguments] if arguments else []), **environment
        )

    def taken_down(self, *options: str) -> set[str]:
        """Return what `tilt down` says that it deletes, before it fails for want of a cluster."""
        ended = self.tilt("down", *options)
        return set(re.findall(r"^→ (\S+)", ended.stdout + ended.stderr, re.MULTILINE))

    def tilt(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(_tilt()), *words],
            cwd=self.folder,
            env={
                **os.environ,
                "KUBECONFIG": str(self.kubeconfig),
                "TILT_DISABLE_ANALYTICS": "1",
                "REHEARSAL_PYTHON": sys.executable,
                "XDG_STATE_HOME": str(self.folder.parent / "state"),
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=_EVALUATION_SECONDS,
            check=False,
        )

    def result(self, *arguments: str, **environment: str) -> dict[str, Any]:
        ended = self.evaluate(*arguments, **environment)
        assert ended.returncode == 0, ended.stderr
        parsed: dict[str, Any] = json.loads(ended.stdout)
        return parsed

    def refusal(self, *arguments: str, **environment: str) -> str:
        ended = self.evaluate(*arguments, **environment)
        assert ended.returncode != 0
        return ended.stdout + ended.stderr


@pytest.fixture
def registry(request: pytest.FixtureRequest) -> Iterator[int]:
    with running(HTTPServer(("127.0.0.1", 0), getattr(request, "param", Registry))) as port:
        yield port


@pytest.fixture
def checkout(tmp_path: Path, registry: int) -> Checkout:
    return Checkout(tmp_path / "checkout", registry)


def _named(result: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in result["Manifests"] if one["Name"] == name)
    return found


def _echo(result: dict[str, Any]) -> dict[str, Any]:
    return _named(result, "echo")


def test_the_echo_service_has_a_label_and_a_link(checkout: Checkout) -> None:
    echo = _echo(checkout.result())
    assert "ground" in echo["Labels"]
    (link,) = echo["DeployTarget"]["Links"]
    assert (link["Name"], link["URL"]["Host"]) == ("echo", "127.0.0.1:8090")


def test_images_go_to_the_project_s_registry(checkout: Checkout, registry: int) -> None:
    assert checkout.result()["DefaultRegistry"]["host"] == f"localhost:{registry}"


def test_the_node_port_comes_from_the_catalogue(checkout: Checkout) -> None:
    checkout.change_catalogue(r"^echo = 30090", "echo = 30777")
    assert "nodePort: 30777" in json.dumps(_echo(checkout.result()))


def test_nothing_is_sent_to_tilt_s_makers(checkout: Checkout) -> None:
    assert checkout.result()["VersionSettings"]["CheckUpdates"] is False


@pytest.mark.parametrize("context", ["kind-somebody-else", "production"])
def test_a_foreign_context_is_refused_with_the_cure(checkout: Checkout, context: str) -> None:
    checkout.use_context(context)
    refusal = checkout.refusal()
    assert f'The current Kubernetes context is "{context}"' in refusal
    assert 'eval "$(rehearsal env)"' in refusal


def test_no_context_is_refused_with_the_cure(checkout: Checkout) -> None:
    checkout.kubeconfig.unlink()
    refusal = checkout.refusal()
    assert "There is no current Kubernetes context" in refusal
    assert "rehearsal cluster up" in refusal


@pytest.mark.parametrize("registry", [BrokenRegistry], indirect=True)
def test_a_described_context_has_its_registry_its_profile_and_its_ports(checkout: Checkout) -> None:
    checkout.use_context("staging")
    checkout.change_catalogue(r"^\[versions\]", f"{STAGING}\n[versions]")
    result = checkout.result(REHEARSAL_PROFILE="standard")
    assert result["DefaultRegistry"]["host"] == "registry.example.org/mambogo"
    parts = list(yaml.safe_load_all(_named(result, "kafka")["DeployTarget"]["yaml"]))
    (broker,) = [one for one in parts if one["kind"] == "StatefulSet"]
    container = broker["spec"]["template"]["spec"]["containers"][0]
    values = {one["name"]: one.get("value") for one in container["env"]}
    assert "HOST://127.0.0.1:29092" in values["KAFKA_CFG_ADVERTISED_LISTENERS"]
    assert re.fullmatch(r"registry\.example\.org/mambogo/rehearsal/kafka:\w+", container["image"])
    eureka = _named(result, "eureka")["DeployTarget"]["yaml"]
    assert "replicas: 1\n" in eureka  # three in profile standard
    page = _named(result, "cdn")["DeployTarget"]["Links"][0]["URL"]["Host"]
    assert page == "127.0.0.1:18080"


def test_a_missing_registry_is_refused_with_the_cure(checkout: Checkout) -> None:
    checkout.change_catalogue(r"^registry = \d+", "registry = 1")  # nothing listens there
    refusal = checkout.refusal()
    assert "The image registry on 127.0.0.1:1 does not work" in refusal
    assert "rehearsal cluster up" in refusal


@pytest.mark.parametrize("registry", [BrokenRegistry], indirect=True)
def test_a_registry_that_answers_500_is_refused(checkout: Checkout) -> None:
    assert "it answers 500 on /v2/" in checkout.refusal()


def test_an_unknown_profile_is_refused_with_the_known_ones(checkout: Checkout) -> None:
    assert "Profiles in rehearsal.toml: full, light, standard." in checkout.refusal("--profile=huge")


def test_an_unknown_resource_is_refused(checkout: Checkout) -> None:
    refusal = checkout.refusal("nonsense")
    assert 'There is no resource "nonsense"' in refusal
    assert "order-service, orders-migrations" in refusal


def test_no_python_that_reads_toml_is_refused_with_the_cure(checkout: Checkout, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    shell = shutil.which("sh")
    assert shell is not None
    (programs / "sh").symlink_to(shell)
    refusal = checkout.refusal(PATH=str(programs), REHEARSAL_PYTHON="")
    assert "No Python 3.11 or later on PATH" in refusal


def test_the_named_interpreter_is_used(checkout: Checkout, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ntouch {mark}\nexec python3 "$@"\n')
    python.chmod(0o755)
    assert checkout.evaluate(REHEARSAL_PYTHON=str(python)).returncode == 0
    assert mark.exists()


def test_outside_of_tilt_up_the_manifests_are_deployed_as_they_are(checkout: Checkout) -> None:
    echo = json.dumps(_echo(checkout.result()))
    assert "supervise" not in echo
    assert "livenessProbe" in echo


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The whole stack, evaluated once: it is only read."""
    with running(HTTPServer(("127.0.0.1", 0), Registry)) as port:
        return Checkout(tmp_path_factory.mktemp("stack") / "checkout", port).result()


def test_each_part_of_the_stack_is_in_a_group(stack: dict[str, Any]) -> None:
    groups = {one["Name"]: set(one["Labels"]) for one in stack["Manifests"]}
    assert groups["cdn"] == groups["load-balancer"] == groups["gateway-service"] == {"edge"}
    assert groups["eureka"] == groups["config-server"] == {"platform"}
    assert groups["postgres"] == groups["kafka"] == groups["redis"] == groups["keycloak"] == {"data"}
    assert groups["prometheus"] == groups["alertmanager"] == groups["node-exporter"] == {"monitoring"}
    assert groups["otel-collector"] == groups["victoria-logs"] == groups["zipkin"] == {"monitoring"}
    assert groups["settings"] == {"setup"}
    assert set() not in groups.values()


def test_keycloak_waits_for_its_database(stack: dict[str, Any]) -> None:
    assert set(_named(stack, "keycloak")["ResourceDependencies"]) == {"settings", "postgres"}


def test_the_edge_starts_from_the_inside_out(stack: dict[str, Any]) -> None:
    assert "load-balancer" in _named(stack, "cdn")["ResourceDependencies"]
    assert "gateway-service" in _named(stack, "load-balancer")["ResourceDependencies"]


def test_the_gateway_s_load_balancer_gets_an_address(stack: dict[str, Any]) -> None:
    address = _named(stack, "gateway-address")
    assert address["ResourceDependencies"] == ["gateway-service"]
    assert set(address["Labels"]) == {"edge"}
    assert "--subresource=status" in json.dumps(address)


def _pages(stack: dict[str, Any], name: str) -> set[str]:
    """Return what a resource's links show, those of forwarded ports among them; not its lines of logs."""
    target = _named(stack, name)["DeployTarget"]
    linked = {f"{one['URL']['Host']}{one['URL']['Path']}" for one in target["Links"] if one["Name"] != "logs"}
    spec = target.get("portForwardTemplateSpec") or {}
    forwards = spec.get("forwards") or ()
    return linked | {f"{one['host']}:{one['localPort']}/{one['path']}" for one in forwards}


PAGES = {
    "cdn": {"127.0.0.1:8080/api/products", "mambogo.localhost:8443/api/products"},
    "gateway-service": {"127.0.0.1:8100/actuator/health"},
    "product-service": {"127.0.0.1:8101/openapi.json"},
    "cart-service": {"127.0.0.1:8102/openapi.json"},
    "order-service": {"127.0.0.1:8103/openapi.json"},
    "payment-service": {"127.0.0.1:8104/openapi.json"},
    "inventory-service": {"127.0.0.1:8105/openapi.json"},
    "config-server": {"127.0.0.1:8106/order-service/production"},
    "eureka": {"127.0.0.1:8107/eureka/apps"},
    "keycloak": {"127.0.0.1:8180/admin/master/console/"},
    "payment-sandbox": {"127.0.0.1:8190/admin/ledger"},
    "prometheus": {"127.0.0.1:9090/api/v1/targets", "127.0.0.1:9090/api/v1/alerts"},
    "alertmanager": {"127.0.0.1:9093/api/v2/alerts/groups"},
    "victoria-logs": {"127.0.0.1:9428/select/vmui/"},
    "zipkin": {"127.0.0.1:9411/zipkin/"},
}


def test_each_service_and_each_component_with_pages_has_its_links(stack: dict[str, Any]) -> None:
    assert {name: _pages(stack, name) for name in PAGES} == PAGES


def test_each_workload_of_the_stack_has_a_link_to_what_it_says(stack: dict[str, Any]) -> None:
    without = [
        one["Name"]
        for one in stack["Manifests"]
        if "kind: Deployment" in (text := one["DeployTarget"].get("yaml", ""))
        or "kind: StatefulSet" in text
        or "kind: DaemonSet" in text
        or "kind: Job" in text
        if "logs" not in [link["Name"] for link in one["DeployTarget"]["Links"]]
    ]
    assert without == ["echo"]  # which is no part of it


def test_what_is_forwarded_is_what_the_catalogue_says(stack: dict[str, Any]) -> None:
    forwarded = [
        each["localPort"]
        for one in stack["Manifests"]
        for each in (one["DeployTarget"].get("portForwardTemplateSpec") or {}).get("forwards") or ()
    ]
    assert len(forwarded) == len(set(forwarded))
    ports = catalogue.load(_ROOT).ports.model_dump()
    assert set(forwarded) == {ports[name] for name in catalogue.FORWARDED if name != "grafana"}


GATEWAY = {"settings", "gateway-service", "config-server", "redis", "eureka", "keycloak", "postgres"}
ORDER = {
    *("order-service", "orders-migrations", "topics", "kafka"),
    *("product-service", "product-migrations", "redis"),  # the prices
}
PARTS = {
    ("gateway",): GATEWAY,
    ("order", "gateway"): GATEWAY | ORDER,
    ("order-service", "gateway-service"): GATEWAY | ORDER,
    ("order",): GATEWAY - {"gateway-service"} | ORDER,
    ("edge",): GATEWAY | {"cdn", "load-balancer"},
    ("cart",): GATEWAY - {"gateway-service"} | ORDER | {"cart-service"},
    ("echo",): {"echo"},
    ("keycloak",): {"settings", "keycloak", "postgres"},
}


@pytest.mark.parametrize("names", list(PARTS), ids=" ".join)
def test_a_part_comes_with_everything_that_it_needs_to_work(
    checkout: Checkout, names: tuple[str, ...]
) -> None:
    assert set(checkout.result("--profile=light", *names)["EnabledManifests"]) == PARTS[names]


@pytest.mark.parametrize(
    ("file", "one"),
    [
        ("k8s/base/deployments/order-service.yaml", "Deployment mambogo-production/order-service"),
        ("tilt/echo/echo.yaml", "Deployment rehearsal-echo/echo"),
    ],
)
def test_a_wrong_field_of_a_manifest_is_refused_with_file_object_and_field(
    checkout: Checkout, file: str, one: str
) -> None:
    path = checkout.folder / file
    path.write_text(path.read_text().replace("\nspec:\n", "\nspec:\n  replica: 2\n", 1))
    refusal = checkout.refusal()
    assert f"{one}: spec.replica: there is no such field" in refusal
    assert f"({file})" in refusal


def _with_grafana(checkout: Checkout, state: Path, *, refusal: str) -> dict[str, Any]:
    """Return what Tilt makes of the checkout on a machine whose registries gave an answer about Grafana."""
    folders = paths.for_checkout(checkout.folder)
    known = make_supplies(folders, catalogue.load(checkout.folder), emit=lambda event: None, docker=None)
    Answers(state / "mambogo-rehearsal").keep("grafana", known.image_key("grafana"), refusal)
    return checkout.result(XDG_STATE_HOME=str(state))


def test_grafana_has_its_dashboards_forwarded_where_it_is(checkout: Checkout, tmp_path: Path) -> None:
    grafana = _named(_with_grafana(checkout, tmp_path / "state", refusal=""), "grafana")
    assert set(grafana["Labels"]) == {"monitoring"}
    [forward] = grafana["DeployTarget"]["portForwardTemplateSpec"]["forwards"]
    assert (forward["host"], forward["localPort"], forward["path"]) == ("127.0.0.1", 9095, "dashboards")


def test_nothing_of_grafana_is_there_where_it_is_not(checkout: Checkout, tmp_path: Path) -> None:
    stack = _with_grafana(checkout, tmp_path / "state", refusal="no route")
    assert "grafana" not in {one["Name"] for one in stack["Manifests"]}
    assert "grafana" not in json.dumps(_named(stack, "settings"))


def test_an_autoscaler_comes_and_goes_with_its_service(stack: dict[str, Any]) -> None:
    assert "kind: HorizontalPodAutoscaler" in json.dumps(_named(stack, "gateway-service"))
    assert "HorizontalPodAutoscaler" not in json.dumps(_named(stack, "settings"))


def test_no_secret_is_among_what_tilt_shows(stack: dict[str, Any]) -> None:
    assert "kind: Secret" not in json.dumps(stack)


def test_a_profile_has_its_own_counts(checkout: Checkout) -> None:
    standard = json.dumps(_named(checkout.result("--profile=standard"), "eureka"))
    light = json.dumps(_named(checkout.result("--profile=light"), "eureka"))
    assert ("replicas: 3" in standard, "replicas: 1" in light) == (True, True)


def test_services_and_budget_of_three_brokers_come_with_them(checkout: Checkout) -> None:
    text = _named(checkout.result("--profile=full"), "kafka")["DeployTarget"]["yaml"]
    deployed = {(one["kind"], one["metadata"]["name"]) for one in yaml.safe_load_all(text)}
    services = ["kafka", "kafka-bootstrap", "kafka-host", "kafka-host-1", "kafka-host-2"]
    services += [f"kafka-{number}" for number in range(3)]
    assert deployed == {
        ("StatefulSet", "kafka"),
        ("PodDisruptionBudget", "kafka"),
        *(("Service", name) for name in services),
    }


def test_tilt_down_keeps_data_and_removes_what_live_updates_brought(checkout: Checkout) -> None:
    gone = checkout.taken_down()
    assert {
        "Deployment/payment-sandbox",
        "StatefulSet/postgres",
        "ConfigMap/order-service-live-supervisor",
    } <= gone
    assert {one.partition("/")[0] for one in gone} & {"PersistentVolumeClaim", "Namespace", "Secret"} == set()


def test_data_goes_with_its_namespaces_when_that_is_asked_for(checkout: Checkout) -> None:
    gone = checkout.taken_down("--delete-namespaces")
    assert {"Namespace/mambogo-managed", "Namespace/mambogo-production"} <= gone


def test_without_the_project_s_interpreter_the_cure_is_said(checkout: Checkout) -> None:
    assert 'eval "$(rehearsal env)"' in checkout.refusal(REHEARSAL_PYTHON="")


def test_a_manifest_that_kustomize_refuses_is_named(checkout: Checkout) -> None:
    (checkout.folder / "k8s" / "base" / "hpa" / "order-service.yaml").write_text("kind: [")
    assert "order-service.yaml" in checkout.refusal()
