"""Chooses the instance of a service that a call goes to: least in flight, ties by turn.

The breaker of each instance has its say; an instance that has just failed this call is tried last. Where
instances come from (discovery, or the cluster's DNS) is the caller's `Resolver`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from mambogo_chassis.client.breaker import Breaker, State

# The base addresses (`http://10.1.2.3:8080`) of a service's instances, as far as they are known now.
Resolver = Callable[[str], Sequence[str]]


# Production's Services all listen here.
SERVICE_PORT: Final = 8080


def cluster_address(service: str) -> Sequence[str]:
    """The service's own name: the cluster's DNS and Service choose the pod."""
    return (f"http://{service}:{SERVICE_PORT}",)


@dataclass(slots=True)
class Instance:
    """One address, with what is known about calls to it."""

    base_url: str
    breaker: Breaker = field(default_factory=Breaker)
    in_flight: int = 0


class Balancer:
    """The instances of one service."""

    def __init__(self, make_breaker: Callable[[], Breaker] = Breaker) -> None:
        self._instances: dict[str, Instance] = {}
        self._make_breaker = make_breaker
        self._turn = 0

    def update(self, base_urls: Sequence[str]) -> None:
        """Take the current addresses over; what is known about those that stay is kept."""
        if tuple(self._instances) == tuple(base_urls):
            return
        self._instances = {
            url: self._instances.get(url) or Instance(url, self._make_breaker()) for url in base_urls
        }

    def pick(self, tried: Collection[str] = ()) -> Instance | None:
        """The best instance that may be called now; None when every breaker is open."""
        allowed = [instance for instance in self._instances.values() if instance.breaker.allows()]
        if not allowed:
            return None
        self._turn += 1
        turn, count = self._turn, len(allowed)
        # Ties go by turn: the first in the list would otherwise get everything while nothing is in flight.
        order = [allowed[(turn + offset) % count] for offset in range(count)]
        return min(order, key=lambda instance: (instance.base_url in tried, instance.in_flight))

    def open_breakers(self) -> int:
        """How many instances are not called regularly now."""
        return sum(instance.breaker.state is not State.CLOSED for instance in self._instances.values())
