"""Named places in the code where tests make a process crash, wait or fail.

A place says `failpoints.reach("relay.published")`. Unless a test enabled it, that is one comparison. Two
gates keep it so in production, each enough by itself: the profile (`enable_from_environment` refuses every
profile that is not on the short list below, and an absent one) and the build (the actions live in
`failpoint_actions`, a module that production images delete). Asking for failpoints where they are not
allowed is an error at start, never ignored: a rehearsal that injects nothing must not pass.

Which places exist is said by the code that reaches them, and listed in docs/events.md.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol, cast

from mambogo_chassis.errors import ChassisError

VARIABLE: Final = "MAMBOGO_FAILPOINTS"
PROFILE_VARIABLE: Final = "SPRING_PROFILES_ACTIVE"
ALLOWED_PROFILES: Final = frozenset({"test", "rehearsal"})
_RULE: Final = re.compile(
    r"(?P<place>[a-z][a-z0-9_.-]*)=(?P<action>crash|error|delay)"
    r"(?:\((?P<argument>[0-9.]+)\))?(?:@(?P<hit>[1-9][0-9]*))?"
)

Action = Literal["crash", "error", "delay"]


class FailpointError(ChassisError):
    """Failpoints were asked for where they are not allowed, or in a form that means nothing."""

    code = "failpoints"


class InjectedError(ChassisError):
    """What a place raises whose action is `error`."""

    code = "failpoint-injected"


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens at one place: from the `hit`-th time on that it is reached (crash: then only)."""

    place: str
    action: Action
    argument: float
    hit: int


class Actions(Protocol):
    """The module that production images do not hold."""

    def handler(self, rules: tuple[Rule, ...]) -> Callable[[str], Awaitable[None]]: ...


_handler: Callable[[str], Awaitable[None]] | None = None


async def reach(place: str) -> None:
    """Do what a test asked for at `place`; nothing unless it did."""
    if _handler is not None:
        await _handler(place)


def parse(text: str) -> tuple[Rule, ...]:
    """Rules from `place=crash@3;other.place=delay(0.2);third=error`; raises FailpointError."""
    return tuple(_parse_rule(part.strip()) for part in text.split(";") if part.strip())


def enable_from_environment(environ: Mapping[str, str]) -> tuple[Rule, ...]:
    """Enable what the environment asks for, if this profile and this build may; the rules, for the log.

    Raises FailpointError when they may not, and for rules that cannot be read.
    """
    text = environ.get(VARIABLE, "")
    if not text:
        return ()
    profiles = frozenset(filter(None, re.split(r"[\s,]+", environ.get(PROFILE_VARIABLE, ""))))
    if not profiles or not profiles <= ALLOWED_PROFILES:
        raise FailpointError(
            f"{VARIABLE} is set under profile {', '.join(sorted(profiles)) or '(none)'}",
            hint=f"allowed where {PROFILE_VARIABLE} is one of {', '.join(sorted(ALLOWED_PROFILES))}",
        )
    rules = parse(text)
    global _handler  # one switch per process is the point: off must cost nothing
    _handler = _load_actions().handler(rules)
    return rules


def disable() -> None:
    """Back to nothing."""
    global _handler
    _handler = None


def _load_actions() -> Actions:
    try:
        module = importlib.import_module("mambogo_chassis.failpoint_actions")
    except ModuleNotFoundError as error:
        raise FailpointError(
            "this build holds no failpoints", hint="production images delete them; run the test image"
        ) from error
    return cast(Actions, module)


def _parse_rule(text: str) -> Rule:
    match = _RULE.fullmatch(text)
    if match is None:
        raise FailpointError(f"cannot read failpoint {text!r}", hint="place=crash|error|delay(SECONDS)[@HIT]")
    action = cast(Action, match["action"])
    if (action == "delay") != (match["argument"] is not None):
        raise FailpointError(
            f"cannot read failpoint {text!r}", hint="delay takes seconds, the others nothing"
        )
    return Rule(match["place"], action, float(match["argument"] or 0), int(match["hit"] or 1))
