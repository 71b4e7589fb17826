"""What can go wrong between a service and its database, as types a caller may catch.

All of them say "not now" rather than "never": the HTTP layer answers each with `http_status` and a
`Retry-After` of `retry_after_seconds`; a consumer rewinds and tries again. Errors in the SQL itself stay
psycopg's own: they are bugs, not weather.
"""

from __future__ import annotations

from typing import ClassVar

import psycopg
from psycopg import errors as pg

from mambogo_chassis.errors import ChassisError


class DatabaseError(ChassisError):
    """The database could not serve this piece of work now."""

    code = "database"
    http_status: ClassVar[int | None] = 503
    # Long enough for a pool slot to come free or a failed-over address to answer; arbitrary.
    retry_after_seconds: ClassVar[int | None] = 1


class PoolExhaustedError(DatabaseError):
    """Every connection was in use for as long as a caller may wait, or the queue for them was full."""

    code = "database-pool-exhausted"


class DatabaseUnavailableError(DatabaseError):
    """No connection could be had, or the one in use was lost.

    `outcome_unknown` is true when it was lost while COMMIT was on its way: the work may or may not be done.
    """

    code = "database-unavailable"

    def __init__(self, message: str, *, hint: str = "", outcome_unknown: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.outcome_unknown = outcome_unknown


class DatabaseTimeoutError(DatabaseUnavailableError):
    """The work took longer than its bound, and its connection was cut."""

    code = "database-timeout"


class DatabaseContentionError(DatabaseError):
    """A lock, a deadlock, a serialisation conflict or the statement timeout ended the transaction."""

    code = "database-contention"


class TransactionAbortedError(ChassisError):
    """The caller's own mistake: it went on after a statement had failed."""

    code = "database-transaction-aborted"


_CONTENTION = (pg.LockNotAvailable, pg.QueryCanceled, pg.DeadlockDetected, pg.SerializationFailure)
# Server states that pass by themselves: shutting down, starting, failing over, out of connections or disk.
_PASSING = (
    pg.AdminShutdown,
    pg.CrashShutdown,
    pg.CannotConnectNow,
    pg.ReadOnlySqlTransaction,
    pg.InsufficientResources,
    pg.DiskFull,
    pg.TooManyConnections,
    pg.IdleInTransactionSessionTimeout,
)


def translate(error: psycopg.Error, *, connection_lost: bool) -> DatabaseError | None:
    """The typed error for `error`, or None where it is the statement's own fault."""
    if isinstance(error, _CONTENTION):
        return DatabaseContentionError(
            f"the transaction had to give way: {_first_line(error)}",
            hint="try again; if it lasts, look at pg_locks",
        )
    if connection_lost or isinstance(error, _PASSING):
        return DatabaseUnavailableError(
            f"the connection was lost: {_first_line(error)}", hint="the pool reconnects by itself"
        )
    return None


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
