"""What a request passes before it may go to a pod: its token, its limits, its service's state.

Known tokens and leased limits are decided at once; a task exists only while a token is checked for the
first time or a lease is on its way. Attempts, content and the answer are the exchange's.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from mambogo_gateway import errors
from mambogo_gateway.auth import Principal, TokenRefusedError, VerifierUnavailableError
from mambogo_gateway.errors import Refusal
from mambogo_gateway.limits.limiter import PENDING, Limiter
from mambogo_gateway.proxy.outcomes import ANSWERED
from mambogo_gateway.resilience.deadlines import deadline_value

if TYPE_CHECKING:
    from mambogo_gateway.balancing import Upstream
    from mambogo_gateway.gateway import Gateway
    from mambogo_gateway.parsing.request import RequestHead
    from mambogo_gateway.proxy.client import ClientConnection
    from mambogo_gateway.routing import Route

# Beyond this many the key has so many requests at once that refusing some is right.
_LEASES_TO_WAIT_FOR: Final = 5


class Admission:
    """A request on its way to being admitted, and what is known about it from then on."""

    __slots__ = (
        "_client",
        "_deadline_ms",
        "_forwarded",
        "_gateway",
        "_task",
        "_traceparent",
        "_upstream",
        "answered_by",
        "deadline_at",
        "ended",
        "outcome",
        "principal",
        "request",
        "request_id",
        "response_bytes",
        "retries",
        "route",
        "span",
        "started_at",
        "status",
    )

    def __init__(
        self,
        gateway: Gateway,
        client: ClientConnection,
        request: RequestHead,
        route: Route,
        *,
        now: float,
        seconds: float,
        request_id: bytes,
    ) -> None:
        self._gateway = gateway
        self._client = client
        self.request = request
        self.route = route
        self.request_id = request_id
        self.started_at = now
        self.deadline_at = now + seconds
        self._deadline_ms = deadline_value(time.time(), seconds)
        self._traceparent, self.span = gateway.spans.begin(request)
        self._forwarded = client.forwarded_lines(request)
        self._upstream: Upstream = gateway.upstreams.get(route.service)
        self._task: asyncio.Task[None] | None = None
        self.principal: Principal | None = None
        self.answered_by: str | None = None
        self.retries = 0
        self.response_bytes = 0
        self.status = 0
        self.outcome = ANSWERED
        self.ended = False

    @property
    def trace_id(self) -> bytes:
        """The trace that the request belongs to."""
        return self._traceparent[3:35]

    def start(self) -> None:
        """Authenticate, limit, dispatch; at once when the token is known and a connection is kept."""
        authorization = self.request.authorization
        if authorization is None:
            if self.request.method not in self.route.public_methods:
                self.refuse(errors.TOKEN_MISSING)
                return
            self._limit_and_dispatch()
            return
        principal = self._gateway.authenticator.recall(authorization, self.started_at)
        if principal is not None:
            self.principal = principal
            self._limit_and_dispatch()
        else:
            self._task = self._gateway.loop.create_task(self._authenticate(authorization))

    async def _authenticate(self, authorization: bytes) -> None:
        try:
            self.principal = await self._gateway.authenticator.verify(authorization)
        except TokenRefusedError:
            self.refuse(errors.TOKEN_REFUSED)
        except VerifierUnavailableError:
            self.refuse(errors.VERIFIER_UNAVAILABLE)
        else:
            self._task = None
            if not self.ended:
                self._limit_and_dispatch()

    def _limit_and_dispatch(self) -> None:
        gateway = self._gateway
        principal = self.principal
        if principal is not None:
            limiter, key = gateway.user_limiter, principal.subject
        else:
            limiter, key = gateway.address_limiter, self._client.vouched_address or b""
        if limiter is not None and key:
            wait_seconds = limiter.take(key, gateway.loop.time())
            if wait_seconds == PENDING:
                self._task = gateway.loop.create_task(self._limit_later(limiter, key))
                return
            if wait_seconds > 0.0:
                self.refuse(errors.rate_limited(wait_seconds))
                return
        self._admit_and_dispatch()

    async def _limit_later(self, limiter: Limiter, key: bytes) -> None:
        """More requests of one key at once than may go on credit: wait for the lease instead of refusing."""
        for _ in range(_LEASES_TO_WAIT_FOR):
            await limiter.settled()
            wait_seconds = limiter.take(key, self._gateway.loop.time())
            if wait_seconds != PENDING:
                break
        self._task = None
        if self.ended:
            return
        if wait_seconds == 0.0:
            self._admit_and_dispatch()
        else:
            self.refuse(errors.rate_limited(wait_seconds))

    def _admit_and_dispatch(self) -> None:
        now = self._gateway.loop.time()
        upstream = self._upstream
        if upstream.in_flight >= upstream.max_in_flight:
            self.refuse(errors.OVERLOADED)
        elif not upstream.breaker.admit(now):
            self.refuse(errors.CIRCUIT_OPEN)
        else:
            upstream.budget.earn()
            self._dispatch()

    def refuse(self, refusal: Refusal) -> None:
        """End with an answer of the gateway's own."""
        raise NotImplementedError

    def _dispatch(self) -> None:
        """Begin the first attempt."""
        raise NotImplementedError

    def _end(self) -> None:
        """The request has its answer, or nobody waits for one any more."""
        self.ended = True
        task = self._task
        if task is not None:
            self._task = None
            if task is not asyncio.current_task():
                task.cancel()
        self._gateway.finished(self)
