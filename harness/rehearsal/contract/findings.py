"""What a comparison of promises finds: one that is broken, or one of which nobody can tell."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

UNDECIDED = "undecided"
CALLERS = "whoever calls it"
READERS = "whoever reads its answers"


@dataclass(frozen=True, slots=True)
class Finding:
    """A promise that is broken; with the rule `undecided`, one that could not be compared."""

    operation: str  # "POST /api/orders", or what else is promised
    pointer: str  # where it stands, references followed
    rule: str  # the kind of break: a keyword of JSON Schema, or a word of ours
    sentence: str
    whom: str = ""
    expected: str = ""
    observed: str = ""

    @property
    def is_doubt(self) -> bool:
        """Whether it could not be decided."""
        return self.rule == UNDECIDED


def doubt(operation: str, pointer: str, why: str) -> Finding:
    """Return that something could not be compared, and why."""
    return Finding(operation, pointer, UNDECIDED, why)


def place_of(pointer: str) -> str:
    """Return a place in a schema as people write it: `lines[].quantity`."""
    parts = iter(pointer.split("/")[1:])
    place = ""
    for part in parts:
        match part:
            case "properties":
                name = next(parts).replace("~1", "/").replace("~0", "~")
                place += f".{name}" if place else name
            case "items":
                place += "[]"
            case "anyOf" | "oneOf":
                next(parts)
            case "additionalProperties":
                place += ".*"
    return place


def text_of(value: Any) -> str:
    """Return a value as JSON; to Python, true and 1 are equal."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
