"""Decodes chunked content strictly (RFC 9112 7.1) and encodes it again.

Refused: a bare LF, a sign or a prefix in the size, more than 16 hexadecimal digits, control characters in
extensions, and extensions or trailers beyond their limits. Extensions and trailers are dropped, as 7.1.1 and
RFC 9110 6.5.1 allow, so nothing that a sender hides in them reaches the other side.
"""

from __future__ import annotations

import re
from typing import Final

# "size [; extension]"; extensions are bounded because they are overhead that no limit on content counts.
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER_LINE: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")
_MAX_LINE_BYTES: Final = 256
_MAX_TRAILER_BYTES: Final = 8 * 1024
# Per message, against a sender that wraps single bytes in long extensions (CVE-2023-39326 in Go's reader).
_MAX_EXTENSION_BYTES: Final = 16 * 1024
_MAX_SIZE: Final = 10**18

LAST_CHUNK: Final = b"0\r\n\r\n"

_SIZE: Final = 0
_DATA: Final = 1
_DATA_END: Final = 2
_TRAILER: Final = 3
_DONE: Final = 4


class ChunkError(ValueError):
    """The bytes are not chunked content as the gateway is willing to read it."""


def encode_chunk(payload: bytes) -> bytes:
    """One chunk; an empty payload gives nothing, since an empty chunk would end the content."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""


class ChunkedDecoder:
    """Feeds on bytes as they come; gives payload, and after the end what followed it."""

    __slots__ = ("_buffer", "_extension_bytes", "_left", "_state", "_trailer_bytes")

    def __init__(self) -> None:
        self._buffer = b""
        self._left = 0
        self._state = _SIZE
        self._extension_bytes = 0
        self._trailer_bytes = 0

    @property
    def done(self) -> bool:
        """Whether the content has ended."""
        return self._state == _DONE

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """The payload in `data`, and the bytes after the content's end. Raises ChunkError."""
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        pieces: list[bytes] = []
        position = 0
        while self._state != _DONE:
            if self._state == _DATA:
                piece = data[position : position + self._left]
                if not piece:
                    break
                pieces.append(piece)
                position += len(piece)
                self._left -= len(piece)
                if self._left == 0:
                    self._state = _DATA_END
                continue
            end = self._line_end(data, position)
            if end < 0:
                self._buffer = data[position:]
                return b"".join(pieces), b""
            self._line(data[position:end])
            position = end + 2
        return b"".join(pieces), data[position:]

    def _line_end(self, data: bytes, position: int) -> int:
        if self._state == _DATA_END:
            mark = data[position : position + 2]
            if mark == b"\r\n":
                return position
            if mark in (b"", b"\r"):
                return -1
            raise ChunkError("a chunk is longer than its size")
        end = data.find(b"\n", position, position + _MAX_LINE_BYTES + 2)
        if end > position and data[end - 1] == 0x0D:
            return end - 1
        if end >= 0:
            raise ChunkError("a line ends with a bare LF")
        if len(data) - position > _MAX_LINE_BYTES:
            raise ChunkError("a line of the chunked framing is too long")
        return -1

    def _line(self, line: bytes) -> None:
        if self._state == _DATA_END:
            self._state = _SIZE
        elif self._state == _SIZE:
            self._size_line(line)
        else:
            self._trailer_line(line)

    def _size_line(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise ChunkError("a chunk size is not a hexadecimal number")
        digits = match[1]
        self._extension_bytes += len(line) - len(digits)
        if self._extension_bytes > _MAX_EXTENSION_BYTES:
            raise ChunkError("more chunk extensions than allowed")
        self._left = int(digits, 16)
        if self._left > _MAX_SIZE:
            raise ChunkError("a chunk size is absurd")
        self._state = _DATA if self._left else _TRAILER

    def _trailer_line(self, line: bytes) -> None:
        if not line:
            self._state = _DONE
            return
        self._trailer_bytes += len(line)
        if self._trailer_bytes > _MAX_TRAILER_BYTES or _TRAILER_LINE.fullmatch(line) is None:
            raise ChunkError("a trailer is malformed or too long")
