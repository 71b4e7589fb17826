"""The deployed shop's books can be read: every query fits its database, every topic has an end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from rehearsal.chaos.proving.audit import audit
from rehearsal.chaos.proving.collecting import TOPICS, WITH_DATABASE, Scope, collect
from rehearsal.chaos.proving.delivering import I5, published_if_committed
from rehearsal.chaos.settling import settle
from rehearsal.chaos.sources import ClusterSource
from rehearsal.cli.composition import workshop
from rehearsal.cli.judging_assembly import books_of
from rehearsal.cluster.record import Record
from rehearsal.core.errors import EnvironmentNotReadyError

pytestmark = pytest.mark.cluster

# Nobody here has written a history, and what it is needed for.
BY_HISTORY = {"I1", "I2", "I9", "I10", "I13"}
_REST_SECONDS = 60.0
# An outbox keeps for an hour what it has sent: what is older is in the topics alone.
_LATELY_SECONDS = 45 * 60.0


@pytest.fixture
def books(made: Record) -> Iterator[ClusterSource]:
    with workshop("live-tests", announce=False) as shop:
        yield books_of(shop)


def test_everything_that_was_sold_until_now_is_sound(books: ClusterSource) -> None:
    left = asyncio.run(settle(books, _REST_SECONDS))
    snapshot = collect(books, quiet_seconds=0.0, raced={})
    lately = Scope(since_ns=time.time_ns() - round(_LATELY_SECONDS * 1e9))
    sent = published_if_committed([], collect(books, quiet_seconds=0.0, raced={}, scope=lately))

    assert snapshot.orders, f"`rehearsal shop` places an order; left to do: {left}"
    assert {topic for topic, _ in books.published()} <= set(TOPICS)
    looked = [one for one in audit([], snapshot).results if one.invariant.id not in BY_HISTORY | {I5.id}]
    # An order that somebody places now may be open; that is no finding.
    assert [(one.invariant.id, one.violations) for one in (*looked, sent) if one.violations] == []


@pytest.mark.parametrize("service", WITH_DATABASE)
def test_each_service_s_database_is_asked_by_its_own_role(books: ClusterSource, service: str) -> None:
    ((user, database),) = books.rows(service, "SELECT current_user AS who, current_database() AS what")
    assert user == database


def test_query_that_the_database_refuses_is_said(books: ClusterSource) -> None:
    with pytest.raises(EnvironmentNotReadyError, match="does not exist"):
        books.rows("order", "SELECT no_column AS x FROM orders")
