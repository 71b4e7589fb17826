"""Stop conditions: for what a run ends itself, because going on would take the machine down with it.

Looked at are the file systems that a run fills, and the memory that is available. One short moment is no
reason to end anything; two looks in a row are, unless they were at nearly the same time. When it is looked,
and what happens then, is for `running`; whether a machine is good enough to begin on is for the doctor, whose
bounds are far above these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import psutil

from rehearsal.stages.doctor.collecting import read_disks
from rehearsal.stages.doctor.facts import DiskFacts
from rehearsal.stages.room import StopConditionError

_GIB = 1 << 30
_MIB = 1 << 20
_SHORT_SHARE = 0.5  # of the time between two looks: a build may hold everything for a moment
_EVERY_SECONDS = 5.0  # a look takes a tenth of a millisecond; a disk fills by a few hundred MiB in between


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of what less is too little."""

    free_disk_bytes: int  # on each file system
    available_memory_bytes: int


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a machine."""

    disks: tuple[DiskFacts, ...]
    available_memory_bytes: int


@dataclass(slots=True)
class Guard:
    """Looks again and again whether there is enough left."""

    look: Callable[[], Left]
    bounds: Bounds
    every_seconds: float = _EVERY_SECONDS
    clock: Callable[[], float] = monotonic
    _short_since: float | None = field(default=None, init=False)  # of looks in a row that found too little

    def check(self) -> None:
        """Look once. Raises StopConditionError when this look and one before, in a row, found too little."""
        try:
            why = shortage(self.look(), self.bounds)
        except OSError:
            return  # a file system that goes away, or no file to be had, says nothing about room
        now = self.clock()
        if not why:
            self._short_since = None
        elif self._short_since is None:
            self._short_since = now
        elif now - self._short_since >= _SHORT_SHARE * self.every_seconds:
            raise StopConditionError(f"going on would harm this machine: {why}")


def shortage(left: Left, bounds: Bounds) -> str:
    """Return what there is too little of, in words; nothing when there is enough."""
    found = [
        f"{one.path} ({', '.join(one.roles)}) has {one.free_bytes / _GIB:.1f} GiB free, "
        f"{bounds.free_disk_bytes / _GIB:g} must stay"
        for one in left.disks
        if one.free_bytes < bounds.free_disk_bytes
    ]
    if left.available_memory_bytes < bounds.available_memory_bytes:
        available, least = left.available_memory_bytes // _MIB, bounds.available_memory_bytes // _MIB
        found.append(f"{available} MiB of memory are available, {least} must stay")
    return "; ".join(found)


def read_left(folders: Mapping[str, Path]) -> Left:
    """Return what is left on the file systems of folders, given by their roles, and of memory."""
    return Left(read_disks(folders), psutil.virtual_memory().available)
