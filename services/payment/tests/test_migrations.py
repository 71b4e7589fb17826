"""What the table itself refuses, and that every revision is harmless to a running version."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest
from mambogo_chassis.database import Database
from mambogo_chassis.database.linting import lint
from mambogo_chassis.database.migrate import Migrations
from mambogo_testkit.serving import rows

from support.data import MIGRATIONS

INSERT = """
INSERT INTO payment (payment_id, order_id, user_id, amount_minor, currency, state)
VALUES (%s, %s, 'anna', %s, %s, %s) RETURNING 1
"""


def test_no_revision_locks_or_breaks_what_runs() -> None:
    assert lint(Migrations(MIGRATIONS)) == []


@pytest.mark.parametrize(
    ("amount", "currency", "state"),
    [
        (0, "EUR", "open"),
        (-1, "EUR", "open"),
        (None, None, "open"),
        (5, "EUR", "lost"),
        (5, "EUR", "refunding"),
    ],
)
async def test_the_table_refuses_impossible_payments(
    database: Database, amount: int | None, currency: str | None, state: str
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        await rows(database, INSERT, uuid4(), uuid4(), amount, currency, state)


async def test_an_order_has_one_payment(database: Database) -> None:
    order = uuid4()
    await rows(database, INSERT, uuid4(), order, 5, "EUR", "open")
    with pytest.raises(psycopg.errors.UniqueViolation):
        await rows(database, INSERT, uuid4(), order, 5, "EUR", "open")
