"""What is known about the request in progress, wherever in the call tree one stands.

Set by the edge for each request; background work has none. Logs, outgoing calls and problem documents read
it.
"""

from __future__ import annotations

import re
import uuid
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from mambogo_chassis.http.deadlines import Deadline
from mambogo_chassis.tracing import TraceContext

REQUEST_ID_HEADER: Final = "X-Request-Id"
# What a caller sends goes into logs and headers: nothing but this gets there.
_ACCEPTED_ID: Final = re.compile(rb"[A-Za-z0-9._-]{8,64}")


@dataclass(slots=True)
class RequestContext:
    """One request's identity and limits. `client` is the calling application (`azp`), once it is known."""

    request_id: str
    trace: TraceContext
    deadline: Deadline
    client: str = ""
    idempotency_key: str = ""


_current: ContextVar[RequestContext | None] = ContextVar("mambogo_request", default=None)


def current() -> RequestContext | None:
    """The request that this code runs for; None in background work."""
    return _current.get()


def enter(context: RequestContext | None) -> None:
    """Make `context` the current one in this task and in those that it starts."""
    _current.set(context)


def request_id_of(header: bytes | None) -> str:
    """The caller's id if it is well-formed, else a new one."""
    if header is not None and _ACCEPTED_ID.fullmatch(header):
        return header.decode("ascii")
    return uuid.uuid4().hex
