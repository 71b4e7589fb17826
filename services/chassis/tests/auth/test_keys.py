"""Signing keys: rotation, absence of the issuer, floods of unknown key ids."""

from __future__ import annotations

import asyncio
import json

import pytest

from mambogo_chassis.auth import (
    InvalidTokenError,
    KeyCache,
    KeysUnavailableError,
    TokenPolicy,
    TokenVerifier,
)
from mambogo_chassis.auth.keys import MAX_WAITING, UnknownKeyError
from support.faults import answer, garbage, hang, reset
from support.issuer import AUDIENCE, CLIENT, REALM, Issuer, jwk_of, rsa_key

POLICY = TokenPolicy(REALM, AUDIENCE, frozenset({CLIENT}))


class Clock:
    """Monotonic time that a test moves; the cache's waits are real and short."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_a_hundred_first_requests_read_the_keys_once(tokens: Issuer, verifier: TokenVerifier) -> None:
    token = tokens.token()
    principals = await asyncio.gather(*(verifier.verify(token) for _ in range(100)))
    assert len(principals) == 100
    assert len(tokens.server.requests) == 1


async def test_a_new_key_is_found_by_one_refresh(tokens: Issuer, verifier: TokenVerifier) -> None:
    await verifier.verify(tokens.token("one"))
    tokens.publish("one", "two")
    await verifier.verify(tokens.token("two"))
    assert len(tokens.server.requests) == 2


async def test_a_withdrawn_key_is_refused_after_the_next_refresh(
    tokens: Issuer, keys: KeyCache, verifier: TokenVerifier
) -> None:
    old = tokens.token("one")
    await verifier.verify(old)
    tokens.publish("two")
    await verifier.verify(tokens.token("two"))  # brings the new set
    with pytest.raises(InvalidTokenError):
        await verifier.verify(old)


async def test_a_key_that_stays_keeps_its_remembered_tokens(tokens: Issuer, verifier: TokenVerifier) -> None:
    token = tokens.token("one")
    await verifier.verify(token)
    tokens.publish("one", "two")
    await verifier.verify(tokens.token("two"))
    assert all(verifier._still_holds(known) for known in verifier._verified.values())


async def test_an_unknown_key_id_is_asked_for_once(tokens: Issuer) -> None:
    clock = Clock()
    keys = KeyCache(tokens.jwks_url, clock=clock)
    await keys.find("one")
    clock.now += 10
    for _ in range(20):
        with pytest.raises(UnknownKeyError):
            await keys.find("made-up")
    assert len(tokens.server.requests) == 2


async def test_a_flood_of_made_up_key_ids_shares_refreshes(tokens: Issuer, keys: KeyCache) -> None:
    await keys.find("one")
    outcomes = await asyncio.gather(*(keys.find(f"made-up-{n}") for n in range(150)), return_exceptions=True)
    assert all(isinstance(outcome, UnknownKeyError) for outcome in outcomes)
    assert len(tokens.server.requests) == 2


async def test_a_flood_past_the_bound_is_told_to_come_again(tokens: Issuer, keys: KeyCache) -> None:
    tokens.server.behaviour = hang
    outcomes = await asyncio.gather(
        *(keys.find(f"made-up-{n}") for n in range(MAX_WAITING + 50)), return_exceptions=True
    )
    assert all(isinstance(outcome, KeysUnavailableError) for outcome in outcomes)
    assert len(tokens.server.requests) == 1


async def test_known_keys_outlive_the_issuer(tokens: Issuer, verifier: TokenVerifier) -> None:
    await verifier.verify(tokens.token())
    tokens.server.stop_listening()
    await verifier.verify(tokens.token(sub="another-token"))


@pytest.mark.parametrize(
    "behaviour", [hang, garbage, reset, answer(b"{}"), answer(b'{"keys": []}'), answer(b"", 503)]
)
async def test_a_misbehaving_issuer_costs_no_key(tokens: Issuer, keys: KeyCache, behaviour: object) -> None:
    await keys.find("one")
    tokens.server.behaviour = behaviour  # type: ignore[assignment] # parametrize loses the type
    with pytest.raises(UnknownKeyError):
        await keys.find("two")
    assert keys.cached("one") is not None


async def test_without_any_key_the_answer_is_not_now(tokens: Issuer, verifier: TokenVerifier) -> None:
    tokens.server.stop_listening()
    with pytest.raises(KeysUnavailableError):
        await verifier.verify(tokens.token())


async def test_an_issuer_that_comes_back_is_used_without_a_restart(
    tokens: Issuer, verifier: TokenVerifier
) -> None:
    tokens.server.stop_listening()
    with pytest.raises(KeysUnavailableError):
        await verifier.verify(tokens.token())
    tokens.server.listen_again()
    assert (await verifier.verify(tokens.token())).client == CLIENT


async def test_a_caller_that_gives_up_does_not_end_the_others_refresh(tokens: Issuer, keys: KeyCache) -> None:
    first = asyncio.create_task(keys.find("one"))
    second = asyncio.create_task(keys.find("one"))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).key_id == "one"


@pytest.mark.parametrize(
    "jwk",
    [
        jwk_of(rsa_key("one"), "bad", use="enc"),
        jwk_of(rsa_key("one"), "bad", alg="RS512"),
        jwk_of(rsa_key("one"), "bad", alg=None),
        jwk_of(rsa_key("small", 1024), "bad"),
        jwk_of(rsa_key("one"), "bad", n="AA"),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "bad", "alg": "HS256", "use": "sig"},
        {"kty": "RSA", "kid": "bad", "alg": "RS256"},
    ],
    ids=[
        "for-encryption",
        "other-algorithm",
        "no-algorithm",
        "too-short",
        "broken",
        "symmetric",
        "no-numbers",
    ],
)
async def test_a_key_that_is_not_for_this_is_left_out(tokens: Issuer, keys: KeyCache, jwk: object) -> None:
    good = jwk_of(rsa_key("one"), "one")
    tokens.server.behaviour = answer(json.dumps({"keys": [jwk, good]}).encode())
    await keys.find("one")
    assert keys.cached("bad") is None
