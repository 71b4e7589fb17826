"""The tables guard themselves: what the state machine forbids, the database refuses too."""

from __future__ import annotations

import itertools
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from mambogo_chassis.database.linting import lint
from mambogo_chassis.database.migrate import Migrations
from mambogo_order.domain.model import ENDED, State
from mambogo_order.domain.moving import TRANSITIONS
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase

MIGRATIONS = Path(__file__).parents[2] / "migrations"
PATHS = {
    State.PENDING: [],
    State.RESERVED: [State.RESERVED],
    State.CONFIRMED: [State.RESERVED, State.CONFIRMED],
    State.REJECTED: [State.REJECTED],
    State.CANCELLED: [State.CANCELLED],
}


def place(connection: psycopg.Connection) -> None:
    connection.execute(
        "INSERT INTO orders (order_id, user_id, state, sequence, currency, total_minor, sweep_at)"
        " VALUES (gen_random_uuid(), 'alice', 'PENDING', 1, 'EUR', 100, now())"
    )


def move(connection: psycopg.Connection, to: State) -> None:
    waits = to in (State.PENDING, State.RESERVED)
    connection.execute(
        "UPDATE orders SET state = %s, sequence = sequence + 1, reason = %s, payment_id = gen_random_uuid(),"
        " sweep_at = CASE WHEN %s THEN now() END",
        (to.value, "by-user" if to in ENDED else None, waits),
    )


def test_the_database_allows_the_state_machines_moves_and_no_others(
    postgres_database: FreshDatabase,
) -> None:
    allowed = set()
    with psycopg.connect(postgres_database.dsn) as connection:
        for before, to in itertools.permutations(State, 2):
            connection.rollback()
            place(connection)
            for step in PATHS[before]:
                move(connection, step)
            with suppress(psycopg.errors.CheckViolation):
                move(connection, to)
                allowed.add((before, to))
    assert allowed == TRANSITIONS


FORBIDDEN = (
    b"UPDATE orders SET sequence = sequence + 2",
    b"UPDATE orders SET sequence = sequence - 1",
    b"UPDATE orders SET total_minor = 1",
    b"UPDATE orders SET currency = 'USD'",
    b"UPDATE orders SET user_id = 'bob'",
    b"UPDATE orders SET placed_at = now() - interval '1 day'",
    b"UPDATE orders SET state = 'RESERVED'",
    b"UPDATE orders SET sweep_at = NULL",
)


@pytest.mark.parametrize("change", FORBIDDEN)
def test_what_was_ordered_and_the_sequence_are_guarded(
    postgres_database: FreshDatabase, change: bytes
) -> None:
    with psycopg.connect(postgres_database.dsn) as connection:
        place(connection)
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(change)


def test_an_order_cannot_begin_anywhere_but_at_the_beginning(postgres_database: FreshDatabase) -> None:
    with (
        psycopg.connect(postgres_database.dsn) as connection,
        pytest.raises(psycopg.errors.CheckViolation),
    ):
        connection.execute(
            "INSERT INTO orders (order_id, user_id, state, sequence, currency, total_minor, payment_id)"
            " VALUES (gen_random_uuid(), 'alice', 'CONFIRMED', 1, 'EUR', 100, gen_random_uuid())"
        )


def test_no_move_goes_without_its_history(postgres_database: FreshDatabase) -> None:
    with psycopg.connect(postgres_database.dsn) as connection:
        place(connection)
        move(connection, State.RESERVED)
        rows = connection.execute("SELECT sequence, state FROM order_history ORDER BY sequence").fetchall()
    assert rows == [(1, "PENDING"), (2, "RESERVED")]


def test_the_migrations_keep_the_rules_of_their_phase() -> None:
    assert lint(Migrations(MIGRATIONS)) == []
