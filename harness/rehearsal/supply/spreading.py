"""Where the engine's folders come to lie on a file system that has no journal.

ext4 without a journal does not give an inode away again for one to five minutes after its file was deleted,
and looks at every such inode anew for each file that it creates nearby. A cluster has some 20,000 files. Made
soon after another one was removed it came to lie in the same place, and searched for 10 s of CPU time.

A folder with the attribute T has its folders spread over the whole device: a new container begins where
nothing was deleted. It changes nothing else; `chattr -T` takes it back.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from rehearsal.core import processes
from rehearsal.core.errors import HarnessError

_FOLDERS = ("overlay2", "volumes")  # of the engine's data: one folder below for each container and volume
_SECONDS = 10.0


def lacks_journal(folder: Path, root: Path = Path("/")) -> bool:
    """Return whether a folder lies on an ext4 file system without a journal."""
    device = folder.stat().st_dev
    try:
        name = (root / "sys/dev/block" / f"{os.major(device)}:{os.minor(device)}").readlink().name
    except OSError:  # a file system without a device of its own
        return False
    # The journal of vda1 is vda1-8: the number is the inode that it lies in.
    journals = (root / "proc/fs/jbd2").glob(f"{name}-*")
    return (root / "proc/fs/ext4" / name).exists() and not any(journals)


def spread(data_root: Path) -> None:
    """Have an engine's containers and volumes spread over the device, where that spares time."""
    for folder in (data_root / name for name in _FOLDERS):
        if folder.is_dir() and lacks_journal(folder):
            # Only time is lost where it cannot be set.
            with contextlib.suppress(HarnessError):
                processes.run(("chattr", "+T", str(folder)), timeout_seconds=_SECONDS)
