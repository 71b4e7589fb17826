"""What the tap saw, as it tells the run: the summary that its process writes and the stage reads."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

RECORDS = "records.ndjson"
SUMMARY = "tap.json"
LOG = "tap.log"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Finding(_Part):
    """One kind of thing that is wrong, with its first case."""

    check: str  # the check's id
    topic: str
    subject: str  # the type of event; the topic where there is none
    rule: str
    sentence: str
    expected: str
    observed: str
    first: str  # the place of the first record
    count: Annotated[int, Field(ge=1)]


class DeadLetters(_Part):
    """Records that one consumer gave up for one reason."""

    topic: str  # where they were to be read
    consumer: str
    type: str
    reason: str
    detail: str  # of the first
    first: str
    count: Annotated[int, Field(ge=1)]


class TopicSeen(_Part):
    """One topic, from where the tap began to where it ended."""

    name: str
    records: int
    copies: int  # records that were sent again
    types: dict[str, int]
    aggregates: int  # that counted
    undecided: int  # whose beginning is no longer on the topic
    blind: tuple[str, ...]  # why not everything was seen


class Seen(_Part):
    """All of it."""

    whole: bool  # false: a summary from under way
    seconds: float
    cpu_seconds: float
    away_seconds: float  # for how long no broker answered
    records: int
    kept: int  # records in the evidence
    topics: tuple[TopicSeen, ...]
    findings: tuple[Finding, ...]
    dead_letters: tuple[DeadLetters, ...]
    uncounted: int  # cases of findings beyond those that are listed

    def topic(self, name: str) -> TopicSeen | None:
        """Return what was seen of a topic; None for one that the broker does not have."""
        return next((one for one in self.topics if one.name == name), None)
