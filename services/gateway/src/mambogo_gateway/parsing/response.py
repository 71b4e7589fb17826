"""Reads one response head from an upstream, and decides how its content is delimited.

RFC 9112 6.3 gives the order of the rules; a response with both lengths, two lengths or an unknown coding is
refused instead of repaired, because its connection could carry another client's answer next.
"""

from __future__ import annotations

import re
from typing import Final

from mambogo_gateway.errors import ResponseRefusedError
from mambogo_gateway.parsing import fields
from mambogo_gateway.parsing.fields import TEXT, FieldNames, connection_options, without

MAX_HEAD_BYTES: Final = 64 * 1024
_MAX_FIELDS: Final = 200
_MAX_LENGTH_DIGITS: Final = 18
_LINE_ENDS: Final = b"\r\n" * (_MAX_FIELDS + 3)
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?")
_REMEMBERED_STATUS_LINES: Final = 128
_status_lines: dict[bytes, tuple[int, int, bytes]] = {}

_NOT_NOMINABLE: Final = frozenset({b"close", b"keep-alive", b"content-length", b"transfer-encoding"})

# How content ends. LENGTH covers "no content" with length 0.
LENGTH: Final = 0
CHUNKED: Final = 1
UNTIL_CLOSE: Final = 2


class ResponseHead:
    """A response head that was accepted; `lines` are the fields that may be passed on."""

    __slots__ = ("framing", "keep_alive", "length", "lines", "status", "status_line")

    def __init__(self, status: int, status_line: bytes, *, keep_alive: bool) -> None:
        self.status = status
        self.status_line = status_line
        self.keep_alive = keep_alive
        self.framing = UNTIL_CLOSE
        self.length = -1
        self.lines: list[bytes] = []


def parse_response_head(head: bytes, names: FieldNames, *, to_head: bool) -> ResponseHead:
    """Parse a head given without its final CRLFCRLF; `to_head` says that the request was a HEAD.

    Raises ResponseRefusedError.
    """
    lines = head.split(b"\r\n")
    if len(lines) > _MAX_FIELDS + 1:
        raise ResponseRefusedError("more field lines than allowed")
    if head.translate(None, TEXT) != _LINE_ENDS[: 2 * len(lines) - 2]:
        raise ResponseRefusedError("control character or bare line end in the head")
    known = _status_lines.get(lines[0])
    version, status, status_line = known if known is not None else _status(lines[0])
    del lines[0]
    response = ResponseHead(status, status_line, keep_alive=version == 1)
    chunked = _read_fields(response, lines, names, version)
    if to_head or status < 200 or status == 204 or status == 304:
        response.framing = LENGTH
        _without_content(response, to_head=to_head)
    elif chunked:
        response.framing = CHUNKED
    elif response.length >= 0:
        response.framing = LENGTH
    else:
        response.keep_alive = False
    return response


def _status(line: bytes) -> tuple[int, int, bytes]:
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise ResponseRefusedError("no status line of HTTP/1")
    version, status, reason = match.groups()
    parsed = (int(version), int(status), b"HTTP/1.1 %b %b" % (status, reason or b""))
    if len(_status_lines) < _REMEMBERED_STATUS_LINES:
        _status_lines[line] = parsed
    return parsed


def _read_fields(response: ResponseHead, lines: list[bytes], names: FieldNames, version: int) -> bool:
    """Sort the field lines; returns whether the content is chunked."""
    known = names.get
    kept = response.lines
    chunked = False
    nominated: set[bytes] = set()
    for line in lines:
        name, colon, value = line.partition(b":")
        meaning = known(name)
        if meaning is None:
            meaning = names.learn(name)
            if meaning is None:
                raise ResponseRefusedError("a field name is not a token")
        if not colon:
            raise ResponseRefusedError("a field line without a colon")
        if meaning == fields.FORWARD:
            kept.append(line)
        elif meaning == fields.CONTENT_LENGTH:
            if response.length >= 0:
                raise ResponseRefusedError("Content-Length is there twice")
            response.length = _length(value.strip(b" "))
            kept.append(line)
        elif meaning == fields.TRANSFER_ENCODING:
            if chunked or version == 0 or value.strip(b" ").lower() != b"chunked":
                raise ResponseRefusedError("a transfer coding other than one chunked")
            chunked = True
        elif meaning == fields.CONNECTION:
            nominated |= _apply_connection(response, value)
    if nominated:
        response.lines = without(kept, nominated)
    if chunked and response.length >= 0:
        raise ResponseRefusedError("both Content-Length and Transfer-Encoding")
    return chunked


def _length(value: bytes) -> int:
    if not value.isdigit() or len(value) > _MAX_LENGTH_DIGITS:
        raise ResponseRefusedError("Content-Length is not one decimal number")
    return int(value)


def _apply_connection(response: ResponseHead, value: bytes) -> set[bytes]:
    """Take `close` from a Connection field; returns the names of the fields that it declares hop-by-hop."""
    options = connection_options([value])
    if options is None:
        raise ResponseRefusedError("a connection option is not a token")
    if b"close" in options:
        response.keep_alive = False
    return options - _NOT_NOMINABLE


def _without_content(response: ResponseHead, *, to_head: bool) -> None:
    """A length in these answers describes content that is not sent; with 1xx and 204 it must not appear."""
    if not to_head and response.status != 304:
        response.lines = without(response.lines, {b"content-length"})
    response.length = 0
