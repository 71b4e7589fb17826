"""One pipelined connection to Redis: send commands, get their replies, nothing more.

The redis package would cost 20 MiB of resident memory in each gateway, a quarter of what one may have, for
a single command. hiredis, its maintainers' own parser, does the protocol; this module is the socket. Not
thread-safe, and used by one task at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

import hiredis

from mambogo_gateway.errors import ConfigurationError, GatewayError

_DEFAULT_PORT = 6379
_READ_BYTES = 65_536

Argument = str | bytes | int | float


class RedisConnectionError(GatewayError):
    """The server cannot be reached, hung up, or answered with an error."""

    def __init__(self, message: str) -> None:
        super().__init__("redis", message)


class RedisConnection:
    """Connects when it is used; after any error the next use connects anew."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "redis" or parts.hostname is None:
            raise ConfigurationError("redis-url", "the address of Redis is not redis://host[:port][/db]")
        self._host = parts.hostname
        self._port = parts.port or _DEFAULT_PORT
        self._greeting: list[tuple[Argument, ...]] = []
        if parts.password is not None:
            user = (unquote(parts.username),) if parts.username else ()
            self._greeting.append(("AUTH", *user, unquote(parts.password)))
        if database := parts.path.strip("/"):
            self._greeting.append(("SELECT", database))
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._parser = hiredis.Reader()

    async def execute(self, commands: Sequence[tuple[Argument, ...]]) -> list[object]:
        """The replies to all commands, in one round trip. Raises RedisConnectionError."""
        try:
            if self._writer is None:
                await self._connect()
            return await self._round_trip(commands)
        except (OSError, hiredis.HiredisError) as error:
            self.close()
            raise RedisConnectionError(f"{self._host}:{self._port}: {error!r}") from error
        except BaseException:
            # Cancelled or timed out in the middle: a late reply must not answer the next command.
            self.close()
            raise

    async def _connect(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        self._parser = hiredis.Reader()
        if self._greeting:
            await self._round_trip(self._greeting)

    async def _round_trip(self, commands: Sequence[tuple[Argument, ...]]) -> list[object]:
        assert self._writer is not None and self._reader is not None  # noqa: S101, PT018
        self._writer.write(b"".join(_packed(command) for command in commands))
        replies: list[object] = []
        while len(replies) < len(commands):
            reply = self._parser.gets()
            if reply is False:
                data = await self._reader.read(_READ_BYTES)
                if not data:
                    raise ConnectionResetError("Redis closed the connection")
                self._parser.feed(data)
            elif isinstance(reply, hiredis.ReplyError):
                raise reply
            else:
                replies.append(reply)
        return replies

    def close(self) -> None:
        """Hang up."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None


def _packed(command: tuple[Argument, ...]) -> bytes:
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type] # its stub says "a tuple of one"
    return packed
