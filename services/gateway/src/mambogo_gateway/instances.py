"""Where upstream instances come from: the border to discovery.

The chassis' Eureka client is one source, a fixed list another. Caching through Eureka's absence, deltas and
registration are the source's affair; ejecting what does not answer is balancing's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Instance:
    """One ready pod of a service."""

    service: str
    host: str
    port: int
    pod: str


class InstanceSource(Protocol):
    """Knows the instances that may get new requests right now; answering must cost no I/O."""

    def instances(self, service: str) -> Sequence[Instance]:
        """The service's instances that are up; empty when none is known."""
        ...


class FixedInstances:
    """A source for tests, benchmarks and places without discovery; `replace` changes it at run time."""

    def __init__(self, instances: Mapping[str, Sequence[Instance]]) -> None:
        self._instances = dict(instances)

    def instances(self, service: str) -> Sequence[Instance]:
        """The service's instances as last given."""
        return self._instances.get(service, ())

    def replace(self, service: str, instances: Sequence[Instance]) -> None:
        """Say which instances the service has from now on."""
        self._instances[service] = tuple(instances)
