"""Requests of which every one, and what came back, is in the history."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from rehearsal.shop.answers import Answer, Kind, kind_of
from rehearsal.shop.history import History

# Far above what anything takes; a process that died answers at once.
TIMEOUT_SECONDS: Final = 10.0
# Patience with one thing that has to be done; beyond any restart.
PATIENCE_SECONDS: Final = 120.0
_FIRST_PAUSE_SECONDS: Final = 0.1
_LAST_PAUSE_SECONDS: Final = 1.0
# What of an answer the checkers, or somebody who reads a violation, may want.
_KEPT: Final = (
    "order_id",
    "state",
    "reason",
    "total_minor",
    "currency",
    "payment_id",
    "cart_id",
    "price_minor",
    "initial",
    "on_hand",
    "reserved",
    "sold",
)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of which process. `key` is sent as the Idempotency-Key."""

    method: str
    process: str
    path: str
    body: Mapping[str, Any] | None = None
    key: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the history says about it. `key` is the operation's name for it: one user's, whoever sends it."""

    f: str
    op_id: str
    asked: Mapping[str, Any]
    key: str = ""


class Asker:
    """One person, or one of a person's tabs: `attempts` numbers what all of them ask."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        urls: Mapping[str, str],
        history: History,
        *,
        process: str,
        token: str,
        attempts: Iterator[int],
    ) -> None:
        self._session = session
        self._urls = urls
        self._history = history
        self._process = process
        self._authorization = f"Bearer {token}"
        self._attempts = attempts

    async def ask(self, entry: Entry, request: Request) -> Answer:
        """Once; without a clear answer the outcome is unknown."""
        said: dict[str, Any] = {
            "process": self._process,
            "op_id": entry.op_id,
            "f": entry.f,
            "idem_key": entry.key,
            "req_hash": hashlib.sha256(repr(entry.asked).encode()).hexdigest()[:16],
            "attempt": next(self._attempts),
        }
        self._history.append(type="invoke", value=entry.asked, **said)
        answer = await self._send(request)
        value = {name: answer.body[name] for name in _KEPT if name in answer.body}
        self._history.append(type=answer.kind.value, value=value, http_status=answer.status, **said)
        return answer

    async def until_clear(
        self, entry: Entry, request: Request, *, patience_seconds: float = PATIENCE_SECONDS
    ) -> Answer:
        """The same again until it is known what came of it."""
        loop = asyncio.get_running_loop()
        end, pause = loop.time() + patience_seconds, _FIRST_PAUSE_SECONDS
        while True:
            answer = await self.ask(entry, request)
            if answer.kind is not Kind.INFO or loop.time() > end:
                return answer
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LAST_PAUSE_SECONDS)

    async def _send(self, request: Request) -> Answer:
        headers = {"Authorization": self._authorization, **request.headers}
        if request.key:
            headers["Idempotency-Key"] = request.key
        url = f"{self._urls[request.process]}{request.path}"
        try:
            async with self._session.request(
                request.method, url, json=request.body, headers=headers
            ) as reply:
                content = await reply.json(content_type=None) if reply.status != 204 else None
                return Answer(kind_of(reply.status), reply.status, content or {})
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return Answer(Kind.INFO, error=repr(error))
