"""An issuer with a real JWKS address, and a verifier that trusts it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mambogo_chassis.auth import KeyCache, TokenPolicy, TokenVerifier
from mambogo_chassis.auth import keys as keys_module
from support.issuer import AUDIENCE, CLIENT, REALM, Issuer, issuer

POLICY = TokenPolicy(issuer=REALM, audience=AUDIENCE, authorized_parties=frozenset({CLIENT}))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each unknown key id waits for the next refresh, which half of the forged tokens would do for a second.
    monkeypatch.setattr(keys_module, "MIN_INTERVAL_SECONDS", 0.1)


@pytest.fixture
def tokens() -> Iterator[Issuer]:
    with issuer() as made:
        yield made


@pytest.fixture
def keys(tokens: Issuer) -> KeyCache:
    return KeyCache(tokens.jwks_url)


@pytest.fixture
def verifier(keys: KeyCache) -> TokenVerifier:
    return TokenVerifier(POLICY, keys)
