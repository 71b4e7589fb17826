"""Tokens of a real Keycloak: its access tokens are accepted, everything else that it issues is not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import jwt
import pytest

from mambogo_chassis.auth import InvalidTokenError, KeyCache, TokenPolicy, TokenVerifier

if TYPE_CHECKING:
    from mambogo_testkit.dependencies.keycloak import KeycloakServer
    from mambogo_testkit.realms import Client, Realm

AUDIENCE = "order-service"


@pytest.fixture
def gateway(keycloak_realm: Realm) -> Client:
    keycloak_realm.add_scope("orders:write")
    keycloak_realm.add_role("customer")
    return keycloak_realm.add_client("gateway", audiences=[AUDIENCE], scopes=["orders:write"])


def verifier_of(realm: Realm, *parties: str) -> TokenVerifier:
    policy = TokenPolicy(realm.issuer, AUDIENCE, frozenset(parties or ("gateway",)))
    return TokenVerifier(policy, KeyCache(realm.jwks_url))


async def test_a_users_access_token_is_accepted(keycloak_realm: Realm, gateway: Client) -> None:
    alice = keycloak_realm.add_user("alice", roles=["customer"])
    tokens = keycloak_realm.user_tokens(gateway, alice, scope="openid orders:write")
    principal = await verifier_of(keycloak_realm).verify(tokens["access_token"])
    assert (principal.subject, principal.client) == (alice.subject, "gateway")
    assert "orders:write" in principal.scopes
    assert "customer" in principal.roles


@pytest.mark.parametrize("kind", ["id_token", "refresh_token"])
async def test_its_other_tokens_are_refused(keycloak_realm: Realm, gateway: Client, kind: str) -> None:
    alice = keycloak_realm.add_user("alice")
    tokens = keycloak_realm.user_tokens(gateway, alice)
    # As its audience is the client itself, the audience alone must not be what saves us.
    policy = TokenPolicy(keycloak_realm.issuer, "gateway", frozenset({"gateway"}))
    verifier = TokenVerifier(policy, KeyCache(keycloak_realm.jwks_url))
    with pytest.raises(InvalidTokenError, match=r"not an access token|not accepted"):
        await verifier.verify(tokens[kind])


async def test_a_service_account_is_accepted(keycloak_realm: Realm) -> None:
    client = keycloak_realm.add_client("payment-service", audiences=[AUDIENCE], service=True)
    token = keycloak_realm.service_token(client)
    principal = await verifier_of(keycloak_realm, "payment-service").verify(token)
    assert principal.client == "payment-service"


async def test_a_client_without_this_audience_is_refused(keycloak_realm: Realm) -> None:
    client = keycloak_realm.add_client("gateway", audiences=["cart-service"], service=True)
    with pytest.raises(InvalidTokenError):
        await verifier_of(keycloak_realm).verify(keycloak_realm.service_token(client))


async def test_a_client_that_may_not_call_is_refused(keycloak_realm: Realm) -> None:
    client = keycloak_realm.add_client("reporting", audiences=[AUDIENCE], service=True)
    with pytest.raises(InvalidTokenError, match="may not call"):
        await verifier_of(keycloak_realm).verify(keycloak_realm.service_token(client))


async def test_another_realms_token_is_refused(
    keycloak_server: KeycloakServer, keycloak_realm: Realm
) -> None:
    with keycloak_server.realm() as other:
        client = other.add_client("gateway", audiences=[AUDIENCE], service=True)
        token = other.service_token(client)
    with pytest.raises(InvalidTokenError):
        await verifier_of(keycloak_realm).verify(token)


async def test_a_rotated_key_is_found_and_the_old_tokens_stay_good(keycloak_realm: Realm) -> None:
    client = keycloak_realm.add_client("gateway", audiences=[AUDIENCE], service=True)
    verifier = verifier_of(keycloak_realm)
    old = keycloak_realm.service_token(client)
    await verifier.verify(old)
    await asyncio.to_thread(keycloak_realm.rotate_keys)
    new = keycloak_realm.service_token(client)
    assert jwt.get_unverified_header(new)["kid"] != jwt.get_unverified_header(old)["kid"]
    await verifier.verify(new)
    await verifier.verify(old)


async def test_keycloak_sends_no_not_before_claim(keycloak_realm: Realm) -> None:
    # Why `nbf` is checked where it is, and not required: should this change, require it.
    client = keycloak_realm.add_client("gateway", audiences=[AUDIENCE], service=True)
    claims = jwt.decode(keycloak_realm.service_token(client), options={"verify_signature": False})
    assert "nbf" not in claims
    assert {"exp", "iat", "iss", "aud", "azp", "typ"} <= set(claims)
