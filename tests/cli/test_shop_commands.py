"""`rehearsal shop`: what its last lines say about the hops, from a log store on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rehearsal.cli.composition import workshop
from rehearsal.cli.shop_commands import _inside
from rehearsal.shop.walking import Hop

from tests.servers import running

pytestmark = pytest.mark.enable_socket

CHECKOUT = Path(__file__).resolve().parents[2]
_FIELDS = {"_time": "2026-01-01T12:00:00Z", "_msg": "", "request_id": "r-1"}
_LINES = (
    {**_FIELDS, "k8s.container.name": "cdn", "duration_seconds": "0.012", "upstream_seconds": "0.011"},
    {
        **_FIELDS,
        "k8s.container.name": "gateway-service",
        "duration_ms": "9",
        "upstream": "order-service",
        "pod": "p",
    },
    {**_FIELDS, "k8s.container.name": "order-service", "duration_ms": "8.7"},
)
_PLACED = Hop("place the order", 0.013, "201", request_id="r-1", cache="PASS")

Asking = Callable[[Sequence[Hop]], list[str]]


class Store(BaseHTTPRequestHandler):
    """VictoriaLogs with one request's lines."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write("\n".join(map(json.dumps, _LINES)).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asking]:
    """What asks a store that is there only while it is asked."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    text = (CHECKOUT / "rehearsal.toml").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def ask(hops: Sequence[Hop]) -> list[str]:
        with workshop("shop", announce=False) as opened:
            return _inside(opened, hops)

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Store)) as port:
        (tmp_path / "rehearsal.toml").write_text(
            text.replace("\nlogs = 9428", f"\nlogs = {port}"), encoding="utf-8"
        )
        yield ask


def test_each_hop_of_a_request_is_said(inside: Asking) -> None:
    assert inside([_PLACED, Hop("inventory-service reserves its goods", 0.02, "RESERVED")]) == [
        "of that time",
        "  place the order: cache 1 ms, load balancer 2 ms, gateway under 1 ms, order-service 9 ms",
    ]


def test_what_the_edge_had_kept_asked_nobody(inside: Asking) -> None:
    assert inside([Hop("look at the product", 0.002, "200", cache="HIT")])[1:] == [
        "  look at the product: the cache alone"
    ]


def test_a_store_that_is_away_is_said(inside: Asking, tmp_path: Path) -> None:
    settings = tmp_path / "rehearsal.toml"
    text = settings.read_text(encoding="utf-8")
    logs = next(line for line in text.splitlines() if line.startswith("logs = "))
    settings.write_text(text.replace(logs, "logs = 1"), encoding="utf-8")
    (said,) = inside([_PLACED])
    assert said.startswith("who had how much of it is not known: VictoriaLogs does not answer")
