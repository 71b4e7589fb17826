"""The files that a run leaves: without secrets, and within bounds.

A run's folder is kept and shared. Whoever wrote it, every text goes through one filter when its stage ends,
and again when the run does: an artefact that is new cannot be forgotten. Until then a mark stands in the
folder; where it still does afterwards, the run was killed, and the next one does what is left to do.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TextIO

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.events import Emit, Level, Notice
from rehearsal.core.redaction import Redaction
from rehearsal.shop.accounts import CREDENTIALS, read_credentials
from rehearsal.stages import run_folder

_PART = ".redacted.part"
_BLOCK_CHARACTERS = 1 << 20
_PROBE_BYTES = 1 << 13  # a file that is no text has a NUL in its beginning


@dataclass(slots=True)
class Secrets:
    """Hides what has the shape of a secret, and this machine's credentials as they are at the time."""

    state: Path  # the folder with the credentials; a run may make them
    _read: tuple[int, int] | None = field(default=None, init=False)
    _redaction: Redaction = field(default_factory=Redaction, init=False)

    def __call__(self, text: str) -> str:
        """Return the text without secrets."""
        return self._current()(text)

    def clean(self, folder: Path, emit: Emit) -> bool:
        """Take the secrets out of every text file below a folder; return whether all could be looked at.

        A file is replaced as a whole, and only where something was hidden in it.
        """
        left: list[str] = []
        for path in _files(folder):
            try:
                if path.name.endswith(_PART):
                    path.unlink()  # of one that was killed: the file itself is still there
                else:
                    _clean(path, self)
            except FileNotFoundError:
                continue
            except OSError as error:
                left.append(f"{path} ({error.strerror or error})")
        if left:
            emit(Notice(Level.WARNING, f"secrets may be left in {'; '.join(left)}"))
        return not left

    def clean_run(self, folder: Path, emit: Emit) -> None:
        """Clean a run's whole folder; with nothing left in it, its mark goes."""
        if self.clean(folder, emit):
            (folder / run_folder.MARK).unlink(missing_ok=True)

    def _current(self) -> Redaction:
        path = self.state / CREDENTIALS
        try:
            found = path.stat()
        except OSError:
            # What was known stays known: a run's files are older than whoever removed the credentials.
            return self._redaction
        if (stamp := (found.st_mtime_ns, found.st_ino)) != self._read:
            self._read = stamp
            # Damaged, it ends the deploy stage, which says so; the shapes of secrets are known anyway.
            with suppress(EnvironmentNotReadyError):
                values = read_credentials(self.state).values()
                self._redaction = Redaction((*self._redaction.values, *values))
        return self._redaction


def clean_left(root: Path, secrets: Secrets, emit: Emit) -> list[Path]:
    """Clean the folders of runs that were killed before they could; return those that are clean now.

    No run may be under way.
    """
    found = run_folder.marked(root)
    for folder in found:
        secrets.clean_run(folder, emit)
    left = run_folder.marked(root)
    return [folder for folder in found if folder not in left]


def keep_end(path: Path, most_bytes: int) -> None:
    """Cut a log down to its last lines, with a first line that says so; one that is not there stays so."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return
    if size <= most_bytes:
        return
    part = path.with_name(f"{path.name}{_PART}")
    with path.open("rb") as source, part.open("wb") as target:
        source.seek(size - most_bytes)
        source.readline()  # most likely a part of one
        target.write(f"... the first {source.tell()} of {size} bytes were left out\n".encode())
        shutil.copyfileobj(source, target)
    part.replace(path)


def leave_out(path: Path, most_bytes: int) -> None:
    """Replace a file that is too large, and worth nothing in part, by a note beside it."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return
    if size > most_bytes:
        note = f"{path.name} had {size} bytes, more than the {most_bytes} that a run keeps: it was left out\n"
        path.with_name(f"{path.name}.left-out.txt").write_text(note, encoding="utf-8")
        path.unlink()


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path


def _clean(path: Path, secrets: Callable[[str], str]) -> None:
    with path.open("rb") as file:
        if b"\0" in file.read(_PROBE_BYTES):
            return
    part = path.with_name(f"{path.name}{_PART}")
    changed = False
    try:
        with _opened(path, "r") as source, _opened(part, "w") as target:
            while block := source.read(_BLOCK_CHARACTERS):
                block += source.readline()  # a secret may stand on either side, but on one line
                cleaned = secrets(block)
                changed = changed or cleaned != block
                target.write(cleaned)
        if changed:
            shutil.copymode(path, part)
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _opened(path: Path, mode: Literal["r", "w"]) -> TextIO:
    """Open a text of which bytes that are no UTF-8 come out as they went in, and so do line ends."""
    return path.open(mode, encoding="utf-8", errors="surrogateescape", newline="")
