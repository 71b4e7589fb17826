"""Schemathesis hooks for contract runs: `hooks = "mambogo_testkit.fuzz_hooks"` in a service's configuration.

Two checks of rights come with them. That a user cannot read another's object is schemathesis' own check
(`peers` in the configuration); here are that nobody can change it, and that no operation that a user has no
right to succeeds. Needs schemathesis, which only contract runs install.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import requests
import schemathesis

_HEADER: Final = "Idempotency-Key"
_VALID: Final = re.compile(r"[\x21-\x7e]{1,255}")
_TIMEOUT_SECONDS: Final = 30.0
_NOT_FOUND: Final = 404


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Give each request a key of its own, as a client does.

    A generator repeats its values: the same key then comes with another body, which is a client's mistake and
    answered so. A key that is absent or malformed, on purpose, stays as it is, and so do all headers of a
    case that is about a wrong one: schemathesis would take it for a sound case once they were touched.
    """
    if case.meta is not None and case.meta.generation.mode.is_negative:
        return
    key = (case.headers or {}).get(_HEADER)
    if isinstance(key, str) and _VALID.fullmatch(key):
        case.headers[_HEADER] = str(uuid.uuid4())


@schemathesis.check
class StrangersChangeNothing:
    """What somebody did with an object of theirs is tried as others with the same rights: there is no such.

    The configuration names both:

        [checks.StrangersChangeNothing]
        operations = ["POST /api/orders/{order_id}/cancellation"]
        peers = ["alice", "bob"]
    """

    def __init__(self, operations: Sequence[str] = (), peers: Sequence[str] = ()) -> None:
        self._operations = frozenset(operations)
        self._peers = frozenset(peers)

    def after_response(self, ctx: Any, response: Any, case: Any) -> None:
        """Called by schemathesis."""
        if case.operation.label not in self._operations or not _succeeded(response):
            return
        for name, authorization in _others(self._peers):
            answer = _again(response.request, authorization)
            if answer.status_code != _NOT_FOUND:
                raise AssertionError(
                    f"{name} did {case.operation.label} with another's: {answer.status_code}"
                )


@schemathesis.check
class RightsAreKept:
    """No operation that this run's user has no right to ever succeeds."""

    def __init__(self) -> None:
        self._forbidden = frozenset(os.environ.get("FORBIDDEN", "").split(","))

    def after_response(self, ctx: Any, response: Any, case: Any) -> None:
        """Called by schemathesis."""
        if case.operation.label in self._forbidden and _succeeded(response):
            raise AssertionError(f"{os.environ['USER']} may not, and did: {case.operation.label}")


def _succeeded(response: Any) -> bool:
    return bool(200 <= response.status_code < 300)


def _others(peers: Collection[str]) -> Iterator[tuple[str, str]]:
    """Each of them but this run's user, with the value of their header."""
    entries = json.loads(Path(os.environ["USERS"]).read_text())["auth"]
    for entry in entries:
        if entry["name"] in peers and entry["name"] != os.environ["USER"]:
            yield entry["name"], entry["fixedHeaders"][0]["value"]


def _again(request: Any, authorization: str) -> Any:
    headers = {**request.headers, "Authorization": authorization}
    if _HEADER in headers:
        headers[_HEADER] = str(uuid.uuid4())
    return requests.request(
        request.method, request.url, headers=headers, data=request.body, timeout=_TIMEOUT_SECONDS
    )
