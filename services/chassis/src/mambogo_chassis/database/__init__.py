"""PostgreSQL: a pool that cannot hang, and migrations that run as a Job.

`Database` is what a service opens at start; `errors` is what it may catch. `migrate` is imported by the
migration Job alone: SQLAlchemy and alembic cost a service process nothing.
"""

from mambogo_chassis.database.errors import (
    DatabaseContentionError,
    DatabaseError,
    DatabaseTimeoutError,
    DatabaseUnavailableError,
    PoolExhaustedError,
)
from mambogo_chassis.database.pool import Connection, Database, DatabaseHealth, Ends, pipelined
from mambogo_chassis.database.settings import DatabaseSettings
from mambogo_chassis.database.wiring import use_database

__all__ = [
    "Connection",
    "Database",
    "DatabaseContentionError",
    "DatabaseError",
    "DatabaseHealth",
    "DatabaseSettings",
    "DatabaseTimeoutError",
    "DatabaseUnavailableError",
    "Ends",
    "PoolExhaustedError",
    "pipelined",
    "use_database",
]
