"""Secrets in text: each shape that this project handles is hidden, and nothing else."""

from __future__ import annotations

import pytest
from rehearsal.core.redaction import HIDDEN, redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc.def-123456", f"Authorization: Bearer {HIDDEN}"),
        ("token eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0. was sent", f"token {HIDDEN} was sent"),
        ("postgres://anna:geheim@db:5432/orders", f"postgres://{HIDDEN}@db:5432/orders"),
        ("grant_type=password&password=geheim&x=1", f"grant_type=password&password={HIDDEN}&x=1"),
        ('{"client_secret": "geheim"}', f'{{"client_secret": "{HIDDEN}"}}'),
        ("http://127.0.0.1:8080/api/orders", "http://127.0.0.1:8080/api/orders"),
        ("no password was given", "no password was given"),
    ],
)
def test_secret_is_hidden_and_nothing_else(text: str, shown: str) -> None:
    assert redact(text) == shown
