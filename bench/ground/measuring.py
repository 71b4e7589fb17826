"""What the ground's benchmarks measure with: wall clock, CPU seconds, the `rehearsal` program.

CPU seconds are those of the whole machine while something ran, as in minikube's timeToK8s: the work is done by
the engine and inside of nodes, which are no children of ours. So they mean nothing on a machine that does other
things; each table says how busy it was before.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LIMIT_SECONDS = 300.0  # far above every target: a slow phase is a result, a hung one an error
_LAST_WORDS_CHARACTERS = 2000
_POLL_SECONDS = 0.05  # the resolution of what is polled
_BUSY_COLUMNS = (0, 1, 2, 5, 6, 7)  # of /proc/stat: user, nice, system, irq, softirq, steal


@dataclass(slots=True)
class Spent:
    """Seconds of a phase."""

    wall: float = 0.0
    cpu: float = 0.0  # of all cores together


@dataclass(slots=True)
class Run:
    """The phases of one run, in their order."""

    phases: dict[str, Spent] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure what happens inside."""
        wall, cpu = time.monotonic(), busy_seconds()
        yield
        self.phases[name] = Spent(time.monotonic() - wall, busy_seconds() - cpu)

    def total(self, names: tuple[str, ...]) -> Spent:
        """Return the sum of some phases."""
        chosen = [self.phases[name] for name in names]
        return Spent(sum(one.wall for one in chosen), sum(one.cpu for one in chosen))


def busy_seconds() -> float:
    """Return the seconds that all cores together have worked since the machine booted."""
    fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    ticks = sum(int(fields[column]) for column in _BUSY_COLUMNS)
    return ticks / os.sysconf("SC_CLK_TCK")


class CommandFailedError(Exception):
    """A command of the project did not end well; carries its last words."""


def rehearsal(*arguments: str) -> None:
    """Run the `rehearsal` program of this environment; raises CommandFailedError when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "rehearsal", *arguments],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "CI": "true"},
    )
    if done.returncode:
        said = done.stderr.strip()[-_LAST_WORDS_CHARACTERS:]
        raise CommandFailedError(f"rehearsal {' '.join(arguments)} ended with {done.returncode}: {said}")


def until(what: str, probe: Callable[[], bool]) -> None:
    """Ask again and again until the probe says yes."""
    deadline = time.monotonic() + _LIMIT_SECONDS
    while not probe():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {_LIMIT_SECONDS:.0f} s")
        time.sleep(_POLL_SECONDS)


def machine() -> str:
    """Return one line about the machine and how busy it is now."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}; "
        f"load average {os.getloadavg()[0]:.1f} at the start; commit {commit()}"
    )


def commit() -> str:
    """Return the short hash of the tree's commit, with a mark when files differ from it."""
    return subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"],  # noqa: S607 - any git will do
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
