"""What the shop itself says about the orders of a flow, asked when all is quiet again.

Each shopper's list is walked to its end: what is not in it is lost, whatever a single look-up says.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rehearsal.shop.answers import Answer, Kind
from rehearsal.shop.client import Shop

_MOST_PAGES = 1000  # a list that does not end is no list


@dataclass(frozen=True, slots=True)
class Listed:
    """What the shop lists: order ids by user; users whose list could not be read to its end."""

    orders: dict[str, tuple[str, ...]]
    unread: dict[str, str]


async def read_lists(shop: Shop, users: Iterable[str]) -> Listed:
    """Return what the shop lists for each user."""
    found = Listed({}, {})
    for user in users:
        ids: list[str] = []
        cursor = ""
        for _ in range(_MOST_PAGES):
            answer = await shop.orders(user, cursor)
            if answer.kind is not Kind.OK:
                found.unread[user] = str(answer)
                break
            try:
                ids += [str(item["order_id"]) for item in answer.body["items"]]
            except (KeyError, TypeError):
                found.unread[user] = f"{answer.status}, and no list of orders"
                break
            cursor = _next(answer)
            if not cursor:
                break
        found.orders[user] = tuple(ids)
    return found


def _next(answer: Answer) -> str:
    return str(answer.body.get("next_cursor") or "")
