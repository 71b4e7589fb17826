"""A token issuer with its own keys and a real JWKS address, for tokens that no honest issuer would make."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

from support.faults import FaultServer, answer, fault_server

REALM = "http://issuer.test/realms/mambogo"
AUDIENCE = "reminder-service"
CLIENT = "gateway"


@cache
def rsa_key(name: str, bits: int = 2048) -> RSAPrivateKey:
    """A key per name; making one takes a tenth of a second, so each is made once per process."""
    return generate_private_key(public_exponent=65537, key_size=bits)


def jwk_of(key: RSAPrivateKey, key_id: str, **changes: Any) -> dict[str, Any]:
    """The published form of a key, as Keycloak writes it."""
    public: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(key.public_key()))
    public.pop("key_ops", None)
    return public | {"kid": key_id, "use": "sig", "alg": "RS256"} | changes


@dataclass
class Issuer:
    """Signs tokens; `server` is its JWKS address."""

    server: FaultServer
    keys: dict[str, RSAPrivateKey] = field(default_factory=dict)

    @property
    def jwks_url(self) -> str:
        return f"{self.server.url}/realms/mambogo/protocol/openid-connect/certs"

    def publish(self, *key_ids: str) -> None:
        """Make these the published keys, next to one for encryption, as Keycloak does."""
        self.keys = {key_id: rsa_key(key_id) for key_id in key_ids}
        encryption = jwk_of(rsa_key("encryption"), "encryption", use="enc", alg="RSA-OAEP")
        keys = [encryption, *(jwk_of(key, key_id) for key_id, key in self.keys.items())]
        self.server.behaviour = answer(json.dumps({"keys": keys}).encode())

    def token(self, key_id: str = "one", **changes: Any) -> str:
        """A good access token, but for the claims in `changes` (None leaves a claim out)."""
        return jwt.encode(
            claims(**changes), self.keys[key_id], algorithm="RS256", headers={"kid": key_id, "typ": "JWT"}
        )


def claims(**changes: Any) -> dict[str, Any]:
    """What Keycloak puts into an access token for a user."""
    now = int(time.time())
    content: Mapping[str, Any] = {
        "exp": now + 300,
        "iat": now,
        "jti": "onrtac:6a3e",
        "iss": REALM,
        "aud": [AUDIENCE, "account"],
        "sub": "8d0b2f3e-alice",
        "typ": "Bearer",
        "azp": CLIENT,
        "realm_access": {"roles": ["customer"]},
        "scope": "profile email reminders:read reminders:write",
    }
    return {name: value for name, value in {**content, **changes}.items() if value is not None}


@contextmanager
def issuer() -> Iterator[Issuer]:
    """An issuer with one key, for the length of the block."""
    with fault_server() as server:
        made = Issuer(server)
        made.publish("one")
        yield made
