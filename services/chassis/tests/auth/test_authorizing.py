"""Scopes, roles and ownership, enforced over a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import pytest
from fastapi import APIRouter

from mambogo_chassis.auth import Principal, ensure_owner, requires
from support.issuer import AUDIENCE, CLIENT, REALM, Issuer
from support.running import Running, Settings, running

router = APIRouter()


@router.get("/orders/{order_id}")
async def get_order(order_id: str, principal: Annotated[Principal, requires("reminders:read")]) -> str:
    ensure_owner(principal, "8d0b2f3e-alice", "order")
    return principal.subject


@router.delete("/orders")
async def delete_all(principal: Annotated[Principal, requires(any_role=["admin", "keeper"])]) -> str:
    return principal.subject


@pytest.fixture
async def service(tokens: Issuer) -> AsyncIterator[Running]:
    settings = Settings(
        issuer_url=REALM, jwks_url=tokens.jwks_url, audience=AUDIENCE, authorized_parties=(CLIENT,)
    )
    async with running(router, settings=settings) as made:
        yield made


async def ask(service: Running, method: str, path: str, token: str | None) -> tuple[int, str]:
    headers = {"Authorization": token} if token is not None else {}
    response = await service.client.request(method, path, headers=headers)
    code = response.json()["type"].rpartition(":")[2] if response.status_code >= 400 else ""
    return response.status_code, code


async def test_the_owner_gets_it(service: Running, tokens: Issuer) -> None:
    assert await ask(service, "GET", "/orders/1", f"Bearer {tokens.token()}") == (200, "")


async def test_another_users_object_does_not_exist(service: Running, tokens: Issuer) -> None:
    mallory = tokens.token(sub="mallory")
    assert await ask(service, "GET", "/orders/1", f"Bearer {mallory}") == (404, "not-found")


@pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
async def test_the_schemes_case_does_not_matter(service: Running, tokens: Issuer, scheme: str) -> None:
    assert (await ask(service, "GET", "/orders/1", f"{scheme} {tokens.token()}"))[0] == 200


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic YWxpY2U6cGFzcw==", "token"])
async def test_without_a_token_it_is_401(service: Running, header: str | None) -> None:
    assert await ask(service, "GET", "/orders/1", header) == (401, "token-missing")


async def test_an_invalid_token_is_401_and_says_no_more(service: Running, tokens: Issuer) -> None:
    response = await service.client.get(
        "/orders/1", headers={"Authorization": f"Bearer {tokens.token(typ='ID')}"}
    )
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert "access token" not in response.text


async def test_a_token_of_100_kb_is_401(service: Running) -> None:
    response = await service.client.get("/orders/1", headers={"Authorization": "Bearer " + "a" * 100_000})
    assert response.status_code in (400, 401, 431)


async def test_a_missing_scope_is_403(service: Running, tokens: Issuer) -> None:
    poor = tokens.token(scope="profile reminders:readmore")
    assert await ask(service, "GET", "/orders/1", f"Bearer {poor}") == (403, "insufficient-scope")


async def test_a_missing_role_is_403_and_one_of_them_is_enough(service: Running, tokens: Issuer) -> None:
    customer = tokens.token()
    keeper = tokens.token(realm_access={"roles": ["keeper"]})
    assert await ask(service, "DELETE", "/orders", f"Bearer {customer}") == (403, "insufficient-role")
    assert await ask(service, "DELETE", "/orders", f"Bearer {keeper}") == (200, "")


async def test_without_keys_it_is_503_and_recovers_without_a_restart(
    service: Running, tokens: Issuer
) -> None:
    service.service.verifier._keys._keys.clear()  # type: ignore[union-attr] # it is set: the settings say so
    service.service.verifier._keys._read_at = None  # type: ignore[union-attr]
    tokens.server.stop_listening()
    assert await ask(service, "GET", "/orders/1", f"Bearer {tokens.token()}") == (503, "keys-unavailable")
    tokens.server.listen_again()
    assert await ask(service, "GET", "/orders/1", f"Bearer {tokens.token()}") == (200, "")


async def test_the_callers_client_is_in_the_log_and_the_caller_is_not(
    service: Running, tokens: Issuer
) -> None:
    await service.client.get("/orders/1", headers={"Authorization": f"Bearer {tokens.token()}"})
    (line,) = [line for line in service.log_lines() if line["logger"] == "access"]
    assert line["client"] == CLIENT
    assert "alice" not in str(line)
