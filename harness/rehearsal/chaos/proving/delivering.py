"""Events: sent if and only if they were decided (I5), and of one effect each (I6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from rehearsal.chaos.proving.findings import Invariant, Result, Violation, judge, unseen
from rehearsal.chaos.proving.operations import Operation
from rehearsal.chaos.proving.snapshot import Snapshot

I5: Final = Invariant("I5", "Every committed event is in its topic, and no other")
I6: Final = Invariant("I6", "Every event takes effect exactly once at each consumer")


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
