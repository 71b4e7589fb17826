"""What a comparison of promises finds: one that is broken, or one of which nobody can tell."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

UNDECIDED = "undecided"
CALLERS = "whoever calls it"
READERS = "whoever reads its answers"
LONGEST_CHARACTERS = 60  # of a value that is told
_DIGEST_CHARACTERS = 12


@dataclass(frozen=True, slots=True)
class Finding:
    """A promise that is broken; with the rule `undecided`, one that could not be compared."""

    operation: str  # "POST /api/orders", or what else is promised
    pointer: str  # where it stands, references followed
    rule: str  # the kind of break: a keyword of JSON Schema, or a word of ours
    sentence: str
    whom: str = ""
    expected: str = ""
    observed: str = ""  # what is there now, as whole as it takes to tell it from another break at this place

    @property
    def is_doubt(self) -> bool:
        """Whether it could not be decided."""
        return self.rule == UNDECIDED


def doubt(operation: str, pointer: str, why: str, observed: str = "") -> Finding:
    """Return that something could not be compared, and why."""
    return Finding(operation, pointer, UNDECIDED, why, observed=observed)


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


def told(value: Any) -> str:
    """Return a value as JSON; of a long one the beginning, and a digest by which it differs from others."""
    text = json.dumps(value, ensure_ascii=True, sort_keys=True)
    if len(text) <= LONGEST_CHARACTERS:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    return f"{text[:LONGEST_CHARACTERS]} ... ({digest})"


def text_of(value: Any) -> str:
    """Return a value as JSON; to Python, true and 1 are equal."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
