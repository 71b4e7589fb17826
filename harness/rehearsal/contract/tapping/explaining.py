"""Dead letters that are explained: files with a reason and a day on which they end.

A fault that is injected explains none: whatever dies, an event waits until it can be applied
(services/chassis/docs/events.md). What is expected to be given up stands in
`contract-tests/explained-dead-letters/*.toml`, until its cause is mended.

A file that explained nothing in a run is no finding, unlike an accepted break that is not needed: a break is
there in each comparison, while a record may be given up in one run of many. What is found is a file that can
explain nothing in any run: one that is past its day, or about what there cannot be.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rehearsal.contract.tapping.known import KnownEvents, family_of
from rehearsal.contract.tapping.seen import DeadLetters

FOLDER: Final = Path("contract-tests", "explained-dead-letters")
# Why the chassis gives a record up (services/chassis/docs/events.md); of the first it may not know the type.
_UNDECODABLE: Final = "undecodable"
REASONS: Final = (_UNDECODABLE, "unknown-version", "invalid-data", "handler-failed", "contention")
_Words = Annotated[str, Field(min_length=1)]


class Explanation(BaseModel):
    """Which dead letters are expected: all four have to be theirs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topic: _Words
    consumer: _Words
    type: _Words
    reason: _Words  # as the dead letter's header says it
    because: _Words  # for people
    expires: date  # the last day on which it holds


@dataclass(frozen=True, slots=True)
class Explanations:
    """All files of a checkout on one day."""

    today: date
    files: Mapping[str, Explanation]
    unreadable: Mapping[str, str]  # why, by name

    def of(self, letters: DeadLetters) -> str:
        """Return the name of the file that explains some dead letters; empty when none does."""
        return next((name for name, one in self.files.items() if self._explains(one, letters)), "")

    def expired(self, letters: DeadLetters) -> str:
        """Return the name of a file that would have explained them until its last day."""
        return next((name for name, one in self.files.items() if _fits(one, letters)), "")

    def unexplained(self, letters: Iterable[DeadLetters]) -> list[DeadLetters]:
        """Return those that no file explains."""
        return [one for one in letters if not self.of(one)]

    def useless(self, known: KnownEvents) -> Iterator[tuple[str, str]]:
        """Yield the files that can explain nothing, each with the reason."""
        for name, one in self.files.items():
            if why := f"it ended on {one.expires}" if self.today > one.expires else _impossible(one, known):
                yield name, why

    def _explains(self, one: Explanation, letters: DeadLetters) -> bool:
        return self.today <= one.expires and _fits(one, letters)


def read_explanations(root: Path, today: date) -> Explanations:
    """Read every file of a checkout."""
    files: dict[str, Explanation] = {}
    unreadable: dict[str, str] = {}
    for path in sorted((root / FOLDER).glob("*.toml")):
        try:
            files[path.name] = Explanation.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            unreadable[path.name] = _said(error)
    return Explanations(today, files, unreadable)


def _fits(one: Explanation, letters: DeadLetters) -> bool:
    wanted = (one.topic, one.consumer, one.type, one.reason)
    return wanted == (letters.topic, letters.consumer, letters.type, letters.reason)


def _impossible(one: Explanation, known: KnownEvents) -> str:
    """Return why there can be no such dead letter. Who consumes a topic stands in no committed contract."""
    if one.topic not in known.topics:
        return f"there is no topic {one.topic}"
    if one.reason not in REASONS:
        return f"nothing is given up for {one.reason!r}"
    # An unknown version is one of a family that is known.
    if one.reason != _UNDECODABLE and family_of(one.type) not in known.families:
        return f"there is no type {one.type}"
    return ""


def _said(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
    return str(error)
