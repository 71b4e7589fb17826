"""The way to the fleet from processes that do not own it: xdist workers, and runs that share a keeper's.

A Unix socket in a directory that only this user can enter; one connection per request, one line of
JSON each way. The request blocks until the dependency is ready.
"""

from __future__ import annotations

import json
import shutil
import socket
import socketserver
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path

from mambogo_testkit.errors import TestkitError
from mambogo_testkit.fleet import Supplier
from mambogo_testkit.running import Running


class FleetServer:
    """Serves a supplier to other processes until it is closed."""

    def __init__(self, supplier: Supplier) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="testkit-"))
        self.path = str(self._directory / "fleet")
        self._server = _Server(self.path, _Handler)
        self._server.supplier = supplier
        self._thread = threading.Thread(target=self._server.serve_forever, name="testkit-server", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving; requests under way end first."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        shutil.rmtree(self._directory, ignore_errors=True)


class RemoteFleet:
    """A supplier in another process, reached by its socket."""

    def __init__(self, path: str) -> None:
        self._path = path

    def want(self, kinds: Iterable[str]) -> None:
        """Ask for a start, do not wait for it."""
        self._ask("want", json.dumps(list(kinds)))

    def get(self, kind: str) -> Running:
        """Return the run's shared dependency, ready."""
        return Running.from_json(self._ask("get", kind))

    def own(self, kind: str) -> Running:
        """Return a dependency, ready, that nobody else gets."""
        return Running.from_json(self._ask("own", kind))

    def release(self, running: Running) -> None:
        """Give back what `own` returned."""
        self._ask("release", running.to_json())

    def remove_released(self) -> None:
        """Have what was released removed."""
        self._ask("remove_released", "")

    def close(self) -> None:
        """Do nothing: what was started belongs to the owner."""

    def _ask(self, request: str, argument: str) -> str:
        try:
            line = self._exchange(json.dumps([request, argument]).encode() + b"\n")
        except OSError as error:
            raise _gone() from error
        if not line:
            raise _gone()
        outcome, *values = json.loads(line)
        if outcome == "error":
            raise TestkitError(*values)
        return str(values[0])

    def _exchange(self, request: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self._path)
            connection.sendall(request)
            with connection.makefile("rb") as answers:
                return answers.readline()


def _gone() -> TestkitError:
    return TestkitError(
        "fleet-gone",
        "the owner of the dependencies ended",
        "see the output of the xdist controller or keeper",
    )


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = False
    supplier: Supplier


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        request, argument = json.loads(self.rfile.readline())
        try:
            answer = ["ok", _dispatch(self.server.supplier, request, argument)]
        except TestkitError as error:
            answer = ["error", error.code, error.message, error.hint]
        self.wfile.write(json.dumps(answer).encode() + b"\n")


def _dispatch(supplier: Supplier, request: str, argument: str) -> str:
    match request:
        case "want":
            supplier.want(json.loads(argument))
        case "get":
            return supplier.get(argument).to_json()
        case "own":
            return supplier.own(argument).to_json()
        case "release":
            supplier.release(Running.from_json(argument))
        case "remove_released":
            supplier.remove_released()
        case _:
            raise TestkitError(
                "request", f"unknown request {request!r}", "all processes must run one testkit"
            )
    return ""
