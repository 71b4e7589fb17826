"""Who owns a container, and which owners are dead.

An owner is a process, named so that neither a reused process id nor a step of the clock can be
mistaken for it. Removing what dead owners left behind is the business of `engine`.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import psutil


def this_owner() -> str:
    """Name this process for a label: machine and process namespace, process id, start."""
    pid = os.getpid()
    return f"{_scope()}/{pid}/{_start(pid)}"


def is_dead(owner: str) -> bool:
    """Tell whether the owner has certainly ended; an owner in another scope counts as alive."""
    scope, _, rest = owner.partition("/")
    pid, _, start = rest.partition("/")
    if scope != _scope() or not pid.isdigit():
        return False
    return _start(int(pid)) != start


def _scope() -> str:
    # Process ids mean something only within one namespace of one machine; an engine may serve several.
    namespace = os.readlink("/proc/self/ns/pid") if sys.platform == "linux" else "host"
    return f"{socket.gethostname()}:{namespace}"


def _start(pid: int) -> str | None:
    """Say when a process started, exactly and independent of the wall clock where possible."""
    if sys.platform != "linux":
        try:
            return f"{psutil.Process(pid).create_time():.3f}"
        except psutil.NoSuchProcess:
            return None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = stat.rpartition(")")[2].split()
    if state in "ZX":  # killed, and only waiting for its parent to notice
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}-{fields[18]}"  # proc(5): field 22, in ticks since that boot
