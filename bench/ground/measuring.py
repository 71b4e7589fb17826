"""What the ground's benchmarks measure with: wall clock, CPU seconds, the `rehearsal` program.

CPU seconds are measured twice. Those of the whole machine are what minikube's timeToK8s reports; they count
whatever else runs. Ours are those of the commands, of the engine and of the nodes' control groups.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from docker.errors import NotFound
from rehearsal.cluster.engine import DockerNodeEngine, connect

ROOT = Path(__file__).resolve().parents[2]
_LIMIT_SECONDS = 300.0  # far above every target: a slow phase is a result, a hung one an error
_LAST_WORDS_CHARACTERS = 2000
_POLL_SECONDS = 0.05  # the resolution of what is polled
_ENGINE = frozenset({"dockerd", "containerd", "docker-proxy"})
_BUSY_COLUMNS = (0, 1, 2, 5, 6, 7)  # of /proc/stat: user, nice, system, irq, softirq, steal
_CONTAINER_ID = "[0-9a-f]{64}"
_NANOSECONDS, _MICROSECONDS = 1e9, 1e6


@dataclass(slots=True)
class Spent:
    """Seconds of a phase."""

    wall: float = 0.0
    ours: float = 0.0  # CPU seconds of all cores together
    machine: float = 0.0


@dataclass(slots=True)
class Run:
    """The phases of one run, in their order."""

    cluster: str
    phases: dict[str, Spent] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure what happens inside."""
        ours, machine, wall = own_seconds(self.cluster), busy_seconds(), time.monotonic()
        yield
        spent = time.monotonic() - wall
        # What has ended meanwhile is missing afterwards, and what has begun was missing before.
        own = sum(max(0.0, now - ours.get(what, 0.0)) for what, now in own_seconds(self.cluster).items())
        self.phases[name] = Spent(spent, own, busy_seconds() - machine)

    def total(self, names: tuple[str, ...]) -> Spent:
        """Return the sum of some phases."""
        chosen = [self.phases[name] for name in names]
        return Spent(
            sum(one.wall for one in chosen),
            sum(one.ours for one in chosen),
            sum(one.machine for one in chosen),
        )


def busy_seconds() -> float:
    """Return the seconds that all cores together have worked since the machine booted."""
    fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    ticks = sum(int(fields[column]) for column in _BUSY_COLUMNS)
    return ticks / os.sysconf("SC_CLK_TCK")


def own_seconds(cluster: str) -> dict[str, float]:
    """Return the CPU seconds of our ended children, of the engine, and of the containers that are there."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = {"children": children.ru_utime + children.ru_stime}
    for process in psutil.process_iter(["name", "cpu_times"]):
        if process.info["name"] in _ENGINE and process.info["cpu_times"]:
            found[f"process {process.pid}"] = (
                process.info["cpu_times"].user + process.info["cpu_times"].system
            )
    docker = connect()
    for name in [f"{cluster}-registry", *(one.name for one in DockerNodeEngine(docker).nodes(cluster))]:
        with contextlib.suppress(NotFound):
            found[name] = _group_seconds(docker.containers.get(name).attrs["State"]["Pid"])
    docker.close()
    return found


def _group_seconds(pid: int) -> float:
    """Return the CPU seconds of a process's control group and all below it; 0 when it does not run."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    groups = {controllers: path for _, controllers, path in (line.split(":", 2) for line in lines)}
    for controllers, path in groups.items():
        if "cpuacct" in controllers.split(","):  # version 1
            usage = _container_group(Path("/sys/fs/cgroup/cpuacct"), path) / "cpuacct.usage"
            return int(usage.read_text(encoding="ascii")) / _NANOSECONDS
    stat = (_container_group(Path("/sys/fs/cgroup"), groups[""]) / "cpu.stat").read_text(encoding="ascii")
    return int(stat.split()[1]) / _MICROSECONDS


def _container_group(root: Path, path: str) -> Path:
    """Return the group of the whole container: systemd in it moves its own process to a group below."""
    found = re.match(rf"/(?:[^/]+/)*?[^/]*{_CONTAINER_ID}[^/]*", path)
    return root / (found[0] if found else path).lstrip("/")


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
