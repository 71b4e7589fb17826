"""Calls to another service by its name: instance chosen, deadline kept, context carried on, retried if safe.

A failure is tried again only if the request surely was not sent, or its method is idempotent, or it carries
an `Idempotency-Key`; only within the retry budget; and only if the deadline leaves time for it. A 503 or
429 with `Retry-After` is waited for as long as that fits. Whether a 4xx or 5xx is an error is the caller's
business: it gets the reply.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from prometheus_client import Counter

from mambogo_chassis.client.balancing import Balancer, Instance, Resolver
from mambogo_chassis.client.budget import RetryBudget
from mambogo_chassis.client.failures import CircuitOpenError, UpstreamError, UpstreamProtocolError
from mambogo_chassis.client.transport import Reply, Transport
from mambogo_chassis.http import context
from mambogo_chassis.http.deadlines import HEADER, Deadline, DeadlineExceededError, deadline_in
from mambogo_chassis.metrics import Family, Metrics
from mambogo_chassis.tracing import NoTracer, TraceContext, Tracer

__all__ = ["CallPolicy", "HttpClient", "Reply"]

IDEMPOTENCY_HEADER: Final = "Idempotency-Key"
_IDEMPOTENT_METHODS: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})
_RETRIED_STATUSES: Final = frozenset({429, 502, 503, 504})
# Answers that say that the instance itself is not well; a 429 is health, not sickness.
_BAD_STATUSES: Final = frozenset({500, 502, 503, 504})
_FIRST_BACKOFF_SECONDS: Final = 0.02
_LONGEST_BACKOFF_SECONDS: Final = 0.5
_OUTCOMES: Final = (
    "ok",
    "client_error",
    "server_error",
    "timeout",
    "unavailable",
    "protocol",
    "circuit_open",
)


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """How calls to one service are made."""

    # The most that one attempt may take; what the request's deadline leaves may be less.
    attempt_timeout_seconds: float = 2.0
    # Without a request (background work) this is the whole call's time.
    total_timeout_seconds: float = 5.0
    max_attempts: int = 3
    # Kept back for this service's own answer after the call.
    margin_seconds: float = 0.01


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None
    deadline: Deadline
    repeatable: bool


class HttpClient:
    """Calls one other service. Make one per target and keep it."""

    def __init__(
        self,
        target: str,
        resolve: Resolver,
        *,
        transport: Transport,
        metrics: Metrics,
        tracer: Tracer | None = None,
        policy: CallPolicy | None = None,
    ) -> None:
        self.target = target
        self._resolve = resolve
        self._transport = transport
        self._tracer = tracer if tracer is not None else NoTracer()
        self._policy = policy if policy is not None else CallPolicy()
        self._balancer = Balancer()
        self._budget = RetryBudget()
        self._calls, self._retries = _counters(metrics, target)
        metrics.gauge_callback(
            "client_breakers_open",
            "Instances that calls are kept away from.",
            lambda: float(self._balancer.open_breakers()),
            target=target,
        )
        metrics.gauge_callback(
            "client_retry_budget", "Retries that may be made now.", lambda: self._budget.tokens, target=target
        )

    async def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        token: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Reply:
        """Send a request to an instance of the target; the reply, whatever its status.

        Raises an UpstreamError when there is none, DeadlineExceededError when there is no time to ask.
        """
        request = context.current()
        sent = dict(headers or {})
        if json is not None:
            sent["Content-Type"] = "application/json"
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        key = idempotency_key or (request.idempotency_key if request is not None and method == "POST" else "")
        if key:
            sent[IDEMPOTENCY_HEADER] = key
        if request is not None:
            sent[context.REQUEST_ID_HEADER] = request.request_id
        call = _Call(
            method,
            path,
            sent,
            msgspec.json.encode(json) if json is not None else None,
            self._deadline(request, timeout_seconds),
            method in _IDEMPOTENT_METHODS or bool(key),
        )
        return await self._with_retries(call, request.trace if request is not None else None)

    def _deadline(self, request: context.RequestContext | None, timeout_seconds: float | None) -> Deadline:
        longest = timeout_seconds if timeout_seconds is not None else self._policy.total_timeout_seconds
        return request.deadline.shortened(longest) if request is not None else deadline_in(longest)

    async def _with_retries(self, call: _Call, parent: TraceContext | None) -> Reply:
        self._budget.deposit()
        tried: set[str] = set()
        attempt = 0
        while True:
            attempt += 1
            failure: UpstreamError | None = None
            reply: Reply | None = None
            try:
                reply = await self._attempt(call, parent, tried)
            except UpstreamError as error:
                failure = error
            if reply is not None and reply.status not in _RETRIED_STATUSES:
                return reply
            pause = self._pause_before_retry(call, attempt, reply, failure)
            if pause is None:
                if failure is not None:
                    raise failure
                assert reply is not None  # noqa: S101 - one of the two is there
                return reply
            self._retries.inc()
            await asyncio.sleep(pause)

    def _pause_before_retry(
        self, call: _Call, attempt: int, reply: Reply | None, failure: UpstreamError | None
    ) -> float | None:
        """Seconds until the next attempt; None when there is to be none."""
        if attempt >= self._policy.max_attempts or isinstance(
            failure, CircuitOpenError | UpstreamProtocolError
        ):
            return None
        if not call.repeatable and (failure is None or failure.sent):
            return None
        backoff = min(_FIRST_BACKOFF_SECONDS * 2 ** (attempt - 1), _LONGEST_BACKOFF_SECONDS)
        pause = backoff * random.uniform(0.5, 1.0)  # noqa: S311 - spreads callers, no secret
        if reply is not None:
            pause = max(pause, _retry_after_seconds(reply))
        if call.deadline.remaining_seconds() <= pause + self._policy.margin_seconds:
            return None
        return pause if self._budget.withdraw() else None

    async def _attempt(self, call: _Call, parent: TraceContext | None, tried: set[str]) -> Reply:
        timeout = min(
            call.deadline.remaining_seconds() - self._policy.margin_seconds,
            self._policy.attempt_timeout_seconds,
        )
        if timeout <= 0:
            raise DeadlineExceededError(f"no time is left to call {self.target}")
        instance = self._pick(tried)
        tried.add(instance.base_url)
        trace, span = self._tracer.start(parent, "client")
        headers = {**call.headers, "traceparent": trace.traceparent, HEADER: call.deadline.header}
        if trace.state:
            headers["tracestate"] = trace.state
        outcome = "cancelled"
        try:
            reply = await self._exchange(call, instance, headers, timeout)
            outcome = _outcome(reply)
            return reply
        except UpstreamError as error:
            outcome = error.code.removeprefix("upstream-")
            raise
        finally:
            if outcome != "cancelled":
                self._calls.labels(target=self.target, outcome=outcome).inc()
            if span is not None:
                bad = outcome not in ("ok", "client_error")
                span.finish(f"{call.method} {self.target}", {"outcome": outcome}, error=bad)

    async def _exchange(
        self, call: _Call, instance: Instance, headers: Mapping[str, str], timeout_seconds: float
    ) -> Reply:
        breaker = instance.breaker
        breaker.begin()
        instance.in_flight += 1
        try:
            reply = await self._transport.exchange(
                call.method,
                instance.base_url + call.path,
                headers=headers,
                body=call.body,
                timeout_seconds=timeout_seconds,
            )
        except UpstreamError:
            breaker.failed()
            raise
        except asyncio.CancelledError:
            breaker.abandoned()
            raise
        finally:
            instance.in_flight -= 1
        if reply.status in _BAD_STATUSES:
            breaker.failed()
        else:
            breaker.succeeded()
        return reply

    def _pick(self, tried: set[str]) -> Instance:
        self._balancer.update(self._resolve(self.target))
        instance = self._balancer.pick(tried)
        if instance is None:
            self._calls.labels(target=self.target, outcome="circuit_open").inc()
            raise CircuitOpenError(f"no instance of {self.target} is to be called now", sent=False)
        return instance


def _counters(metrics: Metrics, target: str) -> tuple[Family[Counter], Counter]:
    calls, retries = metrics.shared(
        "client",
        lambda: (
            metrics.counter("client_calls", "Attempts at other services.", target=(), outcome=()),
            metrics.counter("client_retries", "Attempts after the first.", target=()),
        ),
    )
    for outcome in _OUTCOMES:
        calls.labels(target=target, outcome=outcome)
    return calls, retries.labels(target=target)


def _outcome(reply: Reply) -> str:
    if reply.status >= 500:
        return "server_error"
    return "client_error" if reply.status >= 400 else "ok"


def _retry_after_seconds(reply: Reply) -> float:
    text = reply.headers.get("retry-after", "")
    # The other form, a date, is nobody's here.
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0
