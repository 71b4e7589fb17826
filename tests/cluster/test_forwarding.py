"""Ways into the cluster: to a pod, and to a service, which goes on when its pods come and go."""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from rehearsal.cluster.forwarding import Forwarding
from rehearsal.cluster.relaying import relayed
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.waiting import wait_until

# Leads to a pod that answers its name, `/slow` when the file `go` is there, and nothing once it is dead.
KUBECTL = """#!{python}
import pathlib, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

here = pathlib.Path(__file__).parent
pod, port = sys.argv[-2].removeprefix("pod/"), int(sys.argv[-1].split(":")[0])
if (here / (pod + ".absent")).exists():
    sys.exit("error: pods " + pod + " not found")

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        while self.path == "/slow" and not (here / "go").exists():
            time.sleep(0.01)
        self.send_response(200)
        self.send_header("Content-Length", str(len(pod)))
        self.end_headers()
        self.wfile.write(pod.encode())

    def log_message(self, *arguments):
        print("Handling connection for", port, flush=True)

server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
while not (here / (pod + ".dead")).exists():
    time.sleep(0.01)
sys.exit("error: lost connection to pod")
"""
pytestmark = pytest.mark.enable_socket

WITHIN_SECONDS = 20.0


@dataclass
class Shop:
    """A service with pods, of which some are ready."""

    folder: Path
    ready: list[str] = field(default_factory=lambda: ["order-a", "order-b"])
    leaving: list[str] = field(default_factory=list)
    answers: bool = True
    asked: int = 0

    @property
    def forwarding(self) -> Forwarding:
        kubectl = self.folder / "kubectl"
        if not kubectl.exists():
            kubectl.write_text(KUBECTL.format(python=sys.executable), encoding="utf-8")
            kubectl.chmod(0o755)
        return Forwarding(kubectl, self.folder / "config", "kind-mambogo", "shop", lambda: self)

    @property
    def log(self) -> Path:
        return self.folder / "way.txt"

    def get(self, path: str) -> Mapping[str, Any] | None:
        """Answer as the API does for the slices of a service; half of its pods are in each."""
        self.asked += 1
        assert "service-name%3Dorder-service&" in path
        if not self.answers:
            raise EnvironmentNotReadyError("API_UNREACHABLE", "it does not answer", hint="")
        empty = {"endpoints": None}
        return {"items": [_slice(self.ready, True), empty, _slice(self.leaving, False)]}

    def say(self, name: str) -> None:
        """Have something happen to the pods."""
        (self.folder / name).touch()


def _slice(pods: list[str], ready: bool) -> Mapping[str, Any]:
    return {
        "endpoints": [
            {"conditions": {"ready": ready}, "targetRef": {"kind": "Pod", "name": pod}} for pod in pods
        ]
    }


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=WITHIN_SECONDS, trust_env=False) as one:
        yield one


def _asks(address: str, path: str = "/") -> str:
    """Ask over a connection of its own."""
    return httpx.get(f"{address}{path}", timeout=WITHIN_SECONDS, trust_env=False).text


def _until_answered(address: str, pod: str) -> None:
    """Ask until a pod answers. No request may fail until then."""
    wait_until(
        pod, lambda: _asks(address) == pod, timeout_seconds=WITHIN_SECONDS, hint="", interval_seconds=0.01
    )


def _until_looked(shop: Shop, before: int) -> None:
    """Wait until the way has looked since, and once more: what it saw first is done then."""
    wait_until("looks", lambda: shop.asked >= before + 3, timeout_seconds=WITHIN_SECONDS, hint="")


def test_way_stays_with_a_pod_that_is_ready(shop: Shop) -> None:
    with shop.forwarding.to("order-service", shop.log) as address:
        before = shop.asked
        _until_looked(shop, before)

        assert {_asks(address) for _ in range(5)} == {"order-a"}


def test_way_goes_on_before_a_pod_that_leaves_is_gone(shop: Shop) -> None:
    with shop.forwarding.to("order-service", shop.log) as address:
        assert _asks(address) == "order-a"
        shop.ready, shop.leaving = ["order-b", "order-c"], ["order-a"]
        _until_answered(address, "order-b")
        shop.say("order-a.dead")

        assert {_asks(address) for _ in range(5)} == {"order-b"}


def test_pod_that_leaves_answers_what_it_was_asked(shop: Shop) -> None:
    answers: list[str] = []
    with shop.forwarding.to("order-service", shop.log) as address:
        slow = threading.Thread(target=lambda: answers.append(_asks(address, "/slow")))
        slow.start()
        wait_until(
            "the request", lambda: len(_connected(address)) > 0, timeout_seconds=WITHIN_SECONDS, hint=""
        )
        shop.ready = ["order-b"]
        _until_answered(address, "order-b")
        shop.say("go")
        slow.join(WITHIN_SECONDS)

    assert answers == ["order-a"]


def _connected(address: str) -> list[str]:
    """Return the connections to a port that are established, as the kernel lists them."""
    port = f"0100007F:{int(address.rsplit(':', 1)[1]):04X}"
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()
    return [line for line in lines if line.split()[1:4:2] == [port, "01"]]


def test_connection_that_is_kept_finds_the_next_pod(shop: Shop, client: httpx.Client) -> None:
    with shop.forwarding.to("order-service", shop.log) as address:
        assert client.get(address).text == "order-a"
        shop.ready = ["order-b"]
        _until_answered(address, "order-b")
        shop.say("order-a.dead")

        def answered() -> bool:
            try:
                return client.get(address).text == "order-b"
            except httpx.TransportError as error:  # the moment in which the pod goes, and nothing after it
                failed.append(error)
                return False

        failed: list[Exception] = []
        wait_until("order-b", answered, timeout_seconds=WITHIN_SECONDS, hint="")
        assert len(failed) <= 1


