"""The attack matrix: every forged, stale, foreign or mistyped token is refused, and a good one is not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from mambogo_chassis.auth import InvalidTokenError, KeyCache, TokenPolicy, TokenVerifier
from mambogo_chassis.auth.tokens import MAX_TOKEN_CHARACTERS
from support.issuer import AUDIENCE, CLIENT, REALM, Issuer, claims, jwk_of, rsa_key

Forge = Callable[[Issuer], str]
KEY_ID = {"kid": "one", "typ": "JWT"}


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def unsigned(algorithm: str) -> Forge:
    return lambda issuer: f"{encoded({**KEY_ID, 'alg': algorithm})}.{encoded(claims())}."


def hmac_with(secret: Callable[[Issuer], bytes]) -> Forge:
    """HS256 keyed with something public: what a verifier does that takes the header's algorithm."""

    def forge(issuer: Issuer) -> str:
        signed = f"{encoded({**KEY_ID, 'alg': 'HS256'})}.{encoded(claims())}"
        mac = hmac.new(secret(issuer), signed.encode(), hashlib.sha256).digest()
        return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    return forge


def public_pem(issuer: Issuer) -> bytes:
    return (
        issuer.keys["one"]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def signed_by_another(headers: dict[str, object]) -> Forge:
    return lambda issuer: jwt.encode(
        claims(), rsa_key("attacker"), algorithm="RS256", headers={**KEY_ID, **headers}
    )


def with_headers(**headers: object) -> Forge:
    return lambda issuer: jwt.encode(
        claims(), issuer.keys["one"], algorithm="RS256", headers={**KEY_ID, **headers}
    )


def with_claims(**changes: Any) -> Forge:
    return lambda issuer: issuer.token(**changes)


def tampered(issuer: Issuer) -> str:
    head, _, signature = issuer.token().split(".")
    return f"{head}.{encoded(claims(sub='8d0b2f3e-admin'))}.{signature}"


NOW = int(time.time())
# Longer than any run of these tests takes after it was loaded.
DAY = 86_400
ATTACKER_JWK = jwk_of(rsa_key("attacker"), "one")

FORGED: dict[str, Forge] = {
    "alg-none": unsigned("none"),
    "alg-nOnE": unsigned("nOnE"),
    "alg-empty": unsigned(""),
    "hs256-with-the-public-pem": hmac_with(public_pem),
    "hs256-with-the-public-jwk": hmac_with(
        lambda issuer: json.dumps(jwk_of(issuer.keys["one"], "one")).encode()
    ),
    "hs256-with-an-empty-secret": hmac_with(lambda issuer: b""),
    "signed-by-another-key": signed_by_another({}),
    "embedded-jwk": signed_by_another({"jwk": ATTACKER_JWK}),
    "jku-elsewhere": signed_by_another({"jku": "http://127.0.0.1:1/keys"}),
    "unknown-critical-header": with_headers(crit=["exotic"], exotic=True),
    "unknown-kid": with_headers(kid="two"),
    "kid-path-traversal": with_headers(kid="../../../../dev/null"),
    "kid-of-the-encryption-key": with_headers(kid="encryption"),
    "kid-missing": lambda issuer: jwt.encode(claims(), issuer.keys["one"], algorithm="RS256"),
    "rs512-with-an-rs256-key": lambda issuer: jwt.encode(
        claims(), issuer.keys["one"], algorithm="RS512", headers=KEY_ID
    ),
    "tampered-payload": tampered,
    "expired": with_claims(exp=NOW - 60),
    "exp-missing": with_claims(exp=None),
    "exp-as-text": with_claims(exp="never"),
    "exp-infinite": with_claims(exp=float("inf")),
    "not-valid-yet": with_claims(nbf=NOW + DAY),
    "issued-in-the-future": with_claims(iat=NOW + DAY),
    "iat-missing": with_claims(iat=None),
    "aud-missing": with_claims(aud=None),
    "aud-of-another-service": with_claims(aud=["payment-service", "account"]),
    "iss-missing": with_claims(iss=None),
    "iss-of-another-realm": with_claims(iss="http://issuer.test/realms/master"),
    "iss-with-a-slash-more": with_claims(iss=REALM + "/"),
    "id-token": with_claims(typ="ID"),
    "refresh-token": with_claims(typ="Refresh"),
    "typ-missing": with_claims(typ=None),
    "azp-missing": with_claims(azp=None),
    "azp-of-another-client": with_claims(azp="admin-cli"),
    "sub-missing": with_claims(sub=None),
    "sub-as-number": with_claims(sub=1),
    "sub-too-long": with_claims(sub="u" * 256),
    "empty": lambda issuer: "",
    "one-part": lambda issuer: "abc",
    "no-base64": lambda issuer: "!!!.???.***",
    "header-is-a-list": lambda issuer: f"{encoded([1])}.{encoded(claims())}.AA",
    "deeply-nested-header": lambda issuer: base64.urlsafe_b64encode(b"[" * 4000).decode() + ".e30.AA",
    "signature-missing": lambda issuer: issuer.token().rpartition(".")[0] + ".",
    "not-ascii": lambda issuer: issuer.token() + "ß",
    "100-KB": lambda issuer: issuer.token(padding="x" * 100_000),
}


async def test_a_good_token_is_accepted(tokens: Issuer, verifier: TokenVerifier) -> None:
    principal = await verifier.verify(tokens.token())
    assert (principal.subject, principal.client) == ("8d0b2f3e-alice", CLIENT)
    assert principal.scopes >= {"reminders:read", "reminders:write"}
    assert principal.roles == {"customer"}


@pytest.mark.parametrize("name", FORGED)
async def test_a_forged_token_is_refused(tokens: Issuer, verifier: TokenVerifier, name: str) -> None:
    await verifier.verify(tokens.token())  # so that a refusal is not for want of keys
    with pytest.raises(InvalidTokenError):
        await verifier.verify(FORGED[name](tokens))


@pytest.mark.parametrize("name", FORGED)
async def test_a_forged_token_is_refused_the_second_time_too(
    tokens: Issuer, verifier: TokenVerifier, name: str
) -> None:
    forged = FORGED[name](tokens)
    for _ in range(2):
        with pytest.raises(InvalidTokenError):
            await verifier.verify(forged)


async def test_an_oversized_token_is_not_even_parsed(tokens: Issuer, verifier: TokenVerifier) -> None:
    with pytest.raises(InvalidTokenError, match="too long"):
        await verifier.verify("a" * (MAX_TOKEN_CHARACTERS + 1))
    assert tokens.server.requests == []


async def test_a_remembered_token_expires(tokens: Issuer, keys: KeyCache) -> None:
    now = time.time()
    moving = TokenVerifier(TokenPolicy(REALM, AUDIENCE, frozenset({CLIENT})), keys, clock=lambda: now)
    token = tokens.token(exp=int(now) + 2)
    await moving.verify(token)
    now += 8  # past exp and leeway: the memory refuses; PyJWT's own clock has not moved
    assert not moving._still_holds(next(iter(moving._verified.values())))


async def test_a_clock_stepped_back_does_not_revive_a_token(tokens: Issuer, keys: KeyCache) -> None:
    now = time.time()
    moving = TokenVerifier(TokenPolicy(REALM, AUDIENCE, frozenset({CLIENT})), keys, clock=lambda: now)
    await moving.verify(tokens.token())
    now -= 600
    assert not moving._still_holds(next(iter(moving._verified.values())))


async def test_no_token_is_kept_in_memory(tokens: Issuer, verifier: TokenVerifier) -> None:
    token = tokens.token()
    await verifier.verify(token)
    signature = token.rpartition(".")[2]
    assert signature not in repr(verifier._verified)


async def test_client_roles_are_only_those_of_this_service(tokens: Issuer, verifier: TokenVerifier) -> None:
    access = {AUDIENCE: {"roles": ["keeper"]}, "payment-service": {"roles": ["refunder"]}}
    principal = await verifier.verify(tokens.token(resource_access=access))
    assert principal.roles == {"customer", "keeper"}


@pytest.mark.parametrize("access", ["admin", ["admin"], {"roles": "admin"}, {"roles": [1, None]}])
async def test_mistyped_roles_give_none(tokens: Issuer, verifier: TokenVerifier, access: object) -> None:
    principal = await verifier.verify(tokens.token(realm_access=access))
    assert principal.roles == frozenset()
