"""One execution per user and idempotency key, and the same answer to every repetition.

The key's row is inserted first in the transaction of the work itself: a concurrent request with the same key
waits at the unique index, for a bounded time, and then either finds the answer or, if the first one rolled
back, does the work. There is no "in progress" row that a crash could leave behind.

Stored are answers that will not change: 2xx, and 4xx that speak about the request. An answer of 5xx, and 408,
409, 425 and 429, say "not now"; they roll everything back, the key included. Reading the header and sending
the answer are the HTTP layer's.

After draft-ietf-httpapi-idempotency-key-header-07: 400 without a key, 422 for another request under the same
key, 409 while the first one runs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from mambogo_chassis import failpoints
from mambogo_chassis.database.errors import DatabaseContentionError
from mambogo_chassis.database.pool import Connection, Database, Ends, Parameters
from mambogo_chassis.idempotency.errors import InProgressError, InvalidKeyError, KeyReusedError

MAX_KEY_CHARACTERS: Final = 255
_KEY: Final = re.compile(rf"[\x21-\x7e]{{1,{MAX_KEY_CHARACTERS}}}")
_NOT_NOW: Final = frozenset({408, 409, 425, 429})
_DEFAULT_RETENTION_SECONDS: Final = 86_400.0
PURGE_ROWS: Final = 5000

# An expired row is free again. The conflicting row is locked either way, so repetitions queue for a moment.
_CLAIM: Final = """
INSERT INTO idempotency (user_id, key, fingerprint, expires_at)
VALUES (%(user)s, %(key)s, %(fingerprint)s, now() + %(seconds)s * interval '1 second')
ON CONFLICT (user_id, key) DO UPDATE
SET fingerprint = excluded.fingerprint, expires_at = excluded.expires_at, created_at = now(),
    status = NULL, headers = NULL, body = NULL
WHERE idempotency.expires_at <= now() RETURNING 1
"""
_READ: Final = (
    "SELECT fingerprint, status, headers, body FROM idempotency WHERE user_id = %(user)s AND key = %(key)s"
)
_STORE: Final = """
UPDATE idempotency SET status = %(status)s, headers = %(headers)s, body = %(body)s
WHERE user_id = %(user)s AND key = %(key)s
"""
_PURGE: Final = """
DELETE FROM idempotency WHERE (user_id, key) IN (
    SELECT user_id, key FROM idempotency WHERE expires_at <= now() LIMIT %(rows)s)
"""
_FIND: Final = f"{_READ} AND expires_at > now()"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client gets. `is_replay` is true when the work was done by an earlier request."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    is_replay: bool = False

    @property
    def is_final(self) -> bool:
        """Whether repeating the request could never be answered differently."""
        return self.status < 500 and self.status not in _NOT_NOW


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks for what under which key."""

    user: str
    key: str
    fingerprint: bytes

    @classmethod
    def of(cls, *, user: str, key: str | None, method: str, path: str, body: bytes) -> Request:
        """Raises InvalidKeyError for a key that is missing or none."""
        if key is None or not _KEY.fullmatch(key):
            raise InvalidKeyError(
                "Idempotency-Key is missing or malformed.",
                hint="send 1 to 255 visible ASCII characters, a UUID",
            )
        digest = hashlib.sha256()
        for part in (method.encode(), path.encode(), body):
            # Lengths first: no two different requests may run together into the same bytes.
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
        return cls(user, key, digest.digest())


Work = Callable[[Connection], Awaitable[Answer]]


class _NotStoredError(Exception):
    """Carries an answer out of the transaction, which rolls back."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class IdempotencyStore:
    """The keys of one service's users, in its own database."""

    def __init__(self, database: Database, *, retention_seconds: float = _DEFAULT_RETENTION_SECONDS) -> None:
        self._database = database
        self._retention_seconds = retention_seconds

    async def find(self, request: Request) -> Answer | None:
        """The answer that is stored already, or None; for work that has to ask others before its transaction.

        None does not mean that nobody else is at it: `execute` decides. Raises KeyReusedError and the errors
        of `Database.transaction`.
        """
        rows = await self._database.read(_FIND, {"user": request.user, "key": request.key})
        return _replay(request, rows[0]) if rows else None

    async def execute(self, request: Request, work: Work) -> Answer:
        """Do `work` once in a transaction of its own, or answer as the first time.

        An answer of 4xx undoes what `work` wrote and is stored; one that is not final undoes it and is not.
        An exception from `work` undoes everything and passes through. Raises KeyReusedError, InProgressError
        and the errors of `Database.transaction`.
        """
        try:
            async with self._claiming(request) as (connection, claim):
                if not claim.rows:
                    return await self._stored(connection, request)
                answer = await work(connection)
                if answer.status >= 400:
                    raise _NotStoredError(answer)
                claim.last = _storing(request, answer)
                await failpoints.reach("idempotency.stored")
        except _NotStoredError as signal:
            answer = signal.answer
            return await self._remember(request, answer) if answer.is_final else answer
        await failpoints.reach("idempotency.committed")
        return answer

    async def purge(self) -> int:
        """Delete expired keys, at most 5,000; how many they were."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(_PURGE, {"rows": PURGE_ROWS})
            return cursor.rowcount

    async def _remember(self, request: Request, refusal: Answer) -> Answer:
        """Store a refusal whose transaction was rolled back, unless another request was faster."""
        async with self._claiming(request) as (connection, claim):
            if not claim.rows:
                return await self._stored(connection, request)
            claim.last = _storing(request, refusal)
        return refusal

    @asynccontextmanager
    async def _claiming(self, request: Request) -> AsyncIterator[tuple[Connection, Ends]]:
        """A transaction that begins with a claim on the key; with rows where it owns the key now.

        It waits for another's end up to the lock timeout.
        """
        parameters = {
            "user": request.user,
            "key": request.key,
            "fingerprint": request.fingerprint,
            "seconds": self._retention_seconds,
        }
        claim = Ends(first=(_CLAIM, parameters))
        try:
            async with self._database.transaction(ends=claim) as connection:
                yield connection, claim
        except DatabaseContentionError as error:
            if claim.rows is None and isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                raise InProgressError(
                    "The first request with this Idempotency-Key is still running.",
                    hint="try again with the same key",
                ) from error
            raise

    async def _stored(self, connection: Connection, request: Request) -> Answer:
        cursor = await connection.execute(_READ, {"user": request.user, "key": request.key})
        row = await cursor.fetchone()
        if row is None or row[1] is None:
            # Purged between the two statements: as if another request held it for a moment.
            raise DatabaseContentionError("the key expired while it was read", hint="try again")
        return _replay(request, row)


def _storing(request: Request, answer: Answer) -> tuple[str, Parameters]:
    """The statement that keeps the answer; it travels with COMMIT."""
    return _STORE, {
        "user": request.user,
        "key": request.key,
        "status": answer.status,
        "headers": Jsonb(dict(answer.headers)),
        "body": answer.body,
    }


def _replay(request: Request, row: Sequence[Any]) -> Answer:
    fingerprint, status, headers, body = row
    if fingerprint != request.fingerprint:
        raise KeyReusedError(
            "This Idempotency-Key was used for another request.", hint="use a new key for a new request"
        )
    return Answer(status, body, headers, is_replay=True)
