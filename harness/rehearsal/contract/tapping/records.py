"""A record as it came from Kafka, free of the client library; and its line in the evidence."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from rehearsal.core.redaction import redact

_LONGEST_BYTES: Final = 64 * 1024  # of a value that is kept whole; events have a kilobyte

Headers = tuple[tuple[str, bytes], ...]


class UndecodableError(Exception):
    """A value is no JSON object; the message says why, and quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record; `at_ms` is its time in Kafka."""

    topic: str
    partition: int
    offset: int
    at_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @property
    def place(self) -> str:
        """Where it is, unique on a broker."""
        return f"{self.topic}/{self.partition}@{self.offset}"

    def header(self, name: str) -> str:
        """Return the last header of this name, as Kafka's clients agree; empty where it is absent."""
        values = [value for key, value in self.headers if key == name]
        return _text(values[-1]) if values else ""

    def decoded(self) -> dict[str, Any]:
        """Return the value as a JSON object. Raises UndecodableError."""
        if not self.value:
            raise UndecodableError("it has no value")
        try:
            found = json.loads(self.value, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise UndecodableError(f"its value is no JSON: {type(error).__name__}") from error
        if not isinstance(found, dict):
            raise UndecodableError(f"its value is a {type(found).__name__} and no object")
        return found

    def line(self) -> str:
        """Return the record as one line of JSON, its secrets hidden, a long value cut."""
        said = {
            "at_ms": self.at_ms,
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "key": _text(self.key),
            "headers": {name: _text(value) for name, value in self.headers},
            "value": self._shown(),
        }
        return redact(json.dumps(said)) + "\n"

    def _shown(self) -> dict[str, Any] | str:
        if self.value and len(self.value) <= _LONGEST_BYTES:
            with suppress(UndecodableError):
                return self.decoded()
        return _text((self.value or b"")[:_LONGEST_BYTES])


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "backslashreplace")


def _refuse(constant: str) -> None:
    raise ValueError(constant)
