"""Writes changes of payments and tells the orders.

One in the caller's transaction, or what the provider answered to many workers at once in one of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from mambogo_chassis import failpoints
from mambogo_chassis.database import (
    Connection,
    Database,
    DatabaseUnavailableError,
    PoolExhaustedError,
    pipelined,
)
from mambogo_chassis.events import Outbox
from mambogo_chassis.pacing import left_seconds

from mambogo_payment.adapters import tables
from mambogo_payment.adapters.events import told
from mambogo_payment.adapters.tables import Claim
from mambogo_payment.domain import payment as rules
from mambogo_payment.domain.payment import Change, Fact, Payment

# What one transaction writes: far below its bound of 5 s.
_MOST: Final = 50


async def record(
    connection: Connection, outbox: Outbox, change: Change, *, traceparent: str | None = None
) -> None:
    """Nothing is written for what changes nothing; the order is told all the same, if it is to be."""
    async with pipelined(connection):
        if change.is_new:
            await tables.write(connection, change.payment, is_due=change.is_work)
        for what in change.told:
            await outbox.append(
                connection,
                told(change.payment, what),
                subject=str(change.payment.order_id),
                traceparent=traceparent,
            )


# What is to be done, in the transaction, with a payment that an answer did not change.
Leave = Callable[[Connection, Payment, Fact | None], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Answer:
    claim: Claim
    fact: Fact | None
    change: asyncio.Future[Change]


class Recorder:
    """Writes what the provider answered; answers that come close together share a transaction.

    A payment alone is written at once. Where a transaction fails, its answers are written one by one, so that
    none suffers from another.
    """

    def __init__(self, database: Database, outbox: Outbox, *, leave: Leave) -> None:
        self._database = database
        self._outbox = outbox
        self._leave = leave
        self._waiting: list[_Answer] = []
        self._began = 0.0
        self._writing: asyncio.Task[None] | None = None

    async def record(self, claim: Claim, fact: Fact | None) -> Change:
        """What the answer changed, once it is committed; raises as `Database.transaction` does."""
        change: asyncio.Future[Change] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Answer(claim, fact, change))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_waiting())
        return await change

    def cancel(self) -> None:
        """Give up what is not written; its leases end, and the provider is asked."""
        if self._writing is not None:
            self._writing.cancel()

    async def _write_waiting(self) -> None:
        while self._waiting:
            await asyncio.sleep(left_seconds(self._began, 0))
            self._began = time.monotonic()
            answers, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
            await self._write_apart(answers)

    async def _write_apart(self, answers: Sequence[_Answer]) -> None:
        try:
            changes = await self._write(answers)
        except (DatabaseUnavailableError, PoolExhaustedError) as error:
            # Nobody's fault, and it would only take as long for each of them again.
            _fail(answers, error)
            return
        except Exception as error:  # whatever it is: alone, each finds out whose fault it is
            if len(answers) == 1:
                _fail(answers, error)
                return
            for answer in answers:
                await self._write_apart([answer])
            return
        for answer, change in zip(answers, changes, strict=True):
            # Nobody waits any more for one whose worker was cancelled.
            if not answer.change.done():
                answer.change.set_result(change)

    async def _write(self, answers: Sequence[_Answer]) -> list[Change]:
        changes = []
        async with self._database.transaction() as connection:
            payments = await tables.lock(connection, (answer.claim.payment.order_id for answer in answers))
            async with pipelined(connection):
                for answer in answers:
                    payment = payments[answer.claim.payment.order_id]  # payments are never deleted
                    change = rules.learnt(payment, answer.fact, uuid4())
                    await record(connection, self._outbox, change, traceparent=answer.claim.traceparent)
                    if not change.is_new:
                        await self._leave(connection, payment, answer.fact)
                    payments[payment.order_id] = change.payment
                    changes.append(change)
            await failpoints.reach("payment.recorded")
        return changes


def _fail(answers: Sequence[_Answer], error: Exception) -> None:
    for answer in answers:
        if not answer.change.done():
            answer.change.set_exception(error)
