"""Temporary folders of which a killed process leaves nothing for long: the next one removes what it left.

The holder of a folder holds a lock in it, which the kernel releases when the holder dies, however it does.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "rehearsal-held-"
_LOCK = ".held"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a new folder that only this user may look into; it is gone afterwards."""
    sweep()
    while True:
        with (
            tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as folder,
            (Path(folder) / _LOCK).open("w", encoding="utf-8") as lock,
        ):
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Before it was locked another process may have taken it for one that was left.
            if os.fstat(lock.fileno()).st_nlink:
                yield Path(folder)
                return


def sweep() -> list[Path]:
    """Remove the folders whose holders are gone, and return them; other users' are left alone."""
    return [folder for folder in sorted(Path(tempfile.gettempdir()).glob(f"{_PREFIX}*")) if _removed(folder)]


def _removed(folder: Path) -> bool:
    # One that is being made has no lock yet; one that is being removed has none any more.
    with suppress(OSError), (folder / _LOCK).open("r+", encoding="utf-8") as lock:
        if os.fstat(lock.fileno()).st_uid != os.getuid():
            return False
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The lock goes last: what a killed or failing removal leaves can be swept again.
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != _LOCK:
                path.unlink()
        shutil.rmtree(folder)
        return True
    return False
