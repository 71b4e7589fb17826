"""Pages by cursor: the key of the last item seen, so that inserts neither repeat nor hide items.

A cursor is opaque and unsigned: it holds nothing but a position, and every query is limited to its owner
anyway. One that this service never made is answered 404: it refers to a position that does not exist (a 422
would say that the text breaks the published pattern, which it need not).
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Final, Generic, TypeVar

import msgspec
from pydantic import Field

from mambogo_chassis.http.problems import Problem
from mambogo_chassis.http.types import QueryModel, View

MAX_PAGE_ITEMS: Final = 100
DEFAULT_PAGE_ITEMS: Final = 20
_MAX_CURSOR_CHARACTERS: Final = 256

Item = TypeVar("Item")
Key = TypeVar("Key")

Cursor = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", min_length=1, max_length=_MAX_CURSOR_CHARACTERS)]


class PageQuery(QueryModel):
    """`?limit=&cursor=`; add a service's own filters in a subclass."""

    # A query parameter is text, so this integer is lax where a body's is not.
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE_ITEMS)] = DEFAULT_PAGE_ITEMS
    cursor: Cursor | None = None


class Page(View, Generic[Item]):
    """One page; `next_cursor` is null on the last."""

    items: list[Item]
    next_cursor: Cursor | None = None


def encode_cursor(key: object) -> str:
    """An opaque cursor for a key: a number, text, or a tuple of them."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode("ascii")


def decode_cursor(cursor: str | None, key_type: type[Key]) -> Key | None:
    """The key in a cursor, checked against its type. Raises the 404 problem for any other text."""
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=key_type)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise Problem(404, "cursor-unknown", "The cursor is none of this list's.") from error


def page_of(rows: list[Item], limit: int) -> tuple[list[Item], bool]:
    """The items of a page, and whether there are more, from a query for `limit + 1` rows."""
    return rows[:limit], len(rows) > limit
