"""What no schema says, asked of the live shop: an order is confirmed, strangers are sent away.

Each question is one that a release must never answer wrongly. Depth is for the fuzzer and the replay of
consumers' expectations.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

from rehearsal.contract.checks import ORDER, OWNER, TOKEN
from rehearsal.core.checks import Check
from rehearsal.load.flow import Flow, FlowPlan
from rehearsal.shop.answers import Answer, Kind
from rehearsal.shop.client import Shop
from rehearsal.shop.history import History

_UNAUTHORIZED = 401
_NOT_FOUND = 404
# Whoever says so says nothing about what was asked: a limit, or a gateway whose service is away.
_AWAY = (429, 502, 503, 504)
# What differs between two answers that say the same: they name their own request.
_OWN_TO_A_REQUEST = ("instance", "request_id", "trace_id")
_GUARDED = (("GET", "/api/orders"), ("GET", "/api/carts/current"), ("GET", "/api/payments"))


class OpenShop(Shop, Protocol):
    """A shop that can be asked without a token, too."""

    async def anonymous(self, method: str, path: str) -> Answer:
        """Ask without a token."""


async def smoke(shop: OpenShop, plan: FlowPlan, history: History, address: str) -> AsyncIterator[Check]:
    """Yield the checks, one question after the other; the plan's second user is the stranger.

    `address` is the shop's, for commands that ask again.
    """
    owner, stranger = plan.users[:2]
    one_order = replace(plan, rate_per_second=1.0, seconds=1.0, users=(owner,))
    flow = Flow(one_order, shop, history)
    await flow.run()
    one = flow.orders[0]
    yield _order(one.state, one.order_id, str(one.answer), history)
    for method, path in _GUARDED:
        yield _token(method, path, await shop.anonymous(method, path), address)
    if one.order_id:
        own = await shop.order(owner, one.order_id)
        theirs = await shop.order(stranger, one.order_id)
        nobodys = await shop.order(stranger, str(uuid.uuid4()))
        yield _owner(one.order_id, own, theirs, nobodys)
    else:
        yield OWNER.invalid("GET /api/orders/{order_id}", "there is no order that a stranger could ask for")


def _order(state: str, order_id: str, answer: str, history: History) -> Check:
    subject = "POST /api/orders"
    if state == "CONFIRMED":
        return ORDER.passed(subject, f"order {order_id} was placed, reserved, paid and confirmed")
    return ORDER.failed(
        subject,
        f"an order with goods in stock ended {state}" if state else f"no order could be placed: {answer}",
        expected="CONFIRMED",
        observed=state or answer,
        evidence=(f"{history.path.parent.name}/{history.path.name}",),
        reproduce="rehearsal e2e --stages contract",
    )


def _token(method: str, path: str, answer: Answer, address: str) -> Check:
    operation = f"{method} {path}"
    if why := _unanswered(answer):
        return TOKEN.invalid(operation, why)
    if answer.status == _UNAUTHORIZED:
        return TOKEN.passed(operation, "without a token it answers 401", observed="401")
    return TOKEN.failed(
        operation,
        f"without a token it answers {answer.status}",
        expected="401",
        observed=str(answer),
        reproduce=f"curl -i -X {method} {address}{path}",
    )


def _owner(order_id: str, own: Answer, theirs: Answer, nobodys: Answer) -> Check:
    subject = "GET /api/orders/{order_id}"
    if why := _unanswered(theirs) or _unanswered(nobodys):
        return OWNER.invalid(subject, why)
    if theirs.kind is Kind.OK:
        return OWNER.failed(
            subject,
            f"another user can read order {order_id}",
            expected="404, as for an order that does not exist",
            observed=f"{theirs.status} with the order",
        )
    if own.kind is not Kind.OK:
        return OWNER.invalid(subject, f"its owner cannot read order {order_id} either: {own}")
    if theirs.status == nobodys.status == _NOT_FOUND and _said(theirs.body) == _said(nobodys.body):
        return OWNER.passed(subject, "another user's order is answered as one that does not exist")
    return OWNER.failed(
        subject,
        "another user can tell that an order exists",
        expected=f"{nobodys.status} {dict(_said(nobodys.body))}, as for an order that does not exist",
        observed=f"{theirs.status} {dict(_said(theirs.body))}",
    )


def _unanswered(answer: Answer) -> str:
    """Return why an answer is none; empty when it is one."""
    if answer.status is None or answer.status in _AWAY:
        return f"no answer came: {answer}"
    return ""


def _said(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in body.items() if key not in _OWN_TO_A_REQUEST}
