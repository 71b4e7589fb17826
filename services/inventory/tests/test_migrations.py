"""What the tables themselves refuse, and that every revision is harmless to a running version."""

from __future__ import annotations

import psycopg
import pytest
from mambogo_chassis.database import Database
from mambogo_chassis.database.linting import lint
from mambogo_chassis.database.migrate import Migrations
from mambogo_testkit.serving import rows

from support.data import MIGRATIONS, stocked


def test_no_revision_locks_or_breaks_what_runs() -> None:
    assert lint(Migrations(MIGRATIONS)) == []


@pytest.mark.parametrize(
    "change",
    [
        "on_hand = -1, initial = -1",
        "on_hand = on_hand - 1",
        "reserved = reserved + 1",
        "sold = -1, on_hand = on_hand + 1",
    ],
)
async def test_the_table_refuses_numbers_that_do_not_add_up(database: Database, change: str) -> None:
    await stocked(database, 1)
    with pytest.raises(psycopg.errors.CheckViolation):
        await rows(database, f"UPDATE stock SET {change} RETURNING 1")  # noqa: S608 - the list above


@pytest.mark.parametrize(
    "change",
    ["UPDATE movement SET on_hand = 0 RETURNING 1", "DELETE FROM movement RETURNING 1", "TRUNCATE movement"],
)
async def test_the_ledger_is_append_only(database: Database, change: str) -> None:
    await stocked(database, 1)
    with pytest.raises(psycopg.errors.RestrictViolation):
        await rows(database, change)
