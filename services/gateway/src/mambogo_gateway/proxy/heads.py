"""Writes the heads that the gateway sends: requests to pods, responses to clients.

Only fields that were read and accepted are passed on; framing, identity, tracing and forwarding fields are
the gateway's own words.
"""

from __future__ import annotations

import re
from random import getrandbits
from typing import Final

from mambogo_gateway.parsing.request import RequestHead

# version 00 only: a later version is restarted as a new trace, as W3C Trace Context 3.2.2.2 allows.
_TRACEPARENT: Final = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_REQUEST_ID: Final = re.compile(rb"[0-9A-Za-z][0-9A-Za-z._:-]{0,63}")


def request_id_of(request: RequestHead) -> bytes:
    """The client's request id if it is a harmless one, else a new one."""
    given = request.request_id
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given
    return new_request_id()


def new_request_id() -> bytes:
    """An id for what has none; unique, not secret."""
    return b"%016x" % getrandbits(64)


def traceparent_of(request: RequestHead) -> bytes | None:
    """The client's trace context, if there is a valid one."""
    given = request.traceparent
    return given if given is not None and _TRACEPARENT.fullmatch(given) else None


def new_traceparent() -> bytes:
    """The root of a trace that is not sampled."""
    return b"00-%032x-%016x-00" % (getrandbits(128) | 1, getrandbits(64) | 1)


def upstream_request(
    request: RequestHead,
    *,
    authority: bytes,
    request_id: bytes,
    traceparent: bytes,
    forwarded: bytes,
    deadline: int,
) -> bytes:
    """The head to a pod; `forwarded` is the ready-made X-Forwarded-For and -Proto lines."""
    lines = request.lines
    if request.chunked:
        lines = [*lines, b"Transfer-Encoding: chunked"]
    if request.expects_continue and request.has_content:
        lines = [*lines, b"Expect: 100-continue"]
    return (
        b"%b %b HTTP/1.1\r\nHost: %b\r\n%bX-Forwarded-Host: %b\r\n"
        b"X-Request-Id: %b\r\ntraceparent: %b\r\nX-Request-Deadline: %d\r\n%b%b\r\n"
    ) % (
        request.method,
        request.target,
        authority,
        forwarded,
        request.host or authority,
        request_id,
        traceparent,
        deadline,
        b"\r\n".join(lines),
        b"\r\n" if lines else b"",
    )


def client_response(
    status_line: bytes, lines: list[bytes], *, served_by: bytes, request_id: bytes, framing: bytes
) -> bytes:
    """The head to a client; `framing` are ready-made Connection and Transfer-Encoding lines."""
    return b"%b\r\n%b%b%b\r\nX-Request-Id: %b\r\n%b\r\n" % (
        status_line,
        b"\r\n".join(lines),
        b"\r\n" if lines else b"",
        served_by,
        request_id,
        framing,
    )
