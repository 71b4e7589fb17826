"""The attack matrix has teeth: each check taken out of a copy lets a forged token through."""

from pathlib import Path

import pytest

from support.plants import run_with_plant

PLANTS = {
    "any-kind-of-token": ("tokens.py", 'if claims["typ"] != _ACCESS_TOKEN_TYPE:', "if False:"),
    "any-client": ("tokens.py", "or client not in self._policy.authorized_parties:", "or False:"),
    "any-issuer": ("tokens.py", "            issuer=self._policy.issuer,\n", ""),
    "any-audience": (
        "tokens.py",
        "            audience=self._policy.audience,\n",
        "            audience=None,\n",
    ),
    "claims-not-required": ("tokens.py", 'options={"require": _REQUIRED},', "options={},"),
    "no-size-cap": ("tokens.py", "if len(token) > MAX_TOKEN_CHARACTERS or", "if"),
    "encryption-keys-too": (
        "keys.py",
        'or jwk.get("use", "sig") != "sig" or algorithm not in algorithms',
        "",
    ),
}


TESTS = (
    "tests/auth/test_tokens.py",
    "tests/auth/test_keys.py::test_a_key_that_is_not_for_this_is_left_out",
)


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_defect_is_found(tmp_path: Path, name: str) -> None:
    file, sound, planted = PLANTS[name]
    assert run_with_plant(tmp_path, f"auth/{file}", sound, planted, *TESTS) == 1


def test_an_untouched_copy_passes(tmp_path: Path) -> None:
    line = "class TokenVerifier:"
    assert run_with_plant(tmp_path, "auth/tokens.py", line, line, *TESTS) == 0
