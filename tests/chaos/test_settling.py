"""Waiting for the shop to rest."""

from __future__ import annotations

import asyncio

import pytest
from rehearsal.chaos import settling

from tests.chaos.books import Books


@pytest.fixture(autouse=True)
def _asks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "_PAUSE_SECONDS", 0.01)


def test_shop_at_rest_is_waited_for_twice_in_a_row() -> None:
    class Slow(Books):
        def lag(self, service: str, topics: object) -> int:
            self.waiting -= 1
            return max(self.waiting, 0)

    books = Slow(waiting=9)

    assert asyncio.run(settling.settle(books, 60.0)) == []
    assert books.waiting <= 0


def test_what_is_left_when_the_time_is_over_is_said() -> None:
    left = asyncio.run(settling.settle(Books(waiting=4), 0.05))

    assert "4 events that order-service has not taken" in left
