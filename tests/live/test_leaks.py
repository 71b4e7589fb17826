"""What looks for secrets finds each that is planted, and says its name only."""

from __future__ import annotations

import json
import secrets
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.live.leaks import Needles

SECRET = "Geheim/+ 'wort_-42 \"é"
OTHER = "nobody-planted-this-one"
NEEDLES = Needles({"planted": SECRET, "other": OTHER})


@pytest.mark.parametrize(
    "form",
    [
        str,
        lambda value: f'{{"password": {json.dumps(value)}}}',
        lambda value: f"redis://:{quote(value, safe='')}@redis:6379",
        lambda value: value.encode().hex(),
    ],
    ids=["raw", "json", "url", "hex"],
)
def test_a_planted_secret_is_found(form: Callable[[str], str]) -> None:
    assert NEEDLES.found(f"before {form(SECRET)} after".encode()) == ["planted"]


@pytest.mark.parametrize("before", ["", "x", "xy", "xyz", "requirepass "])
@pytest.mark.parametrize("after", ["", "\n", "yz", "xyz"])
@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
def test_it_is_found_in_base64_wherever_it_stands(
    before: str, after: str, encode: Callable[[bytes], bytes]
) -> None:
    assert NEEDLES.found(encode(f"{before}{SECRET}{after}".encode())) == ["planted"]


def test_what_is_not_there_is_not_found() -> None:
    for _ in range(100):
        text = secrets.token_bytes(1000)
        assert NEEDLES.found(text + b64encode(text)) == []


@pytest.mark.parametrize("at", [1, 5, 12])
def test_it_is_found_across_the_parts_of_a_long_text(at: int) -> None:
    raw = SECRET.encode()
    assert NEEDLES.found_in([b"x" * 500 + raw[:at], raw[at : at + 3], raw[at + 3 :] + b"y"]) == ["planted"]


def test_no_secret_is_printed() -> None:
    assert repr(NEEDLES) == "Needles(['other', 'planted'])"


def test_what_could_stand_anywhere_is_refused() -> None:
    with pytest.raises(AssertionError, match=r"too short.*\['password'\]"):
        Needles({"password": "geheim"})
