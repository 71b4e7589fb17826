"""Pods of a service, their kept connections, and the choice between them.

Power of two choices on requests in flight: two pods are drawn, the less busy one is taken. A pod is
ejected at its first failed connect, or after several broken or late answers in a row, and comes back when
a connect from `probing` succeeds. With every pod ejected all are tried, since refusing everything helps
nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import random
from typing import TYPE_CHECKING

from mambogo_gateway.config import UpstreamConfig
from mambogo_gateway.instances import Instance
from mambogo_gateway.resilience.breaker import CircuitBreaker
from mambogo_gateway.resilience.retry_budget import RetryBudget

if TYPE_CHECKING:
    from mambogo_gateway.proxy.upstream import UpstreamConnection


class Pod:
    """One instance with its connections; `in_flight` is what balancing goes by."""

    __slots__ = (
        "_config",
        "authority",
        "connections",
        "ejected",
        "ejections",
        "failures_in_row",
        "idle",
        "in_flight",
        "instance",
        "name",
        "retired",
        "retry_at",
        "served_by",
    )

    def __init__(self, instance: Instance, config: UpstreamConfig) -> None:
        self._config = config
        self.instance = instance
        self.name = instance.pod
        host = f"[{instance.host}]" if ":" in instance.host else instance.host
        self.authority = f"{host}:{instance.port}".encode("ascii")
        self.served_by = b"X-Served-By: " + instance.pod.encode("ascii", "replace")
        self.idle: list[UpstreamConnection] = []
        self.connections: set[UpstreamConnection] = set()
        self.in_flight = 0
        self.failures_in_row = 0
        self.ejected = False
        self.ejections = 0
        self.retry_at = 0.0
        self.retired = False

    def take_idle(self) -> UpstreamConnection | None:
        """The most recently used kept connection that is silent and open."""
        idle = self.idle
        while idle:
            connection = idle.pop()
            if connection.is_quiet():
                return connection
            connection.close()
        return None

    def keep(self, connection: UpstreamConnection, now: float) -> None:
        """Take a connection back after a complete exchange, or close it when it is not wanted any more."""
        if self.retired or self.ejected or len(self.idle) >= self._config.max_idle_per_pod:
            connection.close()
            return
        connection.idle_since = now
        self.idle.append(connection)

    def close_idle(self, before: float) -> None:
        """Close kept connections that have been idle since `before` or longer; the list is in that order."""
        idle = self.idle
        count = 0
        while count < len(idle) and idle[count].idle_since <= before:
            count += 1
        for connection in idle[:count]:
            connection.close()
        del idle[:count]

    def forget(self, connection: UpstreamConnection) -> None:
        """A connection has ended, by whichever side."""
        self.connections.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)

    def eject(self, now: float) -> None:
        """No new requests until a connect succeeds; longer with each ejection in a row."""
        self.ejected = True
        self.failures_in_row = 0
        wait = min(self._config.ejection_seconds * 2**self.ejections, self._config.max_ejection_seconds)
        self.ejections = min(self.ejections + 1, 16)
        self.retry_at = now + wait
        self.close_idle(now)


class Upstream:
    """A service: its pods, and what is shared between them."""

    __slots__ = ("_available", "_config", "breaker", "budget", "in_flight", "max_in_flight", "name", "pods")

    def __init__(self, name: str, config: UpstreamConfig) -> None:
        self.name = name
        self._config = config
        self.pods: dict[Instance, Pod] = {}
        self._available: list[Pod] = []
        self.breaker = CircuitBreaker(config.breaker)
        self.budget = RetryBudget(ratio=config.retry_ratio, reserve=config.retry_reserve)
        self.in_flight = 0
        self.max_in_flight = config.max_in_flight

    def pick(self, avoid: Sequence[Pod] = ()) -> Pod | None:
        """The pod for the next attempt, one not in `avoid` if there is any; None without any pod."""
        available = self._available
        if avoid:
            others = [pod for pod in available if pod not in avoid]
            available = others or available
        count = len(available)
        if count < 2:
            return available[0] if available else None
        first = int(random() * count)
        second = int(random() * (count - 1))
        if second >= first:
            second += 1
        one, other = available[first], available[second]
        return one if one.in_flight <= other.in_flight else other

    def update(self, instances: Iterable[Instance]) -> bool:
        """Make the pods those of `instances`; True when something changed.

        A pod that left gets nothing new; what it has in flight ends normally.
        """
        wanted = set(instances)
        if wanted == self.pods.keys():
            return False
        for instance in self.pods.keys() - wanted:
            pod = self.pods.pop(instance)
            pod.retired = True
            pod.close_idle(float("inf"))
        for instance in wanted - self.pods.keys():
            self.pods[instance] = Pod(instance, self._config)
        self._refresh()
        return True

    def eject(self, pod: Pod, now: float) -> None:
        """Stop choosing a pod."""
        pod.eject(now)
        self._refresh()

    def reinstate(self, pod: Pod) -> None:
        """Choose a pod again."""
        pod.ejected = False
        self._refresh()

    def attempt_failed(self, pod: Pod, now: float) -> None:
        """Count a broken or late answer; several in a row eject the pod."""
        pod.failures_in_row += 1
        if pod.failures_in_row >= self._config.failures_to_eject and not pod.ejected:
            self.eject(pod, now)

    def _refresh(self) -> None:
        pods = list(self.pods.values())
        self._available = [pod for pod in pods if not pod.ejected] or pods


class Upstreams:
    """All services that routes name, made on first use and kept across reloads."""

    __slots__ = ("_by_name", "_config")

    def __init__(self, config: UpstreamConfig) -> None:
        self._config = config
        self._by_name: dict[str, Upstream] = {}

    def get(self, name: str) -> Upstream:
        """The upstream of a service."""
        upstream = self._by_name.get(name)
        if upstream is None:
            upstream = self._by_name[name] = Upstream(name, self._config)
        return upstream

    def all(self) -> list[Upstream]:
        """Every upstream there is."""
        return list(self._by_name.values())
