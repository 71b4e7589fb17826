"""What a terminal obeys is shown; letters of all languages stay what they are."""

from __future__ import annotations

import pytest
from rehearsal.core.showing import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("done\rFAIL", "done\\x0dFAIL"),
        ("a\x00b\x7f\x08", "a\\x00b\\x7f\\x08"),
        ("\u202egnp.exe\u2066\u2069", "\\u202egnp.exe\\u2066\\u2069"),
        ("one\u2028two\x85", "one\\u2028two\\x85"),
        ("half \ud800", "half \\ud800"),
    ],
    ids=["escape", "C1", "return", "C0", "direction", "separator", "half"],
)
def test_what_a_terminal_obeys_is_shown_as_it_is_written(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize("text", ["plain", "a\tb", "Zürich", "東京", "שלום", "👍🏽", "one\ntwo", ""])
def test_text_stays_what_it_is(text: str) -> None:
    assert visible(text) == text


def test_further_lines_stand_further_in() -> None:
    assert visible("one\r\ntwo\nthree", 2) == "one\n  two\n  three"
