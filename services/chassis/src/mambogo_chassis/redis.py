"""Redis with bounds: short timeouts, no hidden retries, errors that the HTTP layer can answer.

redis-py's own defaults wait 5 s and try three times more, which turns an absent cache into a request that
takes half a minute. A service that can do without Redis catches `RedisError`; one that cannot lets it pass,
and its client is told to come again. Which keys exist, and for how long, is the services'.

The module is named as what it wraps; inside, `redis` is the library.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Connection, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

from mambogo_chassis.errors import ChassisError
from mambogo_chassis.settings.model import part_of

if TYPE_CHECKING:
    from mambogo_chassis.service import Service

__all__ = ["Redis", "RedisError", "RedisSettings", "RedisUnavailableError", "connect", "use_redis"]

# Server states that pass by themselves; what else Redis refuses is a bug of the caller.
_PASSING: Final = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    exceptions.InvalidResponse,
    exceptions.MasterDownError,
)
# The same, said by a code that redis-py has no class for: its disk is full, its replicas are gone, a script
# runs for too long.
_PASSING_CODES: Final = ("MISCONF ", "NOREPLICAS ", "BUSY ", "CLUSTERDOWN ")


class RedisSettings(BaseModel):
    """Where Redis is, and how long anything may take there."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    redis_host: str
    redis_port: int = Field(default=6379, ge=1, le=65535)
    redis_database: int = Field(default=0, ge=0, le=4095)
    redis_username: str | None = None
    redis_password: SecretStr | None = None

    redis_connect_timeout_seconds: float = Field(default=0.5, gt=0, le=30)
    # Of each answer. Far above what a healthy Redis takes (under 1 ms), far below a request's patience.
    redis_timeout_seconds: float = Field(default=0.5, gt=0, le=30)
    # Of the wait for a free connection, and how many there are.
    redis_pool_wait_seconds: float = Field(default=0.5, gt=0, le=30)
    redis_pool_max: int = Field(default=20, ge=1, le=1000)


class _Connection(Connection):
    """A connection that whatever speaks no Redis ends with a `RedisError`.

    redis-py lets some errors of its parser out as they are, and keeps a connection whose handshake broke off
    with one: its next user would be on another database, and unauthenticated.
    """

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        try:
            await super().on_connect_check_health(check_health)
        except exceptions.ConnectionError:
            raise
        except Exception as error:
            raise exceptions.ConnectionError(f"handshake: {type(error).__name__}: {error}") from error

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*arguments, **options)
        except RedisError:
            raise
        except Exception as error:
            raise exceptions.InvalidResponse(f"{type(error).__name__}: {error}") from error


class RedisUnavailableError(ChassisError):
    """Redis could not serve this piece of work now."""

    code = "redis-unavailable"
    http_status: ClassVar[int | None] = 503
    retry_after_seconds: ClassVar[int | None] = 1


def connect(settings: RedisSettings) -> Redis:
    """A client that connects when it is first used. Its errors are redis-py's own, each raised at once."""
    password = settings.redis_password
    pool = BlockingConnectionPool(
        connection_class=_Connection,
        host=settings.redis_host,
        port=settings.redis_port,
        db=settings.redis_database,
        username=settings.redis_username,
        password=password.get_secret_value() if password is not None else None,
        socket_connect_timeout=settings.redis_connect_timeout_seconds,
        socket_timeout=settings.redis_timeout_seconds,
        socket_keepalive=True,
        max_connections=settings.redis_pool_max,
        timeout=settings.redis_pool_wait_seconds,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[],
        # A cloud's announcements of failovers; with them on, connections that died while idle are given out.
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
    return Redis.from_pool(pool)


def use_redis(service: Service[Any], *, readiness: bool = False) -> Redis:
    """The Redis of a service whose settings mix RedisSettings in.

    `redis` in the health; in readiness only where it is asked for: every instance shares it, and with it down
    none would be left to say so. What an operation lets through is answered with 503. Raises
    MissingSettingsError.
    """
    client = connect(part_of(service.settings.current, RedisSettings))
    service.resource("redis", lambda: _closed_at_the_end(client))
    service.health.add("redis", lambda: _probe(client), readiness=readiness)
    service.translate(RedisError, _translated)
    pool = client.connection_pool
    for state, read in (
        ("in_use", lambda: float(len(pool._in_use_connections))),
        ("idle", lambda: float(len(pool._available_connections))),
    ):
        service.metrics.gauge_callback("redis_pool_connections", "Connections by state.", read, state=state)
    return client


def _translated(error: Exception) -> ChassisError | None:
    if not isinstance(error, _PASSING) and not str(error).startswith(_PASSING_CODES):
        return None
    made = RedisUnavailableError(f"{type(error).__name__}: {error}", hint="is Redis reachable, and awake?")
    made.__cause__ = error
    return made


@asynccontextmanager
async def _closed_at_the_end(client: Redis) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await client.aclose(close_connection_pool=True)


async def _probe(client: Redis) -> Mapping[str, object]:
    started = time.monotonic()
    try:
        await client.ping()
    except RedisError as error:
        raise RedisUnavailableError(str(error)) from error
    return {"milliseconds": round((time.monotonic() - started) * 1000, 1)}
