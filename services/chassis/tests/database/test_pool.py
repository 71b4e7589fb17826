"""The pool against a real PostgreSQL that is absent, dies, hangs and comes back."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.dependencies.postgres import PostgresServer
from mambogo_testkit.proxy import FaultProxy
from prometheus_client import CollectorRegistry

from mambogo_chassis.database import (
    Database,
    DatabaseContentionError,
    DatabaseError,
    DatabaseTimeoutError,
    DatabaseUnavailableError,
    Ends,
    PoolExhaustedError,
    pipelined,
)
from mambogo_chassis.database.errors import TransactionAbortedError
from support.data import end_sessions, eventually, opened, scalar

# What any bounded wait below may take at most, however loaded the machine: far from for ever.
BOUND_SECONDS = 20.0


async def test_a_transaction_commits_when_its_block_ends(postgres_database: FreshDatabase) -> None:
    async with opened(postgres_database) as database:
        async with database.transaction() as connection:
            await connection.execute("CREATE TABLE t AS SELECT 1 AS n")
        assert await scalar(database, "SELECT n FROM t") == 1


async def test_a_transaction_rolls_back_when_its_block_raises(postgres_database: FreshDatabase) -> None:
    async with opened(postgres_database) as database:

        async def fail() -> None:
            async with database.transaction() as connection:
                await connection.execute("CREATE TABLE t (n int)")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        assert await scalar(database, "SELECT to_regclass('t')") is None


async def test_a_cancelled_transaction_leaves_nothing_and_gives_its_connection_back(
    postgres_database: FreshDatabase,
) -> None:
    async with opened(postgres_database, db_pool_max=1) as database:

        async def slow() -> None:
            async with database.transaction() as connection:
                await connection.execute("CREATE TABLE t (n int)")
                await connection.execute("SELECT pg_sleep(3)")

        task = asyncio.create_task(slow())
        await eventually("the transaction to run", lambda: _is_sleeping(postgres_database))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await scalar(database, "SELECT to_regclass('t')") is None


async def test_a_swallowed_error_is_not_taken_for_a_commit(postgres_database: FreshDatabase) -> None:
    async with opened(postgres_database) as database:

        async def swallow() -> None:
            async with database.transaction() as connection:
                with suppress(psycopg.errors.UndefinedTable):
                    await connection.execute("SELECT * FROM missing")

        with pytest.raises(TransactionAbortedError):
            await swallow()


async def test_errors_of_the_sql_itself_pass_through(postgres_database: FreshDatabase) -> None:
    async with opened(postgres_database) as database:
        with pytest.raises(psycopg.errors.UndefinedTable):
            async with database.transaction() as connection:
                await connection.execute("SELECT * FROM missing")


async def test_an_exhausted_pool_turns_callers_away_in_bounded_time(postgres_database: FreshDatabase) -> None:
    async with opened(postgres_database, db_pool_max=1, db_pool_wait_seconds=0.2) as database:
        await eventually("a first connection", lambda: _answers(database))
        async with database.transaction():
            with pytest.raises(PoolExhaustedError) as caught:
                async with database.transaction():
                    pass
        assert (caught.value.http_status, caught.value.retry_after_seconds) == (503, 1)


async def test_the_queue_for_a_connection_is_bounded(postgres_database: FreshDatabase) -> None:
    async with opened(postgres_database, db_pool_max=1, db_pool_wait_seconds=5, db_pool_queue=2) as database:
        # With the connection there: while it is being made, its first user waits in the queue, too.
        assert await scalar(database, "SELECT 1") == 1
        release = asyncio.Event()

        async def use() -> str:
            try:
                async with database.transaction():
                    await release.wait()
            except PoolExhaustedError:
                return "turned away"
            return "served"

        tasks = [asyncio.create_task(use()) for _ in range(10)]
        await eventually("seven to be turned away", lambda: _are_done(tasks, 7))
        release.set()
        assert sorted(await asyncio.gather(*tasks)) == ["served"] * 3 + ["turned away"] * 7


async def test_callers_that_gave_up_do_not_keep_the_queue_full(postgres_database: FreshDatabase) -> None:
    with FaultProxy(postgres_database.host, postgres_database.port) as proxy:
        bounds: dict[str, Any] = {"db_pool_wait_seconds": 0.1, "db_pool_queue": 3}
        async with opened(postgres_database, db_host=proxy.host, db_port=proxy.port, **bounds) as database:
            with proxy.refuse():
                for _ in range(20):
                    with pytest.raises(DatabaseUnavailableError):
                        await scalar(database, "SELECT 1")
            await eventually("the database to answer", lambda: _answers(database))


async def test_a_hundred_concurrent_first_requests_are_all_served(postgres_database: FreshDatabase) -> None:
    async with opened(postgres_database, db_pool_wait_seconds=20, db_pool_queue=200) as database:
        answers = await asyncio.gather(*(scalar(database, "SELECT %s::int", n) for n in range(100)))
        assert answers == list(range(100))


async def test_a_lock_wait_is_bounded_and_typed(postgres_database: FreshDatabase) -> None:
    async with opened(postgres_database, db_lock_timeout_seconds=0.1) as database:
        lock = "SELECT pg_advisory_xact_lock(1)"
        async with database.transaction() as first:
            await first.execute(lock)
            with pytest.raises(DatabaseContentionError):
                await scalar(database, lock)


async def test_a_long_statement_is_ended_by_the_server(postgres_database: FreshDatabase) -> None:
    async with opened(postgres_database, db_statement_timeout_seconds=0.1) as database:
        with pytest.raises(DatabaseContentionError):
            await scalar(database, "SELECT pg_sleep(30)")


async def test_a_long_transaction_is_cut_by_the_client(postgres_database: FreshDatabase) -> None:
    async with opened(postgres_database) as database:
        with pytest.raises(DatabaseTimeoutError):
            async with database.transaction(timeout_seconds=0.2) as connection:
                await connection.execute("SELECT pg_sleep(3)")
        assert await scalar(database, "SELECT 1") == 1


async def test_an_idle_connection_that_died_is_replaced_unseen(postgres_database: FreshDatabase) -> None:
    async with opened(postgres_database, db_pool_max=3) as database:
        await _fill(database, 3)
        end_sessions(postgres_database)
        async with database.transaction() as connection:
            await connection.execute("SELECT 1")


async def test_a_read_asks_another_connection_where_its_own_had_died(
    postgres_database: FreshDatabase,
) -> None:
    async with opened(postgres_database, db_pool_max=3) as database:
        await _fill(database, 3)
        end_sessions(postgres_database)
        assert await database.read("SELECT %s::int", (7,)) == [(7,)]


async def test_a_read_that_the_sql_itself_forbids_is_not_repeated(postgres_database: FreshDatabase) -> None:
    async with opened(postgres_database) as database:
        with pytest.raises(psycopg.errors.UndefinedTable):
            await database.read("SELECT 1 FROM nowhere")
        assert await database.read("SELECT 1") == [(1,)]


async def test_statements_travel_with_begin_and_commit(postgres_database: FreshDatabase) -> None:
    async with opened(postgres_database) as database:
        await _make_table(database)
        ends = Ends(first=("INSERT INTO t VALUES (%s) RETURNING id", (1,)))
        async with database.transaction(ends=ends) as connection:
            assert ends.rows == [(1,)]
            await connection.execute("INSERT INTO t VALUES (2)")
            ends.last = ("UPDATE t SET id = id + %s", (10,))
        assert await database.read("SELECT id FROM t ORDER BY id") == [(11,), (12,)]


async def test_a_pipeline_inside_a_pipeline_is_part_of_it(postgres_database: FreshDatabase) -> None:
    async with opened(postgres_database) as database, database.transaction() as connection:
        async with pipelined(connection):
            async with pipelined(connection):
                slow = await connection.execute("SELECT pg_sleep(0.3)")
                after = await connection.execute("SELECT 7")
            # Nobody has waited at the inner block's end.
            assert slow.pgresult is None
        assert await after.fetchone() == (7,)


async def test_what_fails_in_a_pipeline_undoes_everything(postgres_database: FreshDatabase) -> None:
    async with opened(postgres_database) as database:
        await _make_table(database)

        async def twice() -> None:
            async with database.transaction() as connection, pipelined(connection):
                for _ in range(2):
                    await connection.execute("INSERT INTO t VALUES (1)")

        with pytest.raises(psycopg.errors.UniqueViolation):
            await twice()
        assert await database.read("SELECT id FROM t") == []


async def test_a_last_statement_that_fails_undoes_everything(postgres_database: FreshDatabase) -> None:
    async with opened(postgres_database) as database:
        await _make_table(database)
        ends = Ends(first=("INSERT INTO t VALUES (1) RETURNING id", ()))
        with pytest.raises(psycopg.errors.UniqueViolation):
            async with database.transaction(ends=ends):
                ends.last = ("INSERT INTO t VALUES (1)", ())
        assert await database.read("SELECT id FROM t") == []


async def test_a_first_statement_that_fails_begins_nothing(postgres_database: FreshDatabase) -> None:
    async with opened(postgres_database, db_pool_max=1) as database:
        await _make_table(database)
        ends = Ends(first=("SELECT 1 / %s", (0,)))
        with pytest.raises(psycopg.errors.DivisionByZero):
            async with database.transaction(ends=ends):
                pytest.fail("the block was entered")
        # The only connection is good for the next.
        assert await database.read("SELECT id FROM t") == []


async def test_a_first_statement_finds_another_connection_where_its_own_had_died(
    postgres_database: FreshDatabase,
) -> None:
    async with opened(postgres_database, db_pool_max=3) as database:
        await _fill(database, 3)
        end_sessions(postgres_database)
        ends = Ends(first=("SELECT 7", ()))
        async with database.transaction(ends=ends):
            assert ends.rows == [(7,)]


async def test_a_connection_that_dies_in_a_transaction_is_typed(postgres_database: FreshDatabase) -> None:
    async with opened(postgres_database) as database:

        async def work() -> None:
            async with database.transaction() as connection:
                await connection.execute("SELECT 1")
                end_sessions(postgres_database)
                await connection.execute("SELECT 1")

        with pytest.raises(DatabaseUnavailableError) as caught:
            await work()
        assert not caught.value.outcome_unknown


async def test_a_connection_that_dies_before_commit_leaves_the_outcome_unknown(
    postgres_database: FreshDatabase,
) -> None:
    async with opened(postgres_database) as database:

        async def work() -> None:
            async with database.transaction() as connection:
                await connection.execute("SELECT 1")
                end_sessions(postgres_database)

        with pytest.raises(DatabaseUnavailableError) as caught:
            await work()
        assert caught.value.outcome_unknown


async def test_no_database_at_start_is_a_bounded_wait_then_recovery(own_postgres: PostgresServer) -> None:
    with own_postgres.database() as test_database:
        own_postgres.stop()
        async with opened(test_database, db_pool_wait_seconds=0.2) as database:
            with pytest.raises(DatabaseUnavailableError):
                await scalar(database, "SELECT 1")
            assert not (await database.ping()).up
            own_postgres.start()
            await eventually("the database to answer", lambda: _answers(database))


async def test_a_killed_database_that_returns_is_used_again(own_postgres: PostgresServer) -> None:
    with own_postgres.database() as test_database:
        async with opened(test_database, db_pool_wait_seconds=0.2) as database:
            await _fill(database, 3)
            own_postgres.kill()
            with pytest.raises(DatabaseUnavailableError):
                await scalar(database, "SELECT 1")
            own_postgres.start()
            await eventually("the database to answer", lambda: _answers(database))


async def test_a_frozen_database_never_hangs_a_caller(own_postgres: PostgresServer) -> None:
    with own_postgres.database() as test_database:
        async with opened(
            test_database, db_pool_wait_seconds=0.3, db_transaction_timeout_seconds=0.5, db_pool_max=2
        ) as database:
            await _fill(database, 2)
            own_postgres.pause()
            try:
                started = time.monotonic()
                outcomes = await asyncio.gather(
                    *(scalar(database, "SELECT 1") for _ in range(20)), return_exceptions=True
                )
                health = await database.ping()
                elapsed = time.monotonic() - started
            finally:
                own_postgres.unpause()
            assert all(isinstance(outcome, DatabaseError) for outcome in outcomes)
            assert not health.up
            assert elapsed < BOUND_SECONDS
            await eventually("the database to answer", lambda: _answers(database))


async def test_a_database_frozen_in_mid_transaction_is_typed(own_postgres: PostgresServer) -> None:
    with own_postgres.database() as test_database:
        async with opened(test_database, db_transaction_timeout_seconds=0.5) as database:

            async def work() -> None:
                async with database.transaction() as connection:
                    await connection.execute("SELECT 1")
                    own_postgres.pause()
                    await connection.execute("SELECT 1")

            try:
                with pytest.raises(DatabaseTimeoutError):
                    await work()
            finally:
                own_postgres.unpause()
            await eventually("the database to answer", lambda: _answers(database))


async def test_a_wrong_password_is_named_in_the_error(postgres_database: FreshDatabase) -> None:
    wrong = FreshDatabase(
        postgres_database.name, postgres_database.host, postgres_database.port, postgres_database.user, "no"
    )
    async with opened(wrong, db_pool_wait_seconds=0.5) as database:

        async def is_named() -> bool:
            health = await database.ping()
            assert not health.up
            return "password authentication failed" in health.detail

        await eventually("the reason", is_named)


async def test_a_busy_pool_counts_as_healthy(postgres_database: FreshDatabase) -> None:
    async with opened(postgres_database, db_pool_max=1, db_pool_wait_seconds=0.1) as database:
        await eventually("a first connection", lambda: _answers(database))
        async with database.transaction():
            assert (await database.ping()).up


async def test_the_gauges_show_what_the_pool_does(postgres_database: FreshDatabase) -> None:
    registry = CollectorRegistry()
    labels = {"pool": "chassis-tests"}
    settings: dict[str, Any] = {"db_pool_max": 1, "db_pool_wait_seconds": 0.1}
    async with opened(postgres_database, registry=registry, **settings) as database:
        await eventually("a first connection", lambda: _answers(database))
        before = registry.get_sample_value("db_pool_exhausted_total", labels) or 0
        async with database.transaction():
            with pytest.raises(PoolExhaustedError):
                await scalar(database, "SELECT 1")
            assert registry.get_sample_value("db_pool_connections", labels | {"state": "in_use"}) == 1
            assert registry.get_sample_value("db_pool_connections_max", labels) == 1
            assert registry.get_sample_value("db_pool_exhausted_total", labels) == before + 1
    assert registry.get_sample_value("db_pool_connections_max", {"pool": "chassis-tests"}) is None


async def _fill(database: Database, connections: int) -> None:
    """Have `connections` idle connections in the pool."""
    await eventually("the pool to grow", lambda: _is_filled(database, connections))


async def _is_filled(database: Database, connections: int) -> bool:
    barrier = asyncio.Barrier(connections)

    async def use() -> None:
        async with database.transaction(timeout_seconds=20):
            await barrier.wait()

    try:
        # A group, because one that gets no connection must not leave the others at their barrier.
        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(use())
    except* DatabaseError:
        pass
    else:
        return True
    return False


async def _answers(database: Database) -> bool:
    return (await database.ping()).up


async def _are_done(tasks: list[asyncio.Task[str]], number: int) -> bool:
    return sum(task.done() for task in tasks) >= number


async def _is_sleeping(database: FreshDatabase) -> bool:
    with psycopg.connect(database.dsn) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE query LIKE '%pg_sleep(3)%' AND state = 'active' AND pid != pg_backend_pid()"
        ).fetchone()
        return bool(row and row[0])


async def _make_table(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("CREATE TABLE t (id int UNIQUE)")
