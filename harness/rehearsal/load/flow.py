"""A flow of orders at a fixed rate, each followed to its end.

The model is open: an order is due at its time, whether or not the shop has answered the one before, and its
latency counts from when it was due. A shopper who gets no clear answer asks again under the same key, as the
shop's documents ask of clients. Nothing is judged here.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
import uuid
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Any, TypeVar

from rehearsal.shop.answers import Answer, Kind
from rehearsal.shop.client import Line, Shop
from rehearsal.shop.history import Entry, History

ENDS = ("CONFIRMED", "REJECTED", "CANCELLED")
_LONGEST_RETRY_SECONDS = 4.0
_LONGEST_POLL_SECONDS = 4.0
_SLOWER = 1.3  # from one look to the next

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FlowPlan:
    """What is offered."""

    name: str
    rate_per_second: float
    seconds: float
    users: tuple[str, ...]
    products: tuple[str, ...]
    seed: int
    patience_seconds: float = 60.0  # how long a shopper asks again for a clear answer
    end_seconds: float = 60.0  # how long after its acknowledgement an order may take to its end
    retry_seconds: float = 0.5  # before a shopper asks again, doubled each time
    poll_seconds: float = 0.5  # until a shopper first looks what became of an order, then less and less often
    scarce: str = ""  # a product that runs out while it is bought
    scarce_every: int = 4  # an order in so many is for one of it
    repeat_every: int = (
        0  # an order in so many is sent once more when it was acknowledged, as by a double click
    )

    @property
    def arrivals(self) -> int:
        """How many orders are due."""
        return round(self.rate_per_second * self.seconds)


@dataclass(slots=True)
class Placed:
    """One order of the flow, as far as its shopper knows."""

    op_id: str
    user: str
    key: str
    due: float  # seconds since the flow began
    late_seconds: float = 0.0  # how much later than due it was sent: the generator's own fault
    attempts: int = 0
    answer: Answer | None = None
    answered: float | None = None  # seconds since the flow began
    state: str = ""  # the last one seen
    ended: float | None = None

    @property
    def order_id(self) -> str:
        """The order's id; empty when it was never acknowledged."""
        return str(self.answer.body.get("order_id", "")) if self.acknowledged and self.answer else ""

    @property
    def acknowledged(self) -> bool:
        """Whether the shop said that it has the order."""
        return self.answer is not None and self.answer.kind is Kind.OK

    @property
    def latency_seconds(self) -> float | None:
        """From when it was due to its clear answer."""
        return None if self.answered is None else self.answered - self.due


