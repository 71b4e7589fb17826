"""One admitted request on its way to a pod and back: attempts, and the pump in both directions.

Everything happens in the callbacks of the two sockets; a task exists only while a token is checked for the
first time or a connection is being made. The states are: admitting, connecting, requesting, responding,
ended.

Safety of retries (RFC 9110 9.2.2): an attempt may be repeated when the request was not sent at all, or
when nothing of an answer came, the request is idempotent (by method, or by its Idempotency-Key) and all of
its content is still here. Each repetition is paid for by the upstream's retry budget.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from mambogo_gateway import errors
from mambogo_gateway.errors import Refusal, ResponseRefusedError
from mambogo_gateway.parsing.chunked import LAST_CHUNK, ChunkedDecoder, ChunkError, encode_chunk
from mambogo_gateway.parsing.response import (
    CHUNKED,
    LENGTH,
    MAX_HEAD_BYTES,
    ResponseHead,
    parse_response_head,
)
from mambogo_gateway.proxy import heads
from mambogo_gateway.proxy.admission import Admission
from mambogo_gateway.proxy.outcomes import CLIENT_GONE, STALLED, TRUNCATED
from mambogo_gateway.proxy.upstream import UpstreamConnection

if TYPE_CHECKING:
    from mambogo_gateway.balancing import Pod
    from mambogo_gateway.gateway import Gateway
    from mambogo_gateway.parsing.request import RequestHead
    from mambogo_gateway.proxy.client import ClientConnection
    from mambogo_gateway.routing import Route

IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})
# Content up to this size is kept until an answer begins, so that the request can be repeated.
MAX_REPLAY_BYTES: Final = 64 * 1024
# 100 Continue and 103 Early Hints are legitimate; a pod that sends more than this is broken.
_MAX_INTERIM: Final = 16
_FAILURE_STATUSES: Final = frozenset({502, 503, 504})
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Exchange(Admission):
    """See the module. Made by the gateway for a client connection, which it tells when it has ended."""

    __slots__ = (
        "_attempts",
        "_body",
        "_body_bytes",
        "_buffer",
        "_connection",
        "_decoder",
        "_interim",
        "_remaining",
        "_replayable",
        "_tried",
        "pod",
        "request_done",
        "response",
    )

    def __init__(
        self,
        gateway: Gateway,
        client: ClientConnection,
        request: RequestHead,
        route: Route,
        *,
        now: float,
        seconds: float,
        request_id: bytes,
    ) -> None:
        super().__init__(gateway, client, request, route, now=now, seconds=seconds, request_id=request_id)
        self._connection: UpstreamConnection | None = None
        self.pod: Pod | None = None
        self._tried: list[Pod] = []
        self._attempts = 0
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._replayable = True
        self.request_done = not request.has_content
        self.response: ResponseHead | None = None
        self._buffer = b""
        self._interim = 0
        self._remaining = 0
        self._decoder: ChunkedDecoder | None = None

    # -- attempts ----------------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        pod = self._upstream.pick(self._tried)
        if pod is None:
            self.refuse(errors.NO_INSTANCE)
            return
        self.pod = pod
        pod.in_flight += 1
        self._upstream.in_flight += 1
        self._attempts += 1
        connection = pod.take_idle()
        if connection is not None:
            connection.used = True
            self._send(connection)
        else:
            self._task = self._gateway.loop.create_task(self._connect(pod))

    async def _connect(self, pod: Pod) -> None:
        gateway = self._gateway
        instance = pod.instance
        try:
            async with asyncio.timeout(gateway.config.upstreams.connect_timeout_seconds):
                _, connection = await gateway.loop.create_connection(
                    lambda: UpstreamConnection(pod), instance.host, instance.port
                )
        except (OSError, TimeoutError):
            self._task = None
            if self.ended:
                return
            if not pod.ejected:
                gateway.eject(self._upstream, pod)
            self._attempt_failed(sent=False, refusal=errors.BAD_GATEWAY)
            return
        self._task = None
        if self.ended or connection.closed:
            connection.abort()
            if not self.ended:
                self._attempt_failed(sent=False, refusal=errors.BAD_GATEWAY)
            return
        self._send(connection)

    def _send(self, connection: UpstreamConnection) -> None:
        pod = connection.pod
        self._connection = connection
        connection.exchange = self
        head = heads.upstream_request(
            self.request,
            authority=pod.authority,
            request_id=self.request_id,
            traceparent=self._traceparent,
            forwarded=self._forwarded,
            deadline=self._deadline_ms,
        )
        if self._body:
            connection.transport.writelines([head, *self._body])
        else:
            connection.transport.write(head)
        if self._body_bytes > MAX_REPLAY_BYTES or not self._is_repeatable():
            self._replayable = False
            self._body.clear()
        if not self.request_done:
            self._client.read_content()

    def _attempt_failed(self, *, sent: bool, refusal: Refusal) -> None:
        """An attempt ended without any answer: repeat it where that is safe and paid for, else say so."""
        self._release_pod(failed=True)
        repeatable = not sent or self._is_repeatable()
        if (
            repeatable
            and self._attempts <= self.route.retries
            and self._replayable
            and self._gateway.loop.time() < self.deadline_at
            and self._upstream.budget.spend()
        ):
            self.retries += 1
            self._buffer = b""
            self._interim = 0
            self._dispatch()
        else:
            self._upstream.breaker.failed(self._gateway.loop.time())
            self.refuse(refusal)

    def _is_repeatable(self) -> bool:
        request = self.request
        return request.method in IDEMPOTENT or request.idempotency_key is not None

    def _release_pod(self, *, failed: bool) -> None:
        pod = self.pod
        if pod is None:
            return
        self._tried.append(pod)
        self.pod = None
        pod.in_flight -= 1
        self._upstream.in_flight -= 1
        if failed:
            self._upstream.attempt_failed(pod, self._gateway.loop.time())

    # -- the request's content ---------------------------------------------------------------------------

    def content(self, payload: bytes, *, done: bool) -> None:
        """Content from the client, already taken out of its framing; goes on in the request's own framing."""
        if self.request.chunked:
            payload = encode_chunk(payload)
            if done:
                payload += LAST_CHUNK
        self.request_done = done
        if not payload:
            return
        self._body_bytes += len(payload)
        connection = self._connection
        if connection is None:
            self._body.append(payload)
            return
        if self._replayable:
            if self._body_bytes <= MAX_REPLAY_BYTES:
                self._body.append(payload)
            else:
                self._replayable = False
                self._body.clear()
        connection.transport.write(payload)

    @property
    def wants_content(self) -> bool:
        """Whether content may be read now; without a connection only a limited amount is held."""
        return self._connection is not None or self._body_bytes <= MAX_REPLAY_BYTES

    def hold_request(self) -> None:
        """The pod does not keep up: read no more from the client."""
        self._client.hold_content()

    def release_request(self) -> None:
        """The pod keeps up again."""
        self._client.read_content()

    # -- the response ------------------------------------------------------------------------------------

    def response_data(self, data: bytes) -> None:
        """Bytes from the pod."""
        if self.response is not None:
            self._response_content(data)
            return
        scanned = len(self._buffer)
        buffer = self._buffer + data if scanned else data
        try:
            while True:
                end = buffer.find(b"\r\n\r\n", max(0, scanned - 3))
                if end < 0 or end > MAX_HEAD_BYTES:
                    if len(buffer) > MAX_HEAD_BYTES:
                        raise ResponseRefusedError("the response head is too large")
                    self._buffer = buffer
                    return
                head = parse_response_head(
                    buffer[:end], self._gateway.response_names, to_head=self.request.method == b"HEAD"
                )
                buffer = buffer[end + 4 :]
                if head.status >= 200:
                    break
                scanned = 0
                self._interim_response(head)
        except ResponseRefusedError:
            self._broken()
            return
        self._buffer = b""
        self._begin_response(head, buffer)

    def _interim_response(self, head: ResponseHead) -> None:
        self._interim += 1
        if head.status == 101 or self._interim > _MAX_INTERIM:
            raise ResponseRefusedError("an interim response that nobody asked for")
        if head.status == 100 and self.request.expects_continue and not self.request_done:
            self._client.transport.write(_CONTINUE)

    def _begin_response(self, head: ResponseHead, rest: bytes) -> None:
        self.response = head
        self.status = head.status
        client = self._client
        chunked = head.framing != LENGTH and self.request.version == 1
        if not self.request_done and head.status >= 300:
            # The pod will not read it, and writing on could reset the connection before its answer is read.
            client.stop_content()
        keep = client.may_persist() and (head.framing == LENGTH or chunked)
        framing = b"Transfer-Encoding: chunked\r\n" if chunked else b""
        if not keep:
            client.persistent = False
            framing += b"Connection: close\r\n"
        elif self.request.version == 0:
            framing += b"Connection: keep-alive\r\n"
        assert self.pod is not None  # noqa: S101
        self.answered_by = self.pod.name
        out = heads.client_response(
            head.status_line,
            head.lines,
            served_by=self.pod.served_by,
            request_id=self.request_id,
            framing=framing,
        )
        if head.framing == LENGTH:
            self._remaining = head.length
            if len(rest) >= head.length:
                # The common case: head and content in one piece, one write, done.
                surplus = len(rest) > head.length
                self.response_bytes = head.length
                client.transport.write(out + (rest[: head.length] if surplus else rest))
                self._complete(reusable=head.keep_alive and not surplus)
                return
        elif head.framing == CHUNKED:
            self._decoder = ChunkedDecoder()
        client.expires_at = self._gateway.loop.time() + self.route.stall_seconds
        client.transport.write(out)
        if rest:
            self._response_content(rest)

    def _response_content(self, data: bytes) -> None:
        self._client.expires_at = self._gateway.loop.time() + self.route.stall_seconds
        decoder = self._decoder
        if decoder is not None:
            self._chunked_content(decoder, data)
            return
        response = self.response
        assert response is not None  # noqa: S101
        if response.framing != LENGTH:
            self._write_content(data)
            return
        if len(data) < self._remaining:
            self._remaining -= len(data)
            self._write_content(data)
            return
        surplus = len(data) > self._remaining
        self._write_content(data[: self._remaining] if surplus else data)
        self._complete(reusable=response.keep_alive and not surplus)

    def _chunked_content(self, decoder: ChunkedDecoder, data: bytes) -> None:
        try:
            payload, surplus = decoder.feed(data)
        except ChunkError:
            self._truncate(TRUNCATED)
            return
        if payload:
            self._write_content(payload)
        if decoder.done:
            assert self.response is not None  # noqa: S101
            self._end_content()
            self._complete(reusable=self.response.keep_alive and not surplus)

    def _write_content(self, payload: bytes) -> None:
        self.response_bytes += len(payload)
        response = self.response
        if response is not None and response.framing != LENGTH and self.request.version == 1:
            payload = encode_chunk(payload)
        self._client.transport.write(payload)

    def _end_content(self) -> None:
        if self.request.version == 1:
            self._client.transport.write(LAST_CHUNK)

    def response_eof(self) -> None:
        """The pod closed in an orderly way: that is the end of content which nothing else delimits."""
        response = self.response
        if response is not None and response.framing not in (LENGTH, CHUNKED):
            self._end_content()
            self._complete(reusable=False)

    def hold_response(self) -> None:
        """The client does not keep up: read no more from the pod."""
        if self._connection is not None:
            self._connection.pause()

    def release_response(self) -> None:
        """The client keeps up again."""
        if self._connection is not None:
            self._connection.resume()

    # -- endings -----------------------------------------------------------------------------------------

    def upstream_lost(self) -> None:
        """The connection broke while this exchange was on it."""
        connection = self._connection
        self._connection = None
        if self.ended:
            return
        if self.response is not None:
            self._upstream.breaker.failed(self._gateway.loop.time())
            self._truncate(TRUNCATED)
        elif self._buffer or connection is None:
            self._broken()
        else:
            self._attempt_failed(sent=True, refusal=errors.BAD_GATEWAY)

    def _broken(self) -> None:
        """The pod answered something that is not a response: never repeated, for it did see the request."""
        self._drop_connection()
        self._release_pod(failed=True)
        self._upstream.breaker.failed(self._gateway.loop.time())
        self.refuse(errors.BAD_GATEWAY)

    def _truncate(self, outcome: str) -> None:
        """An answer that began cannot be completed: the client must see it broken off."""
        self.outcome = outcome
        self._drop_connection()
        self._release_pod(failed=True)
        self._end()
        self._client.abort()

    def expired(self) -> None:
        """The deadline passed before an answer began, or content stood still for too long."""
        if self.response is not None:
            self._truncate(STALLED)
            return
        self._drop_connection()
        if self.request_done:
            self._release_pod(failed=True)
            self._upstream.breaker.failed(self._gateway.loop.time())
            self.refuse(errors.UPSTREAM_TIMEOUT)
        else:
            self._release_pod(failed=False)
            self.refuse(errors.REQUEST_TIMEOUT)

    def client_lost(self) -> None:
        """The client left: the pod's work is cancelled by closing its connection."""
        if self.ended:
            return
        self.outcome = CLIENT_GONE
        self._drop_connection()
        self._release_pod(failed=False)
        self._end()

    def content_refused(self, refusal: Refusal) -> None:
        """The client's content cannot be passed on."""
        if self.response is None:
            self.refuse(refusal)
        else:
            self._truncate(refusal.code)

    def refuse(self, refusal: Refusal) -> None:
        """End with an answer of the gateway's own; nothing of another may have been written."""
        if self.ended:
            return
        self._drop_connection()
        self._release_pod(failed=False)
        self.status = refusal.status
        self.outcome = refusal.code
        self._end()
        self._client.answer(refusal, self.request, self.request_id)

    def _complete(self, *, reusable: bool) -> None:
        gateway = self._gateway
        now = gateway.loop.time()
        pod, connection = self.pod, self._connection
        upstream = self._upstream
        assert pod is not None  # noqa: S101
        pod.in_flight -= 1
        upstream.in_flight -= 1
        if connection is not None:
            self._connection = None
            connection.exchange = None
            if reusable and self.request_done:
                connection.resume()
                pod.keep(connection, now)
            else:
                connection.close()
        if self.status in _FAILURE_STATUSES:
            upstream.breaker.failed(now)
        else:
            upstream.breaker.succeeded(now)
            pod.failures_in_row = pod.ejections = 0
        self._end()
        self._client.exchange_completed()

    def _drop_connection(self) -> None:
        connection = self._connection
        if connection is not None:
            self._connection = None
            connection.exchange = None
            connection.abort()
