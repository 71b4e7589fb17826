"""Breaks that were accepted: files with a reason and a day on which they end.

A break that is accepted stands in `contract-tests/accepted-breaks/*.toml`, with what was observed then: what
breaks more at the same place is another one. A file that is past its day accepts nothing, and one that
accepts nothing has to go.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rehearsal.contract.checks import ACCEPTED
from rehearsal.contract.findings import Finding
from rehearsal.core.checks import Check

FOLDER = Path("contract-tests", "accepted-breaks")
_Words = Annotated[str, Field(min_length=1)]


class Place(BaseModel):
    """A break that is accepted, in the words of its finding."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    operation: _Words  # of an event its release and direction: "for readers of release 1"
    pointer: str
    rule: _Words
    observed: str


class Acceptance(BaseModel):
    """A file: breaks of one document that have one reason."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    document: _Words  # below contract-tests/
    reason: _Words
    expires: date  # the last day on which it holds
    places: Annotated[tuple[Place, ...], Field(min_length=1)]


@dataclass(slots=True)
class AcceptedBreaks:
    """All files of a checkout on one day; remembers which of them were needed."""

    today: date
    files: dict[str, Acceptance]
    unreadable: dict[str, str]  # why, by name
    _needed: set[tuple[str, Place]] = field(default_factory=set)

    def unaccepted(self, document: str, findings: Iterable[Finding]) -> list[Finding]:
        """Return those of a document's findings that no file accepts."""
        return [one for one in findings if not self._accepts(document, _place(one))]

    def judge(self) -> Iterator[Check]:
        """Yield a check for each file, after every document was compared."""
        for name, why in self.unreadable.items():
            yield ACCEPTED.invalid(name, f"it cannot be read: {why}")
        for name, acceptance in self.files.items():
            yield self._judge(name, acceptance)
        if not self.unreadable and not self.files:
            yield ACCEPTED.passed("all documents", "no break is accepted")

    def _accepts(self, document: str, place: Place) -> bool:
        accepting = [
            name
            for name, one in self.files.items()
            if one.document == document and place in one.places and self.today <= one.expires
        ]
        self._needed.update((name, place) for name in accepting)
        return bool(accepting)

    def _judge(self, name: str, acceptance: Acceptance) -> Check:
        if self.today > acceptance.expires:
            ended = f"it ended on {acceptance.expires}"
            return _failed(name, ended, f"a day that is not before {self.today}", str(acceptance.expires))
        unused = [one for one in acceptance.places if (name, one) not in self._needed]
        if unused:
            places = "; ".join(f"{one.operation} {one.pointer} {one.rule}: {one.observed}" for one in unused)
            return _failed(
                name, "it accepts what is not broken so", "each of its breaks, as observed", places
            )
        until = f"{len(acceptance.places)} breaks of {acceptance.document} until {acceptance.expires}"
        return ACCEPTED.passed(name, f"it accepts {until}: {acceptance.reason}")


def read_accepted(root: Path, today: date) -> AcceptedBreaks:
    """Read every file of a checkout."""
    files: dict[str, Acceptance] = {}
    unreadable: dict[str, str] = {}
    for path in sorted((root / FOLDER).glob("*.toml")):
        try:
            files[path.name] = Acceptance.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            unreadable[path.name] = str(error)
        except ValidationError as error:
            unreadable[path.name] = _said(error)
    return AcceptedBreaks(today, files, unreadable)


def _place(finding: Finding) -> Place:
    return Place(**{name: getattr(finding, name) for name in Place.model_fields})


def _said(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())


def _failed(name: str, sentence: str, expected: str, observed: str) -> Check:
    return ACCEPTED.failed(name, sentence, expected=expected, observed=observed, source=str(FOLDER / name))
