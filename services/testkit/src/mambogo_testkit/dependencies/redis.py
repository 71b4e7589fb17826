"""Redis: one server per run, a numbered database of its own per test."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

import redis

from mambogo_testkit.engine import Engine, Spec
from mambogo_testkit.images import ensure_image
from mambogo_testkit.running import HOST, Running, Server

KIND = "redis"
_SOCKET_TIMEOUT_SECONDS = 5.0
# One per test until the numbers start again; an empty database costs Redis about 200 bytes.
_DATABASES = 4096


@dataclass(frozen=True, slots=True)
class RedisSpace:
    """A Redis database that belongs to one test. Channels of publish/subscribe are not separated by it."""

    host: str
    port: int
    number: int
    password: str = field(repr=False)
    prefix: str = ""

    @property
    def url(self) -> str:
        """Connection URL of redis-py."""
        return f"redis://:{self.password}@{self.host}:{self.port}/{self.number}"


class RedisServer(Server):
    """A running Redis 7."""

    title = "Redis"
    ready_timeout_seconds = 60.0

    def missing(self) -> str | None:
        """Send PING, which is answered by an error while data is loaded."""
        try:
            with self._connect(0) as client:
                client.ping()
                return None
        except redis.RedisError as error:
            return str(error) or type(error).__name__

    @contextlib.contextmanager
    def space(self) -> Iterator[RedisSpace]:
        """Give out an empty database, and empty it again afterwards."""
        with self._connect(0) as client:
            number = 1 + (int(client.incr("testkit:spaces")) - 1) % (_DATABASES - 1)
        prefix = f"test-{secrets.token_hex(4)}:"
        try:
            yield RedisSpace(HOST, self.running.ports[KIND], number, self.running.details["password"], prefix)
        finally:
            # A test that ends with its server stopped has nothing to empty.
            with contextlib.suppress(redis.RedisError), self._connect(number) as client:
                client.flushdb()

    def _connect(self, number: int) -> redis.Redis:
        return redis.Redis(
            host=HOST,
            port=self.running.ports[KIND],
            db=number,
            password=self.running.details["password"],
            socket_timeout=_SOCKET_TIMEOUT_SECONDS,
            socket_connect_timeout=_SOCKET_TIMEOUT_SECONDS,
        )


def start(engine: Engine) -> Running:
    """Start an empty server."""
    password = secrets.token_urlsafe(18)
    image = ensure_image(engine.client, "redis")

    def spec(_: dict[str, int]) -> Spec:
        return Spec(
            kind=KIND,
            image=image,
            ports={KIND: 6379},
            command=("--databases", str(_DATABASES), "--requirepass", password),
            data=("/data",),
        )

    container, ports = engine.start([KIND], spec)
    return Running(KIND, (container,), ports, {"password": password})
