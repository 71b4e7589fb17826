"""Reading a topic to its end from a broker that takes its time, or says nothing any more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from rehearsal.chaos import topics
from rehearsal.chaos.topics import Topics
from rehearsal.core.errors import EnvironmentNotReadyError


class Record:
    """A record of the only partition."""

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def error(self) -> None:
        """Return no error."""

    def value(self) -> bytes:
        """Return its content."""
        return b'{"id": %d}' % self._offset

    def partition(self) -> int:
        """Return where it is."""
        return 0

    def offset(self) -> int:
        """Return its number."""
        return self._offset


class Broker:
    """As many records as there are, and nothing when it has nothing to say."""

    def __init__(self, says: Sequence[Record | None]) -> None:
        self._says: Iterator[Record | None] = iter(says)
        self._end = sum(one is not None for one in says)

    def __call__(self, settings: object) -> Broker:
        """Connect."""
        return self

    def list_topics(self, topic: str, timeout: float) -> object:
        """Return what is known."""
        return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions=[0])})

    def get_watermark_offsets(self, place: Any, timeout: float) -> tuple[int, int]:
        """Return the ends."""
        return 0, max(1, self._end)

    def assign(self, places: Any) -> None:
        """Take the partitions."""

    def poll(self, timeout: float) -> Record | None:
        """Return the next record; nothing comes at once, not after a time-out."""
        return next(self._says, None)

    def close(self) -> None:
        """Disconnect."""


def _read(monkeypatch: pytest.MonkeyPatch, says: Sequence[Record | None]) -> list[object]:
    monkeypatch.setattr(topics, "Consumer", Broker(says))
    return [one["id"] for one in Topics("broker:9092").read("orders")]


def test_broker_that_says_nothing_for_a_moment_is_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _read(monkeypatch, [None, None, Record(0), None, None, Record(1)]) == [0, 1]


def test_broker_that_says_nothing_any_more_is_an_environment_that_is_not_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(topics, "_KAFKA_SECONDS", 0.0)
    with pytest.raises(EnvironmentNotReadyError, match="nothing more came"):
        _read(monkeypatch, [])


class Late(Broker):
    """A broker of three partitions whose records come after somebody has looked."""

    assigned: Sequence[TopicPartition] = ()

    def list_topics(self, topic: str, timeout: float) -> object:
        return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions=[0, 1, 2])})

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        return 0, 10 * place.partition

    def assign(self, places: Sequence[TopicPartition]) -> None:
        self.assigned = places


def test_what_comes_after_a_look_is_read_and_nothing_before(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Late([None, Record(20), Record(21)])
    monkeypatch.setattr(topics, "Consumer", broker)
    ends = Topics("broker:9092").ends("orders")
    came = Topics("broker:9092").since("orders", ends, 60.0)

    assert (ends, next(came)["id"], next(came)["id"]) == ({0: 0, 1: 10, 2: 20}, 20, 21)
    assert [(one.partition, one.offset) for one in broker.assigned] == [(0, 0), (1, 10), (2, 20)]


def test_what_does_not_come_is_not_awaited_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "Consumer", Late([]))

    assert list(Topics("broker:9092").since("orders", {0: 0}, 0.05)) == []
