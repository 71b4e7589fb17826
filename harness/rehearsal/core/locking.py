"""Locks between processes: one file, one holder, released by the kernel when the holder dies.

The file names its holder, so that whoever waits can say for what.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rehearsal.core.events import Emit, Level, Notice
from rehearsal.core.waiting import NotYet, wait_until

# A holder that has just taken the lock needs a moment to write its name: so many looks, then it goes unnamed.
_LOOKS_WITHOUT_A_NAME = 5
_UNNAMED = "another process"


@contextmanager
def exclusive(path: Path, *, purpose: str, emit: Emit, timeout_seconds: float = 3600.0) -> Iterator[None]:
    """Hold the lock `path`; wait for another holder, and say who that is and what it does.

    Raises WaitTimeoutError when the other holder does not let go in time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        if not _try(file.fileno()):
            wait_until(
                f"lock {path.name}",
                Waiter(path, lambda: _try(file.fileno()), emit).look,
                timeout_seconds=timeout_seconds,
                hint="End the process that holds it if it hangs.",
                interval_seconds=0.5,
            )
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "purpose": purpose}))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
            fcntl.flock(file.fileno(), fcntl.LOCK_UN)


@dataclass(slots=True)
class Waiter:
    """Looks again and again for a lock that somebody else holds, and names each new holder once."""

    path: Path
    take: Callable[[], bool]
    emit: Emit
    _said: str = ""
    _unnamed_looks: int = 0

    def look(self) -> bool:
        """Try to take the lock; raise NotYet, with the holder, when it is held."""
        if self.take():
            return True
        holder = _holder(self.path)
        self._unnamed_looks = self._unnamed_looks + 1 if holder == _UNNAMED else 0
        settled = holder != _UNNAMED or self._unnamed_looks >= _LOOKS_WITHOUT_A_NAME
        if settled and holder != self._said:
            self.emit(Notice(Level.INFO, f"waiting for {holder}"))
            self._said = holder
        raise NotYet(holder)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(path: Path) -> str:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return f"process {record['pid']}, which does: {record['purpose']}"
    except (OSError, ValueError, KeyError, TypeError):
        # The holder has the lock but has not written its name yet.
        return _UNNAMED
