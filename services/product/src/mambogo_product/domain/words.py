"""What a word is, for the search: the same for what is stored and for what is asked."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from mambogo_product.domain.products import Draft

_WORD: Final = re.compile(r"[^\W_]+")
# A lexeme of PostgreSQL is at most 2,046 bytes; nobody searches for more than the beginning of a word.
_MAX_WORD_CHARACTERS: Final = 64
# Enough to name a product; each is one look-up in the index.
MAX_QUERY_WORDS: Final = 8


def words_of(text: str) -> list[str]:
    """The words of a text without accents and case, each once, in order of appearance."""
    # Twice: folding the case can make letters that come apart again.
    folded = unicodedata.normalize("NFKD", text).casefold()
    decomposed = unicodedata.normalize("NFKD", folded)
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return list(dict.fromkeys(word[:_MAX_WORD_CHARACTERS] for word in _WORD.findall(plain)))


def document_of(draft: Draft) -> list[str]:
    """The words that a product is found by."""
    return words_of(f"{draft.name} {draft.sku} {draft.category}")


def query_of(text: str) -> str | None:
    """The `tsquery` for products that have, for each word of `text`, a word that begins with it.

    None for a text without words: it finds nothing. Words hold letters and digits alone, so quoting is safe.
    """
    words = words_of(text)[:MAX_QUERY_WORDS]
    return " & ".join(f"'{word}':*" for word in words) or None
