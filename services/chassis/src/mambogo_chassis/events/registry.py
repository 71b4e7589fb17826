"""Which event types a service knows, where they go, and what their schemas are.

One registry per service. It reads records into typed events, and says precisely why it cannot. Its schemas
are what `contract-tests/` commits and compares; comparing them is not done here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, Literal, TypeVar

from pydantic import ValidationError

from mambogo_chassis.events.envelope import TYPE_PATTERN, CloudEvent, DataT, EventData, EventHeader
from mambogo_chassis.events.errors import RefusedEventError, UnregisteredEventError

Role = Literal["writer", "reader"]
_SCHEMA_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_Model = TypeVar("_Model", bound=type[EventData])


@dataclass(frozen=True, slots=True)
class EventType(Generic[DataT]):
    """One version of one event: `com.mambogo.<thing>.<verb>.v<version>` on `topic`."""

    name: str
    topic: str
    model: type[DataT]
    envelope: type[CloudEvent[DataT]]

    @property
    def family(self) -> str:
        """The name without its version."""
        return family_of(self.name)


class EventRegistry:
    """The event types of one service, written or read."""

    def __init__(self) -> None:
        self._by_name: dict[str, EventType[Any]] = {}
        self._by_model: dict[type[EventData], EventType[Any]] = {}
        self._families: set[str] = set()

    def event(self, name: str, *, topic: str) -> Callable[[_Model], _Model]:
        """Register a model as the data of `name`; a decorator. Raises UnregisteredEventError."""
        if not re.fullmatch(TYPE_PATTERN, name):
            raise UnregisteredEventError(f"{name!r} is no event type", hint="com.mambogo.<thing>.<verb>.v1")
        if name in self._by_name:
            raise UnregisteredEventError(
                f"{name} is registered twice", hint="a changed model is a new version"
            )

        def register(model: _Model) -> _Model:
            envelope = CloudEvent[model]  # type: ignore[valid-type]  # the class is made at run time
            event_type = EventType(name, topic, model, envelope)
            self._by_name[name] = event_type
            self._by_model[model] = event_type
            self._families.add(event_type.family)
            return model

        return register

    def prefixed(self, prefix: str) -> EventRegistry:
        """The same events on topics whose names begin with `prefix`."""
        made = EventRegistry()
        made._families = self._families
        for event_type in self._by_name.values():
            moved = replace(event_type, topic=f"{prefix}{event_type.topic}")
            made._by_name[moved.name] = made._by_model[moved.model] = moved
        return made

    def type_of(self, model: type[DataT]) -> EventType[DataT]:
        """The event type of a model; raises UnregisteredEventError."""
        try:
            return self._by_model[model]
        except KeyError as error:
            raise UnregisteredEventError(
                f"{model.__name__} is no registered event", hint="decorate it with @registry.event(...)"
            ) from error

    def decode(self, value: bytes | None) -> CloudEvent[Any] | None:
        """The event in a record, or None for a type that this service does not know.

        Raises RefusedEventError: undecodable, unknown-version (a family that is known, in another version),
        or invalid-data.
        """
        header = _read_header(value)
        event_type = self._by_name.get(header.type)
        if event_type is None:
            if family_of(header.type) in self._families:
                raise RefusedEventError(
                    "unknown-version", f"{header.type} is newer than this service", event_id=header.id
                )
            return None
        try:
            return event_type.envelope.decode(value or b"")
        except ValidationError as error:
            raise RefusedEventError("invalid-data", _summary(error), event_id=header.id) from error

    def schemas(self, role: Role) -> Mapping[str, dict[str, Any]]:
        """JSON Schema (2020-12) of every event, by type name: closed for writers, open for readers."""
        return {name: self._schema(self._by_name[name], role) for name in sorted(self._by_name)}

    def _schema(self, event_type: EventType[Any], role: Role) -> dict[str, Any]:
        schema = event_type.envelope.model_json_schema(mode="validation")
        schema["$schema"] = _SCHEMA_DIALECT
        schema["title"] = event_type.name
        schema["properties"]["type"] = {"const": event_type.name}
        schema["x-topic"] = event_type.topic
        if role == "reader":
            _open(schema)
        return schema


def family_of(name: str) -> str:
    """`com.mambogo.order.placed` of `com.mambogo.order.placed.v2`."""
    return name.rpartition(".v")[0]


def _read_header(value: bytes | None) -> EventHeader:
    if not value:
        raise RefusedEventError("undecodable", "the record has no value")
    try:
        return EventHeader.model_validate_json(value)
    except ValidationError as error:
        raise RefusedEventError("undecodable", _summary(error)) from error


def _summary(error: ValidationError) -> str:
    """Where and why, never the value: it may be somebody's address."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    places = [f"{'.'.join(map(str, detail['loc'])) or 'record'}: {detail['msg']}" for detail in details[:5]]
    return "; ".join(places)


def _open(node: Any) -> None:
    if isinstance(node, dict):
        if node.get("additionalProperties") is False:
            node["additionalProperties"] = True
        for child in node.values():
            _open(child)
    elif isinstance(node, list):
        for child in node:
            _open(child)
