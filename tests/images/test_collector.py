"""The collector as the cluster runs it, with both stores: pods' logs and services' spans end in them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import docker
import httpx
import pytest
import yaml
from docker import DockerClient
from docker.errors import DockerException, ImageNotFound
from docker.models.containers import Container
from docker.models.networks import Network
from docker.types import Mount
from rehearsal.core.waiting import NotYet, wait_until
from rehearsal.observe.following import Trail, follow
from rehearsal.observe.logs import LogLine, VictoriaLogs
from rehearsal.observe.spans import Zipkin

from tests.images.test_built import HEALTHY_SECONDS, UID, Built

pytestmark = [pytest.mark.engine, pytest.mark.enable_socket]

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = ROOT / "k8s" / "overlays" / "local" / "monitoring" / "collector" / "collector.yaml"
STORES = {"victoria-logs": "victoria-logs-server", "zipkin": "zipkin"}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
POD = "mambogo-production_order-service-7f-abc_f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
NOW = datetime.now(UTC).replace(microsecond=0)
_HINT = "The containers' logs say why not."


def _at(milliseconds: int) -> str:
    moment = NOW + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


ACCESS = {
    "time": _at(100),
    "service": "order-service",
    "method": "POST",
    "route": "/api/orders",
    "status": 201,
    "duration_ms": 12.345,
    "request_id": "request-1",
    "trace_id": TRACE,
    "level": "INFO",
    "logger": "access",
}
WARNING = {
    "time": _at(200),
    "level": "WARNING",
    "service": "order-service",
    "logger": "order",
    "message": 'an "odd" price',
    "trace_id": TRACE,
}
EDGE = {
    "time": "2026-01-01T12:00:00+00:00",
    "service": "cdn",
    "method": "GET",
    "path": "/api/products",
    "status": 200,
    "duration_seconds": 0.007,
    "request_id": "request-1",
}
# What a runtime writes: time, stream, whether the line is whole (F) or goes on (P), and the line.
LINES = (
    f"{_at(110)} stdout F {json.dumps(ACCESS)}",
    f"{_at(210)} stdout F {json.dumps(WARNING)}",
    f"{_at(220)} stdout F {json.dumps(EDGE)}",
    f"{_at(300)} stderr P half a li",
    f"{_at(301)} stderr F ne of text",
    f"{_at(400)} stderr F {{not json}}",
)
SPAN = {
    "traceId": TRACE,
    "spanId": "b7ad6b7169203331",
    "name": "POST /api/orders",
    "kind": 2,
    "startTimeUnixNano": str(int(NOW.timestamp()) * 10**9),
    "endTimeUnixNano": str(int(NOW.timestamp()) * 10**9 + 5 * 10**6),
    "attributes": [{"key": "http.route", "value": {"stringValue": "/api/orders"}}],
    "status": {"code": 2},
}


@dataclass(frozen=True, slots=True)
class Observed:
    """The running stores, and where the collector takes spans."""

    logs: VictoriaLogs
    spans: Zipkin
    otlp: httpx.Client

    def lines(self) -> tuple[LogLine, ...]:
        """Return everything that was logged."""
        return self.logs.lines("*", 1000)


def _client(container: Container, port: int) -> httpx.Client:
    container.reload()
    [network] = container.attrs["NetworkSettings"]["Networks"].values()
    return httpx.Client(base_url=f"http://{network['IPAddress']}:{port}", timeout=30, trust_env=False)


def _start(
    client: DockerClient,
    image: str,
    name: str,
    network: Network,
    *,
    user: str = f"{UID}:{UID}",
    mounts: Sequence[Mount] = (),
) -> Container:
    built = Built(image, client)
    try:
        client.images.get(built.tag)
    except ImageNotFound:
        pytest.skip(f"{built.tag} is not built")
    made = client.containers.create(
        built.tag,
        user=user,
        mounts=list(mounts),
        network=network.name,
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        tmpfs=dict.fromkeys(built.writable, f"uid={UID},gid={UID},mode=0700,exec"),
    )
    network.disconnect(made)
    network.connect(made, aliases=[name])
    made.start()
    return made


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """Start both stores and the collector on a network of their own."""
    try:
        client = docker.from_env(timeout=120)
    except DockerException:
        pytest.skip("no Docker engine answers")
    with ExitStack() as stack:
        stack.enter_context(closing(client))
        network = client.networks.create(f"rehearsal-tests-{uuid.uuid4().hex[:8]}")
        stack.callback(network.remove)
        mounts = [
            Mount("/var/log/pods", str(_pods(tmp_path_factory)), type="bind", read_only=True),
            Mount("/etc/otelcol", str(CONFIGURATION.parent), type="bind", read_only=True),
        ]
        running: dict[str, Container] = {}
        for name, image in STORES.items():
            running[name] = _start(client, image, name, network)
            stack.callback(running[name].remove, force=True, v=True)
        collector = _start(client, "collector", "otel-collector", network, user=f"{UID}:0", mounts=mounts)
        stack.callback(collector.remove, force=True, v=True)
        for name, container in {**running, "collector": collector}.items():
            _wait_for(name, container)
        logs, spans, otlp = (
            stack.enter_context(_client(container, port))
            for container, port in (
                (running["victoria-logs"], 9428),
                (running["zipkin"], 9411),
                (collector, 4318),
            )
        )
        yield Observed(VictoriaLogs(logs), Zipkin(spans), otlp)


def _wait_for(name: str, container: Container) -> None:
    def healthy() -> bool:
        container.reload()
        assert container.status == "running", container.logs().decode(errors="replace")[-2000:]
        return bool(container.attrs["State"]["Health"]["Status"] == "healthy")

    wait_until(f"{name} to be healthy", healthy, timeout_seconds=HEALTHY_SECONDS, hint=_HINT)


def _pods(factory: pytest.TempPathFactory) -> Path:
    """Return a folder of pods' logs with the rights that a kubelet and a runtime give theirs."""
    pods = factory.mktemp("logs") / "pods"
    folder = pods / POD / "order-service"
    folder.mkdir(parents=True)
    (folder / "0.log").write_text("".join(f"{line}\n" for line in LINES))
    (folder / "0.log").chmod(0o640)
    pods.chmod(0o750)
    return pods


