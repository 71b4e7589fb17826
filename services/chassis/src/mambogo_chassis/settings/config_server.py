"""Reads one application's settings from a Spring Config Server, and keeps the last good answer on disk.

Synchronous on the standard library: it runs before there is an event loop, and later in a thread, a few
times a minute. Deciding what wins over what is `loading`'s; this module only gets answers or says why not.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from mambogo_chassis import fetching
from mambogo_chassis.errors import ChassisError

# An answer of a whole platform's settings is some 10 KiB; a larger one is no answer of a config server.
MAX_ANSWER_BYTES: Final = 1_048_576
DEFAULT_TIMEOUT_SECONDS: Final = 3.0

_LIST_ITEM: Final = re.compile(r"(.+)\[(\d{1,4})\]")

Scalar = str | int | float | bool | None
Value = Scalar | tuple[Scalar, ...]


class ConfigServerError(ChassisError):
    """No usable answer; the message says which step failed. The cause is chained."""

    code = "config-server"


class PropertySource(msgspec.Struct, frozen=True):
    """One file of the config server; `source` maps flat property names to values."""

    name: str
    source: dict[str, Scalar]


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """`GET /{application}/{profile}`; earlier property sources win over later ones."""

    name: str
    profiles: list[str]
    property_sources: list[PropertySource]
    version: str | None = None


class CachedAnswer(msgspec.Struct, frozen=True):
    """What lies on disk: the answer with what it was an answer to."""

    application: str
    profile: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class ConfigServer:
    """Where to ask, and for whom. `url` may hold a path prefix, `profile` several names with commas."""

    url: str
    application: str
    profile: str
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS

    def fetch(self) -> Answer:
        """Ask once. Raises ConfigServerError for anything but a well-formed answer to this question."""
        answer = _decode(self._get())
        if answer.name != self.application or ",".join(answer.profiles) != self.profile:
            raise ConfigServerError(
                f"{self.url} answered for {answer.name}/{','.join(answer.profiles)}, "
                f"asked was {self.application}/{self.profile}",
                hint="check the address of the config server",
            )
        return answer

    def _get(self) -> bytes:
        path = f"{quote(self.application)}/{quote(self.profile, safe=',')}"
        try:
            return fetching.get(
                f"{self.url.rstrip('/')}/{path}",
                timeout_seconds=self.timeout_seconds,
                max_bytes=MAX_ANSWER_BYTES,
            )
        except fetching.FetchError as error:
            raise ConfigServerError(
                error.message, hint="is the config server up, and is SPRING_CLOUD_CONFIG_URI right?"
            ) from error


@dataclass(frozen=True, slots=True)
class AnswerCache:
    """The last good answer in one file, replaced atomically."""

    path: Path

    def save(self, server: ConfigServer, answer: Answer) -> None:
        """Replace the file. Raises ConfigServerError when the disk refuses; the old file stays whole."""
        content = msgspec.json.encode(CachedAnswer(server.application, server.profile, answer))
        try:
            _replace(self.path, content)
        except OSError as error:
            raise ConfigServerError(
                f"settings cache {self.path} not written: {error.strerror or error}",
                hint="the service runs on; without the file it cannot start while the config server is down",
            ) from error

    def load(self, server: ConfigServer) -> Answer:
        """The answer kept for this application and profile; raises ConfigServerError when there is none."""
        try:
            cached = msgspec.json.decode(self.path.read_bytes(), type=CachedAnswer)
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigServerError(f"settings cache {self.path} not usable: {error}") from error
        if (cached.application, cached.profile) != (server.application, server.profile):
            raise ConfigServerError(
                f"settings cache {self.path} is for {cached.application}/{cached.profile}"
            )
        return cached.answer


def flatten(answer: Answer) -> Mapping[str, tuple[Value, str]]:
    """Property name to (value, name of the source that won).

    The server sends a YAML list as `name[0]`, `name[1]`, ...; as in Spring, a list is replaced as a whole.
    """
    merged: dict[str, tuple[Value, str]] = {}
    for source in reversed(answer.property_sources):
        merged |= {key: (value, source.name) for key, value in _joined_lists(source.source).items()}
    return merged


def _joined_lists(source: Mapping[str, Scalar]) -> dict[str, Value]:
    joined: dict[str, Value] = {}
    lists: dict[str, dict[int, Scalar]] = {}
    for key, value in source.items():
        if match := _LIST_ITEM.fullmatch(key):
            lists.setdefault(match[1], {})[int(match[2])] = value
        else:
            joined[key] = value
    return joined | {name: tuple(items[index] for index in sorted(items)) for name, items in lists.items()}


def _decode(body: bytes) -> Answer:
    try:
        return msgspec.json.decode(body, type=Answer)
    except msgspec.DecodeError as error:
        raise ConfigServerError(f"the config server's answer is malformed: {error}") from error


def _replace(path: Path, content: bytes) -> None:
    # mkstemp creates with mode 0600: settings may hold what not everyone should read.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
