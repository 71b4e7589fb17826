"""What schemathesis does besides, in its own process; a configuration names this module as its `hooks`.

Two checks of rights come with it, besides those of `promises`. That a user cannot read another's object is
schemathesis' own check (`peers` in the configuration); here are that nobody can change it, and that no
operation that a user has no right to succeeds. Nobody else imports this: it needs schemathesis, which takes a
second to load.
"""

from __future__ import annotations

import json
import os
import re
import uuid
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import requests
import schemathesis

from rehearsal.contract.fuzzing.promises import IDEMPOTENCY_KEY, TIMEOUT_SECONDS, succeeded

_VALID: Final = re.compile(r"[\x21-\x7e]{1,255}")
_NOT_FOUND: Final = 404
_STAYS_UNKNOWN: Final = (
    8  # one value in so many is left as it was drawn: what nobody knows has to be tried, too
)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Make a request one that can succeed: with a key of its own, and ids of what is there.

    A generator repeats its values: the same key then comes with another body, which is a client's mistake and
    answered so. A key that is absent or malformed, on purpose, stays as it is, and so does all of a case that
    is about something wrong: schemathesis would take it for a sound case once it was touched.
    """
    if case.meta is not None and case.meta.generation.mode.is_negative:
        return
    known = json.loads(os.environ.get("KNOWN") or "{}")
    case.path_parameters = with_known(case.path_parameters, known)
    if isinstance(case.body, dict):
        case.body = with_known(case.body, known)
    key = (case.headers or {}).get(IDEMPOTENCY_KEY)
    if isinstance(key, str) and _VALID.fullmatch(key):
        case.headers[IDEMPOTENCY_KEY] = str(uuid.uuid4())


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Leave out what the way answers by itself: no method of REFUSED_ON_THE_WAY gets to a service."""
    return str(case.method).upper() not in os.environ.get("REFUSED_ON_THE_WAY", "").split(",")


def with_known(content: Any, known: Mapping[str, Sequence[str]]) -> Any:
    """Return content in which the ids that `known` has values for, by name, are mostly ids of what exists.

    A generator draws them at random, and nothing is there. The same id becomes the same one each time, and a
    known one stays: what one request has made is found by the next.
    """
    if isinstance(content, Mapping):
        return {
            name: _known(value, known[name]) if known.get(name) else with_known(value, known)
            for name, value in content.items()
        }
    return [with_known(one, known) for one in content] if isinstance(content, list) else content


def _known(value: Any, values: Sequence[str]) -> Any:
    number = zlib.crc32(str(value).encode())
    if value in values or number % _STAYS_UNKNOWN == 0:
        return value
    return values[number % len(values)]


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
        if case.operation.label not in self._operations or not succeeded(response):
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
        if case.operation.label in self._forbidden and succeeded(response):
            raise AssertionError(f"{os.environ['USER']} may not, and did: {case.operation.label}")


def _others(peers: Collection[str]) -> Iterator[tuple[str, str]]:
    """Each of them but this run's user, with the value of their header."""
    entries = json.loads(Path(os.environ["USERS"]).read_text())["auth"]
    for entry in entries:
        if entry["name"] in peers and entry["name"] != os.environ["USER"]:
            yield entry["name"], entry["fixedHeaders"][0]["value"]


def _again(request: Any, authorization: str) -> Any:
    headers = {**request.headers, "Authorization": authorization}
    if IDEMPOTENCY_KEY in headers:
        headers[IDEMPOTENCY_KEY] = str(uuid.uuid4())
    return requests.request(
        request.method, request.url, headers=headers, data=request.body, timeout=TIMEOUT_SECONDS
    )
