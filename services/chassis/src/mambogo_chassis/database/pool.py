"""A bounded pool of connections, and transactions that cannot hang.

What psycopg's pool leaves open is closed here: a dead idle connection is replaced before the caller sees it
(BEGIN is the probe, so it costs no round trip of its own), a server that holds its sockets open but no longer
answers is cut off by the client (the server's timeouts do not run while it is frozen), and a pool that was
without its database for an hour reconnects within seconds of its return. SQL, retries of whole transactions
and HTTP answers are the callers'.

Callers may catch `database.errors.DatabaseError`; anything else that leaves a transaction is their own.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar

import psycopg
from prometheus_client import REGISTRY, CollectorRegistry
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from mambogo_chassis.database.errors import (
    DatabaseError,
    DatabaseTimeoutError,
    DatabaseUnavailableError,
    PoolExhaustedError,
    TransactionAbortedError,
    translate,
)
from mambogo_chassis.database.metrics import PoolCollector, PoolReading
from mambogo_chassis.database.settings import DatabaseSettings

Connection: TypeAlias = psycopg.AsyncConnection[TupleRow]
Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any]
T = TypeVar("T")

# psycopg's pool doubles the pause between attempts without a cap until this long has passed, then starts
# afresh at the next request. Its default of 5 min can leave 2 min of silence after the database is back.
_RECONNECT_ROUND_SECONDS: Final = 2.0
# An idle connection beyond `min` is given back after this long; arbitrary, shorter than NAT timeouts.
_MAX_IDLE_SECONDS: Final = 120.0
_CLOSE_TIMEOUT_SECONDS: Final = 2.0


@dataclass(slots=True)
class Ends:
    """Statements that travel with BEGIN and COMMIT, and so cost no round trip of their own.

    `rows` is what `first` returned, and None until then; `last` may be set while the transaction runs.
    """

    first: tuple[str, Parameters]
    last: tuple[str, Parameters] | None = None
    rows: list[TupleRow] | None = field(default=None, init=False)


@dataclass(frozen=True, slots=True)
class DatabaseHealth:
    """What a probe saw; `detail` is for operators and holds no credential."""

    up: bool
    detail: str
    milliseconds: float


@asynccontextmanager
async def pipelined(connection: Connection) -> AsyncIterator[None]:
    """Statements of the block that read nothing back travel together; errors show at its end at the latest.

    Inside of another such block it is part of that one: psycopg's own would wait for the server at both ends.
    """
    # A number, and no member, where psycopg is compiled.
    if connection.pgconn.pipeline_status != psycopg.pq.PipelineStatus.OFF:
        yield
        return
    async with connection.pipeline():
        yield


def conninfo(settings: DatabaseSettings, *, application_name: str) -> str:
    """The libpq connection string, server-side bounds included (no round trip is spent on SET)."""
    bounds = {
        "lock_timeout": settings.db_lock_timeout_seconds,
        "statement_timeout": settings.db_statement_timeout_seconds,
        "idle_in_transaction_session_timeout": settings.db_idle_in_transaction_seconds,
    }
    return make_conninfo(
        host=settings.db_host,
        port=settings.db_port,
        dbname=settings.db_name,
        user=settings.db_user,
        password=settings.db_password.get_secret_value(),
        connect_timeout=settings.db_connect_timeout_seconds,
        application_name=application_name,
        options=" ".join(f"-c {name}={int(seconds * 1000)}" for name, seconds in bounds.items()),
        # A peer that vanished without a FIN is noticed in about 8 s instead of the kernel's 2 h.
        keepalives_idle=5,
        keepalives_interval=1,
        keepalives_count=3,
    )


class Database:
    """One database of a service. Open it once; it needs no help to outlive the server's absences."""

    def __init__(
        self,
        settings: DatabaseSettings,
        *,
        application_name: str,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self._settings = settings
        self._last_connect_error = ""
        self._in_use = 0
        self._exhausted_total = 0
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            conninfo(settings, application_name=application_name),
            connection_class=self._connection_class(),
            kwargs={"autocommit": True},
            min_size=settings.db_pool_min,
            max_size=max(settings.db_pool_max, settings.db_pool_min),
            timeout=settings.db_pool_wait_seconds,
            max_waiting=settings.db_pool_queue,
            max_idle=_MAX_IDLE_SECONDS,
            reconnect_timeout=_RECONNECT_ROUND_SECONDS,
            open=False,
            name=application_name,
        )
        self._registry = registry
        self._collector = PoolCollector(application_name, self._read)

    async def open(self) -> None:
        """Start connecting in the background; returns at once, whether or not the database is there."""
        await self._pool.open(wait=False)
        self._registry.register(self._collector)

    async def close(self) -> None:
        """Close every connection; waits at most 2 s for those in use."""
        with suppress(KeyError):
            self._registry.unregister(self._collector)
        await self._pool.close(timeout=_CLOSE_TIMEOUT_SECONDS)

    @asynccontextmanager
    async def transaction(
        self, *, timeout_seconds: float | None = None, ends: Ends | None = None
    ) -> AsyncIterator[Connection]:
        """A transaction: committed when the block ends, rolled back when it raises.

        It lasts at most `timeout_seconds` (default: the setting), the wait for a connection not included;
        after that its connection is cut and whatever statement runs fails. Nest by
        `connection.transaction()`.

        Raises PoolExhaustedError, DatabaseUnavailableError, DatabaseTimeoutError, DatabaseContentionError.
        """
        connection = await self._begin(ends)
        committing = False
        try:
            with self._watch(connection, timeout_seconds) as watch:
                try:
                    yield connection
                    _refuse_aborted(connection)
                    committing = True
                    await _commit(connection, ends)
                except psycopg.Error as error:
                    watch.raise_typed(error, committing=committing)
                    raise
                finally:
                    await _roll_back(connection)
        finally:
            await self._give_back(connection)

    @asynccontextmanager
    async def connection(self, *, timeout_seconds: float | None = None) -> AsyncIterator[Connection]:
        """A connection in autocommit, for a single statement (no BEGIN and COMMIT around it).

        A connection that died while idle shows here, unlike in `transaction`. Raises as `transaction` does.
        """
        connection = await self._take(self._settings.db_pool_wait_seconds)
        try:
            with self._watch(connection, timeout_seconds) as watch:
                try:
                    yield connection
                except psycopg.Error as error:
                    watch.raise_typed(error, committing=False)
                    raise
        finally:
            await self._give_back(connection)

    async def read(self, query: str, parameters: Parameters = ()) -> list[TupleRow]:
        """All rows of one statement that changes nothing, in one round trip.

        On a connection that died while it was idle nothing was read: another one is asked. Raises as
        `transaction` does.
        """

        async def ask(connection: Connection) -> list[TupleRow]:
            return await (await connection.execute(query, parameters)).fetchall()

        connection, rows = await self._first(ask, self._settings.db_transaction_timeout_seconds)
        await self._give_back(connection)
        return rows

    async def ping(self, *, timeout_seconds: float = 1.0) -> DatabaseHealth:
        """One round trip, never raising. A pool that is merely busy counts as up: its database answers."""
        started = time.monotonic()
        try:
            async with self.transaction(timeout_seconds=timeout_seconds) as connection:
                await connection.execute("SELECT 1")
        except PoolExhaustedError as error:
            return DatabaseHealth(up=self._in_use > 0, detail=str(error), milliseconds=_since(started))
        except DatabaseError as error:
            return DatabaseHealth(up=False, detail=str(error), milliseconds=_since(started))
        return DatabaseHealth(up=True, detail="answers", milliseconds=_since(started))

    async def _begin(self, ends: Ends | None) -> Connection:
        async def begin(connection: Connection) -> None:
            if ends is None:
                await connection.execute("BEGIN")
                return
            async with connection.pipeline():
                await connection.execute("BEGIN")
                cursor = await connection.execute(*ends.first)
            ends.rows = await cursor.fetchall()

        # A connection lies dead or it does not: a long wait for BEGIN alone means that the server hangs.
        settings = self._settings
        bound = settings.db_pool_wait_seconds if ends is None else settings.db_transaction_timeout_seconds
        connection, _ = await self._first(begin, bound)
        return connection

    async def _first(
        self, work: Callable[[Connection], Awaitable[T]], timeout_seconds: float
    ) -> tuple[Connection, T]:
        """Take a connection on which `work` was done; those that died while idle are dropped on the way."""
        deadline = time.monotonic() + self._settings.db_pool_wait_seconds
        while True:
            connection = await self._take(deadline - time.monotonic())
            try:
                with self._watch(connection, timeout_seconds) as watch:
                    return connection, await work(connection)
            except psycopg.Error as error:
                await _roll_back(connection)
                await self._give_back(connection)
                if watch.expired or not connection.closed or time.monotonic() >= deadline:
                    watch.raise_typed(error, committing=False)
                    raise
            except BaseException:
                await self._give_back(connection)
                raise

    async def _take(self, wait_seconds: float) -> Connection:
        self._forget_who_gave_up()
        try:
            connection = await self._pool.getconn(timeout=max(wait_seconds, 0.001))
        except TooManyRequests as error:
            raise self._exhausted(f"{self._settings.db_pool_queue} callers wait already") from error
        except PoolTimeout as error:
            raise self._no_connection(wait_seconds) from error
        except PoolClosed as error:
            raise DatabaseUnavailableError("the pool is closed", hint="the service is stopping") from error
        self._in_use += 1
        return connection

    def _forget_who_gave_up(self) -> None:
        """Make room in a full queue.

        psycopg's pool takes out who gave up only when it has a connection to give. Without a database its
        queue fills with them for good; then it turns everybody away, and as only a newcomer in the queue
        would have it connect again, it never notices that the database is back.
        """
        waiting = self._pool._waiting
        if len(waiting) >= self._settings.db_pool_queue:
            for client in [client for client in waiting if client.error is not None]:
                waiting.remove(client)

    async def _give_back(self, connection: Connection) -> None:
        self._in_use -= 1
        await self._pool.putconn(connection)

    def _no_connection(self, wait_seconds: float) -> DatabaseError:
        if self._in_use >= self._pool.max_size:
            return self._exhausted(f"all {self._in_use} connections were busy for {wait_seconds:.1f} s")
        return DatabaseUnavailableError(
            f"no connection within {wait_seconds:.1f} s: {self._last_connect_error or 'no answer'}",
            hint=f"is PostgreSQL reachable at {self._settings.db_host}:{self._settings.db_port}?",
        )

    def _exhausted(self, message: str) -> PoolExhaustedError:
        self._exhausted_total += 1
        return PoolExhaustedError(
            message, hint="shed load, shorten transactions, or raise db.pool-max within the server's limit"
        )

    def _watch(self, connection: Connection, timeout_seconds: float | None) -> _Watch:
        return _Watch(connection, timeout_seconds or self._settings.db_transaction_timeout_seconds)

    def _connection_class(self) -> type[Connection]:
        database = self

        class NotingConnection(psycopg.AsyncConnection[TupleRow]):
            """Remembers why the last attempt to connect failed; the pool itself only logs it."""

            @classmethod
            async def connect(cls, *args: Any, **kwargs: Any) -> Any:  # psycopg's own signature
                try:
                    connection = await super().connect(*args, **kwargs)
                except psycopg.Error as error:
                    database._last_connect_error = str(error).strip().partition("\n")[0]
                    raise
                database._last_connect_error = ""
                return connection

        return NotingConnection

    def _read(self) -> PoolReading:
        stats = self._pool.get_stats()
        return PoolReading(
            idle=stats.get("pool_available", 0),
            in_use=self._in_use,
            maximum=self._pool.max_size,
            waiting=stats.get("requests_waiting", 0),
            exhausted_total=self._exhausted_total,
            wait_seconds_total=stats.get("requests_wait_ms", 0) / 1000,
        )


