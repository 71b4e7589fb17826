"""What a load of journeys leaves behind: one JSON object a line, written while it happens.

The last line says that the generator came to its end, and what it cost; without it nothing is shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Arrived:
    """A shopper set out, so much later than due: the generator's own fault."""

    number: int
    journey: str
    due: float
    late_seconds: float


@dataclass(frozen=True, slots=True)
class Asked:
    """A request and its answer; the time counts from when the request was due."""

    number: int
    operation: str
    due: float
    seconds: float
    status: int | None = None  # none came
    wrong: str = ""  # why the answer is not the promised one
    pod: str = ""


@dataclass(frozen=True, slots=True)
class Ordered:
    """An acknowledged order and how it ended: the last state seen, and after how long when that is an end."""

    number: int
    order_id: str
    state: str
    ended_seconds: float | None


@dataclass(frozen=True, slots=True)
class Ended:
    """The generator's end."""

    began_at: float  # Unix time
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Journeys:
    """Everything that a load of journeys left."""

    arrived: tuple[Arrived, ...] = ()
    asked: tuple[Asked, ...] = ()
    ordered: tuple[Ordered, ...] = ()
    ended: Ended | None = None


Record = Arrived | Asked | Ordered | Ended
_KINDS: dict[str, type[Any]] = {"arrived": Arrived, "asked": Asked, "ordered": Ordered, "ended": Ended}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def line(record: Record) -> str:
    """Return a record as a line."""
    return json.dumps({"kind": _NAMES[type(record)], **asdict(record)}) + "\n"


def read(path: Path) -> Journeys:
    """Return what a file holds; a last line that was cut off is as if it had not been written."""
    found: dict[str, list[Any]] = {name: [] for name in _KINDS}
    for text in _whole_lines(path):
        content = json.loads(text)
        kind = content.pop("kind")
        found[kind].append(_KINDS[kind](**content))
    ended = found.pop("ended")
    return Journeys(**{name: tuple(some) for name, some in found.items()}, ended=ended[0] if ended else None)


def _whole_lines(path: Path) -> Iterable[str]:
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        yield from (text for text in file if text.endswith("\n"))
