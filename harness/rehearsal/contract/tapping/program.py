"""The tap's own process: reads, examines, keeps evidence, and says what it saw.

    python -m rehearsal.contract.tapping.program ROOT BOOTSTRAP_SERVERS FOLDER [--from-beginning]
        [--catch-up-seconds N]

A process and not a thread: the load's own is busy, and what this one costs can be measured. It writes `ready`
when it knows where the topics stand. A line on its input ends it: it reads up to where the topics stand then.
The end of its input without a line is the end of whoever started it; then it just goes.
"""

from __future__ import annotations

import argparse
import os
import resource
import select
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import IO, Final

from rehearsal.contract.tapping.examining import Examiner, Tally
from rehearsal.contract.tapping.following import Follower, Place, follow
from rehearsal.contract.tapping.known import read_known
from rehearsal.contract.tapping.records import Record
from rehearsal.contract.tapping.seen import RECORDS, SUMMARY, Seen, TopicSeen

BEGIN_SECONDS: Final = 30.0
CATCH_UP_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 10.0  # how soon a new topic is noticed
_MOST_BYTES: Final = 64 * 1024 * 1024  # of evidence: an hour of a hundred events a second has 200 MB
_MOST_FOUND_BYTES: Final = 16 * 1024 * 1024  # beyond that, of records with a finding


@dataclass(slots=True)
class Evidence:
    """The records as lines of a file, bounded; those with a finding have room of their own."""

    file: IO[str]
    most_bytes: int = _MOST_BYTES
    written: int = 0
    kept: int = 0

    def keep(self, record: Record, *, found: bool) -> None:
        """Write a record down if there is room."""
        room = self.most_bytes + (_MOST_FOUND_BYTES if found else 0)
        if self.written >= room:
            return
        self.written += self.file.write(record.line())
        self.kept += 1


@dataclass(slots=True)
class Tapping:
    """One tap from its beginning to its end."""

    follower: Follower
    examiner: Examiner
    evidence: Evidence
    summary: Path
    undecided: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    _began: float = field(default_factory=monotonic)

    def run(self, ends: IO[bytes]) -> bool:
        """Read until a line comes; return whether one came."""
        looked = monotonic()
        while not select.select([ends], [], [], 0)[0]:
            self._take(self.follower.take())
            if monotonic() - looked > _LOOK_SECONDS:
                looked = monotonic()
                self.follower.look()
                self.write(whole=False)
        return bool(os.read(ends.fileno(), 1))

    def finish(self, seconds: float) -> None:
        """Read to the end, look at what was before where that matters, and write the summary."""
        for records in self.follower.catch_up(seconds):
            self._take(records)
        self._settle(seconds)
        self.write(whole=True)

    def write(self, *, whole: bool) -> None:
        """Write the summary, all of it or none."""
        self.evidence.file.flush()
        part = self.summary.with_suffix(".part")
        part.write_text(self._seen(whole=whole).model_dump_json(indent=1) + "\n", encoding="utf-8")
        part.replace(self.summary)

    def _take(self, records: Sequence[Record]) -> None:
        for record in records:
            self.evidence.keep(record, found=self.examiner.take(record))

    def _settle(self, seconds: float) -> None:
        keys: defaultdict[Place, set[bytes]] = defaultdict(set)
        headless = self.examiner.sequences.headless
        for aggregate, one in list(headless.items()):
            place = (one.record.topic, one.record.partition)
            if self.follower.lows.get(place, 0) > 0:
                # Retention took records of this partition: nobody can say what an aggregate began with.
                self.undecided[one.record.topic] += 1
                del headless[aggregate]
            elif one.record.key is not None:
                keys[place].add(one.record.key)
        self.examiner.tell_before(self.follower.look_back(keys, seconds) if keys else ())

    def _seen(self, *, whole: bool) -> Seen:
        used = resource.getrusage(resource.RUSAGE_SELF)
        names = sorted(self.follower.topics)
        return Seen(
            whole=whole,
            seconds=monotonic() - self._began,
            cpu_seconds=used.ru_utime + used.ru_stime,
            away_seconds=self.follower.away_seconds,
            records=sum(one.records for one in self.examiner.tallies.values()),
            kept=self.evidence.kept,
            topics=tuple(self._topic(name) for name in names),
            findings=self.examiner.findings,
            dead_letters=self.examiner.dead_letters,
            uncounted=self.examiner.uncounted,
        )

    def _topic(self, name: str) -> TopicSeen:
        tally = self.examiner.tallies.get(name, Tally())
        return TopicSeen(
            name=name,
            records=tally.records,
            copies=tally.copies,
            types=dict(sorted(tally.types.items())),
            aggregates=sum(topic == name for topic, _ in self.examiner.sequences.last),
            undecided=self.undecided[name],
            blind=tuple(self.follower.blind.get(name, ())),
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tap; its exit code is 0 when it saw its end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("bootstrap_servers")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--from-beginning", action="store_true")
    parser.add_argument("--catch-up-seconds", type=float, default=CATCH_UP_SECONDS)
    wanted = parser.parse_args(arguments)
    known = read_known(wanted.root)
    follower = follow(wanted.bootstrap_servers, from_beginning=wanted.from_beginning, seconds=BEGIN_SECONDS)
    with (wanted.folder / RECORDS).open("w", encoding="utf-8") as file:
        tapping = Tapping(follower, Examiner(known), Evidence(file), wanted.folder / SUMMARY)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        if not tapping.run(sys.stdin.buffer):
            return 1
        tapping.finish(wanted.catch_up_seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
