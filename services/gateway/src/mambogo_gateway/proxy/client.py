"""One connection from a client: finds requests in its bytes, one at a time, and answers what is not passed
on.

Pipelined requests wait in a bounded buffer until the answer before them is complete. What becomes of an
admitted request is the exchange's; this module owns the socket, its timeouts and the framing of incoming
content.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from mambogo_gateway import errors
from mambogo_gateway.errors import Refusal, RequestRefusedError
from mambogo_gateway.parsing.chunked import ChunkedDecoder, ChunkError
from mambogo_gateway.parsing.request import MAX_HEAD_BYTES, RequestHead, parse_request_head
from mambogo_gateway.proxy.exchange import Exchange
from mambogo_gateway.proxy.heads import new_request_id, request_id_of
from mambogo_gateway.proxy.upstream import WRITE_BUFFER_HIGH_BYTES

if TYPE_CHECKING:
    from mambogo_gateway.gateway import Gateway

# Pipelined bytes held beside a request under way; beyond it the socket is not read.
_MAX_AHEAD_BYTES: Final = 64 * 1024
# After a refusal, this much unread content is swallowed so that a kept connection survives it.
_MAX_DISCARD_BYTES: Final = 64 * 1024
# After the last answer the peer may still be sending; closing at once would reset the connection and could
# destroy the answer on its way (RFC 9112 9.6).
_LINGER_SECONDS: Final = 2.0
_MAX_LINGER_BYTES: Final = 4 * 1024 * 1024
_DISCARD_SECONDS: Final = 5.0
# A scrape of the metrics is the longest of the gateway's own answers, by far below this.
_OWN_ENDPOINT_SECONDS: Final = 10.0

# What the bytes that come in are.
_HEAD: Final = 0
_CONTENT: Final = 1
_AHEAD: Final = 2
_LINGER: Final = 3
_DISCARD: Final = 4


class ClientConnection(asyncio.Protocol):
    """See the module. `expires_at` (monotonic seconds) is watched by the sweeper, which calls `expired`."""

    __slots__ = (
        "_address",
        "_buffer",
        "_chunks",
        "_content_left",
        "_discarded",
        "_exchange",
        "_gateway",
        "_generation",
        "_max_content",
        "_mode",
        "_own",
        "_processing",
        "_read_paused",
        "_scanned",
        "_write_paused",
        "edge",
        "expires_at",
        "forwarded",
        "persistent",
        "transport",
        "vouched_address",
    )

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._buffer = b""
        self._scanned = 0
        self._mode = _HEAD
        self._exchange: Exchange | None = None
        self._own: asyncio.Task[None] | None = None
        self._chunks: ChunkedDecoder | None = None
        self._content_left = 0
        self._max_content = 0
        self._discarded = 0
        self._read_paused = False
        self._write_paused = False
        self._processing = False
        self.persistent = True
        self.expires_at = 0.0
        self._address = ""
        self._generation = 0
        self.edge = False
        self.forwarded = b""
        self.vouched_address: bytes | None = None
        self.transport: asyncio.Transport

    # -- event loop callbacks ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_HIGH_BYTES)
        gateway = self._gateway
        peer = transport.get_extra_info("peername")
        self._address = peer[0] if isinstance(peer, tuple) else ""
        self._judge_peer()
        self.expires_at = gateway.loop.time() + gateway.config.limits.head_timeout_seconds
        gateway.connected(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._gateway.disconnected(self)
        if self._exchange is not None:
            self._exchange.client_lost()
            self._exchange = None
        if self._own is not None:
            self._own.cancel()

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        mode = self._mode
        if mode == _HEAD:
            self._buffer = self._buffer + data if self._buffer else data
            if not self._processing:
                self._read_heads()
        elif mode == _CONTENT:
            self._read_content(data)
        elif mode == _AHEAD:
            self._buffer += data
            if len(self._buffer) > _MAX_AHEAD_BYTES:
                self._pause_reading()
        elif mode == _DISCARD:
            self._discard_content(data)
        else:
            self._discarded += len(data)
            if self._discarded > _MAX_LINGER_BYTES:
                self.transport.abort()

    def eof_received(self) -> bool:
        """Called by the event loop; a client that closes its side is not waiting for an answer."""
        return False

    def pause_writing(self) -> None:
        """Called by the event loop when the client reads more slowly than we write."""
        self._write_paused = True
        if self._exchange is not None:
            self._exchange.hold_response()
        else:
            self._pause_reading()

    def resume_writing(self) -> None:
        """Called by the event loop."""
        self._write_paused = False
        if self._exchange is not None:
            self._exchange.release_response()
        elif self._mode == _HEAD:
            self._next()

    # -- heads -------------------------------------------------------------------------------------------

    def _read_heads(self) -> None:
        """Take requests from the buffer until one is under way or the buffer holds no whole head."""
        self._processing = True
        try:
            while self._mode == _HEAD and self._buffer and not self._write_paused:
                if not self._read_head():
                    return
        finally:
            self._processing = False

    def _read_head(self) -> bool:
        buffer = self._buffer
        if self._scanned == 0 and buffer[:2] == b"\r\n":
            # RFC 9112 2.2: an empty line before a request line is ignored.
            buffer = self._buffer = buffer[2:]
        end = buffer.find(b"\r\n\r\n", self._scanned)
        if end < 0 or end > MAX_HEAD_BYTES:
            self._incomplete_head(buffer)
            return False
        self._scanned = 0
        try:
            request = parse_request_head(buffer[:end], self._gateway.request_names)
        except RequestRefusedError as error:
            self._gateway.refused_unread(error.refusal)
            self._last_answer(error.refusal)
            return False
        self._buffer = b""
        self._begin(request, buffer[end + 4 :])
        return True

    def _incomplete_head(self, buffer: bytes) -> None:
        """Wait for the rest of a head, unless what is there can no longer become one."""
        refusal: Refusal | None = None
        if len(buffer) > MAX_HEAD_BYTES:
            refusal = errors.HEADERS_TOO_LARGE
        else:
            start = self._scanned
            if buffer.count(b"\n", start) != buffer.count(b"\r\n", max(0, start - 1)):
                refusal = errors.MALFORMED_REQUEST
        if refusal is not None:
            self._gateway.refused_unread(refusal)
            self._last_answer(refusal)
            return
        if self._scanned == 0:
            gateway = self._gateway
            self.expires_at = gateway.loop.time() + gateway.config.limits.head_timeout_seconds
        self._scanned = max(0, len(buffer) - 3)

    def _begin(self, request: RequestHead, rest: bytes) -> None:
        """Set the content's reader up, then hand the request to whoever answers it."""
        gateway = self._gateway
        self.persistent = request.keep_alive and not gateway.draining
        self._chunks = ChunkedDecoder() if request.chunked else None
        self._content_left = request.content_length or 0
        has_content = request.has_content
        self._mode = _CONTENT if has_content else _AHEAD
        admitted = gateway.admit(self, request)
        if isinstance(admitted, Exchange):
            self._exchange = admitted
            self.expires_at = admitted.deadline_at
            self._max_content = admitted.route.max_content_bytes
            # Content that came with the head goes on with it, in one write.
            if not has_content:
                self._buffer = rest
            elif rest:
                self._read_content(rest)
            if not admitted.ended:
                admitted.start()
            return
        self._buffer = rest
        if isinstance(admitted, Refusal):
            self.answer(admitted, request, request_id_of(request))
        elif has_content:
            self.answer(errors.CONTENT_TOO_LARGE, request, request_id_of(request))
        else:
            self.expires_at = gateway.loop.time() + _OWN_ENDPOINT_SECONDS
            self._own = gateway.loop.create_task(self._answer_ourselves(request))

    async def _answer_ourselves(self, request: RequestHead) -> None:
        """Let the gateway's own endpoints answer."""
        answer = await self._gateway.own_endpoints.answer(request, close=not self.may_persist())
        self._own = None
        self.transport.write(answer)
        self._finish(content_done=True)

    # -- content -----------------------------------------------------------------------------------------

    def _read_content(self, data: bytes) -> None:
        exchange = self._exchange
        assert exchange is not None  # noqa: S101
        chunks = self._chunks
        if chunks is not None:
            try:
                payload, rest = chunks.feed(data)
            except ChunkError:
                self._content_refused(exchange, errors.MALFORMED_CONTENT)
                return
            done = chunks.done
            self._content_left += len(payload)
            if self._content_left > self._max_content:
                self._content_refused(exchange, errors.CONTENT_TOO_LARGE)
                return
        else:
            left = self._content_left
            payload, rest = (data, b"") if len(data) <= left else (data[:left], data[left:])
            self._content_left = left - len(payload)
            done = self._content_left == 0
        if done:
            self._mode = _AHEAD
            self._buffer = rest
        exchange.content(payload, done=done)
        if done:
            self._resume_reading()
        elif not exchange.wants_content:
            self._pause_reading()

    def _content_refused(self, exchange: Exchange, refusal: Refusal) -> None:
        """Content that cannot be passed on ends the exchange; an answer under way is broken off."""
        self._mode = _LINGER
        exchange.content_refused(refusal)

    def hold_content(self) -> None:
        """Stop reading content: the pod does not keep up."""
        if self._mode == _CONTENT:
            self._pause_reading()

    def read_content(self) -> None:
        """Go on reading content."""
        if self._mode == _CONTENT:
            self._resume_reading()

    def stop_content(self) -> None:
        """The pod answered without waiting for the content: no more is read until the answer ended."""
        self._mode = _LINGER
        self._pause_reading()

    def _discard_content(self, data: bytes) -> None:
        left = self._content_left
        if len(data) < left:
            self._content_left = left - len(data)
            return
        self._buffer = data[left:]
        self._next()

    # -- answers -----------------------------------------------------------------------------------------

    def may_persist(self) -> bool:
        """Whether the connection may stay open after the answer that begins now."""
        if self._gateway.draining or (self._exchange is not None and not self._exchange.request_done):
            self.persistent = False
        return self.persistent

    def answer(self, refusal: Refusal, request: RequestHead, request_id: bytes) -> None:
        """Answer a request ourselves, and keep the connection if its framing allows that."""
        content_done = self._mode == _AHEAD
        discards = (
            self._mode == _CONTENT
            and self._chunks is None
            and not request.expects_continue
            and self._content_left - len(self._buffer) <= _MAX_DISCARD_BYTES
        )
        if refusal.close or self._gateway.draining or not (content_done or discards):
            self.persistent = False
        self.transport.write(
            refusal.render(
                request_id=request_id, close=not self.persistent, head_only=request.method == b"HEAD"
            )
        )
        self._exchange = None
        if self.persistent and discards:
            self._mode = _DISCARD
            self.expires_at = self._gateway.loop.time() + _DISCARD_SECONDS
            self._resume_reading()
            rest, self._buffer = self._buffer, b""
            self._discard_content(rest)
        else:
            self._finish(content_done=content_done and not refusal.close)

    def _last_answer(self, refusal: Refusal) -> None:
        """Answer bytes that are no request."""
        self.persistent = False
        self.transport.write(refusal.render(request_id=new_request_id(), close=True, head_only=False))
        self._finish(content_done=False)

    def exchange_completed(self) -> None:
        """The exchange has written its whole answer."""
        exchange = self._exchange
        self._exchange = None
        self._finish(content_done=exchange is not None and exchange.request_done)

    def _finish(self, *, content_done: bool) -> None:
        """After an answer: the next request, an orderly close, or a lingering one."""
        if self.persistent:
            self._next()
        elif content_done:
            self._mode = _LINGER
            self.transport.close()
        else:
            self._mode = _LINGER
            self._buffer = b""
            self.expires_at = self._gateway.loop.time() + _LINGER_SECONDS
            self._resume_reading()
            if self.transport.can_write_eof():
                self.transport.write_eof()

    def _next(self) -> None:
        self._mode = _HEAD
        self._scanned = 0
        gateway = self._gateway
        self.expires_at = gateway.loop.time() + gateway.config.limits.idle_timeout_seconds
        if self._write_paused:
            self._pause_reading()
            return
        if self._read_paused and len(self._buffer) <= _MAX_AHEAD_BYTES:
            self._resume_reading()
        if self._buffer and not self._processing:
            self._read_heads()

    # -- endings and flow --------------------------------------------------------------------------------

    def expired(self) -> None:
        """Whatever was waited for did not come in time."""
        if self._exchange is not None:
            self._exchange.expired()
        elif self._mode == _HEAD and self._buffer and not self._write_paused:
            self._gateway.refused_unread(errors.REQUEST_TIMEOUT)
            self._last_answer(errors.REQUEST_TIMEOUT)
        else:
            self.transport.abort()

    def close_if_idle(self) -> bool:
        """Close a connection between requests; True when it was one."""
        if self._mode != _HEAD or self._buffer:
            return False
        self.transport.close()
        return True

    def abort(self) -> None:
        """Break the connection off, so that the client sees an incomplete answer as such."""
        self._exchange = None
        self._mode = _LINGER
        self.transport.abort()

    def abort_now(self) -> None:
        """End the connection because the process ends."""
        self.transport.abort()

    def _judge_peer(self) -> None:
        edge = self._gateway.edge
        self._generation = edge.generation
        self.edge, self.forwarded = edge.of_peer(self._address)
        self.vouched_address = None

    def forwarded_lines(self, request: RequestHead) -> bytes:
        """The X-Forwarded-For and -Proto lines to a pod; remembers the address that the edge vouches for."""
        if self._generation != self._gateway.edge.generation:
            self._judge_peer()
        if not self.edge:
            return self.forwarded
        lines, self.vouched_address = self._gateway.edge.of_request(self.forwarded, request.forwarded_for)
        return lines

    def _pause_reading(self) -> None:
        if not self._read_paused and not self.transport.is_closing():
            self._read_paused = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._read_paused and not self.transport.is_closing():
            self._read_paused = False
            self.transport.resume_reading()
