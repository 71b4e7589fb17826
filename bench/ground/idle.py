"""What an idle cluster costs: CPU and memory of its containers, and of the programs in its node.

A container's memory is its working set as the kubelet reckons it: what is in use without what the kernel
could drop from the page cache at once. A program's is its unique set, so the parts do not add up to it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psutil
from docker import DockerClient
from rehearsal.cluster.engine import connect

_MIB = 1 << 20
_NANOSECONDS = 1e9
_SHOWN_PROGRAMS = 12  # the rest is small


@dataclass(frozen=True, slots=True)
class Cost:
    """What something takes."""

    name: str
    millicores: float
    mebibytes: float


@dataclass(frozen=True, slots=True)
class Sample:
    """CPU seconds so far, and bytes now."""

    cpu_seconds: float
    bytes: int


def measure(cluster: str, seconds: float) -> list[Cost]:
    """Return the cost of the node, of its largest programs, and of the registry, averaged over some time."""
    node, registry = f"{cluster}-control-plane", f"{cluster}-registry"
    docker = connect()
    began = time.monotonic()
    before = {name: _container(docker, name) for name in (node, registry)}
    programs_before = _programs(docker, node)
    time.sleep(seconds)
    after = {name: _container(docker, name) for name in (node, registry)}
    programs = _programs(docker, node)
    elapsed = time.monotonic() - began
    docker.close()
    parts = sorted(_costs(programs_before, programs, elapsed), key=lambda one: -one.millicores)
    shown = [Cost(f"- {one.name}", one.millicores, one.mebibytes) for one in parts[:_SHOWN_PROGRAMS]]
    whole = {one.name: one for one in _costs(before, after, elapsed)}
    return [Cost("**node**", whole[node].millicores, whole[node].mebibytes), *shown, whole[registry]]


def _costs(before: Mapping[str, Sample], after: Mapping[str, Sample], elapsed: float) -> list[Cost]:
    return [
        Cost(
            name,
            (sample.cpu_seconds - before.get(name, Sample(0, 0)).cpu_seconds) / elapsed * 1000,
            sample.bytes / _MIB,
        )
        for name, sample in after.items()
    ]


def _container(docker: DockerClient, name: str) -> Sample:
    stats: Any = docker.containers.get(name).stats(stream=False)
    memory = stats["memory_stats"]
    # The first name is cgroup v1's, the second v2's.
    droppable = memory["stats"].get("total_inactive_file", memory["stats"].get("inactive_file", 0))
    return Sample(stats["cpu_stats"]["cpu_usage"]["total_usage"] / _NANOSECONDS, memory["usage"] - droppable)


def _programs(docker: DockerClient, node: str) -> dict[str, Sample]:
    """Return the node's programs by name; probes come and go, and are missing here."""
    cpu: dict[str, float] = defaultdict(float)
    memory: dict[str, int] = defaultdict(int)
    root = docker.containers.get(node).attrs["State"]["Pid"]
    for process in psutil.Process(root).children(recursive=True):
        try:
            with process.oneshot():
                name, times = process.name(), process.cpu_times()
                memory[name] += process.memory_full_info().uss
                cpu[name] += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return {name: Sample(cpu[name], memory[name]) for name in cpu}
