"""Reads one request head, from its first byte to the empty line, into what the proxy needs to know.

RFC 9112 sections 2 to 7, in their strict reading: CRLF only, one Host, one length, no obs-fold, no space
before a colon. Routing, authentication and limits on content are other modules' concern.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from mambogo_gateway import errors
from mambogo_gateway.errors import Refusal, RequestRefusedError
from mambogo_gateway.parsing import fields
from mambogo_gateway.parsing.fields import TEXT, FieldNames, connection_options, without

# Larger than any browser, mobile client or service sends; nginx's default is 8 KiB per line, 32 KiB in all.
MAX_HEAD_BYTES: Final = 32 * 1024
MAX_TARGET_BYTES: Final = 8 * 1024
MAX_FIELDS: Final = 100
# 2**63 has 19 digits; nobody sends exabytes, and a parser behind us might overflow.
_MAX_LENGTH_DIGITS: Final = 18

_METHOD_NAMES: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
METHODS: Final = {name.encode(): name for name in _METHOD_NAMES}
_TARGET: Final = bytes(
    byte for byte in range(0x21, 0x7F) if byte not in b'"<>\\#'
)  # RFC 3986 and what browsers leave raw
_LINE_ENDS: Final = b"\r\n" * (MAX_FIELDS + 3)
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/?#@]+)(/[^#]*|)")
_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]")
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
# Encoded slash, backslash and NUL, and dot segments in any spelling: what is routed must be what is served.
_AMBIGUOUS: Final = re.compile(rb"%(?:2[fF]|5[cC]|00)|/(?:\.|%2[eE]){1,2}(?=[/;?]|$)")

# Valid Host values are remembered up to this many: in practice there are a handful.
_REMEMBERED_HOSTS: Final = 256
_known_hosts: set[bytes] = set()

_CLOSE: Final = b"close"
_KEEP_ALIVE: Final = b"keep-alive"


class RequestHead:
    """A request head that was accepted. Mutable and unfrozen because one is made per request."""

    __slots__ = (
        "authorization",
        "chunked",
        "content_length",
        "deadline",
        "expects_continue",
        "forwarded_for",
        "host",
        "idempotency_key",
        "keep_alive",
        "lines",
        "method",
        "path",
        "request_id",
        "target",
        "traceparent",
        "version",
    )

    def __init__(self, method: bytes, target: bytes, version: int) -> None:
        self.method = method
        self.target = target
        self.path = target
        self.version = version
        self.lines: list[bytes] = []
        self.host = b""
        self.content_length: int | None = None
        self.chunked = False
        self.keep_alive = version == 1
        self.expects_continue = False
        self.authorization: bytes | None = None
        self.forwarded_for: bytes | None = None
        self.request_id: bytes | None = None
        self.traceparent: bytes | None = None
        self.deadline: bytes | None = None
        self.idempotency_key: bytes | None = None

    @property
    def has_content(self) -> bool:
        """Whether content follows the head."""
        return self.chunked or bool(self.content_length)


def refuse(refusal: Refusal, message: str) -> RequestRefusedError:
    """The error to raise; a function so that call sites read as one line."""
    return RequestRefusedError(refusal, message)


def parse_request_head(head: bytes, names: FieldNames) -> RequestHead:
    """Parse a head given without its final empty line's CRLFCRLF.

    Raises RequestRefusedError, with the answer that the client gets.
    """
    lines = head.split(b"\r\n")
    if len(lines) > MAX_FIELDS + 1:
        raise refuse(errors.HEADERS_TOO_LARGE, "more field lines than allowed")
    # All that is not text must be the line ends at which it was split: no control, no bare CR, no bare LF.
    if head.translate(None, TEXT) != _LINE_ENDS[: 2 * len(lines) - 2]:
        raise refuse(errors.MALFORMED_REQUEST, "control character or bare line end in the head")
    request = _request_line(lines[0])
    del lines[0]
    connection = _read_fields(request, lines, names)
    if connection is not None:
        _apply_connection(request, connection, names)
    if request.chunked:
        _check_framing(request)
    if not request.host and request.version == 1:
        raise refuse(errors.MALFORMED_REQUEST, "no Host field")
    if request.target[:1] != b"/":
        _take_absolute_form(request)
    _set_path(request)
    return request


def _request_line(line: bytes) -> RequestHead:
    parts = line.split(b" ")
    if len(parts) != 3:
        raise refuse(errors.MALFORMED_REQUEST, "the request line has not three parts")
    method, target, version = parts
    if version == b"HTTP/1.1":
        minor = 1
    elif version == b"HTTP/1.0":
        minor = 0
    elif _VERSION.fullmatch(version):
        raise refuse(errors.UNSUPPORTED_VERSION, "another version of HTTP")
    else:
        raise refuse(errors.MALFORMED_REQUEST, "no HTTP version")
    if method not in METHODS:
        if not method or method.translate(None, fields.TOKEN):
            raise refuse(errors.MALFORMED_REQUEST, "the method is not a token")
        raise refuse(errors.UNKNOWN_METHOD, "a method that is not passed on")
    if len(target) > MAX_TARGET_BYTES:
        raise refuse(errors.URI_TOO_LONG, "the target exceeds the limit")
    if not target or target.translate(None, _TARGET):
        raise refuse(errors.MALFORMED_REQUEST, "the target is empty or holds a forbidden character")
    return RequestHead(method, target, minor)


def _read_fields(request: RequestHead, lines: list[bytes], names: FieldNames) -> list[bytes] | None:
    """Sort the field lines into `request`; returns the values of Connection, if there is one."""
    known = names.get
    kept = request.lines
    connection: list[bytes] | None = None
    for line in lines:
        name, colon, value = line.partition(b":")
        meaning = known(name)
        if meaning is None:
            meaning = names.learn(name)
            if meaning is None:
                raise refuse(errors.MALFORMED_REQUEST, "a field name is not a token")
        if not colon:
            raise refuse(errors.MALFORMED_REQUEST, "a field line without a colon")
        if meaning == fields.FORWARD:
            kept.append(line)
        elif meaning == fields.CONNECTION:
            connection = [*(connection or ()), value.strip(b" \t")]
        elif meaning != fields.DROP:
            # Only spaces: a tab beside a length or a host is legal and unheard of, and nginx refuses it too.
            _READERS[meaning](request, value.strip(b" "))
            if meaning >= fields.READ_AND_FORWARD:
                kept.append(line)
    return connection


def _read_length(request: RequestHead, value: bytes) -> None:
    if request.content_length is not None:
        raise refuse(errors.AMBIGUOUS_LENGTH, "Content-Length is there twice")
    if not value.isdigit() or len(value) > _MAX_LENGTH_DIGITS:
        raise refuse(errors.AMBIGUOUS_LENGTH, "Content-Length is not one decimal number")
    request.content_length = int(value)


def _read_transfer_encoding(request: RequestHead, value: bytes) -> None:
    if request.chunked:
        raise refuse(errors.AMBIGUOUS_LENGTH, "Transfer-Encoding is there twice")
    if value.lower() != b"chunked":
        raise refuse(errors.UNSUPPORTED_CODING, "a transfer coding other than chunked")
    request.chunked = True


def _read_host(request: RequestHead, value: bytes) -> None:
    if request.host:
        raise refuse(errors.MALFORMED_REQUEST, "Host is there twice")
    if value not in _known_hosts:
        if _HOST.fullmatch(value) is None:
            raise refuse(errors.MALFORMED_REQUEST, "Host is not a host")
        if len(_known_hosts) < _REMEMBERED_HOSTS:
            _known_hosts.add(value)
    request.host = value


def _read_expect(request: RequestHead, value: bytes) -> None:
    if value.lower() != b"100-continue":
        raise refuse(errors.EXPECTATION_FAILED, "an expectation other than 100-continue")
    # RFC 9110 10.1.1: an expectation in an HTTP/1.0 request is ignored.
    request.expects_continue = request.version == 1


def _read_authorization(request: RequestHead, value: bytes) -> None:
    if request.authorization is not None:
        raise refuse(errors.MALFORMED_REQUEST, "Authorization is there twice")
    request.authorization = value


def _read_idempotency_key(request: RequestHead, value: bytes) -> None:
    if request.idempotency_key is not None:
        raise refuse(errors.MALFORMED_REQUEST, "Idempotency-Key is there twice")
    request.idempotency_key = value


def _read_forwarded_for(request: RequestHead, value: bytes) -> None:
    request.forwarded_for = value if request.forwarded_for is None else request.forwarded_for + b", " + value


def _read_request_id(request: RequestHead, value: bytes) -> None:
    request.request_id = value


def _read_traceparent(request: RequestHead, value: bytes) -> None:
    request.traceparent = value


def _read_deadline(request: RequestHead, value: bytes) -> None:
    request.deadline = value


_READERS: Final[dict[int, Callable[[RequestHead, bytes], None]]] = {
    fields.CONTENT_LENGTH: _read_length,
    fields.TRANSFER_ENCODING: _read_transfer_encoding,
    fields.HOST: _read_host,
    fields.EXPECT: _read_expect,
    fields.AUTHORIZATION: _read_authorization,
    fields.IDEMPOTENCY_KEY: _read_idempotency_key,
    fields.FORWARDED_FOR: _read_forwarded_for,
    fields.REQUEST_ID: _read_request_id,
    fields.TRACEPARENT: _read_traceparent,
    fields.DEADLINE: _read_deadline,
}


def _apply_connection(request: RequestHead, values: list[bytes], names: FieldNames) -> None:
    if len(values) == 1:
        value = values[0].lower()
        if value == _KEEP_ALIVE:
            request.keep_alive = True
            return
        if value == _CLOSE:
            request.keep_alive = False
            return
    options = connection_options(values)
    if options is None:
        raise refuse(errors.MALFORMED_REQUEST, "a connection option is not a token")
    if _CLOSE in options:
        request.keep_alive = False
    elif _KEEP_ALIVE in options:
        request.keep_alive = True
    nominated = options - {_CLOSE, _KEEP_ALIVE}
    if any(names.is_end_to_end(option) for option in nominated):
        raise refuse(errors.MALFORMED_REQUEST, "Connection names a field that is not hop-by-hop")
    request.lines = without(request.lines, nominated)


def _check_framing(request: RequestHead) -> None:
    if request.content_length is not None:
        raise refuse(errors.AMBIGUOUS_LENGTH, "both Content-Length and Transfer-Encoding")
    if request.version == 0:
        raise refuse(errors.AMBIGUOUS_LENGTH, "Transfer-Encoding in HTTP/1.0")


def _take_absolute_form(request: RequestHead) -> None:
    """RFC 9112 3.2.2: a server accepts the absolute form; its authority must be what Host says."""
    match = _ABSOLUTE.fullmatch(request.target)
    if match is None:
        raise refuse(errors.MALFORMED_REQUEST, "the target is neither a path nor an absolute URI")
    authority, rest = match.groups()
    if _HOST.fullmatch(authority) is None or (request.host and request.host.lower() != authority.lower()):
        raise refuse(errors.MALFORMED_REQUEST, "the target's authority is not what Host says")
    request.target = rest if rest.startswith(b"/") else b"/" + rest


def _set_path(request: RequestHead) -> None:
    target = request.target
    path = target.partition(b"?")[0] if b"?" in target else target
    if (b"%" in target or b"/." in path) and (_BAD_ESCAPE.search(target) or _AMBIGUOUS.search(path)):
        raise refuse(errors.AMBIGUOUS_PATH, "an escape or a dot segment that others may resolve")
    request.path = path
