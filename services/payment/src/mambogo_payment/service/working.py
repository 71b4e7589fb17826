"""Works on payments at the provider: authorises, captures, closes, refunds, and asks when in doubt.

Any number of pods may do so. A payment is claimed for as long as its calls can take; the claim is committed
before the first call, and what the calls came to is written in a transaction of its own. No transaction is
open while the provider is waited for. Two workers on one payment (a lease that ran out, a cancellation during
a capture) do no harm: the provider knows their calls by the same key, and the second result changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from mambogo_chassis import failpoints
from mambogo_chassis.database import Connection, Database, DatabaseError
from mambogo_chassis.events import Outbox
from mambogo_chassis.pacing import left_seconds

from mambogo_payment.adapters import tables
from mambogo_payment.adapters.metrics import PaymentMetrics
from mambogo_payment.adapters.provider import ProviderError
from mambogo_payment.adapters.tables import Claim
from mambogo_payment.domain import payment as rules
from mambogo_payment.domain.payment import Fact, Payment, State
from mambogo_payment.service.recording import Recorder

# Pauses before a payment is looked at again: the first, doubled up to the last.
_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 5.0
_MAX_DOUBLINGS: Final = 10
# How often the backlog is read for the metrics.
_BACKLOG_SECONDS: Final = 5.0

logger = logging.getLogger(__name__)


class Provider(Protocol):
    """What the worker asks of the provider; `adapters.provider.Provider` in life."""

    async def find(self, payment: Payment) -> Sequence[Fact]: ...
    async def authorise(self, payment: Payment) -> Fact: ...
    async def capture(self, payment: Payment, provider_id: str) -> Fact: ...
    async def refund(self, payment: Payment, provider_id: str) -> Fact: ...
    async def close(self, payment: Payment) -> Sequence[Fact]: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How many payments are worked on at once, for how long each is claimed, how often is looked for more."""

    concurrency: int
    lease_seconds: float
    idle_seconds: float


class Worker:
    """Works until it is stopped. The database's and the provider's absence only delay it."""

    def __init__(
        self, database: Database, provider: Provider, outbox: Outbox, metrics: PaymentMetrics, pace: Pace
    ) -> None:
        self._database = database
        self._provider = provider
        self._recorder = Recorder(database, outbox, leave=self._leave)
        self._metrics = metrics
        self._pace = pace
        self._wanted = asyncio.Event()
        self._is_stopping = False
        self._working: set[asyncio.Task[None]] = set()
        # Whether more waits than there was a place for.
        self._has_more = False
        self._next_backlog = 0.0

    def wake(self) -> None:
        """There is work, or a place for what waits has become free."""
        self._wanted.set()

    def stop(self) -> None:
        """End after the payments that are being worked on."""
        self._is_stopping = True
        self.wake()

    async def run(self) -> None:
        """Work until `stop`."""
        try:
            while not self._is_stopping:
                self._wanted.clear()
                began = time.monotonic()
                free = self._pace.concurrency - len(self._working)
                claims = await self._claim(free) if free else []
                for claim in claims:
                    self._start(claim)
                self._has_more = len(claims) == free
                if not free or len(claims) < free:
                    await self._show_backlog()
                    await self._wait()
                    # What comes close behind is claimed by one transaction.
                    await asyncio.sleep(left_seconds(began, len(claims)))
            if self._working:
                await asyncio.wait(self._working)
        finally:
            for task in self._working:
                task.cancel()
            self._recorder.cancel()

    async def work(self, claim: Claim) -> None:
        """Do what one payment needs now, as far as the provider answers."""
        payment = claim.payment
        try:
            fact = await self._turn_to_provider(payment)
        except ProviderError as error:
            logger.info("payment %s is looked at again: %s", payment.payment_id, error)
            await self._postpone(payment, is_unknown=error.is_unknown)
            return
        await self._record(claim, fact)

    async def _turn_to_provider(self, payment: Payment) -> Fact | None:
        match payment.state:
            case State.OPEN:
                return await self._take(payment)
            case State.CANCELLING:
                return rules.standing(await self._provider.close(payment))
            case State.REFUNDING:
                return await self._give_back(payment)
            case _:
                # Settled, and yet somebody had a doubt.
                return rules.standing(await self._provider.find(payment))

    async def _take(self, payment: Payment) -> Fact:
        # The first attempt has nothing to ask about; every later one may follow a call that was carried out.
        fact = rules.standing(await self._provider.find(payment)) if payment.attempts > 1 else None
        if fact is None:
            fact = await self._provider.authorise(payment)
            await failpoints.reach("payment.authorised")
        if fact.status == "authorised":
            fact = await self._provider.capture(payment, fact.provider_id)
            await failpoints.reach("payment.captured")
        return fact

    async def _give_back(self, payment: Payment) -> Fact | None:
        fact = rules.standing(await self._provider.find(payment))
        if fact is not None and fact.status == "captured":
            fact = await self._provider.refund(payment, fact.provider_id)
            await failpoints.reach("payment.refunded")
        return fact

    async def _record(self, claim: Claim, fact: Fact | None) -> None:
        change = await self._recorder.record(claim, fact)
        self._metrics.count([change])
        if change.is_new and change.is_work:
            self.wake()
        await failpoints.reach("payment.concluded")

    async def _leave(self, connection: Connection, payment: Payment, fact: Fact | None) -> None:
        """Nothing new: settled payments stay so, others are looked at again."""
        if payment.state not in rules.WORKING:
            await tables.settle(connection, payment)
            return
        logger.warning("payment %s is %s, the provider says %s", payment.payment_id, payment.state, fact)
        pause_seconds = _pause_seconds(payment.attempts)
        await tables.postpone(connection, payment, pause_seconds=pause_seconds, is_unknown=False)

    async def _postpone(self, payment: Payment, *, is_unknown: bool) -> None:
        async with self._database.transaction() as connection:
            await tables.postpone(
                connection, payment, pause_seconds=_pause_seconds(payment.attempts), is_unknown=is_unknown
            )

    async def _claim(self, limit: int) -> list[Claim]:
        try:
            async with self._database.transaction() as connection:
                claims = await tables.claim(connection, limit=limit, lease_seconds=self._pace.lease_seconds)
        except DatabaseError as error:
            logger.warning("no payment was claimed: %s", error)
            return []
        if claims:
            await failpoints.reach("payment.claimed")
        return claims

    def _start(self, claim: Claim) -> None:
        task = asyncio.create_task(self._guarded(claim))
        self._working.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        if self._has_more:
            self.wake()

    async def _guarded(self, claim: Claim) -> None:
        """A payment that cannot be worked on stays claimed until its lease ends; the others go on."""
        try:
            await self.work(claim)
        except DatabaseError as error:
            logger.warning("payment %s is looked at again: %s", claim.payment.payment_id, error)
        except Exception:
            logger.exception("payment %s is looked at again", claim.payment.payment_id)

    async def _show_backlog(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._next_backlog:
            return
        self._next_backlog = now + _BACKLOG_SECONDS
        try:
            async with self._database.connection() as connection:
                self._metrics.show(await tables.backlog(connection))
        except DatabaseError:
            self._metrics.show(None)

    async def _wait(self) -> None:
        try:
            await asyncio.wait_for(self._wanted.wait(), self._pace.idle_seconds)
        except TimeoutError:
            return


def _pause_seconds(attempts: int) -> float:
    doublings = min(max(attempts - 1, 0), _MAX_DOUBLINGS)
    longest = min(_FIRST_PAUSE_SECONDS * 2.0**doublings, _LONGEST_PAUSE_SECONDS)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads the workers, no secret
