"""Debian's packages on the machine itself, as root: only what a supply cannot be had without."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from rehearsal.core import processes
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.events import Step

_TIMEOUT_SECONDS = 900.0  # 30 s were measured; a slow mirror and another apt run must fit
_APT = ("apt-get", "-o", "DPkg::Lock::Timeout=300")


def can_install() -> bool:
    """Return whether this process may install packages."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(packages: Sequence[str], *, code: str, what: str, log: Path, progress: Step) -> None:
    """Install packages without what they recommend; `what` is what they are for.

    Raises EnvironmentNotReadyError `code` with apt's words and the command by hand.
    """
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    progress.progress(f"installing {' '.join(packages)}")
    try:
        for words in (("update",), ("install", "--yes", "--no-install-recommends", *packages)):
            processes.run((*_APT, *words), timeout_seconds=_TIMEOUT_SECONDS, log=log, env=environment)
    except processes.ProcessFailedError as error:
        raise EnvironmentNotReadyError(
            code,
            f"{what} could not be installed: {error.message}",
            hint=f"Correct what apt says (log: {log}), then: "
            f"apt-get install --no-install-recommends {' '.join(packages)}",
        ) from error
