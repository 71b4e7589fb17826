"""What an operation requires of its caller, declared where the operation is.

@router.get("/api/orders/{order_id}") async def get_order(order_id: UUID, principal: Annotated[Principal,
requires("orders:read")]) -> OrderView: ...

The requirement is enforced and documented by the same declaration; 401 and 403 are added to the document by
`http.openapi`. Ownership of one object needs the object: `ensure_owner`, after it was read.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final

from fastapi import FastAPI, Security
from fastapi.dependencies.models import Dependant
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase
from starlette.requests import Request

from mambogo_chassis.auth.tokens import InvalidTokenError, Principal, TokenVerifier
from mambogo_chassis.errors import ChassisError
from mambogo_chassis.http import context, problems
from mambogo_chassis.http.problems import Problem

# `openapi_extra=PUBLIC` on an operation says that it needs no token, on purpose.
PUBLIC: Final[dict[str, Any]] = {"x-public": True}

logger = logging.getLogger(__name__)


class UnguardedOperationError(ChassisError):
    """An operation requires nothing and does not say that it is public."""

    code = "unguarded-operation"


class Authorize(SecurityBase):
    """A dependency that lets only callers with all scopes, and one of the roles if any, through."""

    def __init__(self, scopes: Iterable[str], any_role: Iterable[str]) -> None:
        self.scopes = frozenset(scopes)
        self.any_role = frozenset(any_role)
        self.model = HTTPBearerModel(bearerFormat="JWT")
        self.scheme_name = "bearer"

    async def __call__(self, request: Request) -> Principal:
        """The caller. Raises 401, 403 or 503 problems."""
        principal = await _authenticate(request)
        if not self.scopes <= principal.scopes:
            raise Problem(403, "insufficient-scope", f"Needs scope {' '.join(sorted(self.scopes))}.")
        if self.any_role and not self.any_role & principal.roles:
            raise Problem(403, "insufficient-role", f"Needs role {' or '.join(sorted(self.any_role))}.")
        return principal


def requires(*scopes: str, any_role: Iterable[str] = ()) -> Any:
    """For `Annotated[Principal, requires("orders:read")]`, or a router's `dependencies=[requires(...)]`."""
    return Security(Authorize(scopes, any_role), scopes=list(scopes))


def ensure_owner(principal: Principal, owner: str, what: str) -> None:
    """Answer 404 for another user's object, word for word as for one that does not exist."""
    if principal.subject != owner:
        raise problems.not_found(what)


def check_guarded(app: FastAPI) -> None:
    """Refuse to start with an operation that nobody thought about. Raises UnguardedOperationError."""
    for route in app.routes:
        if not isinstance(route, APIRoute):
            continue
        if not _is_guarded(route.dependant) and not (route.openapi_extra or {}).get("x-public"):
            raise UnguardedOperationError(
                f"{sorted(route.methods or ())} {route.path} requires no token",
                hint="add requires(...), or openapi_extra=PUBLIC if that is meant",
            )


def _is_guarded(dependant: Dependant) -> bool:
    return isinstance(dependant.call, Authorize) or any(_is_guarded(part) for part in dependant.dependencies)


async def _authenticate(request: Request) -> Principal:
    verifier: TokenVerifier | None = request.app.state.verifier
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise _unauthorized("token-missing", "Bearer")
    if verifier is None:
        raise problems.unavailable("Tokens cannot be verified.")
    try:
        principal = await verifier.verify(token.strip())
    except InvalidTokenError as error:
        # Why a token was refused helps an attacker and, in the log, the operator.
        logger.info("token refused: %s", error.message)
        raise _unauthorized("token-invalid", 'Bearer error="invalid_token"') from error
    if (current := context.current()) is not None:
        current.client = principal.client
    return principal


def _unauthorized(code: str, challenge: str) -> Problem:
    return Problem(401, code, headers={"WWW-Authenticate": challenge})
