"""The store: files that were built once, kept by the key of everything they were made from.

An entry is a folder `supplies/<name>/<key>/` with a `manifest.json` that holds the hash of each file. It
appears whole or not at all: it is built beside its place, flushed, and renamed. One builder at a time per
name; the second waits and then takes the first one's result. What to build is decided elsewhere.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from rehearsal.core.errors import EnvironmentNotReadyError, HarnessError
from rehearsal.core.events import Emit, Level, Notice
from rehearsal.core.locking import exclusive
from rehearsal.supply.hashing import file_sha256, key_of, short, walk

MANIFEST = "manifest.json"
_BUILDING = ".building-"
_DAMAGED = ".damaged-"
_EXECUTABLE = 0o111
_GIB = 1 << 30
_RESERVE_BYTES = 1 * _GIB  # what must stay free besides the build itself, so that the machine can still work

_libc = ctypes.CDLL(None, use_errno=True)


class FileRecord(BaseModel):
    """A file of an entry; a symbolic link has its target in place of a hash."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["file", "program", "link"]
    sha256: str = ""
    bytes: int = 0
    target: str = ""


class Manifest(BaseModel):
    """What an entry holds, from what it was made, how and when."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: str
    key: str
    source: str
    made_with: dict[str, str]  # tools that hosted the build and do not decide its content
    made_at: datetime
    seconds: float
    inputs: dict[str, object]
    files: dict[str, FileRecord]


@dataclass(frozen=True)
class Entry:
    """An entry of the store, as its manifest describes it."""

    folder: Path
    manifest: Manifest

    @property
    def key(self) -> str:
        """Key over all inputs."""
        return self.manifest.key

    @cached_property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(record.bytes for record in self.manifest.files.values())


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an entry should be: its name, and the inputs that make its key."""

    name: str
    version: str
    inputs: Mapping[str, object]
    source: str = "built"
    disk_bytes: int = 0  # what its build takes on disk at most

    @property
    def key(self) -> str:
        """Key over all inputs, the name included."""
        return key_of({"name": self.name, "version": self.version, "inputs": self.inputs})


Build = Callable[[Path, Path], Mapping[str, str]]
"""Fills an empty folder, with a second one as scratch space, and returns which tools it used."""


