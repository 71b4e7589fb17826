"""The undo ledger: on disk before the change, gone after its undoing, and nobody's turn is lost."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path

import pytest
from rehearsal.core.errors import HarnessError
from rehearsal.core.events import Event, Notice, ignore
from rehearsal.core.ledger import Ledger, undo_all


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Return a ledger whose folder is not there yet."""
    return Ledger(tmp_path / "state" / "ledger")


def test_ledger_without_a_folder_is_empty(ledger: Ledger) -> None:
    assert ledger.entries() == []


def test_entry_is_on_disk_when_it_is_entered(ledger: Ledger) -> None:
    entry = ledger.enter("pod", "a deleted pod", name="order-1")

    assert Ledger(ledger.folder).entries() == [entry]


def test_amended_entry_keeps_its_place_and_knows_more(ledger: Ledger) -> None:
    first = ledger.enter("cluster", "a cluster")
    ledger.enter("pod", "a pod")
    ledger.amend(first, identity="abc")

    assert [dict(one.arguments) for one in ledger.entries()] == [{"identity": "abc"}, {}]


def test_struck_entry_is_gone(ledger: Ledger) -> None:
    ledger.strike(ledger.enter("pod", "a pod"))

    assert ledger.entries() == []


def test_broken_entry_is_named(ledger: Ledger) -> None:
    ledger.enter("pod", "a pod")
    broken = ledger.folder / "99999999999999999999-1.json"
    broken.write_text("{", encoding="utf-8")

    with pytest.raises(HarnessError, match=broken.name):
        ledger.entries()


def test_part_that_a_killed_writer_left_is_no_entry(ledger: Ledger) -> None:
    ledger.folder.mkdir(parents=True)
    (ledger.folder / "1.part").write_text("{", encoding="utf-8")

    assert ledger.entries() == []


def test_newest_change_is_undone_first(ledger: Ledger) -> None:
    for name in ("first", "second"):
        ledger.enter("pod", name, name=name)
    undone: list[str] = []
    undo_all(ledger, {"pod": lambda arguments: undone.append(arguments["name"])}, ignore)

    assert undone == ["second", "first"]


def test_failed_undoing_stays_and_lets_the_others_have_their_turn(ledger: Ledger) -> None:
    ledger.enter("pod", "first", name="first")
    ledger.enter("pod", "second", name="second")
    undone: list[str] = []

    def undo(arguments: Mapping[str, str]) -> None:
        if arguments["name"] == "second":
            raise OSError("no route")
        undone.append(arguments["name"])

    left = undo_all(ledger, {"pod": undo}, ignore)

    assert undone == ["first"]
    assert [one.what for one in left] == [one.what for one in ledger.entries()] == ["second"]


def test_failed_undoing_is_said(ledger: Ledger) -> None:
    ledger.enter("moon", "the moon was moved")
    events: list[Event] = []
    undo_all(ledger, {}, events.append)

    said = [one.message for one in events if isinstance(one, Notice)]
    assert len(said) == 1
    assert "the moon was moved" in said[0]


def test_everything_is_undone_when_nothing_can_be_said(ledger: Ledger) -> None:
    def full(event: Event) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    undone: list[str] = []
    for name in ("first", "second"):
        ledger.enter("planted", name, name=name)

    assert undo_all(ledger, {"planted": lambda arguments: undone.append(arguments["name"])}, full) == []
    assert (undone, ledger.entries()) == (["second", "first"], [])


def test_each_entry_has_what_the_ledger_says_of_all(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, lambda: {"cluster": "uid-1"})
    entry = ledger.enter("workload", "a pod", name="order")

    assert dict(entry.arguments) == {"cluster": "uid-1", "name": "order"}
    assert ledger.entries() == [entry]


def test_ledger_with_an_unreadable_entry_is_not_empty(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    assert ledger.is_empty

    ledger.folder.mkdir()
    (ledger.folder / "1.json").write_text("broken", encoding="utf-8")

    assert not ledger.is_empty
