"""Whether the events of each aggregate count up without a gap. Pure.

Kafka keeps the order of one aggregate's records. Copies of a record are not counted. What an aggregate's
first event should be is only known from what was on the topic before the tap began: that is asked for at the
end, for those that did not begin with 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rehearsal.contract.tapping.records import Record

Aggregate = tuple[str, str]  # topic, subject


@dataclass(frozen=True, slots=True)
class Mismatch:
    """An event whose number is not the next one."""

    rule: str
    aggregate: Aggregate
    expected: int
    observed: int
    record: Record

    @property
    def sentence(self) -> str:
        """What is wrong, for a reader."""
        topic, subject = self.aggregate
        return f"{topic}: {subject} has number {self.observed} where {self.expected} was due"


@dataclass(frozen=True, slots=True)
class Headless:
    """An aggregate whose first event here was not its first."""

    number: int
    record: Record


@dataclass(slots=True)
class Sequences:
    """The last number of every aggregate."""

    last: dict[Aggregate, int] = field(default_factory=dict)
    headless: dict[Aggregate, Headless] = field(default_factory=dict)

    def take(self, subject: str, number: int, record: Record) -> Mismatch | None:
        """Take an event's number; return what is wrong with it."""
        aggregate = (record.topic, subject)
        known = self.last.get(aggregate)
        self.last[aggregate] = max(number, known or 0)
        if known is None:
            if number != 1:
                self.headless[aggregate] = Headless(number, record)
            return None
        if number == known + 1:
            return None
        rule = "gap" if number > known else "disorder"
        return Mismatch(rule, aggregate, known + 1, number, record)

    def settle(self, before: Mapping[Aggregate, int]) -> Iterator[Mismatch]:
        """Yield whose beginning is missing, by the highest numbers from before the tap.

        A number that was there before is a copy, sent again.
        """
        for aggregate, first in self.headless.items():
            expected = before.get(aggregate, 0) + 1
            if first.number > expected:
                yield Mismatch("gap", aggregate, expected, first.number, first.record)
