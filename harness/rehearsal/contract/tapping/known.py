"""Which events there may be, by the committed schemas: their types, topics, writers and counters.

Validators are compiled once: the tap looks at every record of a run and may cost next to nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol

import jsonschema_rs

from rehearsal.contract.events import TOPIC, WRITER
from rehearsal.core.errors import ConfigurationError

FOLDER: Final = Path("contract-tests", "events")
DEAD_SUFFIX: Final = ".dlt"
_FILE: Final = ".schema.json"
# A number that each event of an aggregate counts up: 1, 2, 3, ... (services/README.md).
_COUNTERS: Final = ("sequence", "version")


class Validator(Protocol):
    """A compiled schema."""

    def iter_errors(self, instance: Any) -> Any:
        """Yield what does not fit, with `message` and `instance_path`."""


@dataclass(frozen=True, slots=True)
class EventType:
    """One type of event, as it is committed."""

    name: str
    topic: str
    writer: str
    counter: str  # the field of its data that counts; empty if none does
    validator: Validator

    @property
    def family(self) -> str:
        """The name without its version."""
        return family_of(self.name)


@dataclass(frozen=True)
class KnownEvents:
    """All types of a checkout, by name."""

    types: Mapping[str, EventType]

    @cached_property
    def topics(self) -> frozenset[str]:
        """Topics that a schema names; each has its dead letters beside it."""
        return frozenset(one.topic for one in self.types.values())

    @cached_property
    def families(self) -> frozenset[str]:
        """Names without versions."""
        return frozenset(one.family for one in self.types.values())

    @cached_property
    def counting(self) -> frozenset[str]:
        """Topics with events that count."""
        return frozenset(one.topic for one in self.types.values() if one.counter)


def family_of(name: str) -> str:
    """Return `com.mambogo.order.placed` of `com.mambogo.order.placed.v2`."""
    return name.rpartition(".v")[0]


def read_known(root: Path) -> KnownEvents:
    """Read a checkout's schemas. Raises ConfigurationError for one that cannot be used, and for none."""
    paths = sorted((root / FOLDER).glob(f"*{_FILE}"))
    if not paths:
        raise ConfigurationError(
            "EVENTS_UNKNOWN", f"there is no schema in {root / FOLDER}", hint="`nox -s contracts` writes them."
        )
    return KnownEvents({path.name.removesuffix(_FILE): _read(path) for path in paths})


def event_type_of(name: str, schema: Mapping[str, Any]) -> EventType:
    """Return the type that a schema describes. Raises KeyError and ValueError."""
    fields = _data(schema).get("properties", {})
    counter = next((one for one in _COUNTERS if one in fields), "")
    validator = jsonschema_rs.Draft202012Validator(dict(schema), validate_formats=True)
    return EventType(name, str(schema[TOPIC]), str(schema.get(WRITER, "")), counter, validator)


def _data(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    data: Mapping[str, Any] = schema["properties"]["data"]
    if "$ref" in data:
        return dict(schema["$defs"][str(data["$ref"]).rpartition("/")[2]])
    return data


def _read(path: Path) -> EventType:
    try:
        return event_type_of(path.name.removesuffix(_FILE), json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError) as error:
        raise ConfigurationError(
            "EVENT_SCHEMA",
            f"{path} is no schema of an event: {error!r}",
            hint="`nox -s contracts` writes it anew.",
        ) from error
