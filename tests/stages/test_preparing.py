"""Doctor, supply and cluster as stages: what blocks, what is limited, whose cluster is removed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.events import Event, NotLookedAt
from rehearsal.core.ledger import Ledger, undo_all
from rehearsal.stages.doctor.rows import Row, Status
from rehearsal.stages.preparing import CLUSTER_ENTRY, ClusterStage, ClusterUndo, doctor_stage, supply_stage
from rehearsal.stages.room import Room

FINE = Row("cores", "Cores", Status.OK, "2 cores")
LIMITED = Row("swap", "Swap", Status.LIMIT, "swap is on", "memory faults differ", excludes=("memory",))
BLOCKING = Row("disk", "Disk", Status.BLOCKER, "1 GiB free", "images need room", cure="make room")


class Machine:
    """A machine with room for one cluster."""

    def __init__(self, folder: Path) -> None:
        self.cluster = ""
        self.maker = ""
        self.made = 0
        self.dies: Callable[[], None] = lambda: None
        self.ledger = Ledger(folder)

    def bring_up(self, maker: str = "") -> None:
        """Make a cluster where there is none."""
        self.maker = maker
        if not self.cluster:
            self.made += 1
            self.cluster = f"container-{self.made}"
            self.dies()

    def remove(self) -> None:
        """Remove what is there."""
        self.cluster, self.maker = "", ""

    def stage(self, *, keep: bool = False) -> ClusterStage:
        """Return the stage on this machine."""
        return ClusterStage(lambda: self.cluster, self.bring_up, self.ledger, keep)

    def undo(self) -> None:
        """Undo what stands in the ledger."""
        undo = ClusterUndo(lambda: self.cluster, lambda: self.maker, self.remove)
        assert undo_all(self.ledger, {CLUSTER_ENTRY: undo}, lambda event: None) == []


class Killed(BaseException):
    """The end of a process that nothing can catch."""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine without a cluster."""
    return Machine(tmp_path / "ledger")


def test_limits_of_the_machine_are_said_in_the_run(room: Room, events: list[Event]) -> None:
    doctor_stage(lambda: [FINE, LIMITED])(room)

    assert events == [NotLookedAt("what needs memory", "not possible here: Swap: swap is on")]


def test_machine_that_blocks_is_an_environment_that_is_not_ready(room: Room) -> None:
    with pytest.raises(EnvironmentNotReadyError, match="1 GiB free") as caught:
        doctor_stage(lambda: [FINE, BLOCKING])(room)

    assert caught.value.hint == "make room"


def test_supplies_are_built(room: Room) -> None:
    built: list[str] = []
    supply_stage(lambda: built.append("all"))(room)

    assert built == ["all"]


def test_cluster_that_the_run_made_is_removed(machine: Machine, room: Room) -> None:
    machine.stage()(room)
    machine.undo()

    assert machine.cluster == ""


def test_cluster_that_was_there_is_mended_and_left(machine: Machine, room: Room) -> None:
    machine.cluster = "container-of-somebody"
    machine.stage()(room)
    machine.undo()

    assert machine.cluster == "container-of-somebody"


def test_cluster_is_left_when_it_is_to_be_kept(machine: Machine, room: Room) -> None:
    machine.stage(keep=True)(room)
    machine.undo()

    assert machine.cluster == "container-1"


def test_cluster_of_a_run_that_was_killed_while_it_made_it_is_removed(machine: Machine, room: Room) -> None:
    def die() -> None:
        raise Killed

    machine.dies = die
    with pytest.raises(Killed):
        machine.stage()(room)
    machine.undo()

    assert machine.cluster == ""


def test_cluster_of_a_run_that_was_killed_when_it_was_whole_is_removed(
    machine: Machine, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*args: object, **arguments: object) -> None:
        raise Killed

    monkeypatch.setattr(Ledger, "amend", die)
    with pytest.raises(Killed):
        machine.stage()(room)
    monkeypatch.undo()
    machine.undo()

    assert machine.cluster == ""


def test_cluster_that_somebody_made_since_is_left(machine: Machine, room: Room) -> None:
    machine.stage()(room)
    machine.remove()
    machine.bring_up()
    machine.undo()

    assert machine.cluster == "container-2"


def test_cluster_that_somebody_finished_since_is_left(machine: Machine, room: Room) -> None:
    def die() -> None:
        raise Killed

    machine.dies = die
    with pytest.raises(Killed):
        machine.stage()(room)
    machine.bring_up()
    machine.undo()

    assert machine.cluster == "container-1"
