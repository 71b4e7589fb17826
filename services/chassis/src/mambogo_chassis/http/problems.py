"""Errors as `application/problem+json` (RFC 9457): raised, documented, and rendered in one place.

Every answer of 400 and above has this form, whoever made it: an operation, the router, validation, the
edge. A document names the kind of problem and the request's id; it never holds input, internals or a stack.
Which problems each operation documents is completed by `openapi`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from mambogo_chassis.errors import ChassisError
from mambogo_chassis.http import context

MEDIA_TYPE: Final = "application/problem+json"
# A document with thousands of errors for one body helps nobody and costs the server's time.
MAX_REPORTED_ERRORS: Final = 20
# Of RFC 9110, section 9, and PATCH; anything else is answered 405 (known path) or 404 as well.
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
DEFAULT_RETRY_AFTER_SECONDS: Final = 1

Translate = Callable[[Exception], ChassisError | None]

logger = logging.getLogger(__name__)


class FieldError(BaseModel):
    """One thing that is wrong with the input, and where."""

    model_config = ConfigDict(extra="forbid")

    location: Annotated[str, Field(description="Where, as a path: `body.lines.0.quantity`.")]
    message: str
    code: str


class ProblemDocument(BaseModel):
    """RFC 9457, with the request's id and, for invalid input, what is wrong with it."""

    model_config = ConfigDict(extra="forbid")

    type: Annotated[str, Field(description="A stable URN of the kind of problem.")]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str | None = None
    request_id: str
    errors: list[FieldError] | None = None


class Problem(HTTPException):
    """An answer that is not a success. `code` becomes `urn:mambogo:problem:<code>`.

    It derives from Starlette's exception because FastAPI lets only that pass where it reads bodies.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        sent = dict(headers or {})
        if retry_after_seconds is not None:
            sent["Retry-After"] = str(retry_after_seconds)
        super().__init__(status, detail or "", sent or None)
        self.code = code


def not_found(what: str) -> Problem:
    """404, the same for what does not exist and for what is another user's."""
    return Problem(404, "not-found", f"There is no such {what}.")


def conflict(code: str, detail: str) -> Problem:
    """409: the request is sound, the state of the resource does not allow it."""
    return Problem(409, code, detail)


def unavailable(detail: str, retry_after_seconds: int = DEFAULT_RETRY_AFTER_SECONDS) -> Problem:
    """503: not now; the client is told when to come again."""
    return Problem(503, "unavailable", detail, retry_after_seconds=retry_after_seconds)


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For an operation's `responses=`: documents these statuses as problems, with the headers they carry.

    401, 403 and what every operation may answer (400, 422, 429, 500, ...) are added by `openapi` by itself.
    """
    return {status: documented(status) for status in statuses}


def documented(status: int) -> dict[str, Any]:
    """One response object of an OpenAPI document."""
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    response: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "content": {MEDIA_TYPE: {"schema": schema}},
    }
    if status in (429, 503):
        header = {"required": True, "schema": {"type": "integer", "minimum": 0}, "description": "Seconds."}
        response["headers"] = {"Retry-After": header}
    if status == 401:
        response["headers"] = {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}}
    return response


def render(
    status: int,
    code: str,
    detail: str | None,
    *,
    headers: Mapping[str, str] | None = None,
    field_errors: list[dict[str, str]] | None = None,
) -> Response:
    """The response; 429 and 503 always carry `Retry-After`, 401 always `WWW-Authenticate`."""
    sent = dict(headers or {})
    if status in (429, 503):
        sent.setdefault("Retry-After", str(DEFAULT_RETRY_AFTER_SECONDS))
    if status == 401:
        sent.setdefault("WWW-Authenticate", "Bearer")
    return Response(document(status, code, detail, field_errors), status, sent, MEDIA_TYPE)


def document(
    status: int, code: str, detail: str | None, field_errors: list[dict[str, str]] | None = None
) -> bytes:
    """The body of a problem."""
    request = context.current()
    content: dict[str, Any] = {
        "type": f"urn:mambogo:problem:{code}",
        "title": _phrase(status),
        "status": status,
        "request_id": request.request_id if request is not None else "",
    }
    if detail:
        content["detail"] = detail
    if field_errors is not None:
        content["errors"] = field_errors
    return msgspec.json.encode(content)


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem."""
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _invalid_input)
    app.add_exception_handler(ChassisError, _chassis_error)
    app.add_exception_handler(Exception, _unexpected)


def translate(app: FastAPI, kind: type[Exception], make: Translate) -> None:
    """Answer a library's errors of `kind` as the ChassisErrors that `make` makes of them, or as a 500."""

    async def handle(request: Request, error: Exception) -> Response:
        made = make(error)
        if made is None:
            raise error
        return await _chassis_error(request, made)

    app.add_exception_handler(kind, handle)


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette looks handlers up by type
    if isinstance(error, Problem):
        return render(error.status_code, error.code, error.detail or None, headers=error.headers)
    if error.status_code == 405:
        return _method_not_allowed(request)
    code = _phrase(error.status_code).lower().replace(" ", "-")
    detail = "The body could not be read." if error.status_code == 400 else None
    return render(error.status_code, code, detail, headers=error.headers)


def _method_not_allowed(request: Request) -> Response:
    allowed = allowed_methods(request)
    if not allowed:
        return render(404, "not-found", None)
    return render(405, "method-not-allowed", None, headers={"Allow": ", ".join(allowed)})


def allowed_methods(request: Request) -> list[str]:
    """Every method that the path answers.

    Starlette names only those of the first route that matches (fastapi#4478); asking each route for each
    method needs nothing of the router's insides.
    """
    routes = request.app.router.routes
    return [
        method
        for method in METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]


async def _invalid_input(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - Starlette looks handlers up by type
    problems = error.errors()
    if any(problem["loc"][:1] == ("body",) for problem in problems) and _is_foreign_media_type(request):
        return render(415, "unsupported-media-type", "Send the body as application/json.")
    found = [
        {
            "location": ".".join(str(part) for part in problem["loc"]),
            "message": str(problem["msg"]),
            "code": str(problem["type"]),
        }
        for problem in problems[:MAX_REPORTED_ERRORS]
    ]
    return render(422, "invalid-input", "The input does not meet the contract.", field_errors=found)


def _is_foreign_media_type(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        return False
    # No body at all is a missing body (422), whatever its type would have been.
    has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    return has_body


async def _chassis_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ChassisError)  # noqa: S101 - Starlette looks handlers up by type
    if error.http_status is None:
        raise error
    if error.http_status >= 500:
        # The message may name hosts and pools: for the log, not for the client.
        logger.warning("answered %d: %s", error.http_status, error)
    headers = {"Retry-After": str(error.retry_after_seconds)} if error.retry_after_seconds else None
    detail = error.message if error.http_status < 500 else None
    return render(error.http_status, error.code, detail, headers=headers)


async def _unexpected(request: Request, error: Exception) -> Response:
    # Starlette raises it again after this, and the edge logs it with its stack.
    return render(500, "internal-error", None)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