@pytest.mark.parametrize("ready", [["order-a"], ["order-a", "order-b"]])
def test_way_that_breaks_is_opened_again(shop: Shop, ready: list[str]) -> None:
    shop.ready = ready
    with shop.forwarding.to("order-service", shop.log) as address:
        assert _asks(address) == "order-a"
        shop.say("order-a.dead")
        wait_until("the end", lambda: "lost" in shop.log.read_text(), timeout_seconds=WITHIN_SECONDS, hint="")
        (shop.folder / "order-a.dead").unlink()

        def answered() -> str:
            with suppress(httpx.TransportError):
                return _asks(address)
            return ""

        assert wait_until("an answer", answered, timeout_seconds=WITHIN_SECONDS, hint="") == ready[-1]


def test_no_answer_of_the_api_changes_nothing(shop: Shop) -> None:
    with shop.forwarding.to("order-service", shop.log) as address:
        shop.answers, before = False, shop.asked
        _until_looked(shop, before)
        assert _asks(address) == "order-a"
        shop.answers, shop.ready = True, ["order-b"]
        _until_answered(address, "order-b")


def test_service_without_ready_pods_keeps_its_way(shop: Shop) -> None:
    with shop.forwarding.to("order-service", shop.log) as address:
        shop.ready, shop.leaving, before = [], ["order-a"], shop.asked
        _until_looked(shop, before)

        assert _asks(address) == "order-a"


def test_pod_that_cannot_be_reached_is_tried_again(shop: Shop) -> None:
    with shop.forwarding.to("order-service", shop.log) as address:
        shop.say("order-b.absent")
        shop.ready, before = ["order-b"], shop.asked
        _until_looked(shop, before)
        assert _asks(address) == "order-a"
        (shop.folder / "order-b.absent").unlink()
        _until_answered(address, "order-b")


def test_service_without_a_ready_pod_is_not_reached(shop: Shop) -> None:
    shop.ready, shop.leaving = [], ["order-a"]

    with pytest.raises(EnvironmentNotReadyError) as caught, shop.forwarding.to("order-service", shop.log):
        pass

    assert caught.value.message == "there is no way to order-service: no pod of it is ready"
    assert caught.value.hint == "`kubectl get pods -n shop` shows whether it runs."


def test_what_kubectl_says_is_told(shop: Shop) -> None:
    shop.say("order-a.absent")

    with pytest.raises(EnvironmentNotReadyError) as caught, shop.forwarding.to("order-service", shop.log):
        pass

    assert caught.value.message == "there is no way to order-a: error: pods order-a not found"


def test_way_to_a_pod_leads_to_no_other(shop: Shop) -> None:
    with shop.forwarding.to_pod("order-b", shop.log) as address:
        shop.ready = ["order-a"]

        assert _asks(address) == "order-b"


def test_nothing_is_left_of_a_way(shop: Shop) -> None:
    threads = threading.active_count()
    with shop.forwarding.to("order-service", shop.log) as address:
        shop.ready = ["order-b"]
        _until_answered(address, "order-b")
        assert len(_programs(shop.folder)) == 2

    assert _programs(shop.folder) == []
    assert threading.active_count() == threads
    with pytest.raises(httpx.ConnectError):
        _asks(address)


def _programs(folder: Path) -> list[str]:
    """Return the running programs that were started from a folder."""
    found = []
    for one in os.listdir("/proc"):
        try:
            words = Path("/proc", one, "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if str(folder / "kubectl").encode() in words:
            found.append(one)
    return found


def test_connection_that_cannot_go_on_is_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = int(closed.getsockname()[1])

    with relayed(lambda: nowhere) as port, socket.create_connection(("127.0.0.1", port)) as one:
        one.settimeout(WITHIN_SECONDS)
        with pytest.raises(ConnectionResetError):
            one.recv(1)


@contextmanager
def _both_ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield a connection through a relay: the client's end, and the pod's."""
    with ExitStack() as opened:
        pod = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = opened.enter_context(relayed(lambda: int(pod.getsockname()[1])))
        client = opened.enter_context(socket.create_connection(("127.0.0.1", port)))
        taken = opened.enter_context(pod.accept()[0])
        for one in (client, taken):
            one.settimeout(WITHIN_SECONDS)
        yield client, taken


def test_connection_that_breaks_off_does_not_look_ended() -> None:
    with _both_ends() as (client, pod):
        pod.sendall(b"half")
        assert client.recv(4) == b"half"
        pod.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset
        pod.close()

        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_all_that_was_sent_arrives_before_the_end() -> None:
    sent = os.urandom(1 << 20)

    with _both_ends() as (client, pod):

        def write() -> None:
            pod.sendall(sent)
            pod.close()

        writing = threading.Thread(target=write)
        writing.start()
        assert _all(client) == sent
        writing.join(WITHIN_SECONDS)


def test_pod_sees_the_end_of_a_client() -> None:
    with _both_ends() as (client, pod):
        client.sendall(b"bye")
        client.close()

        assert _all(pod) == b"bye"


def _all(connection: socket.socket) -> bytes:
    found = bytearray()
    while content := connection.recv(1 << 16):
        found += content
    return bytes(found)
