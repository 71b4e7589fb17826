"""Locks between processes: one file, one holder, released by the kernel when the holder dies.

The file names its holder, so that whoever waits can say for what.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rehearsal.core.events import Emit, Level, Notice
from rehearsal.core.waiting import wait_until


@contextmanager
def exclusive(path: Path, *, purpose: str, emit: Emit, timeout_seconds: float = 3600.0) -> Iterator[None]:
    """Hold the lock `path`; wait for another holder, and say who that is and what it does.

    Raises WaitTimeoutError when the other holder does not let go in time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        if not _try(file.fileno()):
            emit(Notice(Level.INFO, f"waiting for {_holder(path)}"))
            wait_until(
                f"lock {path.name}",
                lambda: _try(file.fileno()),
                timeout_seconds=timeout_seconds,
                hint=f"{_holder(path)} holds it; end that process if it hangs.",
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
        return "another process"
