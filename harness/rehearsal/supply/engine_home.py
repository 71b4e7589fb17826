"""Where an engine of our own lives, and how it is recognised.

The default home is the machine's usual socket and data folder, so that every Docker client finds it. Another
home makes a second, separate engine.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from rehearsal.core.paths import Paths

RUNTIME_NAME = "runc-bounded"


@dataclass(frozen=True, slots=True)
class EngineHome:
    """Files and folders of one engine."""

    state: Path  # its configuration, log, pid file and runtime
    data_root: Path = Path("/var/lib/docker")
    exec_root: Path = Path("/var/run/docker")
    socket: Path = Path("/var/run/docker.sock")
    # Off for an engine beside another one: both would write the same firewall chains.
    networking: bool = True

    @classmethod
    def of(cls, paths: Paths) -> EngineHome:
        """Return the home of the engine on the machine's usual socket."""
        return cls(state=paths.state / "engine")

    @property
    def host(self) -> str:
        """What DOCKER_HOST would say."""
        return f"unix://{self.socket}"

    @property
    def config(self) -> Path:
        """The daemon's configuration; its path marks the process as ours."""
        return self.state / "daemon.json"

    @property
    def log(self) -> Path:
        """What the daemon says."""
        return self.state / "dockerd.log"

    @property
    def pid_file(self) -> Path:
        """The daemon's process id."""
        return self.state / "dockerd.pid"

    @property
    def runtime(self) -> Path:
        """The installed runtime shim."""
        return self.state / "bin" / RUNTIME_NAME

    @property
    def key(self) -> str:
        """Short name of the socket, for its lock."""
        return hashlib.sha256(str(self.socket).encode()).hexdigest()[:8]


def owned_by(home: EngineHome, pid: int) -> bool:
    """Return whether a living process is the daemon of `home`.

    The command line decides, not the pid file alone: a process id is given again after a restart.
    """
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return str(home.config).encode() in arguments


def recorded_pid(home: EngineHome) -> int | None:
    """Return the process of `home` that its pid file names and that still lives."""
    try:
        pid = int(home.pid_file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return pid if owned_by(home, pid) else None