class _Watch:
    """Cuts a connection's socket at its deadline, so that every wait on it ends, whoever is waiting.

    Cancelling the task would not do: psycopg then asks the server to cancel, and waits up to 10 s for it.
    """

    __slots__ = ("_connection", "_handle", "_timeout_seconds", "expired")

    def __init__(self, connection: Connection, timeout_seconds: float) -> None:
        self._connection = connection
        self._timeout_seconds = timeout_seconds
        self.expired = False
        self._handle: asyncio.TimerHandle | None = None

    def __enter__(self) -> _Watch:
        self._handle = asyncio.get_running_loop().call_later(self._timeout_seconds, self._cut)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def raise_typed(self, error: psycopg.Error, *, committing: bool) -> None:
        """Raise what callers see for `error` where it was weather; return where it is the SQL's own fault."""
        if self.expired:
            raise DatabaseTimeoutError(
                f"not done within {self._timeout_seconds:.1f} s",
                hint="the database hangs, or the transaction is too long",
                outcome_unknown=committing,
            ) from error
        typed = translate(error, connection_lost=self._connection.closed)
        if isinstance(typed, DatabaseUnavailableError):
            typed.outcome_unknown = committing
        if typed is not None:
            raise typed from error

    def _cut(self) -> None:
        self.expired = True
        with (
            suppress(psycopg.Error, OSError),
            socket.socket(fileno=os.dup(self._connection.fileno())) as peer,
        ):
            peer.shutdown(socket.SHUT_RDWR)


def _refuse_aborted(connection: Connection) -> None:
    # PostgreSQL answers COMMIT of a failed transaction with ROLLBACK and no error: the work would be lost
    # unseen.
    if connection.info.transaction_status == psycopg.pq.TransactionStatus.INERROR:
        raise TransactionAbortedError(
            "a statement failed and its error was swallowed; nothing was committed",
            hint="let the error leave the transaction, or put the statement into connection.transaction()",
        )


async def _commit(connection: Connection, ends: Ends | None) -> None:
    if ends is None or ends.last is None:
        await connection.commit()
        return
    # If the statement fails, the server skips COMMIT.
    async with connection.pipeline():
        await connection.execute(*ends.last)
        await connection.execute("COMMIT")


async def _roll_back(connection: Connection) -> None:
    if not connection.closed and connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        # A connection that cannot roll back is broken, and the pool throws it away.
        with suppress(psycopg.Error):
            await connection.rollback()


def _since(started: float) -> float:
    return (time.monotonic() - started) * 1000
