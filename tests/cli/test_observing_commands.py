"""`rehearsal trace` and `rehearsal logs` as commands, against stores on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from rehearsal.cli import main
from rehearsal.core.verdicts import ExitCode

from tests.servers import running

pytestmark = pytest.mark.enable_socket

CHECKOUT = Path(__file__).resolve().parents[2]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
_SPAN = {
    "traceId": TRACE,
    "id": "b7ad6b7169203331",
    "name": "get /api/cart",
    "localEndpoint": {"serviceName": "cart-service"},
}
_LINE = {
    "_time": "2026-01-01T12:00:00Z",
    "_msg": "GET /api/cart 200",
    "k8s.container.name": "cart-service",
    "severity": "INFO",
    "trace_id": TRACE,
}


class _Store(BaseHTTPRequestHandler):
    answers: Any = staticmethod(lambda path: (404, b""))

    def do_GET(self) -> None:
        status, content = self.answers(self.path)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Spans(_Store):
    """Zipkin with one trace."""

    answers = staticmethod(
        lambda path: (200, json.dumps([_SPAN]).encode()) if path.endswith(TRACE) else (404, b"")
    )


class Logs(_Store):
    """VictoriaLogs with one line, which belongs to the trace."""

    answers = staticmethod(
        lambda path: (200, json.dumps(_LINE).encode() if TRACE in path or "_time" in path else b"")
    )


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A checkout whose stores are on ports of this test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    stores = [ThreadingHTTPServer(("127.0.0.1", 0), store) for store in (Spans, Logs)]
    with running(stores[0]) as traces, running(stores[1]) as logs:
        text = (CHECKOUT / "rehearsal.toml").read_text()
        for name, old, new in (("traces", 9411, traces), ("logs", 9428, logs)):
            assert f"\n{name} = {old}" in text
            text = text.replace(f"\n{name} = {old}", f"\n{name} = {new}")
        (tmp_path / "rehearsal.toml").write_text(text)
        monkeypatch.chdir(tmp_path)
        yield


@pytest.mark.usefixtures("checkout")
def test_a_request_s_spans_and_lines_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["trace", TRACE]) == ExitCode.PASS
    said = capsys.readouterr().out
    assert f"trace {TRACE}: 1 spans of 1 services, 1 lines of logs" in said
    assert "cart-service       get /api/cart" in said
    assert said.rstrip().endswith("GET /api/cart 200")


@pytest.mark.usefixtures("checkout")
def test_they_are_one_record_with_json(capsys: pytest.CaptureFixture[str]) -> None:
    main.run(["trace", TRACE, "--json"])
    record = json.loads(capsys.readouterr().out)
    assert ([one["service"] for one in record["spans"]], len(record["logs"])) == (["cart-service"], 1)


@pytest.mark.usefixtures("checkout")
def test_an_id_that_nobody_knows_is_an_error_of_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["trace", "f" * 32, "--json"]) == ExitCode.USAGE
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "ID_UNKNOWN"


@pytest.mark.usefixtures("checkout")
def test_a_container_s_lines_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["logs", "cart-service", "--since", "1h"]) == ExitCode.PASS
    assert capsys.readouterr().out.rstrip().endswith("GET /api/cart 200")


@pytest.mark.usefixtures("checkout")
def test_lines_are_one_record_with_json(capsys: pytest.CaptureFixture[str]) -> None:
    main.run(["logs", "--json"])
    assert [one["message"] for one in json.loads(capsys.readouterr().out)["logs"]] == ["GET /api/cart 200"]


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize("since", ["yesterday", "-1m", "15", "0s"])
def test_what_is_no_duration_is_an_error_of_usage(since: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["logs", "--since", since]) == ExitCode.USAGE
    assert "no duration" in capsys.readouterr().err


def test_a_store_that_is_not_there_is_the_environment_s_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    # Port 9 answers nobody.
    text = (CHECKOUT / "rehearsal.toml").read_text().replace("\nlogs = 9428", "\nlogs = 9")
    (tmp_path / "rehearsal.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert main.run(["logs"]) == ExitCode.ENVIRONMENT
