"""Words: the same for what is stored and what is asked, whatever alphabet somebody writes in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogue_support import draft
from mambogo_product.domain.words import MAX_QUERY_WORDS, document_of, query_of, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Crème brûlée-Förmchen", ["creme", "brulee", "formchen"]),
        ("STRASSE straße", ["strasse"]),
        ("3.5-inch", ["3", "5", "inch"]),
        ("a_b", ["a", "b"]),
        ("ﬁlter", ["filter"]),
        ("登山 テント", ["登山", "テント"]),
        ("'; DROP TABLE product; --", ["drop", "table", "product"]),
        ("!?", []),
    ],
)
def test_words_have_neither_accents_nor_case(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@given(st.text())
def test_a_word_is_found_again_by_itself(text: str) -> None:
    words = words_of(text)
    assert [words_of(word) for word in words] == [[word] for word in words]


@given(st.text())
def test_a_query_has_nothing_that_postgresql_would_read_as_an_operator(text: str) -> None:
    query = query_of(text)
    for part in (query or "'a':*").split(" & "):
        quoted = part.removesuffix(":*")
        assert quoted[1:-1].isalnum()
        assert quoted[0] == quoted[-1] == "'"


def test_a_query_is_bounded() -> None:
    query = query_of(" ".join(f"w{number}" for number in range(100)))
    assert query is not None
    assert query.count(":*") == MAX_QUERY_WORDS


def test_a_product_is_found_by_name_sku_and_category() -> None:
    assert document_of(draft()) == ["tent", "for", "four", "4p", "tents"]
