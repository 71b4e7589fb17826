"""Profile full: everything that a cluster of three nodes is good for, when it is new and after each harm."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import uuid
from collections.abc import Callable, Iterator

import pytest
from kubernetes import client
from pytest_socket import enable_socket
from rehearsal.cluster import record
from rehearsal.cluster.engine import DockerNodeEngine, connect
from rehearsal.cluster.plan import ClusterSpec
from rehearsal.cluster.status import parse_counters
from rehearsal.core.catalogue import Catalogue
from rehearsal.core.paths import Paths
from rehearsal.core.waiting import NotYet, WaitTimeoutError, wait_until
from rehearsal.supply.engine_finding import Engine, Origin, find_engine
from rehearsal.supply.engine_home import EngineHome, owned_by
from urllib3.exceptions import HTTPError

from tests.live.bench import Bench
from tests.show.program import Ended, rehearsal

pytestmark = pytest.mark.cluster

_IMAGE = "rehearsal/debian:bookworm"
_BACK_SECONDS = 300.0  # a control plane is back after ten seconds on an idle machine, its pods after a minute
_HINT = "`rehearsal cluster status`"
_DATA = "written before any harm"
# Answers each connection with one HTTP response that names the pod.
_NAME_SERVER = (
    "$s=IO::Socket::INET->new(LocalPort=>8000,Listen=>99,ReuseAddr=>1) or die; while($c=$s->accept){"
    'print $c "HTTP/1.0 200 OK\\r\\nConnection: close\\r\\n\\r\\n$ENV{HOSTNAME}\\n";close $c}'
)


class Full:
    """The cluster of three nodes, with a server on each node and a volume that was written once."""

    def __init__(self, spec: ClusterSpec, settings: Catalogue, bench: Bench) -> None:
        self.spec, self.bench, self._settings = spec, bench, settings

    def furnish(self) -> None:
        """Put the servers, and the volume with its data."""
        self.bench.serve("web", _NAME_SERVER, on_every_node=True, node_port=self._settings.node_ports.echo)
        claim = {
            "metadata": {"name": "kept"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "8Mi"}}},
        }
        self.bench.core.create_namespaced_persistent_volume_claim(self.bench.namespace, claim)
        self._run(f"id -u > /data/who; echo {_DATA} > /data/what", claim="kept")

    def wait_until_whole(self) -> None:
        """Wait, without helping, until every check holds."""

        def whole() -> bool:
            try:
                self.check()
            except (AssertionError, WaitTimeoutError, HTTPError, client.ApiException) as error:
                raise NotYet(str(error)) from error
            return True

        wait_until("everything", whole, timeout_seconds=_BACK_SECONDS, hint=_HINT, interval_seconds=1.0)

    def from_outside(self) -> bool:
        """Return whether a server answers on 127.0.0.1, by the NodePort."""
        connection = http.client.HTTPConnection("127.0.0.1", self._settings.ports.echo, timeout=5)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read().startswith(b"web-")
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def check(self) -> None:
        """Check everything from every node."""
        names = self._servers()
        service = f"web.{self.bench.namespace}.svc.cluster.local"
        asked = "; ".join([*map(_ask, names), _ask(service, port=80), f"getent hosts {service} > /dev/null"])
        for node in self.spec.node_names:
            *pods, by_service = self._run(asked, node=node).split()
            assert pods == list(names.values()), f"pod to pod from {node}"
            assert by_service in pods, f"Service and DNS from {node}"
        assert self.from_outside(), "NodePort on 127.0.0.1"
        assert self._run("cat /data/who /data/what", claim="kept") == f"65534\n{_DATA}\n"
        assert self.strays() == []
        pulled = self.pulled()
        assert pulled, "no event shows any pull: the check has nothing to look at"
        assert [one for one in pulled if not one.startswith(self.spec.registry_name)] == []

    def strays(self) -> list[str]:
        """Return each node and counter by which a packet to pod or service ranges left a node."""
        docker = connect()
        engine, found = DockerNodeEngine(docker), []
        for node in self.spec.node_names:
            counters = parse_counters(engine.execute(node, ["node-network", "status"]))
            found += [f"{node} {name}" for name in ("to_services", "to_pods") if counters[name]]
        docker.close()
        return found

    def pulled(self) -> list[str]:
        """Return the images that an event says were pulled."""
        events = self.bench.core.list_event_for_all_namespaces(field_selector="reason=Pulling").items
        return [event.message.split('"')[1] for event in events]

    def _servers(self) -> dict[str, str]:
        pods = self.bench.core.list_namespaced_pod(self.bench.namespace, label_selector="app=web").items
        assert {pod.spec.node_name for pod in pods} == set(self.spec.node_names)
        return {pod.status.pod_ip: pod.metadata.name for pod in pods}

    def _run(self, script: str, *, node: str | None = None, claim: str | None = None) -> str:
        return self.bench.run(f"run-{uuid.uuid4().hex[:6]}", script, claim=claim, node=node)


def _ask(host: str, *, port: int = 8000) -> str:
    return f"exec 3<>/dev/tcp/{host}/{port}; tail -n 1 <&3"


@pytest.fixture(scope="module")
def full(up: Callable[..., Ended], folders: Paths, settings: Catalogue) -> Iterator[Full]:
    enable_socket()
    rehearsal("cluster", "down").well()
    up("full")
    made = record.load(folders.state)
    assert made
    image = f"{made.spec.registry_name}/rehearsal-tests/debian"
    _push(image)
    name = f"rehearsal-show-{uuid.uuid4().hex[:6]}"
    bench = Bench(folders.kubeconfig, made.spec.context, name, f"{image}:1")
    bench.open()
    place = Full(made.spec, settings, bench)
    place.furnish()
    with contextlib.closing(bench):
        yield place


def _push(repository: str) -> None:
    docker = connect()
    docker.images.get(_IMAGE).tag(repository, "1")
    lines = docker.images.push(repository, "1", stream=True, decode=True)
    assert [line["error"] for line in lines if "error" in line] == []
    docker.close()


def test_everything_works_when_it_is_new(full: Full) -> None:
    full.check()


@pytest.mark.parametrize("number", [0, 1, 2], ids=["control-plane", "worker", "worker2"])
def test_everything_is_back_by_itself_after_a_restart_of_a_node(full: Full, number: int) -> None:
    docker = connect()
    docker.containers.get(full.spec.node_names[number]).restart(timeout=10)
    docker.close()
    full.wait_until_whole()


def test_everything_is_back_after_a_restart_of_the_engine(
    full: Full, folders: Paths, pytestconfig: pytest.Config
) -> None:
    if not pytestconfig.getoption("--restart-engine"):
        pytest.skip("stops every container of this machine: nox -s show -- --restart-engine")
    home = EngineHome.of(folders)
    engine = find_engine(home)
    if not (isinstance(engine, Engine) and engine.origin is Origin.OURS and engine.pid):
        pytest.skip("the engine is not one that the project started; nobody else's is ever restarted")
    pid = engine.pid
    os.kill(pid, signal.SIGTERM)
    wait_until(
        "the engine's end", lambda: not owned_by(home, pid), timeout_seconds=120, hint=f"See {home.log}."
    )
    rehearsal("cluster", "repair").well()
    full.wait_until_whole()


def test_cluster_is_whole_in_the_end(full: Full) -> None:
    rehearsal("cluster", "status").well()
