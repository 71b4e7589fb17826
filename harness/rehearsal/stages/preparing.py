"""The stages that make everything ready: doctor, supply, cluster. They judge nothing.

A cluster that was there before the run is mended, used and left; one that the run makes stands in the ledger
until it is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.events import NotLookedAt
from rehearsal.core.ledger import Ledger
from rehearsal.stages.doctor.rows import Row
from rehearsal.stages.room import Room, Stage

CLUSTER_ENTRY = "cluster"


def doctor_stage(examine: Callable[[], Iterable[Row]]) -> Stage:
    """Return the stage that looks at the machine: what blocks ends it, what is limited is said."""

    def work(room: Room) -> None:
        rows = list(examine())
        for row in rows:
            for need in row.excludes:
                room.emit(NotLookedAt(f"what needs {need}", f"not possible here: {row.title}: {row.summary}"))
        blockers = [row for row in rows if row.blocks]
        if blockers:
            raise EnvironmentNotReadyError(
                "MACHINE_NOT_READY",
                "; ".join(f"{row.title}: {row.summary}" for row in blockers),
                hint="; ".join(row.cure for row in blockers),
            )

    return work


def supply_stage(build: Callable[[], object]) -> Stage:
    """Return the stage that makes tools and images."""

    def work(room: Room) -> None:
        build()

    return work


@dataclass(frozen=True, slots=True)
class ClusterStage:
    """Makes the cluster or mends the one that is there."""

    identity: Callable[[], str]  # of the cluster that is there; empty when there is none
    bring_up: Callable[[str], object]  # given what the cluster's record is to name as its maker
    ledger: Ledger
    keep: bool

    def __call__(self, room: Room) -> None:
        """Bring the cluster up; it is to be removed when this run made it."""
        if self.keep or self.identity():
            self.bring_up("")
            return
        maker = f"run {room.run.name}"
        entry = self.ledger.enter(CLUSTER_ENTRY, "the cluster that a run made", maker=maker)
        self.bring_up(maker)
        self.ledger.amend(entry, identity=self.identity())


@dataclass(frozen=True, slots=True)
class ClusterUndo:
    """Removes a cluster that a run made, and no other."""

    identity: Callable[[], str]
    maker: Callable[[], str]  # of what is there, as its record names it
    remove: Callable[[], object]

    def __call__(self, arguments: Mapping[str, str]) -> None:
        """Remove the cluster unless somebody has made another one since."""
        made = arguments.get("identity", "")
        if made and self.identity() not in (made, ""):
            return
        # A run that was killed while it made the cluster knows no identity; the record knows its maker.
        if not made and self.maker() != arguments.get("maker"):
            return
        self.remove()
