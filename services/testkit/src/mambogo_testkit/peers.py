"""Other services, as a test wants them: small real HTTP servers on loopback whose answers a function gives.

Each request is answered on a thread of its own, so that an answer may be slow, or never come. What a peer
answers is the test's.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True, slots=True)
class PeerRequest:
    """A request as a peer got it; header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body's content."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class PeerReply:
    """An answer; `None` as content sends no body."""

    status: int = 200
    content: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """The content as JSON."""
        return b"" if self.content is None else json.dumps(self.content).encode()


Behaviour = Callable[[PeerRequest], PeerReply]


@dataclass(slots=True)
class Peer:
    """A running peer: where it is, what it was asked, and what it answers from now on."""

    url: str
    behaviour: Behaviour
    requests: list[PeerRequest] = field(default_factory=list)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A burst of first connections must not be refused.
    request_queue_size = 256
    peer: Peer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Small answers must not wait for an acknowledgement of their head.
    disable_nagle_algorithm = True
    server: _Server

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = PeerRequest(self.command, parts.path, parse_qs(parts.query), headers, body)
        peer = self.server.peer
        peer.requests.append(request)
        reply = peer.behaviour(request)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def handle(self) -> None:
        with suppress(ConnectionError):  # a client that gave up: the test knows
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the test has the requests."""


@contextmanager
def peer(behaviour: Behaviour) -> Iterator[Peer]:
    """A peer on a free port, for the length of the block."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.peer = Peer(f"http://127.0.0.1:{server.server_address[1]}", behaviour)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.peer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
