"""Keycloak: each test has a realm of its own, with real tokens."""

from __future__ import annotations

import base64
import json
import os
from typing import Any

import httpx
import pytest

import keycloak_schema
from mambogo_testkit import KeycloakServer, Realm, TestkitError


def claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return decoded


def signing_key_ids(realm: Realm) -> set[str]:
    keys = httpx.get(realm.jwks_url, timeout=10).json()["keys"]
    return {key["kid"] for key in keys if key["use"] == "sig"}


def test_a_realm_publishes_the_kinds_of_keys_that_keycloak_makes(keycloak_realm: Realm) -> None:
    keys = httpx.get(keycloak_realm.jwks_url, timeout=10).json()["keys"]
    assert sorted((key["use"], key["alg"]) for key in keys) == [("enc", "RSA-OAEP"), ("sig", "RS256")]


def test_a_users_token_carries_what_services_check(keycloak_realm: Realm) -> None:
    keycloak_realm.add_role("customer")
    keycloak_realm.add_scope("orders:write")
    gateway = keycloak_realm.add_client("gateway", audiences=["order-service"], scopes=["orders:write"])
    alice = keycloak_realm.add_user("alice", roles=["customer"])

    token = claims(keycloak_realm.user_tokens(gateway, alice, scope="openid orders:write")["access_token"])

    assert token["iss"] == keycloak_realm.issuer
    assert token["sub"] == alice.subject
    assert token["azp"] == "gateway"
    assert token["typ"] == "Bearer"
    assert "order-service" in token["aud"]
    assert "customer" in token["realm_access"]["roles"]
    assert "orders:write" in token["scope"].split()


def test_a_service_gets_a_token_of_its_own(keycloak_realm: Realm) -> None:
    client = keycloak_realm.add_client("order-service", audiences=["payment-service"], service=True)

    token = claims(keycloak_realm.service_token(client))

    assert token["azp"] == "order-service"
    assert "payment-service" in token["aud"]


def test_a_user_of_one_realm_is_unknown_in_another(keycloak_server: KeycloakServer) -> None:
    with keycloak_server.realm() as one, keycloak_server.realm() as other:
        alice = one.add_user("alice")
        gateway = other.add_client("gateway")
        with pytest.raises(TestkitError, match="invalid_grant"):
            other.user_tokens(gateway, alice)


def test_a_realm_is_gone_after_its_test(keycloak_server: KeycloakServer) -> None:
    with keycloak_server.realm() as realm:
        jwks_url = realm.jwks_url
    assert httpx.get(jwks_url, timeout=10).status_code == httpx.codes.NOT_FOUND


def test_rotated_keys_sign_and_the_old_ones_still_verify(keycloak_realm: Realm) -> None:
    before = signing_key_ids(keycloak_realm)
    keycloak_realm.rotate_keys()
    client = keycloak_realm.add_client("order-service", service=True)

    header = keycloak_realm.service_token(client).split(".")[0]

    kid = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"]
    assert kid not in before
    assert before | {kid} == signing_key_ids(keycloak_realm)


def test_a_realm_survives_the_kill_of_the_server(own_keycloak: KeycloakServer) -> None:
    with own_keycloak.realm() as realm:
        keys = signing_key_ids(realm)
        own_keycloak.kill()
        own_keycloak.start()
        assert signing_key_ids(realm) == keys


def test_a_cluster_s_first_start_makes_the_tables_that_this_keycloak_makes(
    keycloak_server: KeycloakServer,
) -> None:
    _, database = keycloak_server.running.containers
    made = keycloak_schema.dump(database, "keycloak")
    if os.environ.get("MAMBOGO_WRITE_KEYCLOAK_SCHEMA"):
        keycloak_schema.FILE.write_text(made)
    assert keycloak_schema.FILE.read_text() == made, "its first lines say how to make it anew"
