"""The one door through which every metric of a service goes.

Each process has one `Metrics` with its own registry, so that two services in one test process do not share
series. Label values are bounded here: a label is either declared with its values (every combination then
exists from the start, at 0, so that `rate()` sees the first increase) or open with a limit, past which values
are counted under "other". Scraping is the actuator's; what the numbers mean is their owners'.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Generic, TypeVar, cast

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics import disable_created_metrics

from mambogo_chassis.errors import ChassisError

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

OTHER: Final = "other"
# A declared family may not start with more series than this: each costs about 1 KiB in every pod and scrape.
MAX_DECLARED_SERIES: Final = 1000
# Distinct values of an open label that are told apart. Arbitrary; far above any honest use in one pod.
DEFAULT_OPEN_LABEL_LIMIT: Final = 100
# From a cached read (well under 1 ms) to the longest deadline; the HPA targets' p95 of 0.5 s is a boundary.
REQUEST_BUCKETS_SECONDS: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)


# A second series for each counter, which nothing here reads, would double every scrape.
disable_created_metrics()  # type: ignore[no-untyped-call] # it is, in prometheus-client


class MetricsError(ChassisError):
    """A metric was declared or used in a way that its family does not allow."""

    code = "metrics"


class LabelBounds:
    """Maps each label value to itself or to "other", so that no input can grow the number of series."""

    __slots__ = ("_limit", "_seen", "names", "values")

    def __init__(self, labels: Mapping[str, Sequence[str]], *, limit: int = DEFAULT_OPEN_LABEL_LIMIT) -> None:
        self.names = tuple(labels)
        self.values = {name: tuple(values) for name, values in labels.items()}
        self._limit = limit
        self._seen: dict[str, set[str]] = {name: set(values) for name, values in labels.items()}

    def bound(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """The label values in declared order; raises MetricsError for an unknown or missing label name."""
        if labels.keys() != self._seen.keys():
            raise MetricsError(f"labels {sorted(labels)} given, {sorted(self.names)} declared")
        return tuple(self._bound_one(name, labels[name]) for name in self.names)

    def combinations(self) -> Iterable[tuple[str, ...]]:
        """Every combination of declared values; none at all when a label is open."""
        if not all(self.values.values()):
            return ()
        return itertools.product(*self.values.values())

    def _bound_one(self, name: str, value: str) -> str:
        seen = self._seen[name]
        if value in seen:
            return value
        if self.values[name] or len(seen) >= self._limit:
            return OTHER
        seen.add(value)
        return value


_Made = TypeVar("_Made")
_Child = TypeVar("_Child", Counter, Gauge, Histogram)


class Family(Generic[_Child]):
    """A metric family with bounded labels; `labels()` returns prometheus-client's own child."""

    __slots__ = ("_bounds", "_children", "_parent")

    def __init__(self, parent: _Child, bounds: LabelBounds) -> None:
        self._parent: _Child = parent
        self._bounds = bounds
        # prometheus-client's own look-up takes a lock and converts each value; this one is a plain dict.
        self._children: dict[tuple[str, ...], _Child] = {}
        for values in bounds.combinations():
            self._child(values)

    def labels(self, **labels: str) -> _Child:
        """The child for these label values, each bounded by the family's declaration."""
        return self._child(self._bounds.bound(labels))

    def _child(self, values: tuple[str, ...]) -> _Child:
        child = self._children.get(values)
        if child is None:
            child = self._parent.labels(*values) if values else self._parent
            self._children[values] = child
        return child


class Metrics:
    """Declares the metrics of one service process and renders them in Prometheus' text format."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        self._shared: dict[str, object] = {}
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        failures = Counter(
            "metric_read_failures", "Callback gauges that raised at a scrape.", registry=self.registry
        )
        self._callbacks = _Callbacks(failures)
        self.registry.register(self._callbacks)

    def counter(
        self, name: str, help: str, *, limit: int = DEFAULT_OPEN_LABEL_LIMIT, **labels: Sequence[str]
    ) -> Family[Counter]:
        """Declare a counter; `outcome=("paid", "declined")` declares a label's values, `topic=()` opens."""
        bounds = _checked_bounds(name, labels, limit)
        return Family(Counter(name, help, bounds.names, registry=self.registry), bounds)

    def gauge(
        self, name: str, help: str, *, limit: int = DEFAULT_OPEN_LABEL_LIMIT, **labels: Sequence[str]
    ) -> Family[Gauge]:
        """Declare a gauge that its owner sets."""
        bounds = _checked_bounds(name, labels, limit)
        return Family(Gauge(name, help, bounds.names, registry=self.registry), bounds)

    def histogram(
        self,
        name: str,
        help: str,
        *,
        buckets: Sequence[float] = REQUEST_BUCKETS_SECONDS,
        limit: int = DEFAULT_OPEN_LABEL_LIMIT,
        **labels: Sequence[str],
    ) -> Family[Histogram]:
        """Declare a histogram; buckets are upper bounds in the metric's own unit."""
        bounds = _checked_bounds(name, labels, limit)
        return Family(Histogram(name, help, bounds.names, buckets=buckets, registry=self.registry), bounds)

    def gauge_callback(self, name: str, help: str, read: Callable[[], float], **labels: str) -> None:
        """Register a gauge that is read at each scrape; `read` must be quick, and must not block.

        Several calls with one name add series to one family (a pool per database, a breaker per target).
        A `read` that raises leaves its series out of that scrape: a wrong number would be worse than none.
        """
        self._callbacks.add(name, help, labels, read)

    def shared(self, key: str, make: Callable[[], _Made]) -> _Made:
        """What `make` returned the first time for `key`: families that several objects of one kind share."""
        if key not in self._shared:
            self._shared[key] = make()
        return cast("_Made", self._shared[key])

    def render(self) -> bytes:
        """Everything in Prometheus' text format 0.0.4."""
        return generate_latest(self.registry)


def _checked_bounds(name: str, labels: Mapping[str, Sequence[str]], limit: int) -> LabelBounds:
    bounds = LabelBounds(labels, limit=limit)
    count = 1
    for values in bounds.values.values():
        count *= max(len(values), 1)
    if count > MAX_DECLARED_SERIES:
        raise MetricsError(
            f"{name} declares {count} series", hint=f"at most {MAX_DECLARED_SERIES}: drop a label"
        )
    return bounds


class _Callbacks:
    """A prometheus-client collector over functions that are read at scrape time."""

    def __init__(self, failures: Counter) -> None:
        self._failures = failures
        self._helps: dict[str, str] = {}
        self._reads: dict[str, dict[tuple[tuple[str, str], ...], Callable[[], float]]] = {}

    def add(self, name: str, help: str, labels: Mapping[str, str], read: Callable[[], float]) -> None:
        self._helps.setdefault(name, help)
        series = self._reads.setdefault(name, {})
        key = tuple(sorted(labels.items()))
        if series and {label for label, _ in key} != {label for label, _ in next(iter(series))}:
            raise MetricsError(f"{name} is registered with other label names already")
        # The last one wins: a restarted pool or breaker takes its predecessor's series over.
        series[key] = read

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        for name, series in self._reads.items():
            label_names = [label for label, _ in next(iter(series))]
            family = GaugeMetricFamily(name, self._helps[name], labels=label_names)
            for key, read in series.items():
                try:
                    family.add_metric([value for _, value in key], read())
                except Exception:
                    self._failures.inc()
            yield family
