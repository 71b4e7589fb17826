"""Adapter: following every topic of a broker, from where it stood to where it stands in the end.

It belongs to no group and commits nothing: who listens leaves no trace. Topics that are made meanwhile are
followed from their beginning. A broker that goes away is waited for; what could not be read is remembered,
per topic, because whoever judges must not take it for nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from rehearsal.contract.tapping.records import Record
from rehearsal.core.errors import EnvironmentNotReadyError

Place = tuple[str, int]  # topic, partition

_ASK_SECONDS: Final = 5.0
_BATCH: Final = 500
_TURN_SECONDS: Final = 1.0  # a batch waits as long for more: fewer, fuller turns cost less
_INTERNAL: Final = "__"  # what Kafka keeps for itself
_LOST: Final = (
    KafkaError._AUTO_OFFSET_RESET,
    KafkaError.OFFSET_OUT_OF_RANGE,
    KafkaError._LOG_TRUNCATION,
)


def consumer_config(bootstrap_servers: str) -> dict[str, Any]:
    """librdkafka's settings, each with its reason."""
    return {
        "bootstrap.servers": bootstrap_servers,
        "group.id": "rehearsal-tap",  # the client asks for one; nothing is ever committed under it
        "enable.auto.commit": False,
        # A place that is gone must be an error: to go on anywhere else would be a silent gap.
        "auto.offset.reset": "error",
        "allow.auto.create.topics": False,
        # The broker answers at the first byte; without one, an idle topic is asked for once a second.
        "fetch.wait.max.ms": 1000,
        "queued.min.messages": 2000,
        "queued.max.messages.kbytes": 16_384,
        "topic.metadata.refresh.interval.ms": 10_000,
        "socket.timeout.ms": 10_000,
        "reconnect.backoff.max.ms": 1000,
        # That a broker is away shows where it is asked; the client's own words are not needed.
        "error_cb": lambda error: None,
        "log_level": 0,
    }