@dataclass(slots=True)
class Flow:
    """A flow under way, or at its end."""

    plan: FlowPlan
    shop: Shop
    history: History
    orders: list[Placed] = field(default_factory=list)
    began_at: float = 0.0  # Unix time
    until: float = math.inf  # seconds since it began, after which nothing more is offered
    _began: float = 0.0

    @property
    def now(self) -> float:
        """Seconds since the flow began."""
        return monotonic() - self._began

    def in_flight(self) -> int:
        """Return how many orders were sent and have no clear answer yet."""
        return sum(one.attempts > 0 and one.answered is None for one in self.orders)

    def acknowledged_between(self, start: float, end: float) -> int:
        """Return how many orders were acknowledged in a window of the flow's time."""
        times = (one.answered for one in self.orders if one.acknowledged and one.answered is not None)
        return sum(start <= at < end for at in times)

    async def run(self) -> None:
        """Offer everything, follow everything to its end or past its bound.

        Raises at once what a shopper raises, such as EnvironmentNotReadyError for a token that is refused;
        all others are broken off.
        """
        # No TaskGroup: it raises an interrupt of one of its tasks once more, and the loop's end would not be
        # reached, nor what the caller does at the end of a flow that breaks off.
        failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        shoppers: list[asyncio.Task[None]] = []
        offering = asyncio.create_task(self._offer(shoppers, failed))
        try:
            await asyncio.wait((offering, failed), return_when=asyncio.FIRST_COMPLETED)
            if failed.done():
                raise failed.result()
            await offering
        finally:
            for one in (offering, *shoppers):
                one.cancel()

    async def _offer(self, shoppers: list[asyncio.Task[None]], failed: asyncio.Future[Exception]) -> None:
        draw = random.Random(self.plan.seed)  # noqa: S311 - a load, no secret
        self.began_at, self._began = time(), monotonic()
        for number in range(self.plan.arrivals):
            due = number / self.plan.rate_per_second
            if due > self.until:
                break
            await asyncio.sleep(max(0.0, due - self.now))
            one = self._next(draw, number, due)
            one.late_seconds = self.now - due
            lines = [Line(draw.choice(self.plan.products), draw.randint(1, 3))]
            if self.plan.scarce and number % self.plan.scarce_every == 0:
                lines = [Line(self.plan.scarce, 1)]
            shoppers.append(asyncio.create_task(self._shopper(one, lines, failed)))
        if shoppers:
            await asyncio.wait(shoppers)

    def _next(self, draw: random.Random, number: int, due: float) -> Placed:
        key = str(uuid.UUID(int=draw.getrandbits(128), version=4))
        # The run's seed may be used twice on the same cluster; its keys must not meet again.
        key = str(uuid.uuid5(uuid.UUID(key), str(self.history.path)))
        user = self.plan.users[number % len(self.plan.users)]
        one = Placed(f"{self.plan.name}-{number}", user, key, due)
        self.orders.append(one)
        return one

    async def _shopper(self, one: Placed, lines: Sequence[Line], failed: asyncio.Future[Exception]) -> None:
        try:
            await self._shop(one, lines)
        except Exception as error:
            if not failed.done():
                failed.set_result(error)

    async def _shop(self, one: Placed, lines: Sequence[Line]) -> None:
        await self._place(one, lines)
        if not one.acknowledged:
            return
        if self.plan.repeat_every and self.orders.index(one) % self.plan.repeat_every == 0:
            await self._send(one, lines, one.attempts + 1)
        await self._follow(one)

    async def _place(self, one: Placed, lines: Sequence[Line]) -> None:
        pause = self.plan.retry_seconds
        while True:
            one.attempts += 1
            answer = await self._send(one, lines, one.attempts)
            one.answer = answer
            if answer.kind is not Kind.INFO:
                one.answered = self.now
                one.state = str(answer.body.get("state", ""))
                return
            if self.now - one.due > self.plan.patience_seconds:
                return
            await asyncio.sleep(max(pause, answer.retry_after_seconds))
            pause = min(2 * pause, _LONGEST_RETRY_SECONDS)

    async def _send(self, one: Placed, lines: Sequence[Line], attempt: int) -> Answer:
        wanted = [[line.product_id, line.quantity] for line in lines]
        digest = hashlib.sha256(repr(wanted).encode()).hexdigest()
        said = {"process": one.user, "op_id": one.op_id, "f": "place_order", "idem_key": one.key,
                "req_hash": digest, "attempt": attempt}  # fmt: skip
        self.history.append(type="invoke", value={"lines": wanted}, **said)
        answer = await self.shop.place_order(one.user, lines, key=one.key)
        self.history.append(type=answer.kind.value, **_answered(answer), **said)
        return answer

    async def _follow(self, one: Placed) -> None:
        bound = self.now + self.plan.end_seconds
        attempt, pause = 0, self.plan.poll_seconds
        while one.state not in ENDS:
            await asyncio.sleep(pause)
            # While something is away, everybody waits: at the first pace they would be a load of their own.
            pause = min(_SLOWER * pause, _LONGEST_POLL_SECONDS)
            attempt += 1
            said = {"process": one.user, "op_id": one.op_id, "f": "get_order", "attempt": attempt}
            self.history.append(type="invoke", value={"order_id": one.order_id}, **said)
            answer = await self.shop.order(one.user, one.order_id)
            self.history.append(type=answer.kind.value, **_answered(answer), **said)
            if answer.kind is Kind.OK:
                one.state = str(answer.body.get("state", one.state))
            if self.now > bound:
                break
        if one.state in ENDS:
            one.ended = self.now


async def beside(flow: Flow, work: Coroutine[Any, Any, T]) -> T:
    """Do something while a flow is offered, and return what it came to when the flow has ended.

    Raises what either of them raises, at once: the other one is broken off.
    """
    offering = asyncio.create_task(flow.run())  # the first one: the work may ask what the flow's time is
    working = asyncio.create_task(work)
    try:
        await asyncio.wait((offering, working), return_when=asyncio.FIRST_EXCEPTION)
        if offering.done():
            offering.result()
        return await working
    finally:
        offering.cancel()
        working.cancel()
        await asyncio.gather(offering, working, return_exceptions=True)


def unwritten(orders: Iterable[Placed], entries: Iterable[Entry]) -> list[str]:
    """Return the operations of which the history lacks what their shoppers know: a request, or its answer."""
    asked: set[str] = set()
    answered: set[str] = set()
    for one in entries:
        if one.f == "place_order":
            (asked if one.type == "invoke" else answered).add(one.op_id)
    return [
        one.op_id
        for one in orders
        if one.attempts and (one.op_id not in asked or (one.answer is not None and one.op_id not in answered))
    ]


def _answered(answer: Answer) -> dict[str, object]:
    names = ("order_id", "state", "reason", "total_minor", "currency", "code")
    value = {name: answer.body[name] for name in names if name in answer.body}
    if answer.error:
        value["error"] = answer.error
    return {"value": value, "http_status": answer.status, "pod": answer.pod}
