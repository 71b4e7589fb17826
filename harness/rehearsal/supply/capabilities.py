"""Linux capabilities that this machine cannot give to a container.

Reads bounding sets from /proc and knows the names. What follows from a missing one is for `engine` (which
runtime is needed) and for the doctor (what cannot be tested).
"""

from __future__ import annotations

from pathlib import Path

# linux/capability.h, in the order of their numbers.
_NAMES = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
    NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
    SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE
    AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
    PERFMON BPF CHECKPOINT_RESTORE
"""
CAPABILITIES = tuple(_NAMES.split())


def missing(bounding_set: int, *, last: int) -> tuple[str, ...]:
    """Return the names that a bounding set lacks, up to the kernel's last capability."""
    known = CAPABILITIES[: last + 1]
    return tuple(f"CAP_{name}" for number, name in enumerate(known) if not bounding_set >> number & 1)


def missing_for_process(pid: int | str = "self", *, proc: Path = Path("/proc")) -> tuple[str, ...]:
    """Return the names that a process cannot get; raises OSError when the process cannot be read."""
    return missing(bounding_set(pid, proc=proc), last=_last(proc))


def bounding_set(pid: int | str = "self", *, proc: Path = Path("/proc")) -> int:
    """Return a process's capability bounding set as a bit mask; raises OSError when it cannot be read."""
    for line in (proc / str(pid) / "status").read_text(encoding="ascii", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name == "CapBnd":
            return int(value, 16)
    raise OSError(f"no CapBnd in {proc}/{pid}/status")


def _last(proc: Path) -> int:
    try:
        return int((proc / "sys/kernel/cap_last_cap").read_text(encoding="ascii"))
    except OSError:
        # Only kernels before 3.2 lack the file; then all known names count.
        return len(CAPABILITIES) - 1
