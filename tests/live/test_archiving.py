"""The live database's WAL is archived."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from rehearsal.chaos.postgres import Postgres
from rehearsal.cli.composition import workshop
from rehearsal.cli.judging_assembly import postgres_of
from rehearsal.core.waiting import NotYet, wait_until

pytestmark = pytest.mark.cluster

_SUPERUSER = "postgres"
# The archiver is told at once; on a busy machine the disk takes a while.
_ARCHIVE_SECONDS = 60.0


@pytest.fixture
def database() -> Iterator[Postgres]:
    with workshop("live-tests", announce=False) as shop:
        yield postgres_of(shop)


def _counts(database: Postgres) -> tuple[int, int]:
    """Return how many segments were archived, and how often that failed."""
    (line,) = database.ask(_SUPERUSER, "SELECT archived_count, failed_count FROM pg_stat_archiver")
    archived, failed = line.split("|")
    return int(archived), int(failed)


def _beyond(database: Postgres, count: int) -> Callable[[], int]:
    def probe() -> int:
        archived, failed = _counts(database)
        if archived <= count:
            raise NotYet(f"{archived} segments, {failed} failures")
        return failed

    return probe


def test_a_segment_that_is_full_is_archived(database: Postgres) -> None:
    archived, failed = _counts(database)
    # Something to switch from: a segment without a record in it is not ended.
    database.ask(_SUPERUSER, "SELECT pg_logical_emit_message(false, 'rehearsal', 'a record')")
    (segment,) = database.ask(_SUPERUSER, "SELECT pg_walfile_name(pg_switch_wal())")
    failed_since = wait_until(
        f"an archived segment after {segment}",
        _beyond(database, archived),
        timeout_seconds=_ARCHIVE_SECONDS,
        hint="`kubectl logs -n mambogo-managed postgres-0` says why it fails.",
    )
    assert failed_since == failed
    (last,) = database.ask(_SUPERUSER, "SELECT last_archived_wal FROM pg_stat_archiver")
    assert last >= segment
