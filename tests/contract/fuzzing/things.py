"""A small real service that keeps its document, or breaks it in one planted way: `things.py PLANTED`.

It says its port as its first line of output, and serves until it is ended.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Mapping
from typing import Any

from werkzeug.exceptions import (
    HTTPException,
    NotFound,
    Unauthorized,
    UnprocessableEntity,
    UnsupportedMediaType,
)
from werkzeug.routing import Map, Rule
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

PROBLEM = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
PROPERTIES = {
    "thing_id": {"type": "string", "format": "uuid"},
    "name": {"type": "string", "minLength": 1, "maxLength": 20},
    "count": {"type": "integer", "minimum": 0, "maximum": 100},
}
THING = {
    "type": "object",
    "properties": PROPERTIES,
    "required": ["thing_id", "name", "count"],
}
NEW_THING = {
    "type": "object",
    "properties": {name: PROPERTIES[name] for name in ("name", "count")},
    "required": ["name", "count"],
    "additionalProperties": False,
}
BODY = {"required": True, "content": {"application/json": {"schema": NEW_THING}}}
PAGE = 3
LAST = 10_000
CURSOR = {"type": "integer", "minimum": 0, "maximum": LAST}
LIST = {
    "type": "object",
    "properties": {
        "items": {"type": "array", "items": THING},
        "next_cursor": {"anyOf": [CURSOR, {"type": "null"}]},
    },
    "required": ["items", "next_cursor"],
}
THING_ID = {"name": "thing_id", "in": "path", "required": True, "schema": PROPERTIES["thing_id"]}


def _answers(good: str, schema: Mapping[str, Any] | None, *bad: str) -> dict[str, Any]:
    content = {"content": {"application/json": {"schema": schema}}} if schema else {}
    problem = {"description": "refused", "content": {"application/problem+json": {"schema": PROBLEM}}}
    return {good: {"description": "good", **content}, **dict.fromkeys(bad, problem)}


DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "things", "version": "1"},
    "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    "security": [{"bearer": []}],
    "paths": {
        "/things": {
            "post": {
                "requestBody": BODY,
                "responses": _answers("201", THING, "400", "401", "415", "422"),
            },
            "get": {
                "parameters": [{"name": "cursor", "in": "query", "schema": CURSOR}],
                "responses": _answers("200", LIST, "401", "422"),
            },
        },
        "/things/{thing_id}": {
            "parameters": [THING_ID],
            "get": {"responses": _answers("200", THING, "401", "404", "422")},
            "put": {
                "requestBody": BODY,
                "responses": _answers("200", THING, "400", "401", "404", "415", "422"),
            },
            "delete": {"responses": _answers("204", None, "401", "404", "422")},
        },
    },
}  # fmt: skip
ROUTES = Map(
    [
        Rule("/openapi.json", endpoint="document", methods=["GET"]),
        Rule("/things", endpoint="create", methods=["POST"]),
        Rule("/things", endpoint="list", methods=["GET"]),
        Rule("/things/<thing_id>", endpoint="get", methods=["GET"]),
        Rule("/things/<thing_id>", endpoint="replace", methods=["PUT"]),
        Rule("/things/<thing_id>", endpoint="delete", methods=["DELETE"]),
    ]
)


class Things:
    """The service, as a WSGI application."""

    def __init__(self, planted: str) -> None:
        self._planted = planted
        self._kept: dict[str, tuple[str, dict[str, Any]]] = {}  # with their owners

    def __call__(self, environ: Any, start: Any) -> Any:
        """Answer a request."""
        try:
            answer = self._answer(Request(environ))
        except HTTPException as error:
            answer = _json({"title": error.name}, error.code or 500, "application/problem+json")
            for name, value in error.get_headers(environ):
                if name == "Allow":
                    answer.headers[name] = value
        return answer(environ, start)

    def _answer(self, request: Request) -> Response:
        endpoint, arguments = ROUTES.bind_to_environ(request.environ).match()
        if endpoint == "document":
            return _json(DOCUMENT)
        if self._planted == "hangs":
            time.sleep(3600)
        user = self._user(request)
        if "thing_id" in arguments:
            _require(_is_uuid(arguments["thing_id"]))
        answer: Response = getattr(self, f"_{endpoint}")(request, user, **arguments)
        return answer

    def _user(self, request: Request) -> str:
        user = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self._planted == "auth-ignored":
            return user or "anybody"
        if user not in ("alice", "bob") or self._planted == "nobody-let-in":
            raise Unauthorized
        return user

    def _create(self, request: Request, user: str) -> Response:
        thing = {"thing_id": str(uuid.uuid4()), **_new_thing(request)}
        if self._planted == "undeclared-status" and thing["count"] == 100:
            return _json({"title": "too many"}, 409, "application/problem+json")
        if self._planted == "server-error" and not thing["name"].isascii():
            raise HTTPException("broken")
        if self._planted != "not-kept":
            self._kept[thing["thing_id"]] = (user, thing)
        answer = _json(thing, 201)
        answer.headers["Location"] = f"/things/{thing['thing_id']}"
        return answer

    def _list(self, request: Request, user: str) -> Response:
        cursor = request.args.get("cursor", "0")
        _require(cursor.isascii() and cursor.isdigit() and int(cursor) <= LAST)
        begin = 0 if self._planted == "cursor-ignored" else int(cursor)
        own = [thing for owner, thing in self._kept.values() if owner == user]
        end = begin + PAGE
        return _json({"items": own[begin:end], "next_cursor": end if own[end:] else None})

    def _get(self, request: Request, user: str, thing_id: str) -> Response:
        thing = self._find(user, thing_id)
        return _json({**thing, "count": str(thing["count"])} if self._planted == "wrong-type" else thing)

    def _replace(self, request: Request, user: str, thing_id: str) -> Response:
        new = _new_thing(request)
        thing = self._find(user, thing_id, to_change=True)
        if self._planted == "change-lost":
            return _json({**thing, **new})
        thing.update(new)
        return _json(thing)

    def _delete(self, request: Request, user: str, thing_id: str) -> Response:
        self._find(user, thing_id)
        if self._planted != "not-deleted":
            del self._kept[thing_id]
        return Response(status=204)

    def _find(self, user: str, thing_id: str, *, to_change: bool = False) -> dict[str, Any]:
        if self._planted == "nothing-there":
            raise NotFound
        owner, thing = self._kept.get(thing_id, ("", {}))
        for_all = "strangers-change" if to_change else "strangers-read"
        if not thing or (owner != user and self._planted != for_all):
            raise NotFound
        return thing


def _new_thing(request: Request) -> dict[str, Any]:
    if request.mimetype != "application/json":
        raise UnsupportedMediaType
    body = _content(request.get_data())
    _require(body.keys() == {"name", "count"})
    name, count = body["name"], body["count"]
    _require(isinstance(name, str) and 1 <= len(name) <= 20)
    _require(isinstance(count, int | float) and not isinstance(count, bool))
    _require(count == int(count) and 0 <= count <= 100)
    return {"name": name, "count": int(count)}


def _require(holds: bool) -> None:
    if not holds:
        raise UnprocessableEntity


def _content(raw: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(raw)
    except ValueError:
        content = None
    return content if isinstance(content, dict) else {}


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _json(content: Any, status: int = 200, kind: str = "application/json") -> Response:
    return Response(json.dumps(content), status, content_type=kind)


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, Things(sys.argv[1] if len(sys.argv) > 1 else ""), threaded=True)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
