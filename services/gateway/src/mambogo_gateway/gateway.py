"""The state that all connections share, and the decision whether a request is admitted at all.

Cheap checks come first, so that an overloaded gateway refuses for next to nothing. What an admitted
request then goes through is the exchange's.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from mambogo_chassis.tracing import Tracer

from mambogo_gateway import errors
from mambogo_gateway.accesslog import GatewayLog
from mambogo_gateway.auth import Authenticator, TokenVerifier
from mambogo_gateway.balancing import Pod, Upstream, Upstreams
from mambogo_gateway.config import GatewayConfig, RateLimit
from mambogo_gateway.edge import Edge
from mambogo_gateway.errors import Refusal
from mambogo_gateway.instances import InstanceSource
from mambogo_gateway.limits.limiter import Limiter
from mambogo_gateway.limits.store import LimiterStore
from mambogo_gateway.metrics import GatewayMetrics, RequestObserver
from mambogo_gateway.parsing.fields import FieldNames
from mambogo_gateway.parsing.request import METHODS, RequestHead
from mambogo_gateway.proxy.admission import Admission
from mambogo_gateway.proxy.client import ClientConnection
from mambogo_gateway.proxy.exchange import Exchange
from mambogo_gateway.proxy.heads import request_id_of
from mambogo_gateway.resilience.deadlines import seconds_left
from mambogo_gateway.routing import RouteTable
from mambogo_gateway.spans import Spans

if TYPE_CHECKING:
    from mambogo_gateway.own import OwnEndpoints

# Counted as "other": what was refused before it was a request has no method.
_NO_METHOD: Final = ""
_OWN_PREFIX: Final = b"/actuator"


class Gateway:
    """One gateway process."""

    own_endpoints: OwnEndpoints

    def __init__(
        self,
        config: GatewayConfig,
        *,
        loop: asyncio.AbstractEventLoop,
        verifier: TokenVerifier,
        instances: InstanceSource,
        limiter_store: LimiterStore | None,
        observer: RequestObserver,
        access_log: GatewayLog,
        tracer: Tracer,
    ) -> None:
        self.loop = loop
        self.config = config
        self.table = RouteTable(config)
        self.upstreams = Upstreams(config.upstreams)
        self.authenticator = Authenticator(verifier)
        self.edge = Edge(config.limits.trusted_edges)
        self.request_names = FieldNames.of_requests()
        self.response_names = FieldNames.of_responses()
        self.access_log = access_log
        self.spans = Spans(tracer)
        self.metrics = GatewayMetrics(self, observer)
        self.connections: set[ClientConnection] = set()
        self.in_flight = 0
        self.draining = False
        self._instances = instances
        self._store = limiter_store
        self.user_limiter = self._limiter(b"user:", config.limits.per_user)
        self.address_limiter = self._limiter(b"address:", config.limits.per_address)
        self._max_in_flight = config.limits.max_in_flight
        self._prepare_routes()

    def _limiter(self, name: bytes, limit: RateLimit | None) -> Limiter | None:
        if limit is None or self._store is None:
            return None
        return Limiter(
            name=name,
            limit=limit,
            lease_tokens=self.config.limits.lease_tokens,
            fallback_share=self.config.limits.fallback_share,
            store=self._store,
            clock=self.loop.time,
        )

    def _prepare_routes(self) -> None:
        self.metrics.declare(self.table.routes)
        for route in self.table.routes:
            self.upstreams.get(route.service)
        self.refresh_instances()

    def reload(self, config: GatewayConfig) -> None:
        """Take new routes; requests under way keep theirs. A ConfigurationError changes nothing.

        Limits and upstream settings are read at start only: they size things that exist already.
        """
        table = RouteTable(config)
        self.table = table
        self.metrics.reloads += 1
        self._prepare_routes()

    def refresh_instances(self) -> None:
        """Take over what discovery knows; called several times a second, and cheap when nothing changed."""
        for upstream in self.upstreams.all():
            upstream.update(self._instances.instances(upstream.name))

    # -- connections -------------------------------------------------------------------------------------

    def accept(self) -> ClientConnection:
        """The protocol factory of the listening socket."""
        return ClientConnection(self)

    def connected(self, connection: ClientConnection) -> None:
        """A client connected; beyond the limit it is cut off before it costs anything."""
        if len(self.connections) >= self.config.limits.max_connections:
            self.metrics.refused("too-many-connections", _NO_METHOD, 503)
            connection.transport.abort()
            return
        self.connections.add(connection)

    def disconnected(self, connection: ClientConnection) -> None:
        """A client's connection has ended."""
        self.connections.discard(connection)

    # -- requests ----------------------------------------------------------------------------------------

    def admit(self, client: ClientConnection, request: RequestHead) -> Exchange | Refusal | None:
        """An exchange to start, a refusal to send, or None for the gateway's own endpoints."""
        path = request.path
        if path.startswith(_OWN_PREFIX) and (len(path) == 9 or path[9:10] == b"/"):
            return None
        if self.in_flight >= self._max_in_flight:
            return self._refused(request, errors.OVERLOADED)
        route = self.table.match(path)
        if route is None:
            return self._refused(request, errors.NO_ROUTE)
        if request.method not in route.methods:
            return self._refused(request, route.wrong_method)
        length = request.content_length
        if length is not None and length > route.max_content_bytes:
            return self._refused(request, errors.CONTENT_TOO_LARGE)
        seconds = route.deadline_seconds
        if request.deadline is not None:
            left = seconds_left(request.deadline, time.time())
            if left is None:
                return self._refused(request, errors.BAD_DEADLINE)
            if left <= 0:
                return self._refused(request, errors.UPSTREAM_TIMEOUT)
            seconds = min(seconds, left)
        self.in_flight += 1
        return Exchange(
            self,
            client,
            request,
            route,
            now=self.loop.time(),
            seconds=seconds,
            request_id=request_id_of(request),
        )

    def _refused(self, request: RequestHead, refusal: Refusal) -> Refusal:
        self.metrics.refused(refusal.code, METHODS[request.method], refusal.status)
        return refusal

    def refused_unread(self, refusal: Refusal) -> None:
        """Count bytes that were refused before they were a request."""
        self.metrics.refused(refusal.code, _NO_METHOD, refusal.status)

    def finished(self, exchange: Admission) -> None:
        """An exchange has ended, in whichever way."""
        self.in_flight -= 1
        seconds = self.loop.time() - exchange.started_at
        self.metrics.finished(exchange, seconds)
        self.access_log.finished(exchange, seconds)
        self.spans.finish(exchange)

    def eject(self, upstream: Upstream, pod: Pod) -> None:
        """A connect to a pod failed."""
        upstream.eject(pod, self.loop.time())
