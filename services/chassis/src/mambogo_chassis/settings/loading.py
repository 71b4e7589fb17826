"""Decides every setting's value and remembers where it came from.

Environment over config server over defaults. All bad values are reported together, each by name and place,
never by value. Keeping settings current afterwards is `refreshing`'s.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_origin

from pydantic import ValidationError

from mambogo_chassis.errors import ChassisError
from mambogo_chassis.settings.config_server import (
    Answer,
    AnswerCache,
    ConfigServer,
    ConfigServerError,
    flatten,
)
from mambogo_chassis.settings.model import ServiceSettings, canonical

S = TypeVar("S", bound=ServiceSettings)
Origin = Literal["config server", "cache", "none"]

# Spring's own names, as production's manifests set them.
URL_VARIABLE: Final = "SPRING_CLOUD_CONFIG_URI"
PROFILE_VARIABLE: Final = "SPRING_PROFILES_ACTIVE"
# With neither an answer nor a cached one, a start is given up after this; a startup probe allows for more.
DEFAULT_WAIT_SECONDS: Final = 20.0
_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 2.0


class SettingsError(ChassisError):
    """Some settings cannot be used; `problems` has one line for each, with its name and its place."""

    code = "settings"

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("settings refused: " + "; ".join(problems), hint="correct each at the place named")
        self.problems = problems


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Where the settings came from: for logs and `/actuator/info`."""

    origin: Origin
    version: str | None = None
    warnings: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything that `resolve` decides from; building it is the only part that does I/O."""

    environment: Mapping[str, str]
    answer: Answer | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)


def load_settings(
    model: type[S],
    *,
    application_name: str,
    environment: Mapping[str, str],
    cache_path: Path | None = None,
    wait_seconds: float = DEFAULT_WAIT_SECONDS,
) -> tuple[S, LoadReport]:
    """Read all sources once. Raises SettingsError, or ConfigServerError when a server is named and silent.

    The config server is asked until it answers or `wait_seconds` are over, unless a cached answer is there:
    then one failed try is enough, and the report says so.
    """
    server = config_server(application_name, environment)
    fixed = {"application_name": application_name, "profile": profile_of(environment)}
    if server is None:
        settings, places = resolve(model, Sources(environment, None, fixed))
        return settings, LoadReport("none", places=places)
    cache = AnswerCache(cache_path) if cache_path is not None else None
    answer, origin, warnings = _answer(server, cache, wait_seconds)
    settings, places = resolve(model, Sources(environment, answer, fixed))
    if origin == "config server" and cache is not None:
        # Only now is the answer known to be good: a bad push must not replace the last usable one.
        warnings = (*warnings, *_save(cache, server, answer))
    return settings, LoadReport(origin, answer.version, warnings, places)


def profile_of(environment: Mapping[str, str]) -> str:
    """Spring's active profiles, separated by commas; `default` when none is set."""
    names = (name.strip() for name in environment.get(PROFILE_VARIABLE, "").split(","))
    return ",".join(name for name in names if name) or "default"


def config_server(application_name: str, environment: Mapping[str, str]) -> ConfigServer | None:
    """The server that the environment names, if it names one."""
    url = environment.get(URL_VARIABLE, "").strip()
    if not url:
        return None
    if not url.startswith(("http://", "https://")):
        raise SettingsError((f"environment variable {URL_VARIABLE}: not an http(s) address",))
    return ConfigServer(url, application_name, profile_of(environment))


def resolve(model: type[S], sources: Sources) -> tuple[S, Mapping[str, str]]:
    """Settings and the place of each; pure. Raises SettingsError naming every bad value."""
    fields = _fields_by_canonical_name(model)
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    if sources.answer is not None:
        for key, (value, source) in flatten(sources.answer).items():
            name = fields.get(canonical(key))
            if name is not None and value is not None:
                values[name], places[name] = _listed(model, name, value), f"property {key} in {source}"
    for variable, text in sources.environment.items():
        name = fields.get(canonical(variable))
        if name is not None:
            values[name], places[name] = _listed(model, name, text), f"environment variable {variable}"
    values |= sources.fixed
    places |= dict.fromkeys(sources.fixed, "the service's own start")
    try:
        return model.model_validate(values), places
    except ValidationError as error:
        raise SettingsError(_problems(error, places)) from None  # the cause would show the values


def save_answer(cache_path: Path | None, server: ConfigServer, answer: Answer) -> tuple[str, ...]:
    """Keep an answer that proved good; what went wrong comes back as warnings."""
    return _save(AnswerCache(cache_path), server, answer) if cache_path is not None else ()


def _answer(
    server: ConfigServer, cache: AnswerCache | None, wait_seconds: float
) -> tuple[Answer, Origin, tuple[str, ...]]:
    try:
        return server.fetch(), "config server", ()
    except ConfigServerError as error:
        warning = str(error)
    if cache is not None:
        try:
            return cache.load(server), "cache", (warning,)
        except ConfigServerError as error:
            warning = f"{warning}; {error}"
    return _fetch_until(server.fetch, wait_seconds), "config server", (warning,)


def _fetch_until(fetch: Callable[[], Answer], wait_seconds: float) -> Answer:
    deadline = time.monotonic() + wait_seconds
    pause = _FIRST_PAUSE_SECONDS
    while True:
        # Jitter, so that a whole platform that starts at once does not ask in step.
        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret depends on it
        try:
            return fetch()
        except ConfigServerError as error:
            if time.monotonic() >= deadline:
                raise ConfigServerError(
                    f"no settings within {wait_seconds:g} s: {error.message}", hint=error.hint
                ) from error
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


def _save(cache: AnswerCache, server: ConfigServer, answer: Answer) -> tuple[str, ...]:
    try:
        cache.save(server, answer)
    except ConfigServerError as error:
        return (str(error),)
    return ()


def _fields_by_canonical_name(model: type[ServiceSettings]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name in model.model_fields:
        if (other := fields.setdefault(canonical(name), name)) != name:
            raise SettingsError((f"{model.__name__}: fields {other} and {name} bind to the same names",))
    return fields


def _listed(model: type[ServiceSettings], name: str, value: Any) -> Any:
    # Spring's lists in one value: separated by commas.
    if isinstance(value, str) and get_origin(model.model_fields[name].annotation) is tuple:
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _problems(error: ValidationError, places: Mapping[str, str]) -> tuple[str, ...]:
    lines = []
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        name = ".".join(str(part) for part in problem["loc"])
        place = places.get(str(problem["loc"][0])) if problem["loc"] else None
        variable = name.upper()
        missing = f"not set anywhere: environment variable {variable}, or a property of the config server"
        lines.append(f"{name} ({place or missing}): {problem['msg']}")
    return tuple(lines)
