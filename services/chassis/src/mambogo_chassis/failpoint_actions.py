"""What failpoints do. Production images delete this module: without it nothing can be enabled.

    RUN rm .../mambogo_chassis/failpoint_actions.py

Choosing the place, the action and the moment is the test's.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from mambogo_chassis.failpoints import InjectedError, Rule

# Not a status that Python, a shell or a signal uses: a supervisor can tell a planned crash from a real one.
CRASH_STATUS: Final = 86


def handler(rules: tuple[Rule, ...]) -> Callable[[str], Awaitable[None]]:
    """A function that acts out `rules`, counting how often each place was reached."""
    by_place = {rule.place: rule for rule in rules}
    hits: Counter[str] = Counter()

    async def act(place: str) -> None:
        rule = by_place.get(place)
        if rule is None:
            return
        hits[place] += 1
        if hits[place] >= rule.hit:
            await _act(rule)

    return act


async def _act(rule: Rule) -> None:
    if rule.action == "crash":
        # Neither finally blocks nor buffers nor the C library's exit handlers: as kill -9 would, at this
        # line.
        os._exit(CRASH_STATUS)
    if rule.action == "delay":
        await asyncio.sleep(rule.argument)
        return
    raise InjectedError(f"injected at {rule.place}", hint="a test asked for this")
