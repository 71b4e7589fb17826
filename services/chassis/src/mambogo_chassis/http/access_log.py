"""Logs as one JSON object a line, written by a thread so that a stalled reader never stalls a request.

A line says what happened and to which operation: the route's template, never the path, query, headers or
body, where secrets and personal data are. Lines wait at most `FLUSH_SECONDS`; when the reader of standard
output stalls, lines past the bound are dropped and counted. Shipping logs is the platform's.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections import deque
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final

import msgspec

from mambogo_chassis.http import context

# Long enough to write many lines at once under load, short enough that a crash takes little with it.
FLUSH_SECONDS: Final = 0.02
# About 3 MiB of lines; at 1,000 requests/s a reader may stall for ten seconds.
MAX_WAITING_LINES: Final = 10_000
_CLOSE_SECONDS: Final = 1.0


class LineWriter:
    """Hands lines to a daemon thread. `write` costs about a microsecond and never blocks."""

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stdout.buffer
        self._lines: deque[bytes] = deque()
        self._wake = threading.Event()
        self._closed = False
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Queue one line, without its newline."""
        if len(self._lines) >= MAX_WAITING_LINES:
            self.dropped += 1
            return
        self._lines.append(line)
        if not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Write what waits, unless the reader is stalled."""
        self._closed = True
        self._wake.set()
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        while not (self._closed and not self._lines):
            self._wake.wait()
            if not self._closed:
                time.sleep(FLUSH_SECONDS)  # gathers the lines of a burst into one write
            self._wake.clear()
            self._write_waiting()

    def _write_waiting(self) -> None:
        batch = []
        while self._lines:
            batch.append(self._lines.popleft())
        try:
            self._stream.write(b"".join(line + b"\n" for line in batch))
            self._stream.flush()
        except (OSError, ValueError):
            self.dropped += len(batch)  # the reader is gone; nobody can be told but the metric


class JsonFormatter(logging.Formatter):
    """A log record as one JSON object, with the request it belongs to."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The record's message is the code's own text; who logs must keep personal data out of it."""
        fields: dict[str, Any] = {
            "time": _timestamp(record.created),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        request = context.current()
        if request is not None:
            fields |= {"request_id": request.request_id, "trace_id": request.trace.trace_id}
        if record.exc_info and record.exc_info[1] is not None:
            fields["exception"] = _stack_without_values(record.exc_info[1])
        return msgspec.json.encode(fields).decode()


class _WriterHandler(logging.Handler):
    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        self._writer.write(self.format(record).encode())


def install(service: str, level: str, writer: LineWriter) -> None:
    """Send the whole process's logging through `writer`."""
    handler = _WriterHandler(writer)
    handler.setFormatter(JsonFormatter(service))
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = name != "uvicorn.access"


class AccessLine(msgspec.Struct):
    """One request, finished. Sizes in bytes."""

    time: str
    service: str
    method: str
    route: str
    status: int
    duration_ms: float
    request_id: str
    trace_id: str
    level: str = "INFO"
    logger: str = "access"
    client: str = ""
    sent: int = 0
    refused: str = ""


class AccessLog:
    """Encodes and writes one line per request."""

    def __init__(self, service: str, writer: LineWriter) -> None:
        self.service = service
        self._writer = writer
        self._encoder = msgspec.json.Encoder()

    def write(self, line: AccessLine) -> None:
        """Write one line."""
        self._writer.write(self._encoder.encode(line))


def now() -> str:
    """The time of a line: UTC with milliseconds."""
    return _timestamp(time.time())


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _stack_without_values(error: BaseException) -> str:
    # Frames and types; messages of foreign exceptions quote input (a database error quotes the row).
    lines = traceback.format_tb(error.__traceback__)
    chain = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    own = "".join(lines) + type(error).__qualname__
    return f"{_stack_without_values(chain)}\nthen\n{own}" if chain is not None else own
