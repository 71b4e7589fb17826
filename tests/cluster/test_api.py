"""The adapter of the Kubernetes API against a server of our own that answers as it is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rehearsal.cluster.api import KubernetesApi
from rehearsal.cluster.facts import PodFacts
from rehearsal.core.errors import EnvironmentNotReadyError

from tests.servers import running

pytestmark = pytest.mark.enable_socket


@dataclass(slots=True)
class Server:
    """What the server answers by method and path, and what it was asked."""

    port: int = 0
    answers: dict[tuple[str, str], tuple[int, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            told.asked.append((self.command, self.path))
            told.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            status, body = told.answers.get((self.command, self.path), (404, b"{}"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_DELETE = _answer  # noqa: N815 - the names are the library's

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        told.port = port
        yield told


@pytest.fixture
def kubeconfig(tmp_path: Path, server: Server) -> Path:
    file = tmp_path / "kubeconfig"
    content = {
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.port}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    }
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"])
@pytest.mark.parametrize("exceptions", [None, "", ".internal"])
def test_proxy_variables_do_not_lead_the_cluster_s_api_astray(
    server: Server, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch, name: str, exceptions: str | None
) -> None:
    for other in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(other, raising=False)
        if exceptions is not None:
            monkeypatch.setenv(other, exceptions)
    # Nothing listens on port 1.
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.answers["GET", "/readyz"] = (200, b"ok")

    assert KubernetesApi(kubeconfig, "x").ready()


@pytest.mark.parametrize("answer", [(200, b"not ok"), (500, b"ok"), (404, b"")])
def test_server_that_does_not_say_ok_is_not_ready(
    server: Server, kubeconfig: Path, answer: tuple[int, bytes]
) -> None:
    server.answers["GET", "/readyz"] = answer

    assert not KubernetesApi(kubeconfig, "x").ready()


def test_what_is_not_there_is_none(kubeconfig: Path) -> None:
    assert KubernetesApi(kubeconfig, "x").get("/api/v1/nodes/nobody") is None


def test_refusal_carries_what_the_server_said(server: Server, kubeconfig: Path) -> None:
    server.answers["GET", "/api/v1/nodes"] = (500, b"etcd is full")

    with pytest.raises(EnvironmentNotReadyError, match=r"500.*etcd is full") as caught:
        KubernetesApi(kubeconfig, "x").nodes()

    assert caught.value.code == "API_REFUSED"


def test_pods_are_told_as_their_kubelets_described_them(server: Server, kubeconfig: Path) -> None:
    def pod(
        name: str,
        *states: object,
        node: str = "worker",
        phase: str = "Running",
        ready: str = "False",
        **metadata: str,
    ) -> object:
        return {
            "metadata": {"namespace": "n", "name": name, **metadata},
            "spec": {"nodeName": node} if node else {},
            "status": {
                "phase": phase,
                "conditions": [{"type": "Ready", "status": ready}],
                "containerStatuses": [{"state": state} for state in states],
            },
        }

    early, late = ({"running": {"startedAt": f"2026-11-26T13:33:0{second}Z"}} for second in (4, 9))
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    items = [
        pod("runs", late, waiting, early, ready="True"),
        pod("waits", waiting),
        pod("unplaced", node=""),
        pod("ended", phase="Succeeded"),
        pod("goes", early, deletionTimestamp="2026-11-26T13:33:00Z"),
    ]
    server.answers["GET", "/api/v1/namespaces/n/pods"] = (200, json.dumps({"items": items}).encode())

    found = KubernetesApi(kubeconfig, "x").pods(["n"])

    began = datetime(2026, 11, 26, 13, 33, 4, tzinfo=UTC)
    assert found == [
        PodFacts("n", "runs", "worker", began, ready=True),
        PodFacts("n", "waits", "worker", None, ready=False),
    ]


def test_object_is_deleted_and_a_second_time_is_no_error(server: Server, kubeconfig: Path) -> None:
    api, path = KubernetesApi(kubeconfig, "x"), "/api/v1/nodes/worker"
    server.answers["DELETE", path] = (200, b"{}")
    api.delete(path)
    server.answers.clear()
    api.delete(path)

    assert server.asked == [("DELETE", path), ("DELETE", path)]


def test_object_is_deleted_by_its_uid_and_never_its_successor(server: Server, kubeconfig: Path) -> None:
    path = "/api/v1/namespaces/n/pods/kafka-0"
    server.answers["DELETE", path] = (409, b"the UID in the precondition does not match")
    KubernetesApi(kubeconfig, "x").delete(path, grace_seconds=0, uid="abc")

    # With a body the server looks at no query.
    assert server.asked == [("DELETE", path)]
    assert json.loads(server.bodies[0]) == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": "abc"},
    }


def test_conflict_is_an_error_where_no_uid_was_named(server: Server, kubeconfig: Path) -> None:
    server.answers["DELETE", "/api/v1/nodes/worker"] = (409, b"it changed")

    with pytest.raises(EnvironmentNotReadyError, match="it changed"):
        KubernetesApi(kubeconfig, "x").delete("/api/v1/nodes/worker")


def test_deletion_that_is_refused_is_an_error(server: Server, kubeconfig: Path) -> None:
    server.answers["DELETE", "/api/v1/nodes/worker"] = (403, b"no")

    with pytest.raises(EnvironmentNotReadyError):
        KubernetesApi(kubeconfig, "x").delete("/api/v1/nodes/worker")


def test_server_that_is_not_there_is_unreachable(kubeconfig: Path) -> None:
    content = json.loads(kubeconfig.read_text(encoding="utf-8"))
    content["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:1"
    kubeconfig.write_text(json.dumps(content), encoding="utf-8")

    with pytest.raises(EnvironmentNotReadyError) as caught:
        KubernetesApi(kubeconfig, "x").nodes()

    assert caught.value.code == "API_UNREACHABLE"


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (b"first\nlast\n", "first\nlast\n"),
        (b"x" * 200_000 + b"\nnewest\n", "... the beginning was left out\nnewest\n"),
        (b"a line\n" * 100_000 + b"newest\n", "newest\n"),
    ],
    ids=["whole", "a-long-line", "many-lines"],
)
def test_newest_lines_of_a_log_survive(server: Server, kubeconfig: Path, log: bytes, told: str) -> None:
    server.answers["GET", "/log"] = (200, log)
    said = KubernetesApi(kubeconfig, "x").tail("/log", 100_000)

    assert said.endswith(told)
    assert len(said) <= 100_000 + len("... the beginning was left out\n")


def test_log_that_is_refused_is_an_error(server: Server, kubeconfig: Path) -> None:
    server.answers["GET", "/log"] = (400, b"container is waiting to start")

    with pytest.raises(EnvironmentNotReadyError, match="waiting to start"):
        KubernetesApi(kubeconfig, "x").tail("/log", 100)
