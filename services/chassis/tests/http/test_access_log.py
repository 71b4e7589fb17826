"""Logging never waits for its reader, and never says what it must not."""

from __future__ import annotations

import io
import json
import logging
import os
import threading

import pytest

from mambogo_chassis.http import access_log
from mambogo_chassis.http.access_log import JsonFormatter, LineWriter


class StalledReader(io.RawIOBase):
    """A pipe whose reader has stopped."""

    def __init__(self) -> None:
        self.release = threading.Event()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self.release.wait(20)
        return 0


def test_lines_arrive_in_order() -> None:
    sink = io.BytesIO()
    writer = LineWriter(sink)
    for number in range(1000):
        writer.write(b"%d" % number)
    writer.close()
    assert sink.getvalue().split() == [b"%d" % number for number in range(1000)]


def test_a_stalled_reader_costs_lines_and_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "MAX_WAITING_LINES", 100)
    monkeypatch.setattr(access_log, "_CLOSE_SECONDS", 0.05)
    reader = StalledReader()
    writer = LineWriter(reader)  # type: ignore[arg-type] # a raw stream writes bytes just as well
    for _ in range(5000):
        writer.write(b"line")
    assert 4000 < writer.dropped < 5000
    reader.release.set()
    writer.close()


def test_a_reader_that_is_gone_is_survived() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as pipe:
        writer = LineWriter(pipe)
        writer.write(b"line")
        writer.close()
    assert writer.dropped == 1


def formatted(error: BaseException) -> dict[str, object]:
    record = logging.LogRecord("shop", logging.ERROR, "x.py", 1, "failed for %s", ("it",), None)
    record.exc_info = (type(error), error, error.__traceback__)
    found: dict[str, object] = json.loads(JsonFormatter("shop-service").format(record))
    return found


def test_a_record_is_one_json_object() -> None:
    line = formatted(ValueError("x"))
    assert (line["level"], line["service"], line["message"]) == ("ERROR", "shop-service", "failed for it")


def test_an_exceptions_kind_is_logged_and_its_text_is_not() -> None:
    inner, outer = "alice@example.org", "card 4111 1111"
    try:
        try:
            raise KeyError(inner)
        except KeyError as error:
            raise ValueError(outer) from error
    except ValueError as error:
        text = str(formatted(error)["exception"])
    assert all(part in text for part in ("KeyError", "ValueError", "test_access_log.py"))
    assert inner not in text
    assert outer not in text
