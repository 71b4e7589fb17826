"""What the gateway counts, as plain dictionaries on the hot path, turned into Prometheus families when
scraped.

Label values are bounded: routes and services come from the configuration, methods from a fixed set,
statuses from what HTTP/1 allows; pods that have left are dropped from the output.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Protocol

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from mambogo_gateway.parsing.request import METHODS
from mambogo_gateway.proxy.outcomes import ANSWERED
from mambogo_gateway.resilience.breaker import CLOSED, HALF_OPEN, OPEN

if TYPE_CHECKING:
    from mambogo_gateway.gateway import Gateway
    from mambogo_gateway.proxy.admission import Admission
    from mambogo_gateway.routing import Route

# nginx's number for "the client left before the answer"; no status of HTTP says it.
CLIENT_CLOSED_REQUEST: Final = 499
UNMATCHED: Final = "unmatched"

_STATES: Final = {CLOSED: "closed", OPEN: "open", HALF_OPEN: "half-open"}


class RequestObserver(Protocol):
    """Counts answers by method, route and status; the chassis' HttpMetrics is one."""

    def declare(self, operations: Iterable[tuple[str, str]]) -> None:
        """Create the server-error series of each (method, route)."""
        ...

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        ...


class GatewayMetrics(Collector):
    """All counters of one gateway process but the request metrics, which every service has alike."""

    def __init__(self, gateway: Gateway, observer: RequestObserver) -> None:
        self._gateway = gateway
        self._observer = observer
        self._outcomes: dict[tuple[str, str], int] = {}
        self._retries: dict[str, int] = {}
        self._pods: dict[tuple[str, str], dict[int, int]] = {}
        self._refused: dict[str, int] = {}
        self.reloads = 0
        self.reload_failures = 0

    def declare(self, routes: Iterable[Route]) -> None:
        """Make the series of new routes exist from the start."""
        operations = [(method.decode(), route.path) for route in routes for method in sorted(route.methods)]
        self._observer.declare(operations)

    def finished(self, exchange: Admission, seconds: float) -> None:
        """Count an exchange that has ended."""
        status = exchange.status or CLIENT_CLOSED_REQUEST
        route = exchange.route
        self._observer.observe(METHODS[exchange.request.method], route.path, status, seconds)
        if exchange.outcome != ANSWERED:
            key = (route.path, exchange.outcome)
            self._outcomes[key] = self._outcomes.get(key, 0) + 1
        if exchange.retries:
            self._retries[route.path] = self._retries.get(route.path, 0) + exchange.retries
        pod = exchange.answered_by
        if pod is not None:
            statuses = self._pods.get((route.service, pod))
            if statuses is None:
                statuses = self._pods[route.service, pod] = {}
            kind = status // 100
            statuses[kind] = statuses.get(kind, 0) + 1

    def refused(self, code: str, method: str, status: int) -> None:
        """Count a request that no route took; its time is not worth measuring."""
        self._refused[code] = self._refused.get(code, 0) + 1
        self._observer.observe(method, UNMATCHED, status, 0.0)

    def collect(self) -> Iterable[Metric]:
        """Called by Prometheus' registry at a scrape."""
        yield from self._ends()
        yield from self._upstreams()
        yield from self._process()

    def _ends(self) -> Iterable[Metric]:
        refused = CounterMetricFamily(
            "gateway_refused_total", "Requests that got no pod's whole answer.", labels=("route", "code")
        )
        retries = CounterMetricFamily("gateway_retries_total", "Repeated attempts.", labels=("route",))
        for code, count in self._refused.items():
            refused.add_metric((UNMATCHED, code), count)
        for (route, code), count in self._outcomes.items():
            refused.add_metric((route, code), count)
        for route, count in self._retries.items():
            retries.add_metric((route,), count)
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
        limiters = (("user", gateway.user_limiter), ("address", gateway.address_limiter))
        local = GaugeMetricFamily("gateway_limiter_local", "1 while Redis is away.", labels=("limit",))
        for name, limiter in limiters:
            if limiter is not None:
                local.add_metric((name,), float(limiter.is_local))
        yield local
