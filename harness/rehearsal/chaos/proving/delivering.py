"""Events: sent if and only if decided (I5), of one effect each (I6), and taken if acknowledged (I14)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from rehearsal.chaos.proving.findings import Invariant, Result, Violation, judge, unseen
from rehearsal.chaos.proving.operations import Operation
from rehearsal.chaos.proving.snapshot import Snapshot

I5: Final = Invariant("I5", "Every committed event is in its topic, and no other")
I6: Final = Invariant("I6", "Every event takes effect exactly once at each consumer")
I14: Final = Invariant("I14", "What a consumer acknowledged it has taken")


def published_if_committed(operations: Sequence[Operation], snapshot: Snapshot) -> Result:
    """I5: outbox and topic hold the same events; copies in the topic are the consumers' to drop."""
    if snapshot.outbox is None or snapshot.published is None:
        return unseen(I5, "outboxes or topics were not collected")
    committed, published = set(snapshot.outbox), set(snapshot.published)
    violations = [
        Violation("I5", "lost", event.event_id, f"in {event.topic}", "not there")
        for event in sorted(committed - published)
    ]
    violations += [
        Violation("I5", "unfounded", event.event_id, "a committed row", f"only in {event.topic}")
        for event in sorted(published - committed)
    ]
    copies = len(snapshot.published) - len(published)
    return judge(I5, len(committed), violations, numbers={"copies": float(copies)})


def effect_once(operations: Sequence[Operation], snapshot: Snapshot) -> Result:
    """I6: one effect for each delivery that was due, however often it was delivered."""
    if snapshot.deliveries is None or snapshot.effects is None:
        return unseen(I6, "deliveries or effects were not collected")
    due, effects = set(snapshot.deliveries), set(snapshot.effects)
    if due == effects and len(effects) == len(snapshot.effects):
        return judge(I6, len(due), ())
    done = Counter(snapshot.effects)
    violations = []
    for one in sorted(due):
        if (times := done.get(one, 0)) != 1:
            rule = "effect-lost" if not times else "effect-doubled"
            subject = f"{one.consumer}/{one.event_id}"
            violations.append(Violation("I6", rule, subject, "one effect", f"{times} effects"))
    violations += [
        Violation("I6", "unfounded", f"{one.consumer}/{one.event_id}", "no effect", "an effect of no event")
        for one in sorted(effects - due)
    ]
    return judge(I6, len(due), violations)


def taken_if_acknowledged(operations: Sequence[Operation], snapshot: Snapshot) -> Result:
    """I14: an event that a consumer told the broker to be done with is in its inbox, as taken or given up.

    Whoever acknowledges first and is killed loses the event. A sweeper may heal the order later, so that
    nothing else shows it.
    """
    if snapshot.acknowledged is None or snapshot.taken is None:
        return unseen(
            I14, "a consumer's place in its topics or its inbox was not collected, or it was behind"
        )
    acknowledged = set(snapshot.acknowledged)
    return judge(
        I14,
        len(acknowledged),
        [
            Violation(
                "I14", "never-taken", f"{one.consumer}/{one.event_id}", "in its inbox", "acknowledged only"
            )
            for one in sorted(acknowledged - set(snapshot.taken))
        ],
    )
