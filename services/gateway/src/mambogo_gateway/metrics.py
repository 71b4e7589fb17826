"""What the gateway counts, as plain dictionaries on the hot path, turned into Prometheus families when
scraped.

Label values are bounded: routes and services come from the configuration, methods from a fixed set,
statuses from what HTTP/1 allows; pods that have left are dropped from the output.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from mambogo_gateway.resilience.breaker import CLOSED, HALF_OPEN, OPEN

if TYPE_CHECKING:
    from mambogo_gateway.gateway import Gateway
    from mambogo_gateway.proxy.exchange import Exchange

# From the gateway's own share to the longest deadline; 0.5 s is the SLO's boundary.
BUCKETS_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# nginx's number for "the client left before the answer"; no status of HTTP says it.
CLIENT_CLOSED_REQUEST: Final = 499
UNROUTED: Final = "none"

_STATES: Final = {CLOSED: "closed", OPEN: "open", HALF_OPEN: "half-open"}


class RouteMetrics:
    """The counters of one route."""

    __slots__ = ("buckets", "outcomes", "retries", "seconds", "statuses")

    def __init__(self) -> None:
        self.statuses: dict[tuple[bytes, int], int] = {}
        self.buckets = [0] * (len(BUCKETS_SECONDS) + 1)
        self.seconds = 0.0
        self.outcomes: dict[str, int] = {}
        self.retries = 0

    def count(self, method: bytes, status: int, seconds: float) -> None:
        """Count one request."""
        key = (method, status)
        statuses = self.statuses
        statuses[key] = statuses.get(key, 0) + 1
        self.buckets[bisect_left(BUCKETS_SECONDS, seconds)] += 1
        self.seconds += seconds


class GatewayMetrics(Collector):
    """All counters of one gateway process."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._routes: dict[str, RouteMetrics] = {}
        self._pods: dict[tuple[str, str], dict[int, int]] = {}
        self._refused: dict[tuple[str, int], int] = {}
        self.reloads = 0
        self.reload_failures = 0

    def route(self, route_id: str) -> RouteMetrics:
        """The counters of a route, with its server-error series present from the start."""
        found = self._routes.get(route_id)
        if found is None:
            found = self._routes[route_id] = RouteMetrics()
            found.statuses = {(b"GET", 500): 0, (b"GET", 503): 0}
        return found

    def finished(self, exchange: Exchange, seconds: float) -> None:
        """Count an exchange that has ended."""
        metrics = self._routes.get(exchange.route.id) or self.route(exchange.route.id)
        status = exchange.status or CLIENT_CLOSED_REQUEST
        metrics.count(exchange.request.method, status, seconds)
        if exchange.outcome != "answered":
            metrics.outcomes[exchange.outcome] = metrics.outcomes.get(exchange.outcome, 0) + 1
        metrics.retries += exchange.retries
        pod = exchange.answered_by
        if pod is not None:
            key = (exchange.route.service, pod)
            statuses = self._pods.get(key)
            if statuses is None:
                statuses = self._pods[key] = {}
            kind = status // 100
            statuses[kind] = statuses.get(kind, 0) + 1

    def refused(self, code: str, status: int) -> None:
        """Count a request that no route took."""
        self._refused[code, status] = self._refused.get((code, status), 0) + 1

    def collect(self) -> Iterable[Metric]:
        """Called by Prometheus' registry at a scrape."""
        yield from self._http()
        yield from self._outcomes()
        yield from self._upstreams()
        yield from self._process()

    def _http(self) -> Iterable[Metric]:
        requests = CounterMetricFamily(
            "http_requests_total", "Requests by route.", labels=("method", "route", "status")
        )
        durations = HistogramMetricFamily(
            "http_request_duration_seconds",
            "From the head to the answer's end.",
            labels=("route",),
        )
        unrouted: dict[int, int] = {}
        for (_, status), count in self._refused.items():
            unrouted[status] = unrouted.get(status, 0) + count
        for status, count in unrouted.items():
            requests.add_metric((UNROUTED, UNROUTED, str(status)), count)
        for route_id, metrics in self._routes.items():
            for (method, status), count in metrics.statuses.items():
                requests.add_metric((method.decode(), route_id, str(status)), count)
            cumulated = 0
            buckets: list[tuple[str, float]] = []
            for bound, count in zip((*BUCKETS_SECONDS, float("inf")), metrics.buckets, strict=True):
                cumulated += count
                buckets.append(("+Inf" if bound == float("inf") else str(bound), cumulated))
            durations.add_metric((route_id,), buckets, metrics.seconds)
        yield requests
        yield durations

    def _outcomes(self) -> Iterable[Metric]:
        refused = CounterMetricFamily(
            "gateway_refused_total", "Requests that the gateway answered itself.", labels=("route", "code")
        )
        retries = CounterMetricFamily("gateway_retries_total", "Repeated attempts.", labels=("route",))
        for (code, _), count in self._refused.items():
            refused.add_metric((UNROUTED, code), count)
        for route_id, metrics in self._routes.items():
            for code, count in metrics.outcomes.items():
                refused.add_metric((route_id, code), count)
            retries.add_metric((route_id,), metrics.retries)
        yield refused
        yield retries

    def _upstreams(self) -> Iterable[Metric]:
        answers = CounterMetricFamily(
            "gateway_pod_answers_total", "Answers by pod.", labels=("service", "pod", "class")
        )
        in_flight = GaugeMetricFamily("gateway_pod_in_flight", "Under way.", labels=("service", "pod"))
        ejected = GaugeMetricFamily("gateway_pod_ejected", "1 when ejected.", labels=("service", "pod"))
        breaker = GaugeMetricFamily(
            "gateway_breaker_state", "1 for the state it is in.", labels=("service", "state")
        )
        known: set[tuple[str, str]] = set()
        for upstream in self._gateway.upstreams.all():
            for state, name in _STATES.items():
                breaker.add_metric((upstream.name, name), float(upstream.breaker.state == state))
            for pod in upstream.pods.values():
                known.add((upstream.name, pod.name))
                in_flight.add_metric((upstream.name, pod.name), pod.in_flight)
                ejected.add_metric((upstream.name, pod.name), float(pod.ejected))
        for key in self._pods.keys() - known:
            del self._pods[key]
        for (service, pod_name), classes in self._pods.items():
            for kind, count in classes.items():
                answers.add_metric((service, pod_name, f"{kind}xx"), count)
        yield from (answers, in_flight, ejected, breaker)

    def _process(self) -> Iterable[Metric]:
        gateway = self._gateway
        yield GaugeMetricFamily("gateway_in_flight", "Requests under way.", value=gateway.in_flight)
        yield GaugeMetricFamily(
            "gateway_connections", "Open client connections.", value=len(gateway.connections)
        )
        yield CounterMetricFamily("gateway_config_reloads_total", "Configurations taken.", value=self.reloads)
        yield CounterMetricFamily(
            "gateway_config_reload_failures_total", "Configurations refused.", value=self.reload_failures
        )
        yield CounterMetricFamily(
            "gateway_access_log_dropped_total", "Log lines dropped.", value=gateway.access_log.dropped
        )
        limiters = (("user", gateway.user_limiter), ("address", gateway.address_limiter))
        local = GaugeMetricFamily("gateway_limiter_local", "1 while Redis is away.", labels=("limit",))
        for name, limiter in limiters:
            if limiter is not None:
                local.add_metric((name,), float(limiter.is_local))
        yield local
