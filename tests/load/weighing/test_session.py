"""All services weighed by real requests at a shop that counts what it does, and a node that says how much."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from rehearsal.cluster.usage import PodOnNode
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.load.weighing import operations
from rehearsal.load.weighing.baseline import Baseline
from rehearsal.load.weighing.measuring import MOST_IDLE
from rehearsal.load.weighing.operations import OPERATIONS, SERVICES, Goods
from rehearsal.load.weighing.session import RECORDS, Weighing

from tests.load.weighing.ready import ready_pod
from tests.servers import running

pytestmark = pytest.mark.enable_socket

GOODS = Goods("p-1", "sold-out-1", "o-1", "y-1")
BEFORE = Baseline(images={service: f"{service}:before" for service in SERVICES})
_NANOSECONDS = 3_000_000
_NOW_NANOSECONDS = {"/api/orders/o-1": 5_000_000}  # what one request costs otherwise than before


class Shop:
    """Every service in one server; each request adds to the counter of the pod that it was sent to."""

    def __init__(self) -> None:
        self.used: dict[str, int] = {}
        self.tokens: set[str] = set()
        self.orders: list[str] = []
        self.lock = threading.Lock()
        self.idles_since: float | None = None  # from then on every pod uses half a core by itself
        self.earlier_pods: dict[str, str] = {}  # their images
        self.said: list[str] = []

    @contextmanager
    def earlier(self, service: str, image: str) -> Iterator[PodOnNode]:
        """Have a pod of an earlier image for a while."""
        name = f"{service}-before"
        self.earlier_pods[name] = image
        yield PodOnNode(name, "node", name, "")
        self.said.append(f"{name} is taken away")

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
                cost = _NANOSECONDS if pod in shop.earlier_pods else _NOW_NANOSECONDS.get(path, _NANOSECONDS)
                shop.used[pod] = shop.used.get(pod, 0) + cost
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
        """Answer with the one pod that each service has, and with the earlier one."""
        service = path.rpartition("app%3D")[2]
        earlier = [one for one in self.earlier_pods if one == f"{service}-before"]
        return {"items": [ready_pod(name) for name in (*earlier, f"{service}-a")]}

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
    return Weighing(
        shop,
        shop,
        "shop",
        shop.way,
        shop.earlier,
        lambda: "token",
        lambda: GOODS,
        idle_seconds=0.05,
        settled_seconds=0.1,
    )


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep batches small: nothing scatters here."""
    small = tuple(replace(one, times=3) for one in OPERATIONS)
    monkeypatch.setattr(operations, "OPERATIONS", small)


def _two_pairs(ratios: Sequence[float]) -> bool:
    return len(ratios) >= 2


def test_every_operation_is_weighed_and_written_down(shop: Shop, tmp_path: Path) -> None:
    said: list[str] = []
    found = _weighing(shop)(BEFORE, tmp_path, _two_pairs, said.append)

    assert [one.operation.name for one in found] == [one.name for one in OPERATIONS]
    assert [round(ratio, 3) for ratio in found[0].ratios] == [1.667, 1.667]
    assert found[1].ratios == (1.0, 1.0)
    assert shop.earlier_pods["cart-service-before"] == "cart-service:before"
    assert "cart-service" in said
    records = [json.loads(line) for line in (tmp_path / RECORDS).read_text("utf-8").splitlines()]
    assert [(one["operation"], one["trouble"]) for one in records] == [(one.name, "") for one in OPERATIONS]


def test_it_asks_as_the_user_whose_token_it_was_given(shop: Shop, tmp_path: Path) -> None:
    _weighing(shop)(BEFORE, tmp_path, _two_pairs, lambda text: None)
    assert shop.tokens == {"Bearer token"}


def test_pods_that_were_busy_afterwards_are_doubted(shop: Shop, tmp_path: Path) -> None:
    def busy_when_enough(ratios: Sequence[float]) -> bool:
        shop.idles_since = shop.idles_since or (time.monotonic() if len(ratios) >= 2 else None)
        return len(ratios) >= 2

    found = _weighing(shop)(BEFORE, tmp_path, busy_when_enough, lambda text: None)
    assert all("another load ran" in one.trouble for one in found)
    assert MOST_IDLE < 0.5


def test_each_earlier_pod_is_taken_away_before_the_next_comes(shop: Shop, tmp_path: Path) -> None:
    _weighing(shop)(BEFORE, tmp_path, _two_pairs, shop.said.append)
    assert shop.said[:3] == ["order-service", "order-service-before is taken away", "product-service"]


def test_service_without_a_ready_pod_cannot_be_weighed(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shop, "get", lambda path: {"items": []})
    with pytest.raises(EnvironmentNotReadyError, match="no pod of order-service is ready"):
        _weighing(shop)(BEFORE, tmp_path, _two_pairs, lambda text: None)
