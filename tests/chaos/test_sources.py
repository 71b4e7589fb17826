"""Reading the deployed shop: rows through kubectl, the provider's books page by page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from rehearsal.chaos import topics
from rehearsal.chaos.postgres import Postgres
from rehearsal.chaos.sources import ClusterSource
from rehearsal.chaos.topics import Topics
from rehearsal.core.errors import EnvironmentNotReadyError

from tests.servers import running


def _source(folder: Path, script: str = "exit 1", url: str = "http://127.0.0.1:9") -> ClusterSource:
    program = folder / "kubectl"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    postgres = Postgres(program, folder / "kubeconfig", "kind-mambogo")
    return ClusterSource(postgres, Topics("127.0.0.1:9"), url)


def test_rows_keep_their_types_and_order(tmp_path: Path) -> None:
    rows = ['{"id":"a|b","n":3,"lines":[["p","1"]],"none":null}', '{"id":"c","n":4,"lines":null,"none":null}']
    script = "cat << 'END'\n" + "\n".join(rows) + "\nEND"

    found = _source(tmp_path, script).rows("order", "SELECT 1")

    assert found == [["a|b", 3, [["p", "1"]], None], ["c", 4, None, None]]


def test_query_is_asked_of_the_service_s_own_database(tmp_path: Path) -> None:
    _source(tmp_path, f'printf "%s\\n" "$@" > {tmp_path}/said').rows("order", "\nSELECT 1 AS one\n")

    said = (tmp_path / "said").read_text(encoding="utf-8").splitlines()
    assert {"--context=kind-mambogo", "--dbname=orders", "--username=orders", "postgres-0"} <= set(said)
    assert said[-1] == "--command=SELECT to_json(q) FROM (SELECT 1 AS one) AS q"


def test_database_that_does_not_answer_is_said(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentNotReadyError, match='pods "postgres-0" not found'):
        _source(tmp_path, "echo 'pods \"postgres-0\" not found'; exit 1").rows("payment", "SELECT 1")


def test_broker_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "_KAFKA_SECONDS", 0.3)
    nobody = Topics("127.0.0.1:9")

    with pytest.raises(EnvironmentNotReadyError, match="orders was not read to its end"):
        list(nobody.read("orders"))
    with pytest.raises(EnvironmentNotReadyError, match="inventory, payments was not read"):
        nobody.lag("order-service", ["inventory", "payments"])


@contextmanager
def _sandbox(entries: int, page: int) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            after = int(parse_qs(url.query)["after"][0])
            body = {"entries": [{"number": n} for n in range(after + 1, min(after + page, entries) + 1)]}
            self.send_response(200 if url.path == "/admin/ledger" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.mark.enable_socket
def test_the_provider_s_books_are_read_to_their_end(tmp_path: Path) -> None:
    with _sandbox(entries=7, page=3) as url:
        found = _source(tmp_path, url=url).ledger()

    assert [one["number"] for one in found] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.enable_socket
def test_books_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentNotReadyError, match="books were not read"):
        _source(tmp_path).ledger()
