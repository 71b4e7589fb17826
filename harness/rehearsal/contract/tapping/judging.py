"""What the tap saw as checks. Pure.

A finding is a fact, whatever else was missed; that there is none is only said of what was seen whole. Nothing
seen at all is INVALID.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from rehearsal.contract.tapping.checks import CHECKS, DEAD_LETTERS, IDENTITY, KNOWN, SEQUENCE, VALID
from rehearsal.contract.tapping.explaining import FOLDER, Explanations
from rehearsal.contract.tapping.known import DEAD_SUFFIX, KnownEvents
from rehearsal.contract.tapping.known import FOLDER as SCHEMAS
from rehearsal.contract.tapping.seen import DeadLetters, Finding, Seen, TopicSeen
from rehearsal.contract.tapping.tap import Sight
from rehearsal.core.checks import Check, CheckKind
from rehearsal.core.costs import cost
from rehearsal.core.events import Notice

ALL_TOPICS: Final = "all topics"
# Alone, the stage reads what the topics still have from their beginning.
_REPRODUCE: Final = "nox -s events"


@dataclass(frozen=True, slots=True)
class Ground:
    """What everything is judged by; `evidence` are files of the run."""

    known: KnownEvents
    explained: Explanations
    evidence: tuple[str, ...] = ()


def judge(sight: Sight, ground: Ground) -> Iterator[Check]:
    """Yield every check of what was seen, and of what explains it."""
    for name, why in ground.explained.useless(ground.known):
        yield _useless(name, why, ground)
    if sight.seen is None:
        for kind in CHECKS:
            yield kind.invalid(ALL_TOPICS, f"the tap saw nothing: {sight.why}")
        return
    judged = _Judge(sight.seen, sight.why, ground)
    yield from judged.overall(KNOWN, "{records} records of {types} types, each with a schema, on its topic")
    for topic in sorted(ground.known.topics):
        yield from judged.of_topic(VALID, topic, "{records} events are as their schemas say")
    yield from judged.overall(IDENTITY, "no id of {records} records came with two contents; {copies} copies")
    for topic in sorted(ground.known.counting):
        yield from judged.sequence(topic)
    for topic in sorted(ground.known.topics):
        yield from judged.dead_letters(topic)


def unseen_types(seen: Seen, known: KnownEvents) -> list[str]:
    """Return the types of which no event was written."""
    there = {name for topic in seen.topics for name in topic.types}
    return sorted(set(known.types) - there)


def cost_of(seen: Seen) -> Notice:
    """Return what the tap cost."""
    away = f"; Kafka was away for {seen.away_seconds:.0f} s of it" if seen.away_seconds >= 1 else ""
    did = f" for {seen.records} records, of which {seen.kept} are kept{away}"
    return cost("the tap on Kafka", seen.cpu_seconds, seen.seconds, did)


def _useless(name: str, why: str, ground: Ground) -> Check:
    path = str(FOLDER / name)
    return DEAD_LETTERS.failed(
        name,
        f"{path} explains nothing: {why}",
        expected=f"what there can be, until a day that is not before {ground.explained.today}",
        observed=why,
        reproduce=_REPRODUCE,
        source=path,
    )


@dataclass(frozen=True, slots=True)
class _Judge:
    seen: Seen
    why: str  # it is not whole
    ground: Ground

    def overall(self, kind: CheckKind, good: str) -> Iterator[Check]:
        """Yield a kind's findings on every topic, or that there is none."""
        found = [one for one in self.seen.findings if one.check == kind.id]
        yield from (self._failed(kind, one) for one in found)
        if found:
            return
        records = sum(one.records for one in self._topics())
        blind = next((why for one in self.seen.topics if (why := self._blind(one))), self.why)
        types = len({name for one in self._topics() for name in one.types})
        if blind := blind or self._uncounted():
            yield kind.invalid(ALL_TOPICS, f"not everything was seen: {blind}")
        elif not records:
            yield kind.invalid(ALL_TOPICS, "no event was written while the tap looked")
        elif not types:
            yield kind.invalid(ALL_TOPICS, f"none of {records} records is an event of a known type")
        else:
            copies = sum(one.copies for one in self._topics())
            yield kind.passed(ALL_TOPICS, good.format(records=records, types=types, copies=copies))

    def of_topic(self, kind: CheckKind, topic: str, good: str) -> Iterator[Check]:
        """Yield a kind's findings on one topic, or that there is none."""
        found = [one for one in self.seen.findings if one.check == kind.id and one.topic == topic]
        yield from (self._failed(kind, one) for one in found)
        if found:
            return
        there = self.seen.topic(topic)
        if why := self._unseen(topic, there):
            yield kind.invalid(topic, why)
        elif there is not None:
            facts = {"records": there.records, "aggregates": there.aggregates, "undecided": there.undecided}
            yield kind.passed(topic, good.format(**facts))

    def sequence(self, topic: str) -> Iterator[Check]:
        """Yield whether a topic's aggregates count up; what was not read would look like a gap."""
        there = self.seen.topic(topic)
        if there is not None and (blind := self._blind(there)):
            yield SEQUENCE.invalid(topic, f"not everything was seen: {blind}")
            return
        if there is not None and there.records and not there.aggregates:
            yield SEQUENCE.invalid(topic, f"none of its {there.records} records counts")
            return
        older = "; of {undecided} the beginning is no longer there" if there and there.undecided else ""
        yield from self.of_topic(SEQUENCE, topic, "{aggregates} of them count up without a gap" + older)

    def dead_letters(self, topic: str) -> Iterator[Check]:
        """Yield whether what was given up of a topic is explained."""
        found = [one for one in self.seen.dead_letters if one.topic == topic]
        unexplained = self.ground.explained.unexplained(found)
        yield from (self._given_up(one) for one in unexplained)
        if unexplained:
            return
        dead = f"{topic}{DEAD_SUFFIX}"
        there = self.seen.topic(dead)
        unreadable = self.ground.explained.unreadable
        if there is None:
            yield DEAD_LETTERS.invalid(topic, f"there is no {dead} that could have any")
        elif why := self._blind(there) or self._unseen(topic, self.seen.topic(topic)):
            yield DEAD_LETTERS.invalid(topic, why)
        elif unreadable:
            name, why = next(iter(unreadable.items()))
            yield DEAD_LETTERS.invalid(topic, f"{FOLDER / name} cannot be read: {why}")
        elif found:
            many = sum(one.count for one in found)
            names = ", ".join(sorted({self.ground.explained.of(one) for one in found}))
            yield DEAD_LETTERS.passed(topic, f"its {many} dead letters are explained by {names}")
        else:
            yield DEAD_LETTERS.passed(topic, f"{dead} got none")

    def _topics(self) -> list[TopicSeen]:
        return [one for one in self.seen.topics if one.name in self.ground.known.topics]

    def _blind(self, topic: TopicSeen) -> str:
        return f"{topic.name}: {topic.blind[0]}" if topic.blind else self.why

    def _unseen(self, name: str, topic: TopicSeen | None) -> str:
        if topic is None:
            return f"there is no topic {name}"
        if blind := self._blind(topic) or self._uncounted():
            return f"not everything was seen: {blind}"
        return "" if topic.records else "no record was written to it while the tap looked"

    def _uncounted(self) -> str:
        # Nobody can say of which topic they are.
        many = self.seen.uncounted
        return f"{many} findings more than can be told apart" if many else ""

    def _failed(self, kind: CheckKind, one: Finding) -> Check:
        path = SCHEMAS / f"{one.subject}.schema.json"
        return kind.failed(
            f"{one.subject} on {one.topic}" if one.subject != one.topic else one.topic,
            f"{one.sentence}; in {one.count} records, the first at {one.first}",
            expected=one.expected,
            observed=one.observed,
            evidence=self.ground.evidence,
            reproduce=_REPRODUCE,
            source=str(path) if one.subject in self.ground.known.types else "",
        )

    def _given_up(self, one: DeadLetters) -> Check:
        expired = self.ground.explained.expired(one)
        until = f"; {expired} explained them until its day" if expired else ""
        return DEAD_LETTERS.failed(
            one.topic,
            f"{one.consumer} gave up {one.count} records of {one.type}: {one.reason},"
            f" {one.detail or 'no detail'}; the first at {one.first}{until}",
            expected=f"none, or a file in {FOLDER} that explains them",
            observed=f"{one.count} of {one.reason}",
            evidence=self.ground.evidence,
            reproduce=_REPRODUCE,
        )
