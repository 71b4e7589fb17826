"""Idempotency keys in HTTP: reading them from a request, answering from the store, documenting both.

    @router.post("", status_code=201, responses=keyed_responses(201, LOCATION))
    async def place(body: OrderBody, principal: Writer, keyed: Keyed) -> Response:
        request = keyed.by(principal.subject)
        if (replay := await store.find(request)) is not None:
            return respond(replay)
        quotes = await ask_for_quotes()
        return respond(await store.execute(request, work))

What is stored, and when, is `store`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Header
from fastapi import Request as HttpRequest
from pydantic import BaseModel
from starlette.responses import Response

from mambogo_chassis.http.openapi import REQUIRED_PARAMETER, with_headers
from mambogo_chassis.http.problems import errors
from mambogo_chassis.idempotency.store import MAX_KEY_CHARACTERS, Answer, Request

REPLAYED_HEADER: Final = "Idempotent-Replayed"
REPLAYED: Final[dict[str, Any]] = {
    REPLAYED_HEADER: {
        "required": False,
        "schema": {"type": "string", "const": "true"},
        "description": "The answer is that of an earlier request with the same key.",
    }
}
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request as it came in, before it is known whose it is."""

    key: str | None
    method: str
    target: str
    body: bytes

    def by(self, user: str) -> Request:
        """What the store knows it by; raises InvalidKeyError, which is answered with 400."""
        return Request.of(user=user, key=self.key, method=self.method, path=self.target, body=self.body)


# Documented as required; its absence is answered by 400 and not, as FastAPI would, by 422: draft-07, 2.7.
_KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="The same for every try of one request, such as a UUID.",
        json_schema_extra={
            **REQUIRED_PARAMETER,
            "minLength": 1,
            "maxLength": MAX_KEY_CHARACTERS,
            "pattern": "^[!-~]+$",
        },
        examples=["7b0f7c0e-3d5c-4d5e-9b0a-6a4c1f6f2d11"],
    ),
]


async def _keyed(request: HttpRequest, idempotency_key: _KeyHeader = None) -> KeyedRequest:
    # The bytes and not the parsed body: what the model does not tell apart may still be another request.
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return KeyedRequest(idempotency_key, request.method, target, await request.body())


Keyed = Annotated[KeyedRequest, Depends(_keyed)]


def keyed_responses(success: int, *headers: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """For `responses=`: the success with its headers and the replay's, and 409 (400, 422 are everywhere)."""
    return {success: with_headers(*headers, REPLAYED), **errors(409)}


def answer(status: int, content: BaseModel, headers: Mapping[str, str] | None = None) -> Answer:
    """What `work` returns: `content` as JSON."""
    return Answer(status, content.model_dump_json(by_alias=True).encode(), dict(headers or {}))


def respond(answer: Answer) -> Response:
    """The response; a replay says so in `Idempotent-Replayed`."""
    headers = {**answer.headers, **({REPLAYED_HEADER: "true"} if answer.is_replay else {})}
    return Response(answer.body or None, answer.status, headers, _JSON if answer.body else None)
