"""The log of a Kafka that is away stays readable."""

from __future__ import annotations

import logging

import pytest

from mambogo_chassis.events.kafkalog import Seldom


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> logging.Logger:
    logger = logging.getLogger("test.kafkalog")
    for old in list(logger.filters):
        logger.removeFilter(old)
    caplog.set_level(logging.INFO)
    return logger


def test_what_differs_in_numbers_only_is_said_once(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    log.addFilter(Seldom())
    for attempt in range(500):
        log.warning("Connect to ipv4#10.0.0.%d:9092 failed (after %dms)", attempt % 7, attempt)
    assert caplog.messages == ["Connect to ipv4#10.0.0.0:9092 failed (after 0ms)"]


def test_other_words_are_said_as_well(log: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    log.addFilter(Seldom())
    for words in ("no route", "1/1 brokers are down", "no route", "0/2 brokers are down"):
        log.warning(words)
    assert caplog.messages == ["no route", "1/1 brokers are down"]


def test_the_next_one_says_how_many_were_left_out(
    log: logging.Logger, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("mambogo_chassis.events.kafkalog.time.monotonic", lambda: now)
    log.addFilter(Seldom(again_seconds=30))
    for _ in range(12):
        log.error("down for %s", "100 %")
    now = 131.0
    log.error("down for %s", "100 %")
    log.error("down for %s", "100 %")
    assert caplog.messages == ["down for 100 %", "down for 100 % (and 11 like it since the last)"]


def test_words_without_end_do_not_fill_memory(log: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    seldom = Seldom()
    log.addFilter(seldom)
    for number in range(1000):
        log.warning("x" * number)
    assert len(caplog.messages) == 1000
    assert len(seldom._seen) <= 200
