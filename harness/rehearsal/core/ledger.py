"""The undo ledger: what has been changed and must be undone, on disk before it is done.

An entry is one file, synced before the change and removed after its undoing. What a killed run left is undone
by the next one. How a kind of change is undone is for whoever makes it; undoing must be harmless when the
change was never made, or is undone already.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from rehearsal.core.errors import HarnessError
from rehearsal.core.events import Emit, Event, Level, Notice, step


@dataclass(frozen=True, slots=True)
class Entry:
    """One change that is to be undone."""

    id: str  # sorts by time
    kind: str  # says which undoer
    what: str  # for people
    arguments: Mapping[str, str]


Undo = Callable[[Mapping[str, str]], None]


@dataclass(frozen=True, slots=True)
class Ledger:
    """A folder of entries; one process at a time writes to it."""

    folder: Path
    always: Callable[[], Mapping[str, str]] = dict  # arguments of each entry, besides its own

    def enter(self, kind: str, what: str, **arguments: str) -> Entry:
        """Write an entry down; the change may be made when this returns."""
        self.folder.mkdir(parents=True, exist_ok=True)
        everything = {**self.always(), **arguments}
        entry = Entry(f"{time.time_ns():020d}-{os.getpid()}", kind, what, everything)
        self._write(entry)
        return entry

    def amend(self, entry: Entry, **arguments: str) -> Entry:
        """Replace an entry by one that knows more about its change."""
        amended = Entry(entry.id, entry.kind, entry.what, {**entry.arguments, **arguments})
        self._write(amended)
        return amended

    def strike(self, entry: Entry) -> None:
        """Remove an entry whose change is undone."""
        self._file(entry.id).unlink(missing_ok=True)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be undone; an entry that is unreadable is one, too."""
        return not any(self.folder.glob("*.json"))

    def entries(self) -> list[Entry]:
        """Return what is to be undone, oldest first. Raises HarnessError for an unreadable entry."""
        return [_read(path) for path in sorted(self.folder.glob("*.json"))]

    def _file(self, id_: str) -> Path:
        return self.folder / f"{id_}.json"

    def _write(self, entry: Entry) -> None:
        part = self.folder / f"{entry.id}.part"
        with part.open("w", encoding="utf-8") as file:
            json.dump(asdict(entry), file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._file(entry.id))
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def undo_all(ledger: Ledger, undoers: Mapping[str, Undo], emit: Emit, *, kind: str = "") -> list[Entry]:
    """Undo everything, or one kind of change, the newest first; return what could not be undone and stays."""

    def say(event: Event) -> None:
        # On a disk that is full nothing can be written down; undone it is all the same.
        with suppress(OSError):
            emit(event)

    left: list[Entry] = []
    for entry in reversed([one for one in ledger.entries() if kind in ("", one.kind)]):
        try:
            with step(say, "undo", entry.what):
                _undoer(undoers, entry)(entry.arguments)
        except Exception as error:
            # Whatever it is: the other entries must have their turn.
            say(Notice(Level.WARNING, f"could not be undone: {entry.what}: {error}"))
            left.append(entry)
        else:
            ledger.strike(entry)
    return left


def _undoer(undoers: Mapping[str, Undo], entry: Entry) -> Undo:
    if entry.kind not in undoers:
        raise HarnessError(
            "UNDO_UNKNOWN",
            f"nobody here knows how to undo {entry.kind!r}",
            hint="The entry was made by another version of the project: use that one.",
        )
    return undoers[entry.kind]


def _read(path: Path) -> Entry:
    with suppress(ValueError, TypeError, KeyError):
        content = json.loads(path.read_text(encoding="utf-8"))
        return Entry(content["id"], content["kind"], content["what"], dict(content["arguments"]))
    raise HarnessError(
        "LEDGER_BROKEN",
        f"{path} is not an entry of the undo ledger",
        hint="Look at what it says, undo that by hand, and remove the file.",
    )