@pytest.fixture(scope="module")
def lines(observed: Observed) -> tuple[LogLine, ...]:
    """All lines, once they are there."""

    def probe() -> tuple[LogLine, ...]:
        found = observed.lines()
        if len(found) < len(LINES) - 1:
            raise NotYet(f"{len(found)} lines")
        return found

    return wait_until("the lines", probe, timeout_seconds=HEALTHY_SECONDS, hint=_HINT)


def test_each_line_is_there_once_and_says_whose_it_is(lines: tuple[LogLine, ...]) -> None:
    assert [line.message for line in lines] == [
        "POST /api/orders 201 in 12.3 ms",
        'an "odd" price',
        "GET /api/products 200 in 7 ms",
        "half a line of text",
        "{not json}",
    ]
    places = {(line.namespace, line.pod, line.container) for line in lines}
    assert places == {("mambogo-production", "order-service-7f-abc", "order-service")}


def test_members_of_an_object_are_fields(lines: tuple[LogLine, ...]) -> None:
    access = lines[0]
    assert {name: access.fields[name] for name in ("request_id", "trace_id", "status")} == {
        "request_id": "request-1",
        "trace_id": TRACE,
        "status": "201",
    }
    assert [line.severity for line in lines[:2]] == ["INFO", "WARNING"]


def test_a_line_has_the_time_at_which_the_service_said_it(lines: tuple[LogLine, ...]) -> None:
    assert lines[0].at == NOW + timedelta(milliseconds=100)


def test_a_span_s_trail_has_the_lines_of_its_trace(observed: Observed, lines: tuple[LogLine, ...]) -> None:
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "order-service"}}]}
    sent = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [SPAN]}]}]}
    assert observed.otlp.post("/v1/traces", json=sent).status_code == 200

    def probe() -> Trail:
        trail = follow(TRACE, observed.spans, observed.logs)
        if not trail.spans:
            raise NotYet("no span")
        return trail

    trail = wait_until("the span", probe, timeout_seconds=HEALTHY_SECONDS, hint=_HINT)
    [span] = trail.spans
    assert (span.service, span.kind, span.seconds, span.failed) == ("order-service", "server", 0.005, True)
    assert span.attributes["http.route"] == "/api/orders"
    # The edge's line has the request's id alone.
    assert trail.lines == lines[:3]


def test_the_configuration_names_only_what_the_program_has() -> None:
    parsed = yaml.safe_load(CONFIGURATION.read_text())
    source = (ROOT / "kind" / "toolchain" / "otelcol" / "main.go").read_text()
    for kind, suffix in (("receivers", "receiver"), ("processors", "processor"), ("exporters", "exporter")):
        for name in parsed[kind]:
            assert f'/{name.replace("_", "")}{suffix}"' in source
