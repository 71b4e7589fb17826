"""The gateway's own endpoints, answered in process: an ASGI application called for `/actuator/**` only.

Production's probes go to the port that carries the traffic, so a second server would have to stand behind
the first; calling the application directly has no socket that can be full, and no server to keep alive.
Only requests without content come here, answers are collected whole: they are small.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_to_bytes

from mambogo_gateway import errors
from mambogo_gateway.parsing.request import RequestHead
from mambogo_gateway.proxy.heads import request_id_of

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]  # ASGI's own type for its messages
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApplication = Callable[[Message, Receive, Send], Awaitable[None]]


class OwnEndpoints:
    """Calls an ASGI application with requests that the proxy has read."""

    def __init__(self, application: AsgiApplication) -> None:
        self._application = application

    async def answer(self, request: RequestHead, *, close: bool) -> bytes:
        """The whole response, ready to be written."""
        exchange = _AsgiExchange()
        try:
            await self._application(_scope(request), exchange.receive, exchange.send)
        except Exception:
            logger.exception("an own endpoint failed")
            return errors.INTERNAL_ERROR.render(
                request_id=request_id_of(request), close=close, head_only=False
            )
        return exchange.render(close=close, head_only=request.method == b"HEAD")


class _AsgiExchange:
    def __init__(self) -> None:
        self._status = 500
        self._fields: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []

    async def receive(self) -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._fields = list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self._body.append(message.get("body", b""))

    def render(self, *, close: bool, head_only: bool) -> bytes:
        body = b"".join(self._body)
        lines = [b"HTTP/1.1 %d %b" % (self._status, HTTPStatus(self._status).phrase.encode())]
        lines += [b"%b: %b" % (name, value) for name, value in self._fields if name != b"content-length"]
        lines.append(b"content-length: %d" % len(body))
        if close:
            lines.append(b"connection: close")
        return b"\r\n".join((*lines, b"", b"" if head_only else body))


def _scope(request: RequestHead) -> Message:
    fields = [line.partition(b":")[::2] for line in request.lines]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": f"1.{request.version}",
        "method": request.method.decode(),
        "scheme": "http",
        "path": unquote_to_bytes(request.path).decode("utf-8", "replace"),
        "raw_path": request.path,
        "query_string": request.target.partition(b"?")[2],
        "root_path": "",
        "headers": [
            (b"host", request.host),
            *((name.lower(), value.strip(b" \t")) for name, value in fields),
        ],
        "client": None,
        "server": None,
    }
