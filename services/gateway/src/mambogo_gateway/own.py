"""The gateway's own endpoints, answered in process: an ASGI application called for `/actuator/**` only.

Production's probes go to the port that carries the traffic, so a second server would have to stand behind
the first; calling the application directly has no socket that can be full, and no server to keep alive.
Only requests without content come here, answers are collected whole: they are small.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from mambogo_gateway import errors
from mambogo_gateway.errors import GatewayError
from mambogo_gateway.parsing.request import RequestHead
from mambogo_gateway.proxy.heads import request_id_of

# Ours to say: the answer is collected whole, and the connection is the proxy's.
_FRAMING: Final = frozenset({b"content-length", b"connection", b"transfer-encoding"})

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]  # ASGI's own type for its messages
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApplication = Callable[[Message, Receive, Send], Awaitable[None]]


class OwnEndpoints:
    """An ASGI application, run by its lifespan, called with requests that the proxy has read."""

    def __init__(self, application: AsgiApplication) -> None:
        self._application = application
        self._to_lifespan: asyncio.Queue[Message] = asyncio.Queue()
        self._from_lifespan: asyncio.Queue[Message] = asyncio.Queue()
        self._lifespan: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Run the application's start; raises GatewayError when it refuses."""
        scope: Message = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self._lifespan = asyncio.get_running_loop().create_task(
            _as_coroutine(self._application(scope, self._to_lifespan.get, self._from_lifespan.put))
        )
        await self._pass("lifespan.startup")

    async def stop(self) -> None:
        """Run the application's end."""
        if self._lifespan is not None:
            await self._pass("lifespan.shutdown")
            await self._lifespan
            self._lifespan = None

    async def _pass(self, event: str) -> None:
        assert self._lifespan is not None  # noqa: S101
        await self._to_lifespan.put({"type": event})
        answer = asyncio.ensure_future(self._from_lifespan.get())
        await asyncio.wait((answer, self._lifespan), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            cause = self._lifespan.exception()
            raise GatewayError("own-endpoints", f"the own endpoints ended at {event}: {cause!r}") from cause
        if answer.result()["type"] != f"{event}.complete":
            raise GatewayError("own-endpoints", f"the own endpoints refused {event}")

    async def answer(self, request: RequestHead, *, close: bool) -> bytes:
        """The whole response, ready to be written."""
        exchange = _AsgiExchange()
        try:
            await self._application(_scope(request), exchange.receive, exchange.send)
        except Exception:
            logger.exception("an own endpoint failed")
            return errors.INTERNAL_ERROR.render(
                request_id=request_id_of(request), close=close, head_only=request.method == b"HEAD"
            )
        return exchange.render(close=close, head_only=request.method == b"HEAD")


async def _as_coroutine(awaitable: Awaitable[None]) -> None:
    await awaitable


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
        lines += [b"%b: %b" % (name, value) for name, value in self._fields if name.lower() not in _FRAMING]
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
