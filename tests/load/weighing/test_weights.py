"""The committed weights: what is written is read again, and nothing else is accepted."""

from __future__ import annotations

from pathlib import Path

import pytest
from rehearsal.core.errors import ConfigurationError
from rehearsal.load.weighing.weights import FILE_NAME, dumps, load

GET = "GET /api/orders/{order_id}"


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(dumps({"order-service": {GET: 9.127}}, 'two "cores"'), "utf-8")
    found = load(tmp_path / FILE_NAME)
    assert (found.of("order-service", GET), found.machine) == (9.13, 'two "cores"')


def test_without_a_file_there_are_no_weights(tmp_path: Path) -> None:
    assert load(tmp_path / FILE_NAME).of("order-service", GET) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('machine = ""\nbound = 2\n[weights]\n', "Extra inputs"),
        ("[weights]\n", "Field required"),
        (
            'machine = ""\n[weights.order-service]\n"GET /api/nothing" = 1.0\n',
            "GET /api/nothing: nothing weighs",
        ),
        (f'machine = ""\n[weights.cart-service]\n"{GET}" = 1.0\n', "nothing weighs that"),
        (f'machine = ""\n[weights.order-service]\n"{GET}" = 0.0\n', "greater than 0"),
        (f'machine = ""\n[weights.order-service]\n"{GET}" = "9"\n', "valid number"),
        ("machine = \n", "Invalid value"),
    ],
    ids=["unknown key", "missing key", "unknown operation", "another's operation", "zero", "text", "syntax"],
)
def test_file_that_is_not_what_is_written_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / FILE_NAME).write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match=why):
        load(tmp_path / FILE_NAME)
