"""Looking at the wall clock without asking anybody: the kernel's own word, a jump, files of the future."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path

from rehearsal.stages.doctor.facts import ClockFacts

_STA_UNSYNC = 0x0040  # linux/timex.h: no time daemon has disciplined the clock
# struct timex of 64-bit Linux: unsigned modes, four longs, int status; 208 bytes in all.
_STATUS_OFFSET = 40
_TIMEX_BYTES = 208


def read_clock(wall: float, steady: float, *, newest: Path) -> ClockFacts:
    """Compare the clocks with what they said before (`wall`, `steady`), and with a file of the checkout."""
    jump = (time.time() - wall) - (time.monotonic() - steady)
    behind = newest.stat().st_mtime - time.time()
    return ClockFacts(_synchronised(), jump, max(behind, 0.0))


def _synchronised() -> bool | None:
    """Ask the kernel by adjtimex(2) with modes 0, which only reads."""
    if ctypes.sizeof(ctypes.c_long) != 8:
        return None
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
    if ctypes.CDLL(None).adjtimex(buffer) < 0:
        return None
    status = int.from_bytes(buffer.raw[_STATUS_OFFSET : _STATUS_OFFSET + 4], "little")
    return not status & _STA_UNSYNC
