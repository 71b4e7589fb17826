"""Tokens at the edge: verified once, recognised until they expire, refused in doubt."""

from __future__ import annotations

import asyncio
import time

import pytest
from rig import echo, fixed_answer, get, ok, rig, run

from mambogo_gateway.auth import (
    Authenticator,
    Principal,
    TokenRefusedError,
    TokenVerifier,
    VerifierUnavailableError,
)


class Scripted:
    """A verifier that does what its test says, and counts."""

    def __init__(self, outcome: Principal | Exception) -> None:
        self.outcome = outcome
        self.calls = 0

    async def verify(self, token: str) -> Principal:
        """Return or raise."""
        self.calls += 1
        await asyncio.sleep(0.01)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def valid(seconds: float = 100.0) -> Principal:
    """A principal whose token lasts for some time."""
    return Principal(b"alice", time.time() + seconds)


def test_one_check_for_many_requests_at_once() -> None:
    async def test() -> None:
        verifier: TokenVerifier = (scripted := Scripted(valid()))
        authenticator = Authenticator(verifier)
        await asyncio.gather(*(authenticator.verify(b"Bearer t") for _ in range(100)))
        assert scripted.calls == 1
        assert authenticator.recall(b"Bearer t", asyncio.get_running_loop().time()) is not None

    run(test())


def test_one_clients_departure_does_not_cancel_the_check_of_others() -> None:
    async def test() -> None:
        authenticator = Authenticator(Scripted(valid()))
        first = asyncio.ensure_future(authenticator.verify(b"Bearer t"))
        second = asyncio.ensure_future(authenticator.verify(b"Bearer t"))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).subject == b"alice"

    run(test())


def test_a_token_is_forgotten_when_it_expires() -> None:
    async def test() -> None:
        authenticator = Authenticator(Scripted(valid(5.0)))
        await authenticator.verify(b"Bearer t")
        now = asyncio.get_running_loop().time()
        assert authenticator.recall(b"Bearer t", now) is not None
        assert authenticator.recall(b"Bearer t", now + 5.0) is None

    run(test())


@pytest.mark.parametrize(
    "authorization", [b"Basic eDp5", b"Bearer", b"Bearer \xff", b"", b"Bearer " + b"x" * 100_000]
)
def test_what_is_no_bearer_token_never_reaches_the_verifier(authorization: bytes) -> None:
    async def test() -> None:
        scripted = Scripted(TokenRefusedError("no"))
        with pytest.raises(TokenRefusedError):
            await Authenticator(scripted).verify(authorization)
        assert scripted.calls == 0

    run(test())


def test_an_expired_principal_is_refused() -> None:
    async def test() -> None:
        with pytest.raises(TokenRefusedError):
            await Authenticator(Scripted(valid(-1.0))).verify(b"Bearer t")

    run(test())


def test_a_verifier_that_breaks_is_not_a_yes() -> None:
    async def test() -> None:
        with pytest.raises(VerifierUnavailableError):
            await Authenticator(Scripted(ZeroDivisionError())).verify(b"Bearer t")

    run(test())


def test_at_the_door() -> None:
    async def test() -> None:
        async with rig(echo()) as it:
            missing = await it.ask(get(method="PATCH"))
            assert (missing.status, missing.field("WWW-Authenticate")) == (401, 'Bearer realm="mambogo"')
            refused = await it.ask(get("/api/items", "Authorization: Bearer forged"))
            assert refused.status == 401
            taken = await it.ask(get("/api/items", "Authorization: Bearer user-1", method="PATCH"))
            assert taken.status == 200
            assert b"Authorization: Bearer user-1" in taken.body

    run(test())


def test_when_tokens_cannot_be_checked_the_door_stays_shut() -> None:
    async def test() -> None:
        async with rig(fixed_answer(ok(b"x"))) as it:
            it.gateway.authenticator = Authenticator(Scripted(VerifierUnavailableError("no keys")))
            answer = await it.ask(get("/api/items", "Authorization: Bearer user-1"))
            assert (answer.status, answer.field("Retry-After")) == (503, "2")

    run(test())
