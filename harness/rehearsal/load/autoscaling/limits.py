"""What an HPA may make of a recommendation: stabilisation, policies, least and most. Pure.

Follows `horizontal.go` of kubernetes/kubernetes v1.34, both ways: with a behaviour, and without one, where an
older rule bounds how fast it goes up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rehearsal.load.autoscaling.facts import (
    Autoscaler,
    Behaviour,
    Controller,
    Policy,
    PolicyKind,
    Rules,
    Select,
)

_UP_FACTOR, _UP_LEAST = 2.0, 4.0  # of the older rule


@dataclass(frozen=True, slots=True)
class Moment:
    """A recommendation, or a change of replicas, at its time."""

    t: float
    replicas: int


@dataclass(frozen=True, slots=True)
class Past:
    """What a controller remembers of one autoscaler."""

    recommendations: Sequence[Moment] = ()  # before limits
    added: Sequence[Moment] = ()
    removed: Sequence[Moment] = ()


def limited(
    autoscaler: Autoscaler, controller: Controller, replicas: int, wanted: int, past: Past, now: float
) -> int:
    """Return the replicas that an HPA asks for when its formula wants a number of them."""
    rules = autoscaler.behaviour
    if rules is None:
        return _by_older_rule(autoscaler, controller, replicas, wanted, past, now)
    stable = _stable(rules, controller, replicas, wanted, past, now)
    if stable > replicas:
        return min(stable, autoscaler.most, most_up(autoscaler, replicas, past, now))
    if stable < replicas:
        return max(stable, autoscaler.least, least_down(autoscaler, replicas, past, now))
    return stable


def most_up(autoscaler: Autoscaler, replicas: int, past: Past, now: float) -> int:
    """Return the replicas to which the policies let it go up."""
    if autoscaler.behaviour is None:
        return int(max(_UP_FACTOR * replicas, _UP_LEAST))
    rules = autoscaler.behaviour.up
    if rules.select is Select.DISABLED:
        return replicas
    choose = min if rules.select is Select.MIN else max
    reached = choose(_reached(policy, replicas, past, now, sign=1) for policy in rules.policies)
    return max(replicas, reached)


def least_down(autoscaler: Autoscaler, replicas: int, past: Past, now: float) -> int:
    """Return the replicas to which the policies let it go down."""
    if autoscaler.behaviour is None:
        return 0
    rules = autoscaler.behaviour.down
    if rules.select is Select.DISABLED:
        return replicas
    choose = max if rules.select is Select.MIN else min
    reached = choose(_reached(policy, replicas, past, now, sign=-1) for policy in rules.policies)
    return min(replicas, reached)


def down_window_seconds(autoscaler: Autoscaler, controller: Controller) -> float:
    """Return for how long an HPA keeps the most that was recommended."""
    rules = autoscaler.behaviour.down if autoscaler.behaviour else None
    return _window(rules, controller.down_window_seconds)


def up_window_seconds(autoscaler: Autoscaler) -> float:
    """Return for how long more has to be recommended before an HPA asks for it."""
    return _window(autoscaler.behaviour.up, 0.0) if autoscaler.behaviour else 0.0


def _window(rules: Rules | None, otherwise: float) -> float:
    return otherwise if rules is None or rules.window_seconds is None else rules.window_seconds


def _by_older_rule(
    autoscaler: Autoscaler, controller: Controller, replicas: int, wanted: int, past: Past, now: float
) -> int:
    cutoff = now - controller.down_window_seconds
    recent = [one.replicas for one in past.recommendations if one.t >= cutoff]
    stable = max([wanted, *recent])
    highest = min(autoscaler.most, most_up(autoscaler, replicas, past, now))
    return max(autoscaler.least, min(stable, highest))


def _stable(
    rules: Behaviour, controller: Controller, replicas: int, wanted: int, past: Past, now: float
) -> int:
    up_cutoff = now - _window(rules.up, 0.0)
    down_cutoff = now - _window(rules.down, controller.down_window_seconds)
    lowest = min([wanted, *(one.replicas for one in past.recommendations if one.t > up_cutoff)])
    highest = max([wanted, *(one.replicas for one in past.recommendations if one.t > down_cutoff)])
    return min(max(replicas, lowest), highest)


def _reached(policy: Policy, replicas: int, past: Past, now: float, *, sign: int) -> int:
    cutoff = now - policy.period_seconds
    began = replicas - _sum(past.added, cutoff) + _sum(past.removed, cutoff)
    if policy.kind is PolicyKind.PODS:
        return began + sign * policy.value
    reached = began * (1 + sign * policy.value / 100)
    return math.ceil(reached) if sign > 0 else int(reached)


def _sum(changes: Iterable[Moment], cutoff: float) -> int:
    return sum(one.replicas for one in changes if one.t > cutoff)
