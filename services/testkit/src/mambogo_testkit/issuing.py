"""A token issuer with a real JWKS address, for tests that need many users at once and no Keycloak.

Its tokens have the claims that Keycloak's have. Tests of what Keycloak really sends use `keycloak_realm`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

from mambogo_testkit.peers import PeerReply, peer

ISSUER_URL = "http://issuer.test/realms/mambogo"
AUDIENCE = "mambogo"
CLIENT = "shop"
_KEY_ID = "one"


@cache
def _key() -> RSAPrivateKey:
    # Making one takes a tenth of a second: once per process.
    return generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True, slots=True)
class Issuer:
    """Signs tokens that a service with `settings` accepts."""

    jwks_url: str
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The same settings for a service that is a process."""
        return {
            name.upper(): ",".join(value) if isinstance(value, tuple) else value
            for name, value in self.settings.items()
        }

    def token(self, user: str, *scopes: str, roles: tuple[str, ...] = (), seconds: int = 3600) -> str:
        """An access token of `user`."""
        now = int(time.time())
        claims = {
            "exp": now + seconds,
            "iat": now,
            "iss": ISSUER_URL,
            "aud": [AUDIENCE, "account"],
            "sub": user,
            "typ": "Bearer",
            "azp": CLIENT,
            "realm_access": {"roles": list(roles)},
            "scope": " ".join(scopes),
        }
        return jwt.encode(claims, _key(), algorithm="RS256", headers={"kid": _KEY_ID, "typ": "JWT"})


@contextmanager
def issuer() -> Iterator[Issuer]:
    """An issuer for the length of the block."""
    public = json.loads(RSAAlgorithm.to_jwk(_key().public_key()))
    public.pop("key_ops", None)
    keys = {"keys": [public | {"kid": _KEY_ID, "use": "sig", "alg": "RS256"}]}
    with peer(lambda request: PeerReply(200, keys)) as server:
        jwks_url = f"{server.url}/certs"
        settings = {
            "issuer_url": ISSUER_URL,
            "jwks_url": jwks_url,
            "audience": AUDIENCE,
            "authorized_parties": (CLIENT,),
        }
        yield Issuer(jwks_url, settings)
