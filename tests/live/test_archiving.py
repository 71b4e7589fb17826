"""The live database's WAL is archived."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Archived:
    """What the server says about its archiving."""

    segments: int
    failures: int
    last: str


def _archived(database: Postgres) -> Archived:
    columns = "archived_count, failed_count, last_archived_wal"
    (line,) = database.ask(_SUPERUSER, f"SELECT {columns} FROM pg_stat_archiver")  # noqa: S608 - a constant
    segments, failures, last = line.split("|")
    return Archived(int(segments), int(failures), last)


def test_a_segment_that_is_full_is_archived(database: Postgres) -> None:
    before = _archived(database)
    # Something to switch from: a segment without a record in it is not ended.
    database.ask(_SUPERUSER, "SELECT pg_logical_emit_message(false, 'rehearsal', 'a record')")
    (segment,) = database.ask(_SUPERUSER, "SELECT pg_walfile_name(pg_switch_wal())")

    def probe() -> Archived:
        now = _archived(database)
        if now.last < segment:
            raise NotYet(str(now))
        return now

    after = wait_until(
        f"segment {segment} in the archive",
        probe,
        timeout_seconds=_ARCHIVE_SECONDS,
        hint="`kubectl logs -n mambogo-managed postgres-0` says why it is not.",
    )
    assert after.segments > before.segments
    assert after.failures == before.failures