class Store:
    """The cache of built files below `root`; safe for several processes at once."""

    def __init__(self, root: Path, *, locks: Path, emit: Emit) -> None:
        self.root = root
        self._locks = locks
        self._emit = emit

    def find(self, wanted: Wanted) -> Entry | None:
        """Return the entry of a wanted supply, unverified, or None."""
        return _read(self.root / wanted.name / short(wanted.key), wanted.key)

    def ensure(self, wanted: Wanted, build: Build) -> Entry:
        """Return the verified entry; build it if it is missing, and again if it is damaged.

        Raises EnvironmentNotReadyError when the disk is too full to build, and what `build` raises.
        """
        with self._held(wanted.name, f"build {wanted.name} {wanted.version}"):
            entry = self.find(wanted)
            if entry is not None:
                damage = damages(entry)
                if not damage:
                    return entry
                self.set_aside(entry.folder, damage)
            elif (folder := self.root / wanted.name / short(wanted.key)).exists():
                self.set_aside(folder, ["its manifest cannot be read"])
            return self._build(wanted, build)

    def set_aside(self, folder: Path, damage: list[str]) -> None:
        """Move a damaged entry out of the way, and say so."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        folder.rename(folder.with_name(f"{_DAMAGED}{folder.name}-{stamp}"))
        self._emit(
            Notice(
                Level.WARNING,
                f"supply {folder.parent.name} was damaged and is made again: {'; '.join(damage[:3])}",
            )
        )

    def entries(self) -> Iterator[Entry]:
        """Yield every readable entry, of whatever key."""
        for folder in sorted(self.root.glob("*/*")):
            if not folder.name.startswith(".") and (entry := _read(folder, None)) is not None:
                yield entry

    def prune(self, keep: Collection[str]) -> tuple[Path, ...]:
        """Remove all entries whose key is not in `keep`, damaged ones and leftovers; return their folders."""
        removed: list[Path] = []
        for parent in sorted(path for path in self.root.glob("*") if path.is_dir()):
            with self._held(parent.name, f"prune {parent.name}"):
                kept = {short(key) for key in keep}
                stale = [path for path in sorted(parent.iterdir()) if path.name not in kept]
                for folder in stale:
                    # Out of sight first: a removal that is cut short must not leave half an entry.
                    hidden = folder.with_name(f"{_DAMAGED}{folder.name.lstrip('.')}")
                    folder.rename(hidden)
                    _remove(hidden)
                    removed.append(folder)
        return tuple(removed)

    def _held(self, name: str, purpose: str) -> AbstractContextManager[None]:
        return exclusive(self._locks / f"supply-{name}.lock", purpose=purpose, emit=self._emit)

    @contextmanager
    def workspace(self, name: str, disk_bytes: int) -> Iterator[Path]:
        """Yield an empty folder on the store's disk, gone afterwards; one holder at a time per name.

        Raises EnvironmentNotReadyError when the disk is too full.
        """
        with self._held(name, f"build {name}"):
            folder = self._clean_parent(name, disk_bytes) / f"{_BUILDING}scratch"
            folder.mkdir()
            try:
                yield folder
            finally:
                _remove(folder)

    def _clean_parent(self, name: str, disk_bytes: int) -> Path:
        parent = self.root / name
        parent.mkdir(parents=True, exist_ok=True)
        # The lock is held: whoever made these is dead.
        for leftover in parent.glob(f"{_BUILDING}*"):
            _remove(leftover)
        require_disk(parent, disk_bytes, name)
        return parent

    def _build(self, wanted: Wanted, build: Build) -> Entry:
        parent = self._clean_parent(wanted.name, wanted.disk_bytes)
        temporary, scratch = parent / f"{_BUILDING}{short(wanted.key)}", parent / f"{_BUILDING}scratch"
        started = monotonic()
        try:
            temporary.mkdir()
            scratch.mkdir()
            made_with = build(temporary, scratch)
            manifest = _manifest(wanted, temporary, made_with, monotonic() - started)
            (temporary / MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
            _flush(temporary)
            final = parent / short(wanted.key)
            temporary.rename(final)
            _flush(parent)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise EnvironmentNotReadyError(
                "DISK_FULL",
                f"the disk of {parent} became full while {wanted.name} was built",
                hint="Free some space (`rehearsal supply prune`), then run the same command again.",
            ) from error
        finally:
            _remove(temporary)
            _remove(scratch)
        return Entry(final, manifest)


def damages(entry: Entry, only: Collection[str] | None = None) -> list[str]:
    """Compare an entry's files, or some of them, with its manifest; return what is wrong with each."""
    records = entry.manifest.files
    if only is not None:
        records = {name: records[name] for name in only}
    found = []
    for name, record in records.items():
        try:
            actual = _record(entry.folder / name)
        except OSError as error:
            found.append(f"{name} cannot be read ({error.strerror})")
            continue
        if actual != record:
            found.append(f"{name} is not what was built")
    return found


def require_disk(folder: Path, needed_bytes: int, purpose: str) -> None:
    """Raise EnvironmentNotReadyError unless `folder` has room for a build and the reserve."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes + (_RESERVE_BYTES if needed_bytes else 0):
        raise EnvironmentNotReadyError(
            "DISK_NEARLY_FULL",
            f"{folder} has {free / _GIB:.1f} GiB free; {purpose} needs {needed_bytes / _GIB:.1f} GiB "
            f"and {_RESERVE_BYTES / _GIB:.0f} GiB must stay free",
            hint="Free some space (`rehearsal supply prune` removes what is no longer used), or set "
            "XDG_CACHE_HOME to a larger disk.",
        )


def _read(folder: Path, key: str | None) -> Entry | None:
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError):
        return None
    return Entry(folder, manifest) if key in (None, manifest.key) else None


def _manifest(wanted: Wanted, folder: Path, made_with: Mapping[str, str], seconds: float) -> Manifest:
    files = {path.relative_to(folder).as_posix(): _record(path) for path in walk(folder)}
    if not files:
        raise HarnessError(
            "SUPPLY_EMPTY", f"the recipe of {wanted.name} made no files", hint="Correct the recipe."
        )
    return Manifest(
        name=wanted.name,
        version=wanted.version,
        key=wanted.key,
        source=wanted.source,
        made_with=dict(made_with),
        made_at=datetime.now(UTC),
        seconds=round(seconds, 1),
        inputs=dict(wanted.inputs),
        files=files,
    )


def _record(path: Path) -> FileRecord:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return FileRecord(kind="link", target=str(path.readlink()))
    kind: Literal["file", "program"] = "program" if status.st_mode & _EXECUTABLE else "file"
    return FileRecord(kind=kind, sha256=file_sha256(path), bytes=status.st_size)


def _flush(folder: Path) -> None:
    """Put all that was written to the folder's file system on disk, in one call for any number of files."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _libc.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


def _remove(folder: Path) -> None:
    # A program of a killed builder may still write for a moment; the next sweep takes what it leaves.
    shutil.rmtree(folder, ignore_errors=True)
