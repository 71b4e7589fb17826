"""The access log: one JSON object per request, formatted by hand and written in batches by a thread of its
own.

No query, no token, no subject and no address is logged: they are secrets or personal data. Every value is
either from a fixed set or was read by a parser that refuses quotes, backslashes and controls, so nothing
needs escaping. A reader that does not keep up costs log lines, which are counted, never requests.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mambogo_gateway.proxy.exchange import Exchange

# Lines waiting in memory while the reader of the log stands still; about 300 bytes each.
_MAX_WAITING_LINES: Final = 50_000
_NONE: Final = "-"


class AccessLog:
    """Collects lines; `flush` hands them to the writing thread."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._lines: list[str] = []
        self._queue: queue.SimpleQueue[list[str] | None] = queue.SimpleQueue()
        self._waiting = 0
        self._second = 0
        self._stamp = ""
        self.dropped = 0
        self._thread: threading.Thread | None = None
        if descriptor is not None:
            self._thread = threading.Thread(target=self._write_all, name="access-log", daemon=True)
            self._thread.start()

    def finished(self, exchange: Exchange, seconds: float) -> None:
        """Log an exchange that has ended."""
        if self._descriptor is None:
            return
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        request = exchange.request
        self._lines.append(
            f'{{"time":"{self._stamp}.{int((now - second) * 1000):03d}Z","log":"access",'
            f'"method":"{request.method.decode()}","path":"{request.path.decode()}",'
            f'"route":"{exchange.route.id}","status":{exchange.status},'
            f'"duration_ms":{seconds * 1000:.2f},"bytes":{exchange.response_bytes},'
            f'"service":"{exchange.route.service}","pod":"{exchange.answered_by or _NONE}",'
            f'"outcome":"{exchange.outcome}","retries":{exchange.retries},'
            f'"request_id":"{exchange.request_id.decode()}","trace_id":"{exchange.trace_id.decode()}"}}\n'
        )

    def flush(self) -> None:
        """Hand what was collected to the writer; called several times a second."""
        lines = self._lines
        if not lines:
            return
        self._lines = []
        if self._waiting > _MAX_WAITING_LINES:
            self.dropped += len(lines)
            return
        self._waiting += len(lines)
        self._queue.put(lines)

    def close(self) -> None:
        """Write what is left and stop the thread."""
        self.flush()
        if self._thread is not None:
            self._queue.put(None)
            # A reader that stands still must not keep the process from ending.
            self._thread.join(timeout=2.0)

    def _write_all(self) -> None:
        while (lines := self._queue.get()) is not None:
            data = "".join(lines).encode()
            assert self._descriptor is not None  # noqa: S101
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:
                self.dropped += len(lines)
            self._waiting -= len(lines)
