"""Secrets in text: each shape and each value is hidden, nothing else is, and JSON stays JSON."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from time import process_time
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rehearsal.core.redaction import HIDDEN, Redaction, redact

VALUE = 'p4ss+w/o"rd\\of äll'
# What may stand beside each other in a log, and make a pattern go too far.
FRAGMENTS = (
    *(
        "password",
        "client_secret",
        "TOKEN",
        "X-API-Key",
        "Authorization: Basic ",
        "Bearer ",
        "redis://:",
        "@host",
    ),
    *(
        "=",
        ":",
        ": ",
        '"',
        "'",
        "\\",
        "\\\\",
        "\n",
        "\t",
        " ",
        ",",
        "{",
        "}",
        "[",
        "]",
        "é",
        "\0",
        "x1",
        "geheim",
    ),
    *("requirepass ", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "eyJhbGciOi.eyJzdWIiOi."),
)
texts = st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join)
contents = st.recursive(
    texts | st.none() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc.def-123456", f"Authorization: Bearer {HIDDEN}"),
        ("token eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0. was sent", f"token {HIDDEN} was sent"),
        ("postgres://anna:geheim@db:5432/orders", f"postgres://{HIDDEN}@db:5432/orders"),
        ("grant_type=password&password=geheim&x=1", f"grant_type=password&password={HIDDEN}&x=1"),
        ('{"client_secret": "geheim"}', f'{{"client_secret": "{HIDDEN}"}}'),
        ("redis://:geheim@redis-cluster:6379/0", f"redis://{HIDDEN}@redis-cluster:6379/0"),
        ('{"password":"geheim","user":"anna"}', f'{{"password":"{HIDDEN}","user":"anna"}}'),
        ('{"password":"ge\\"heim"}', f'{{"password":"{HIDDEN}"}}'),
        (
            r'{"body": "{\"password\":\"geheim\",\"a\":1}"}',
            rf'{{"body": "{{\"password\":\"{HIDDEN}\",\"a\":1}}"}}',
        ),
        ("{'password': 'geheim', 'user': 'anna'}", f"{{'password': '{HIDDEN}', 'user': 'anna'}}"),
        ("Settings(db_password='geheim', port=1)", f"Settings(db_password='{HIDDEN}', port=1)"),
        ("PASSWORD: geheim", f"PASSWORD: {HIDDEN}"),
        ("  admin-password: geheim\n  user: anna", f"  admin-password: {HIDDEN}\n  user: anna"),
        ('{"env": "A=1\\nDB_PASSWORD=geheim\\nB=2"}', f'{{"env": "A=1\\nDB_PASSWORD={HIDDEN}\\nB=2"}}'),
        ('--password="geheim und so" --user=anna', f'--password="{HIDDEN}" --user=anna'),
        ("spring.datasource.password = geheim", f"spring.datasource.password = {HIDDEN}"),
        ("Authorization: Basic YW5uYTpnZWhlaW0=", f"Authorization: Basic {HIDDEN}"),
        ("{'authorization': 'Basic YW5uYTpnZWhlaW0='}", f"{{'authorization': 'Basic {HIDDEN}'}}"),
        ('"Authorization":["Basic YW5uYTpnZWhlaW0="]', f'"Authorization":["Basic {HIDDEN}"]'),
        ("X-API-Key: geheim", f"X-API-Key: {HIDDEN}"),
        ('"x-api-key": ["geheim"]', f'"x-api-key": ["{HIDDEN}"]'),
        ('"x-api-key": [\n    "geheim"\n  ]', f'"x-api-key": [\n    "{HIDDEN}"\n  ]'),
        ("İ: the PassWord=geheim", f"İ: the PassWord={HIDDEN}"),
        ("provider_api_key=geheim", f"provider_api_key={HIDDEN}"),
        ("the password: Xk29dQz_81 was refused", f"the password: {HIDDEN} was refused"),
        ("requirepass geheim", f"requirepass {HIDDEN}"),
        ("{Username:anna Password:geheim}", f"{{Username:anna Password:{HIDDEN}"),
        (
            "-----BEGIN EC PRIVATE KEY-----\nMHcCAQ==\n-----END EC PRIVATE KEY-----",
            f"-----BEGIN EC PRIVATE KEY-----{HIDDEN}-----END EC PRIVATE KEY-----",
        ),
    ],
)
def test_secret_is_hidden_and_nothing_else(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8080/api/orders",
        "no password was given",
        "FATAL: password authentication failed for user",
        "it has no password: give it one",
        "invalid token: expired",
        '{"question": "Your password:", "next": "token=", "last": 1}',
        '{"token": null, "secret": 1, "password": {"type": "string"}}',
        '"REDIS_URL": "redis://:$(REDIS_PASSWORD)@redis-cluster:6379/0"',
        "secretName: redis-credentials",
        "if token == other:",
        "tokens: 12, secrets: none",
        "PWD=/work",
        "basic authentication, bearer of news",
        "idempotency_key: 7d4f2f70",
        "password=None",
        "",
    ],
)
def test_usual_text_stays(text: str) -> None:
    assert redact(text) == text


@given(contents)
def test_json_stays_json_of_the_same_form(content: Any) -> None:
    for text in (json.dumps(content), json.dumps(content, ensure_ascii=False, separators=(",", ":"))):
        assert _form(json.loads(redact(text))) == _form(json.loads(text))


@pytest.mark.parametrize(
    "form",
    [
        VALUE,
        json.dumps({"a": VALUE}),
        json.dumps({"a": json.dumps({"a": VALUE})}),
        json.dumps({"a": VALUE}, ensure_ascii=False),
        quote_plus(VALUE),
        b64encode(VALUE.encode()).decode(),
        b64encode(f"u:{VALUE}:more".encode()).decode(),
        b64encode(f"us:{VALUE}:more".encode()).decode(),
        urlsafe_b64encode(f"usr:{VALUE}:more".encode()).decode(),
    ],
)
def test_value_is_hidden_in_every_form(form: str) -> None:
    shown = Redaction((VALUE,))(f"before {form} after")

    assert HIDDEN in shown
    assert VALUE[:8] not in shown
    assert len(shown) < len(f"before {HIDDEN} after") + len(form) // 2 + 12
    assert (shown.startswith("before "), shown.endswith(" after")) == (True, True)


def test_short_value_is_a_word_of_any_text() -> None:
    assert Redaction(("orders", ""))("12 orders were placed") == "12 orders were placed"


def test_value_within_another_leaves_nothing_of_it() -> None:
    assert (
        Redaction(("0123456789abcdef", "0123456789abcdefghijkl"))("x=0123456789abcdefghijkl") == f"x={HIDDEN}"
    )


def test_long_text_takes_no_long_time() -> None:
    line = '{"level": "info", "message": "order placed", "token_type": "none", "trace": "%032x"}\n'
    text = "".join(line % number for number in range(60_000)) + json.dumps(
        "passw" * 200_000 + "\\'" * 100_000
    )
    redaction = Redaction(tuple(f"{number:032x}-drawn" for number in range(15)))
    started = process_time()

    assert redaction(text) == text
    assert process_time() - started < 5


def _form(content: Any) -> Any:
    """Return JSON without its texts; names that become the same are left to themselves."""
    if isinstance(content, dict):
        return dict
    return [_form(one) for one in content] if isinstance(content, list) else type(content)
