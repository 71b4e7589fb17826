"""CPU time per request, memory and latency of a process, by what the kernel counted.

CPU time is the measure because the machine is shared: a neighbour stretches the wall clock much more than
the time that the process itself was running.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_FIRST = ("chrt", "-f", "10")
_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of the generator."""

    requests: int
    errors: int
    cpu_microseconds: float
    requests_per_second: float
    p50_ms: float
    p99_ms: float


def cpu_seconds(process_id: int) -> float:
    """User and system time of a process with all its threads."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def resident_mib(process_id: int) -> float:
    """The resident set."""
    match = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process_id}/status").read_text())
    assert match is not None
    return int(match[1]) / 1024


def pinned(core: int, command: list[str]) -> list[str]:
    """A command on one core."""
    return ["taskset", "-c", str(core), *command]


@functools.cache
def _may_be_first() -> bool:
    done = subprocess.run([*_FIRST, "true"], check=False, capture_output=True)
    return done.returncode == 0


def undisturbed(core: int, command: list[str]) -> list[str]:
    """A command on one core, before everything else there where that is allowed (`chrt -f`).

    For tails: on a machine of two cores its own housekeeping takes the gateway's core away for seven
    milliseconds, once a second or more often, and a 99th percentile then tells of that.
    """
    return [*(_FIRST if _may_be_first() else ()), *pinned(core, command)]


def load(process_id: int, url: str, token: str, *, seconds: int, connections: int, core: int) -> Sample:
    """Run wrk against a gateway and attribute its CPU time."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency"]
    for name, value in (
        ("Authorization", f"Bearer {token}"),
        ("Accept", "application/json"),
        ("Accept-Encoding", "gzip, deflate"),
        ("User-Agent", "bench/1.0"),
    ):
        command += ["-H", f"{name}: {value}"]
    before = cpu_seconds(process_id)
    output = subprocess.run(pinned(core, [*command, url]), capture_output=True, text=True, check=True).stdout
    used = cpu_seconds(process_id) - before
    requests = int(_first(r"(\d+) requests in", output))
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    return Sample(
        requests=requests,
        errors=int(failed[1]) if failed else 0,
        cpu_microseconds=used * 1_000_000 / max(1, requests),
        requests_per_second=float(_first(r"Requests/sec:\s+([\d.]+)", output)),
        p50_ms=_milliseconds(_first(r"50%\s+(\S+)", output)),
        p99_ms=_milliseconds(_first(r"99%\s+(\S+)", output)),
    )


def _first(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise SystemExit(f"wrk said something unexpected:\n{text}")
    return match[1]


def _milliseconds(text: str) -> float:
    match = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text)
    if match is None:
        return float("nan")  # wrk says "-nan" when nothing was answered
    return float(match[1]) * _UNITS_MS[match[2]]
