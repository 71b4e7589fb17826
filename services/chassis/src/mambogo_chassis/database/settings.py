"""The database settings of a service; mixed into its settings class.

Every bound here exists so that one slow or absent database costs a request a short, known time.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class DatabaseSettings(BaseModel):
    """Where the database is, and how long anything may take there.

    Bound to `DB_HOST` and its like, as production's manifests name them. `statement < transaction`, or the
    server's own bound would never speak first; `lock < statement`, or a lock wait would show as a slow query.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    db_host: str
    db_port: int = Field(default=5432, ge=1, le=65535)
    db_name: str
    db_user: str
    db_password: SecretStr

    # One connection is kept so that the first request after a quiet time does not pay for a handshake.
    db_pool_min: int = Field(default=1, ge=1, le=50)
    # 20 order pods with 8 each stay below the 200 connections of a small managed PostgreSQL.
    db_pool_max: int = Field(default=8, ge=1, le=50)
    # How long a request waits for a connection, and how many may wait, before both are answered with 503.
    db_pool_wait_seconds: float = Field(default=1.0, gt=0, le=30)
    db_pool_queue: int = Field(default=64, ge=1, le=10_000)
    # libpq takes whole seconds and treats 1 as 2.
    db_connect_timeout_seconds: int = Field(default=2, ge=2, le=30)

    db_lock_timeout_seconds: float = Field(default=2.0, gt=0, le=60)
    db_statement_timeout_seconds: float = Field(default=4.0, gt=0, le=300)
    db_transaction_timeout_seconds: float = Field(default=5.0, gt=0, le=300)
    # The server's own end of an abandoned transaction (a paused pod); the client's bound comes first.
    db_idle_in_transaction_seconds: float = Field(default=15.0, gt=0, le=600)
