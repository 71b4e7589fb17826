"""What is said about a supply without making it: its version, its source, where it is and how old."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from rehearsal.supply.image_engine import ImageRecord
from rehearsal.supply.store import Entry

_MIB = 1 << 20
_DAY_SECONDS = 86_400
_HOUR_SECONDS = 3_600

Kind = Literal["tool", "files", "image"]


@dataclass(frozen=True, slots=True)
class SupplyStatus:
    """One supply, as it is now."""

    name: str
    kind: Kind
    version: str
    source: str  # where it came from; or, when it is not ready, where it would come from
    ready: bool
    where: str = ""  # path or tag
    bytes: int = 0
    age_seconds: float | None = None
    needed: bool = True  # whether it is there, or anything that is still to be made asks for it
    refusal: str = ""  # why it cannot be had on this machine, where it is left out then

    def as_record(self) -> dict[str, object]:
        """Return the status for JSON."""
        return dataclasses.asdict(self)


def cached_status(name: str, kind: Kind, version: str, entry: Entry, path: str = "") -> SupplyStatus:
    """Return the status of what the store has; `path` names one file of it."""
    size = entry.manifest.files[path].bytes if path else entry.bytes
    age = (datetime.now(UTC) - entry.manifest.made_at).total_seconds()
    return SupplyStatus(name, kind, version, entry.manifest.source, True, str(entry.folder / path), size, age)


def image_status(name: str, version: str, source: str, record: ImageRecord, tag: str) -> SupplyStatus:
    """Return the status of an image that the engine has."""
    return SupplyStatus(name, "image", version, source, True, tag, record.bytes, _age(record.created))


def missing_status(
    name: str, kind: Kind, version: str, sources: Sequence[str], *, needed: bool = True, refusal: str = ""
) -> SupplyStatus:
    """Return the status of what is not there; `sources` would be tried in order."""
    source = ", else ".join(sources)
    return SupplyStatus(name, kind, version, source, False, needed=needed, refusal=refusal)


def render_statuses(statuses: Sequence[SupplyStatus]) -> str:
    """Return a table for people."""
    rows = [("SUPPLY", "KIND", "VERSION", "STATE", "SIZE", "AGE", "WHERE"), *map(_row, statuses)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in rows
    )


def _row(status: SupplyStatus) -> tuple[str, ...]:
    absent = f"missing; would be {status.source}" if status.needed else "not needed"
    absent = "left out" if status.refusal else absent
    state = status.source if status.ready else absent
    size = f"{status.bytes / _MIB:.0f} MiB" if status.ready else ""
    age = _age_text(status.age_seconds)
    return (status.name, status.kind, status.version, state, size, age, status.where)


def _age_text(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds >= _DAY_SECONDS:
        return f"{seconds / _DAY_SECONDS:.0f} d"
    return f"{seconds / _HOUR_SECONDS:.0f} h" if seconds >= _HOUR_SECONDS else f"{seconds / 60:.0f} min"


def _age(created: str) -> float | None:
    # The engine says nanoseconds, which Python 3.11 does not read.
    try:
        made = datetime.fromisoformat(created[:19]).replace(tzinfo=UTC)
    except ValueError:
        return None
    return (datetime.now(UTC) - made).total_seconds()