@dataclass(slots=True)
class Follower:
    """Reads on wherever something comes."""

    consumer: Consumer
    # For questions alone: on the reader's connection each would wait behind a fetch that waits for records.
    asking: Consumer
    from_beginning: bool
    starts: dict[Place, int] = field(default_factory=dict)  # the first offset that is wanted
    lows: dict[Place, int] = field(default_factory=dict)  # the first one that was there then
    nexts: dict[Place, int] = field(default_factory=dict)
    blind: defaultdict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    away_seconds: float = 0.0
    _undescribed: dict[str, str] = field(default_factory=dict)  # why, by topic: one that is new, for a moment
    _away_since: float | None = None
    _begun: bool = False

    @property
    def topics(self) -> Set[str]:
        """Every topic that is or was there."""
        return {topic for topic, _ in self.nexts} | set(self.blind)

    def look(self) -> bool:
        """Take up topics and partitions that are new; return whether the broker answered."""
        try:
            self._take_up(self._partitions())
        except KafkaException:
            self._away_since = self._away_since or monotonic()
            return False
        if self._away_since is not None:
            self.away_seconds += monotonic() - self._away_since
            self._away_since = None
        self._begun = True
        return True

    def take(self) -> list[Record]:
        """Return what has come within a second or so."""
        return self._records(self.consumer.consume(_BATCH, _TURN_SECONDS))

    def catch_up(self, seconds: float) -> Iterator[list[Record]]:
        """Yield what is left up to where the topics end now; what does not come in time is remembered."""
        deadline = monotonic() + seconds
        ends = self._ends(deadline)
        if ends is None:
            for topic in self.topics or {""}:
                self._miss(topic, f"no broker said within {seconds:.0f} s where it ends")
            return
        for topic, why in self._undescribed.items():
            self._miss(topic, f"the broker does not describe it: {why}")
        while behind := self._behind(ends):
            if monotonic() > deadline:
                for topic, count in behind.items():
                    self._miss(topic, f"{count} records did not come within {seconds:.0f} s")
                return
            yield self.take()

    def look_back(self, keys: Mapping[Place, Set[bytes]], seconds: float) -> Iterator[Record]:
        """Yield the records with these keys from before the beginning. Ends the following."""
        deadline = monotonic() + seconds
        left = {
            place: self.starts[place] for place in keys if self.lows.get(place, 0) < self.starts.get(place, 0)
        }
        self.consumer.unassign()
        self.consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in left])
        while left:
            if monotonic() > deadline:
                for topic, _ in left:
                    self._miss(topic, f"what was there before was not read within {seconds:.0f} s")
                return
            for message in self.consumer.consume(_BATCH, _TURN_SECONDS):
                if message.error():
                    continue
                record = _record(message)
                place = (record.topic, record.partition)
                if record.offset < left.get(place, 0) and record.key in keys[place]:
                    yield record
                if place in left and record.offset + 1 >= left[place]:
                    del left[place]

    def _partitions(self) -> Iterator[Place]:
        known = self.asking.list_topics(timeout=_ASK_SECONDS).topics
        for topic in {topic for topic, _ in self.nexts} - set(known):
            self._miss(topic, "it was removed")
        self._undescribed = {}
        for name, topic in known.items():
            if name.startswith(_INTERNAL):
                continue
            if topic.error is not None:
                self._undescribed[name] = str(topic.error)
            yield from ((name, partition) for partition in topic.partitions)

    def _take_up(self, places: Iterator[Place]) -> None:
        # All or none: the broker may go away between two questions.
        new = {place: self._watermarks(place) for place in places if place not in self.nexts}
        for place, (low, high) in new.items():
            # What is made while the tap runs is followed from its first record.
            start = low if self.from_beginning or self._begun else high
            self.lows[place], self.starts[place], self.nexts[place] = low, start, start
        if new:
            self.consumer.incremental_assign([TopicPartition(*place, self.starts[place]) for place in new])

    def _watermarks(self, place: Place) -> tuple[int, int]:
        found = self.asking.get_watermark_offsets(TopicPartition(*place), timeout=_ASK_SECONDS)
        if found is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        low, high = found
        return low, high

    def _ends(self, deadline: float) -> dict[Place, int] | None:
        while True:
            try:
                if self.look():
                    return {place: self._watermarks(place)[1] for place in self.nexts}
            except KafkaException:
                pass  # it went away between two questions
            if monotonic() > deadline:
                return None
            self._records(self.consumer.consume(0, 0))

    def _behind(self, ends: Mapping[Place, int]) -> dict[str, int]:
        left: dict[str, int] = defaultdict(int)
        for place, end in ends.items():
            if self.nexts[place] < end:
                left[place[0]] += end - self.nexts[place]
        return dict(left)

    def _records(self, messages: list[Message]) -> list[Record]:
        found = []
        for message in messages:
            if error := message.error():
                self._failed(message, error)
                continue
            record = _record(message)
            place = (record.topic, record.partition)
            due = self.nexts.get(place, record.offset)
            if record.offset < due:
                continue  # it was read before the connection was lost
            if record.offset > due:
                self._miss(record.topic, _gone(place[1], due, record.offset))
            self.nexts[place] = record.offset + 1
            found.append(record)
        return found

    def _failed(self, message: Message, error: KafkaError) -> None:
        topic, partition = message.topic(), message.partition()
        if topic is None or partition is None:
            return  # the connection's: what it costs shows as records that do not come
        if error.code() in _LOST:
            self._resume((topic, partition))
        elif not error.retriable():
            self._miss(topic, str(error))

    def _resume(self, place: Place) -> None:
        """Go on in a partition whose next record is gone: what follows is worth a look, too."""
        try:
            low, high = self._watermarks(place)
        except KafkaException as error:
            self._miss(place[0], f"its next record is gone, and where it stands was not said: {error}")
            return
        due = self.nexts.get(place, low)
        if due > high:
            self._miss(place[0], f"partition {place[1]} ends at {high}, and had been read to {due}")
        elif low > due:
            self._miss(place[0], _gone(place[1], due, low))
        self.nexts[place] = min(max(due, low), high)
        self.consumer.incremental_unassign([TopicPartition(*place)])
        self.consumer.incremental_assign([TopicPartition(*place, self.nexts[place])])

    def _miss(self, topic: str, why: str) -> None:
        self.blind[topic][why] = None  # a set that keeps its order


def follow(bootstrap_servers: str, *, from_beginning: bool, seconds: float) -> Follower:
    """Return a follower that knows where it begins.

    Raises EnvironmentNotReadyError when no broker says so within `seconds`.
    """
    config = consumer_config(bootstrap_servers)
    follower = Follower(Consumer(config), Consumer(config), from_beginning)
    deadline = monotonic() + seconds
    while not follower.look():
        if monotonic() > deadline:
            raise EnvironmentNotReadyError(
                "TAP_NO_BROKER",
                f"no broker answered at {bootstrap_servers} within {seconds:.0f} s",
                hint="`rehearsal status` shows whether Kafka is well.",
            )
    return follower


def _record(message: Message) -> Record:
    headers = message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    return Record(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        message.timestamp()[1],
        _bytes(message.key()),
        _bytes(message.value()),
        tuple((str(name), _bytes(value) or b"") for name, value in pairs),
    )


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _gone(partition: int, start: int, end: int) -> str:
    return f"records {start} to {end - 1} of partition {partition} were gone before they were read"
