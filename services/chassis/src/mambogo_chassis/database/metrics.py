"""The pool's gauges, read at each scrape.

What the numbers mean is the pool's business; a scrape costs it nothing in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class PoolReading:
    """A pool at one moment."""

    idle: int
    in_use: int
    maximum: int
    waiting: int
    exhausted_total: int
    wait_seconds_total: float


class PoolCollector(Collector):
    """Shows one pool; `pool` is its label value."""

    def __init__(self, pool: str, read: Callable[[], PoolReading]) -> None:
        self._pool = pool
        self._read = read

    def describe(self) -> Iterable[Metric]:
        # Without this the registry would collect once to learn the names, before the pool is there.
        return [GaugeMetricFamily("db_pool_connections", "Connections by state.", labels=["pool", "state"])]

    def collect(self) -> Iterable[Metric]:
        reading = self._read()
        connections = GaugeMetricFamily(
            "db_pool_connections", "Connections by state.", labels=["pool", "state"]
        )
        connections.add_metric([self._pool, "idle"], reading.idle)
        connections.add_metric([self._pool, "in_use"], reading.in_use)
        yield connections
        yield self._gauge("db_pool_connections_max", "Connections the pool may open.", reading.maximum)
        yield self._gauge("db_pool_requests_waiting", "Callers waiting for a connection.", reading.waiting)
        yield self._counter(
            "db_pool_exhausted", "Callers turned away: every connection was busy.", reading.exhausted_total
        )
        yield self._counter(
            "db_pool_wait_seconds", "Time callers waited for a connection.", reading.wait_seconds_total
        )

    def _gauge(self, name: str, help_text: str, value: float) -> Metric:
        family = GaugeMetricFamily(name, help_text, labels=["pool"])
        family.add_metric([self._pool], value)
        return family

    def _counter(self, name: str, help_text: str, value: float) -> Metric:
        family = CounterMetricFamily(name, help_text, labels=["pool"])
        family.add_metric([self._pool], value)
        return family
