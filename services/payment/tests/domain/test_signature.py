"""Who may send webhooks."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mambogo_payment.domain.signature import is_signed

NOW = 1_795_435_200
BODY = b'{"id":"evt_1"}'


def signed(body: bytes = BODY, *, secret: str = "right", at: int = NOW) -> str:  # noqa: S107 - no secret
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def accepts(header: str, body: bytes = BODY, *, secrets: tuple[str, ...] = ("right",)) -> bool:
    return is_signed(header, body, secrets=secrets, now=NOW, window_seconds=300)


def test_the_providers_signature_is_taken() -> None:
    assert accepts(signed())


def test_both_secrets_are_taken_while_one_is_being_changed() -> None:
    assert accepts(signed(secret="old"), secrets=("new", "old"))
    assert accepts(signed() + "," + signed(secret="other").split(",")[1])


@pytest.mark.parametrize("seconds", [-301, 301, -(10**6)])
def test_a_signature_outside_the_window_is_refused(seconds: int) -> None:
    assert not accepts(signed(at=NOW + seconds))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=,v1=",
        signed(secret="wrong"),
        signed(b"another body"),
        signed().replace(f"t={NOW}", f"t={NOW + 1}"),
        signed().replace("v1=", "v0="),
        f"t={NOW}," + signed(),
        signed().split(",")[0],
        signed().upper(),
        "t=\u0661,v1=00",
        "t=9999999999999999999999,v1=00",
        f"t={NOW},v1=\u00e9",
    ],
)
def test_a_forged_signature_is_refused(header: str) -> None:
    assert not accepts(header)


@given(st.text(), st.binary())
def test_no_header_is_an_error(header: str, body: bytes) -> None:
    assert not accepts(header, body)
