"""Decides whether an access token is the issuer's, for this service, and valid now.

Every claim is required and compared: PyJWT alone accepts a token without `aud`, `exp` or `iss` unless told
otherwise, and an ID token in any configuration; Keycloak marks access tokens by `typ: Bearer`. Keycloak
sends no `nbf`, so it is checked where it is present. A verified token is remembered by its digest, never by
itself.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt

from mambogo_chassis.auth.keys import KeyCache, SigningKey, UnknownKeyError
from mambogo_chassis.errors import ChassisError

# Keycloak's access tokens are 1 to 2 KiB; past this nothing is parsed at all.
MAX_TOKEN_CHARACTERS: Final = 8192
MAX_KEY_ID_CHARACTERS: Final = 128
# OpenID Connect Core 1.0, section 2; events and idempotency keys rely on it.
MAX_SUBJECT_CHARACTERS: Final = 255
# About 1 KiB each.
MAX_REMEMBERED: Final = 4096
_REQUIRED: Final = ["exp", "iat", "iss", "aud", "sub", "azp", "typ"]
_ACCESS_TOKEN_TYPE: Final = "Bearer"  # noqa: S105 - the kind of a token


class InvalidTokenError(ChassisError):
    """The token is refused. The message is for the log; a client learns only that it is invalid."""

    code = "invalid-token"


@dataclass(frozen=True, slots=True)
class TokenPolicy:
    """What a token must say."""

    issuer: str
    audience: str
    authorized_parties: frozenset[str]
    algorithms: tuple[str, ...] = ("RS256",)
    leeway_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever holds a verified token."""

    subject: str
    client: str
    scopes: frozenset[str]
    roles: frozenset[str]
    expires_at: float


@dataclass(frozen=True, slots=True)
class _Verified:
    principal: Principal
    key: SigningKey
    not_before: float
    expires_at: float


class TokenVerifier:
    """Verifies tokens against one policy and one issuer's keys."""

    def __init__(self, policy: TokenPolicy, keys: KeyCache, clock: Callable[[], float] = time.time) -> None:
        self._policy = policy
        self._keys = keys
        self._clock = clock
        self._verified: dict[bytes, _Verified] = {}

    async def verify(self, token: str) -> Principal:
        """The token's holder. Raises InvalidTokenError, or KeysUnavailableError when it cannot be judged."""
        if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            raise InvalidTokenError("too long, or not ASCII")
        digest = hashlib.blake2b(token.encode("ascii"), digest_size=16).digest()
        known = self._verified.get(digest)
        if known is not None:
            if self._still_holds(known):
                return known.principal
            del self._verified[digest]
        verified = await self._verify_anew(token)
        if len(self._verified) >= MAX_REMEMBERED:
            self._verified.pop(next(iter(self._verified)), None)
        self._verified[digest] = verified
        return verified.principal

    def _still_holds(self, known: _Verified) -> bool:
        # Both ends: a clock that was stepped back must not keep a token that is not valid yet.
        now = self._clock()
        return known.not_before <= now < known.expires_at and self._keys.cached(known.key.key_id) is known.key

    async def _verify_anew(self, token: str) -> _Verified:
        header = _parsed(lambda: jwt.get_unverified_header(token))
        key_id, algorithm = header.get("kid"), header.get("alg")
        if not isinstance(key_id, str) or not 0 < len(key_id) <= MAX_KEY_ID_CHARACTERS:
            raise InvalidTokenError("no usable key id")
        if algorithm not in self._policy.algorithms:
            raise InvalidTokenError("an algorithm that is not accepted")
        try:
            key = await self._keys.find(key_id)
        except UnknownKeyError as error:
            raise InvalidTokenError("an unknown key id") from error
        if key.algorithm != algorithm:
            raise InvalidTokenError("an algorithm that is not its key's")
        claims = _parsed(lambda: self._decode(token, key))
        return self._judge(claims, key)

    def _decode(self, token: str, key: SigningKey) -> dict[str, Any]:
        return jwt.decode(
            token,
            key.key,
            algorithms=[key.algorithm],
            audience=self._policy.audience,
            issuer=self._policy.issuer,
            leeway=self._policy.leeway_seconds,
            options={"require": _REQUIRED},
        )

    def _judge(self, claims: Mapping[str, Any], key: SigningKey) -> _Verified:
        subject, client = claims["sub"], claims["azp"]
        if claims["typ"] != _ACCESS_TOKEN_TYPE:
            raise InvalidTokenError("not an access token")
        if not isinstance(client, str) or client not in self._policy.authorized_parties:
            raise InvalidTokenError("issued to a client that may not call this service")
        if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_CHARACTERS:
            raise InvalidTokenError("no subject, or one that is too long")
        leeway = self._policy.leeway_seconds
        expires_at = float(claims["exp"]) + leeway
        not_before = float(claims.get("nbf") or claims["iat"]) - leeway
        principal = Principal(
            subject, client, _scopes(claims), _roles(claims, self._policy.audience), expires_at
        )
        return _Verified(principal, key, not_before, expires_at)


def _parsed(parse: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What foreign text parses to; a parser's accidents on it (huge numbers, deep nesting) are refusals."""
    try:
        return parse()
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidTokenError(type(error).__name__) from error


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    scope = claims.get("scope")
    return frozenset(scope.split()) if isinstance(scope, str) else frozenset()


def _roles(claims: Mapping[str, Any], audience: str) -> frozenset[str]:
    """Realm roles, and this service's own client roles."""
    resources = claims.get("resource_access")
    own = resources.get(audience) if isinstance(resources, dict) else None
    found: set[str] = set()
    for access in (claims.get("realm_access"), own):
        roles = access.get("roles") if isinstance(access, dict) else None
        if isinstance(roles, list):
            found.update(role for role in roles if isinstance(role, str))
    return frozenset(found)
