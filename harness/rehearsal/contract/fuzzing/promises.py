"""Checks of what no schema says: a change is to be seen, and each page goes on where the last ended.

schemathesis runs them in its own process, after each answer; `hooks` brings them. A configuration says what
they look at. Both ask once more, as the user who was answered; an answer other than a success or "no such"
says nothing, and a service that gives such answers is for other checks to find.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

import requests
import schemathesis

TIMEOUT_SECONDS: Final = 30.0
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
_LOCATION: Final = "Location"
_OK: Final = 200
_NOT_FOUND: Final = 404
_SHOWN_CHARACTERS: Final = 200
# Of one list in a run: each takes a request, and a cursor that is ignored shows at the first.
_MOST_PAGES: Final = 40


@schemathesis.check
class ChangesAreSeen:
    """What a success has changed is there to be read.

    For each operation: where to read (a path, with the parameters of the request, or `Location`), and what
    holds there: fields that are as they were answered (`same`), or of a value (`is`), and lists that have an
    item whose field is the request's parameter of that name (`having`), or none (`lacking`):

        [checks.ChangesAreSeen.changes."DELETE /api/carts/current/items/{product_id}"]
        read = "/api/carts/current"
        lacking = { items = "product_id" }

    A generator repeats requests, with their key: the answer is then what the first one's was, and says
    nothing of what has been changed since.
    """

    def __init__(self, changes: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._changes = changes or {}
        # Requests, by what makes another one their repetition.
        self._firsts: dict[tuple[str, str, str], Any] = {}

    def after_response(self, ctx: Any, response: Any, case: Any) -> None:
        """Called by schemathesis."""
        change = self._changes.get(case.operation.label)
        if change is None or not succeeded(response) or self._is_repeated(response.request):
            return
        path = _place(change["read"], response, case)
        answer = _read(urljoin(response.request.url, path), response.request.headers)
        if answer.status_code == _NOT_FOUND:
            raise AssertionError(f"it succeeded, and GET {path} answers 404")
        if answer.status_code == _OK:
            for wrong in _differences(change, answer.json(), response, case.path_parameters or {}):
                raise AssertionError(f"it succeeded, and GET {path} shows {wrong}")

    def _is_repeated(self, request: Any) -> bool:
        key = request.headers.get(IDEMPOTENCY_KEY)
        # schemathesis may check one answer several times.
        return key is not None and (
            self._firsts.setdefault((request.method, request.url, key), request) is not request
        )


@schemathesis.check
class PagesGoOn:
    """The page after another one has nothing of it again.

    The configuration says what tells the items of each list apart:

        [checks.PagesGoOn.lists]
        "GET /api/orders" = "order_id"
    """

    def __init__(self, lists: Mapping[str, str] | None = None) -> None:
        self._lists = lists or {}
        self._followed: dict[str, int] = {}

    def after_response(self, ctx: Any, response: Any, case: Any) -> None:
        """Called by schemathesis."""
        label = case.operation.label
        key = self._lists.get(label)
        if key is None or response.status_code != _OK:
            return
        page = json.loads(response.content)
        cursor = page.get("next_cursor")
        if not cursor or self._followed.get(label, 0) >= _MOST_PAGES:
            return
        self._followed[label] = self._followed.get(label, 0) + 1
        answer = _read(_with_cursor(response.request.url, cursor), response.request.headers)
        if answer.status_code != _OK:
            return
        seen = {str(item[key]) for item in page["items"]}
        again = [item[key] for item in answer.json()["items"] if str(item[key]) in seen]
        if again:
            raise AssertionError(f"the page after it has {len(again)} of its items again, as {again[0]}")


def succeeded(response: Any) -> bool:
    """Whether an answer is a success."""
    return bool(200 <= response.status_code < 300)


def _place(read: str, response: Any, case: Any) -> str:
    if read == _LOCATION:
        # schemathesis' own answers have a list for each header, those of requests a string.
        value = response.headers.get(_LOCATION) or response.headers.get(_LOCATION.lower()) or ""
        if not value:
            raise AssertionError("it succeeded, and names no Location to read what it made")
        return str(value[0] if isinstance(value, list) else value)
    named = {name: quote(str(value), safe="") for name, value in (case.path_parameters or {}).items()}
    return read.format_map(named)


def _read(url: str, headers: Mapping[str, str]) -> Any:
    kept = {name: value for name, value in headers.items() if name.lower() == "authorization"}
    return requests.get(url, headers=kept, timeout=TIMEOUT_SECONDS)


def _with_cursor(url: str, cursor: str) -> str:
    parts = urlsplit(url)
    query = [
        (name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != "cursor"
    ]
    return urlunsplit(parts._replace(query=urlencode([*query, ("cursor", cursor)])))


def _differences(
    change: Mapping[str, Any], read: Mapping[str, Any], response: Any, parameters: Mapping[str, Any]
) -> list[str]:
    """Return what is read and must not be, in words; the first is enough for a failure."""
    wanted = dict(change.get("is", {}))
    if change.get("same"):
        answered = json.loads(response.content)
        wanted |= {name: answered[name] for name in change["same"]}
    found = [
        f"{name} {_shown(read.get(name))} instead of {_shown(value)}"
        for name, value in wanted.items()
        if read.get(name) != value and not _is_of_another_type(read.get(name), value)
    ]
    for rule in ("having", "lacking"):
        for items, name in change.get(rule, {}).items():
            value = str(parameters[name]).lower()
            is_there = any(str(item[name]).lower() == value for item in read[items])
            if is_there != (rule == "having"):
                found.append(f"{items} {'with' if is_there else 'without'} {name} {value}")
    return found


def _is_of_another_type(value: Any, wanted: Any) -> bool:
    """Whether it is for the operation that reads to be blamed: its schema says of which type a value is."""
    return value is not None and type(value) is not type(wanted)


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
