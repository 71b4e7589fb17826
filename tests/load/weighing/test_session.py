"""All services weighed by real requests at a shop that counts what it does, and a node that says how much."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.load.weighing.measuring import MOST_IDLE
from rehearsal.load.weighing.operations import OPERATIONS, REFERENCE_PATH, Goods
from rehearsal.load.weighing.session import RECORDS, Weighing

from tests.servers import running

pytestmark = pytest.mark.enable_socket

GOODS = Goods("p-1", "sold-out-1", "o-1", "y-1")
_COST_NANOSECONDS = {REFERENCE_PATH: 1_000_000, "/api/orders/o-1": 5_000_000}
_USUAL_NANOSECONDS = 3_000_000


class Shop:
    """Every service in one server; each request adds to the counter of the pod that it was sent to."""

    def __init__(self) -> None:
        self.used: dict[str, int] = {}
        self.tokens: set[str] = set()
        self.orders: list[str] = []
        self.lock = threading.Lock()
        self.idles_since: float | None = None  # from then on every pod uses half a core by itself

    @contextmanager
    def way(self, pod: str, log: Path) -> Iterator[str]:
        """Yield the address of a pod."""
        shop = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one packet for an answer: the second would wait for an acknowledgement

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

            def _answer(self) -> None:
                with shop.lock:
                    self._answered()

            def _answered(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                path = urlsplit(self.path).path
                shop.tokens.add(self.headers["Authorization"])
                shop.used[pod] = shop.used.get(pod, 0) + _COST_NANOSECONDS.get(path, _USUAL_NANOSECONDS)
                if self.command == "POST":
                    shop.orders.append(f"order-{len(shop.orders)}")
                items = [{"order_id": one, "state": "REJECTED"} for one in shop.orders]
                content = json.dumps({"order_id": (shop.orders or [""])[-1], "items": items}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def do_PUT(self) -> None:
                self._answer()

            def do_DELETE(self) -> None:
                self._answer()

        with running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
            yield f"http://127.0.0.1:{port}"

    def get(self, path: str) -> Mapping[str, Any] | None:
        """Answer with the one pod that each service has."""
        name = path.rpartition("app%3D")[2] + "-a"
        status = {
            "startTime": "2026-01-01T00:00:00Z",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"containerID": f"containerd://{name}"}],
        }
        return {"items": [{"metadata": {"name": name}, "spec": {"nodeName": "node"}, "status": status}]}

    def execute(self, container: str, argv: list[str]) -> str:
        """Find a counter."""
        return f"/sys/fs/cgroup/cpuacct/{argv[-1]}/cpuacct.usage\n"

    @contextmanager
    def converse(self, container: str, argv: tuple[str, ...]) -> Iterator[Callable[[str], str]]:
        """Say what a pod has used."""

        def ask(file: str) -> str:
            idle = 0.0 if self.idles_since is None else max(0.0, time.monotonic() - self.idles_since) / 2
            return str(self.used.get(file.split("/")[-2], 0) + int(idle * 1e9))

        yield ask


@pytest.fixture
def shop() -> Shop:
    """Return a shop that nobody else uses."""
    return Shop()


def _weighing(shop: Shop) -> Weighing:
    return Weighing(shop, shop, "shop", shop.way, lambda: "token", lambda: GOODS, idle_seconds=0.05)


def _two_pairs(operation: object, ratios: object) -> bool:
    assert isinstance(ratios, list)
    return len(ratios) >= 2


def test_every_operation_is_weighed_and_written_down(shop: Shop, tmp_path: Path) -> None:
    said: list[str] = []
    found = _weighing(shop)(tmp_path, _two_pairs, said.append)

    assert [one.operation for one in found] == list(OPERATIONS)
    assert found[0].ratios == (5.0, 5.0)
    assert "cart-service" in said
    records = [json.loads(line) for line in (tmp_path / RECORDS).read_text("utf-8").splitlines()]
    assert [(one["operation"], one["trouble"]) for one in records] == [(one.name, "") for one in OPERATIONS]


def test_it_asks_as_the_user_whose_token_it_was_given(shop: Shop, tmp_path: Path) -> None:
    _weighing(shop)(tmp_path, _two_pairs, lambda text: None)
    assert shop.tokens == {"Bearer token"}


def test_pods_that_were_busy_afterwards_are_doubted(shop: Shop, tmp_path: Path) -> None:
    def say(text: str) -> None:
        if text == "looking at them again":
            shop.idles_since = time.monotonic()

    found = _weighing(shop)(tmp_path, _two_pairs, say)
    assert all("another load ran" in one.trouble for one in found)
    assert MOST_IDLE < 0.5


def test_service_without_a_ready_pod_cannot_be_weighed(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shop, "get", lambda path: {"items": []})
    with pytest.raises(EnvironmentNotReadyError, match="no pod of order-service is ready"):
        _weighing(shop)(tmp_path, _two_pairs, lambda text: None)
