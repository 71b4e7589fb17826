"""The kernel's inotify limits: kubelets, containerd, Tilt and editors share them per user.

Raised as root only, and only upwards; they last until the next boot. Who uses how much is not looked at.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from rehearsal.core.catalogue import Limits
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.events import Emit, step

_FOLDER = Path("/proc/sys/fs/inotify")


def read_limits(folder: Path = _FOLDER) -> dict[str, int]:
    """Return the kernel's limits by their sysctl names without the prefix."""
    names = ("max_user_instances", "max_user_watches")
    return {name: int((folder / name).read_text(encoding="ascii")) for name in names}


def too_low(current: Mapping[str, int], limits: Limits) -> dict[str, int]:
    """Return what must be raised, and to what."""
    wanted = {
        "max_user_instances": limits.min_inotify_instances,
        "max_user_watches": limits.min_inotify_watches,
    }
    return {name: value for name, value in wanted.items() if current[name] < value}


def sysctl_command(raises: Mapping[str, int]) -> str:
    """Return the command that sets the limits by hand."""
    return "sudo sysctl " + " ".join(f"fs.inotify.{name}={value}" for name, value in raises.items())


def ensure_inotify(limits: Limits, emit: Emit, *, folder: Path = _FOLDER) -> None:
    """Raise limits that are too low; raises EnvironmentNotReadyError when this user may not."""
    with step(emit, "inotify limits") as progress:
        raises = too_low(read_limits(folder), limits)
        if not raises:
            progress.unchanged()
            return
        if os.geteuid() != 0:
            raise _refusal(raises, "only root may raise them")
        for name, value in raises.items():
            try:
                (folder / name).write_text(str(value), encoding="ascii")
            except OSError as error:
                raise _refusal(raises, f"{name}: {error.strerror}") from error
        progress.detail = ", ".join(f"{name} = {value}" for name, value in raises.items())


def _refusal(raises: Mapping[str, int], why: str) -> EnvironmentNotReadyError:
    return EnvironmentNotReadyError(
        "INOTIFY_TOO_LOW",
        f"inotify limits are too low ({', '.join(raises)}), and {why}",
        hint=f"`{sysctl_command(raises)}`",
    )
