"""Whether every topic that production makes has events with schemas, and every event a topic that is made.

Of the committed files alone: which records are on a topic is for the tap to show.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from rehearsal.contract.checks import TOPICS
from rehearsal.contract.events import TOPIC, EventSchema
from rehearsal.core.checks import Check
from rehearsal.deploy.manifests import Manifest, containers

_PROGRAM: Final = "mambogo_chassis.events.topics"  # what makes topics, before anything else runs


def topics_of(objects: Sequence[Manifest]) -> list[str]:
    """Return the topics that these objects make."""
    found: list[str] = []
    for container in containers(objects):
        words = [str(one) for one in container.get("command", ())]
        if _PROGRAM in words:
            rest = iter(words[words.index(_PROGRAM) + 1 :])
            # Each option has a value; what else stands there is a topic.
            found += [word for word in rest if not (word.startswith("--") and next(rest, None) is not None)]
    return found


def judge_topics(made: Collection[str], schemas: Mapping[str, EventSchema]) -> Iterator[Check]:
    """Yield a check of each topic that is made, or that a schema names."""
    types: dict[str, list[str]] = defaultdict(list)
    for name, schema in sorted(schemas.items()):
        types[str(schema.get(TOPIC, ""))].append(name)
    if not made:
        yield TOPICS.invalid("all topics", "nothing in the manifests makes a topic")
        return
    for topic in sorted({*made, *types}):
        yield _judge(topic, types.get(topic, []), is_made=topic in made)


def _judge(topic: str, types: Sequence[str], *, is_made: bool) -> Check:
    if types and is_made:
        return TOPICS.passed(topic, f"its {len(types)} types of events have schemas")
    if not types:
        why, observed = (
            "no event on it has a schema: nobody can tell a sound record from a broken one",
            "none",
        )
        expected = f"a schema in contract-tests/events/ whose {TOPIC} is {topic}"
    elif not topic:
        why, observed = f"{', '.join(types)} names no topic", "nothing"
        expected = f"a topic in its schema's {TOPIC}"
    else:
        why, observed = f"nothing makes it, and {', '.join(types)} is written to it", "no such topic"
        expected = f"{topic} among the topics of k8s/base/jobs/topics.yaml"
    return TOPICS.failed(
        topic or "no topic", why, expected=expected, observed=observed, reproduce="rehearsal inspect"
    )
