"""Runs the sample service as processes, kills it at failpoints, restarts it, and collects the evidence."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from mambogo_testkit.dependencies.kafka import TopicSpace
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.ports import free_port

import mambogo_chassis
from mambogo_chassis.failpoint_actions import CRASH_STATUS
from support.audit import Evidence
from support.pipeline import committed_lag, read_all
from support.starting import Child, Starter

SHOP_PLACES = (
    "idempotency.stored",
    "idempotency.committed",
    "relay.claimed",
    "relay.published",
    "relay.marked",
    "relay.committed",
)
LEDGER_PLACES = ("consumer.fetched", "consumer.effected", "consumer.applied", "consumer.committed")
# The hit of its place at which a process dies: late enough that it did some work, early enough to get there.
_HITS = {"idempotency": 25, "relay": 4, "consumer": 4}
# Only a broken campaign takes that long, on however loaded a machine.
_TIMEOUT_SECONDS = 600.0
_CLIENTS = 16
# A pipeline that stands still for this long has done all that it will ever do.
_STILL_SECONDS = 4.0
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Tree:
    """The product and the sample, as they are or with a planted bug."""

    source: Path
    sample: Path

    @classmethod
    def own(cls) -> Tree:
        """The tree under test."""
        return cls(
            Path(mambogo_chassis.__file__).parent.parent, Path(__file__).parent.parent / "crash" / "sample"
        )

    def planted(self, patch: Path, target: Path) -> Tree:
        """A copy with `patch` applied; raises CalledProcessError when it does not apply cleanly."""
        shutil.copytree(
            self.source / "mambogo_chassis",
            target / "src" / "mambogo_chassis",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        shutil.copytree(self.sample, target / "sample", ignore=shutil.ignore_patterns("__pycache__"))
        command = ["/usr/bin/env", "git", "apply", "--unidiff-zero", str(patch)]
        # Outside of any repository: git would else look for the paths in its index.
        environ = {
            **os.environ,
            "GIT_CEILING_DIRECTORIES": str(target.parent),
            "GIT_DIR": str(target / ".none"),
        }
        subprocess.run(command, cwd=target, env=environ, check=True, capture_output=True)
        return Tree(target / "src", target / "sample")

    @property
    def search_path(self) -> str:
        """Where its programs are imported from."""
        return f"{self.source}:{self.sample}"


@dataclass(slots=True)
class Process:
    """A process that is started again whenever it dies at a failpoint, with the next one on its list."""

    command: list[str]
    places: list[str]
    log: Path
    crashes: Counter[str] = field(default_factory=Counter)
    _process: Child | None = None
    _place: str | None = None

    @property
    def is_done(self) -> bool:
        """Whether it died at every place on its list."""
        return self._place is None and not self.places

    def tend(self, starter: Starter) -> None:
        """Start it, or start it again."""
        if self._process is not None:
            status = self._process.poll()
            if status is None:
                return
            assert status == CRASH_STATUS, (
                f"{self.command[0]} ended with {status}: {self.log.read_text()[-3000:]}"
            )
            assert self._place is not None
            self.crashes[self._place] += 1
        self._place = self.places.pop(0) if self.places else None
        self._process = self._start(starter)

    def finish(self, starter: Starter) -> None:
        """From now on run without failpoints."""
        self.places.clear()
        if self._place is not None and self._process is not None:
            self._process.kill()
            self._process = None
        self.tend(starter)

    def stop(self) -> None:
        """SIGTERM, and the clean end that it has to be answered with."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(30) == 0, self.log.read_text()[-3000:]

    def _start(self, starter: Starter) -> Child:
        environment = {"SPRING_PROFILES_ACTIVE": "test"}
        if self._place is not None:
            hit = _HITS[self._place.partition(".")[0]]
            environment["MAMBOGO_FAILPOINTS"] = f"{self._place}=crash@{hit}"
        return starter.start(*self.command, environment=environment, log=self.log)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a campaign brought to light."""

    evidence: Evidence
    crashes: Counter[str]
    replays: int
    retried: int
    repeated_events: int


class Campaign:
    """One run of the sample service under crashes."""

    def __init__(self, tree: Tree, database: FreshDatabase, topics: TopicSpace, directory: Path) -> None:
        self._database = database
        self._bootstrap_servers = topics.bootstrap_servers
        self._topic = topics.create("orders", partitions=4)
        self._group = topics.name("ledger")
        self._history = directory / "history.ndjson"
        self._stop_file = directory / "stop"
        self._directory = directory
        self._port = free_port()
        common = [database.dsn, self._bootstrap_servers, self._topic]
        self._shop = Process(["shop.py", str(self._port), *common], [], directory / "shop.log")
        self._ledger = Process(["ledger.py", *common, self._group], [], directory / "ledger.log")
        self._tree = tree

    def run(
        self,
        *,
        operations: int,
        rounds: int,
        unreachable: str | None = None,
        until: Callable[[Evidence], bool] | None = None,
    ) -> Outcome:
        """At least `operations` orders while each place kills its process `rounds` times.

        Places that begin with `unreachable` are left out: the tree under test never gets there. All ends at
        once when `until` is true of what there is by then (but for events, which are read at the end).
        """
        for process, places in ((self._shop, SHOP_PLACES), (self._ledger, LEDGER_PLACES)):
            reachable = [
                place for place in places if unreachable is None or not place.startswith(unreachable)
            ]
            process.places.extend(reachable * rounds)
        with Starter(self._tree.search_path, self._directory / "starter.log") as starter:
            if not self._tend_until_bought(starter, self._start_clients(starter, operations), until):
                return self._collect()
            self._shop.finish(starter)
            self._ledger.finish(starter)
            self._await_stillness(starter)
            self._shop.stop()
            self._ledger.stop()
        return self._collect()

    def _start_clients(self, starter: Starter, operations: int) -> Child:
        files = str(self._history), str(self._stop_file)
        numbers = str(operations), str(_CLIENTS)
        log = self._directory / "client.log"
        return starter.start("client.py", str(self._port), *files, *numbers, environment={}, log=log)

    def _tend_until_bought(
        self, starter: Starter, buying: Child, until: Callable[[Evidence], bool] | None
    ) -> bool:
        """Whether all was bought; False when there was enough to see before."""
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        next_look = time.monotonic()
        while buying.poll() is None:
            if until is not None and time.monotonic() > next_look:
                if until(self._evidence(events=[])):
                    return False
                next_look = time.monotonic() + _LOOK_SECONDS
            left = self._shop.places, self._ledger.places
            assert time.monotonic() < deadline, f"clients did not end; not reached yet: {left}"
            self._shop.tend(starter)
            self._ledger.tend(starter)
            if self._shop.is_done and self._ledger.is_done:
                self._stop_file.touch()
            time.sleep(0.02)
        assert buying.poll() == 0
        return True

    def _await_stillness(self, starter: Starter) -> None:
        """Until everything has arrived, or nothing has moved for a while (a planted bug lost it)."""
        last, since = (-1, -1), time.monotonic()
        deadline = since + _TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            self._shop.tend(starter)
            self._ledger.tend(starter)
            left = self._pending(), committed_lag(self._bootstrap_servers, self._topic, self._group)
            if left == (0, 0):
                return
            if left != last:
                last, since = left, time.monotonic()
            if time.monotonic() - since > _STILL_SECONDS and self._is_joined():
                return
            time.sleep(0.2)

    def _is_joined(self) -> bool:
        return committed_lag(self._bootstrap_servers, self._topic, self._group) == 0

    def _pending(self) -> int:
        with psycopg.connect(self._database.dsn) as connection:
            row = connection.execute("SELECT count(*) FROM outbox WHERE published_at IS NULL").fetchone()
            return row[0] if row else 0

    def _collect(self) -> Outcome:
        events = [
            json.loads(record.value or b"")["data"]["order_id"]
            for record in read_all(self._bootstrap_servers, self._topic)
        ]
        history = self._read_history()
        return Outcome(
            self._evidence(events),
            self._shop.crashes + self._ledger.crashes,
            replays=sum(bool(line.get("replay")) for line in history),
            retried=sum(line["tries"] > 1 for line in history),
            repeated_events=len(events) - len(set(events)),
        )

    def _evidence(self, events: list[str]) -> Evidence:
        with psycopg.connect(self._database.dsn) as connection:
            orders = connection.execute("SELECT order_id, reference FROM orders").fetchall()
            effects = [row[0] for row in connection.execute("SELECT order_id FROM ledger").fetchall()]
        answered = {line["reference"]: line.get("order_id") for line in self._read_history()}
        return Evidence(answered, orders, events, effects)

    def _read_history(self) -> list[dict[str, Any]]:
        if not self._history.exists():
            return []
        # While clients write, the last line may be half there.
        whole, _, _ = self._history.read_text("utf-8").rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]
