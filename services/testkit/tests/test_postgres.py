"""PostgreSQL: each test has a database of its own, with its owner's rights."""

from __future__ import annotations

import secrets

import psycopg
import pytest

from mambogo_testkit import Database, PostgresServer


@pytest.mark.parametrize("number", range(2))
def test_each_test_gets_an_empty_database(postgres_database: Database, number: int) -> None:
    with psycopg.connect(postgres_database.dsn) as connection:
        connection.execute("CREATE TABLE orders (id int)")  # the second test would find the first one's
        connection.execute("INSERT INTO orders VALUES (%s)", (number,))


def test_the_owner_is_no_superuser(postgres_database: Database) -> None:
    with psycopg.connect(postgres_database.dsn) as connection:
        row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    assert row == (False,)


def test_a_database_is_gone_after_its_test(postgres_server: PostgresServer) -> None:
    with postgres_server.database() as database:
        name = database.name
    with psycopg.connect(postgres_server.maintenance().dsn) as connection:
        assert connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None


def test_a_template_is_prepared_once_and_its_copies_belong_to_their_owner(
    postgres_server: PostgresServer,
) -> None:
    calls = []

    def migrate(database: Database) -> None:
        calls.append(database.name)
        with psycopg.connect(database.dsn) as connection:
            connection.execute("CREATE TABLE carts (id int)")

    key = secrets.token_hex(4)  # a kept server may have seen this test before
    first = postgres_server.template(key, migrate)
    second = postgres_server.template(key, migrate)
    with postgres_server.database(second) as database, psycopg.connect(database.dsn) as connection:
        connection.execute("ALTER TABLE carts ADD COLUMN note text")

    assert (first, len(calls)) == (second, 1)


def test_a_template_whose_preparation_failed_is_made_anew(postgres_server: PostgresServer) -> None:
    def fail(_: Database) -> None:
        raise ValueError("bad migration")

    key = secrets.token_hex(4)
    with pytest.raises(ValueError, match="bad migration"):
        postgres_server.template(key, fail)
    name = postgres_server.template(key, lambda _: None)

    with postgres_server.database(name) as database, psycopg.connect(database.dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_committed_rows_survive_a_kill_of_the_server(own_postgres: PostgresServer) -> None:
    with own_postgres.database() as database:
        with psycopg.connect(database.dsn) as connection:
            connection.execute("CREATE TABLE orders AS SELECT 1 AS id")
        own_postgres.kill()
        own_postgres.start()
        with psycopg.connect(database.dsn) as connection:
            assert connection.execute("SELECT id FROM orders").fetchone() == (1,)
