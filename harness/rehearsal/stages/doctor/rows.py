"""A row of the doctor's report: what was looked at, how it is, and what follows.

The JSON form is a stable interface; `SCHEMA_VERSION` changes when a field goes or changes its meaning. How
rows look on a terminal is for the command line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from rehearsal.core.verdicts import ExitCode

SCHEMA_VERSION = 1

Measured = Mapping[str, "str | int | float | bool | list[str] | None"]


class Status(StrEnum):
    """What a row says to somebody who wants to run `rehearsal up`."""

    OK = "OK"
    WILL_FIX = "WILL FIX"  # `up` does it
    LIMIT = "LIMIT"  # something cannot be tested on this machine
    BLOCKER = "BLOCKER"  # `up` cannot work before the cure


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that the doctor looked at."""

    id: str
    title: str
    status: Status
    summary: str  # one line: what was found, and for WILL FIX what will be done
    explanation: str = ""  # why it matters, for everything but OK
    cure: str = ""  # the exact command, for a BLOCKER
    measured: Measured = field(default_factory=dict)
    excludes: tuple[str, ...] = ()  # needs of scenarios and profiles that this machine cannot meet

    @property
    def blocks(self) -> bool:
        """Whether `up` cannot work before this is cured."""
        return self.status is Status.BLOCKER

    def as_record(self) -> dict[str, object]:
        """Return the row for JSON."""
        return {
            "id": self.id,
            "title": self.title,
            "status": self.status.value,
            "summary": self.summary,
            "explanation": self.explanation,
            "cure": self.cure,
            "measured": dict(self.measured),
            "excludes": list(self.excludes),
        }


def report_record(rows: Iterable[Row]) -> dict[str, object]:
    """Return the whole report for JSON."""
    looked = list(rows)
    return {
        "schema": SCHEMA_VERSION,
        "ready": not any(row.blocks for row in looked),
        "excludes": sorted({need for row in looked for need in row.excludes}),
        "rows": [row.as_record() for row in looked],
    }


def exit_code_of_rows(rows: Iterable[Row]) -> ExitCode:
    """Return the exit code: 3 when anything blocks, else 0."""
    return ExitCode.ENVIRONMENT if any(row.blocks for row in rows) else ExitCode.PASS
