"""What an idle cluster costs: CPU and memory of its containers, of its pods, and of the programs in its node.

A container's memory is its working set as the kubelet reckons it: what is in use without what the kernel
could drop from the page cache at once. A program's is its unique set, so the parts do not add up to it.
"""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
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


def measure_pods(
    summaries: Callable[[], Iterable[Mapping[str, Any]]], cluster: str, nodes: Iterable[str], seconds: float
) -> list[Cost]:
    """Return the cost of the whole cluster, of each workload, and of what is no pod, averaged over some time.

    `summaries` gives what each kubelet says of its pods now; `nodes` are the containers of the cluster.
    """
    docker, names = connect(), [*nodes, f"{cluster}-registry"]
    began = time.monotonic()
    before, pods_before = {name: _container(docker, name) for name in names}, _pods(summaries())
    time.sleep(seconds)
    after, pods = {name: _container(docker, name) for name in names}, _pods(summaries())
    elapsed = time.monotonic() - began
    docker.close()
    if pods.keys() != pods_before.keys():
        raise SystemExit(
            f"pods came or went meanwhile: {', '.join(sorted(pods.keys() ^ pods_before.keys()))}"
        )
    cpu: Counter[str] = Counter()
    memory: Counter[str] = Counter()
    count = Counter(workload for _, workload in pods)
    for (uid, workload), (nanoseconds, measured_at, working_set) in pods.items():
        used, since, _ = pods_before[uid, workload]
        # By the kubelet's own clock: it looks each ten seconds or so, at each container in its turn.
        cpu[workload] += (nanoseconds - used) / max(measured_at - since, 1)
        memory[workload] += working_set
    whole = _costs(before, after, elapsed)
    total = Cost("**all**", sum(one.millicores for one in whole), sum(one.mebibytes for one in whole))
    parts = [
        Cost(f"{name}{f' ({count[name]})' if count[name] > 1 else ''}", cpu[name] * 1000, memory[name] / _MIB)
        for name in sorted(cpu, key=lambda name: -cpu[name])
    ]
    rest = Cost(
        "nodes without pods, registry",
        total.millicores - sum(one.millicores for one in parts),
        total.mebibytes - sum(one.mebibytes for one in parts),
    )
    return [total, rest, *parts]


def _pods(summaries: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], tuple[int, float, int]]:
    """Return CPU nanoseconds, the time of that reading in nanoseconds, and bytes, by uid and workload."""
    found = {}
    for summary in summaries:
        for pod in summary["pods"]:
            cpu, memory = pod.get("cpu", {}), pod.get("memory", {})
            if "usageCoreNanoSeconds" in cpu and "workingSetBytes" in memory:  # else a pod that has ended
                at = datetime.fromisoformat(cpu["time"]).timestamp() * _NANOSECONDS
                key = (pod["podRef"]["uid"], _workload(pod["podRef"]["name"]))
                found[key] = (cpu["usageCoreNanoSeconds"], at, memory["workingSetBytes"])
    return found


def _workload(pod: str) -> str:
    """Return a pod's name without what controllers append: hash and letters, letters, or number.

    >>> [_workload(name) for name in ("order-service-84578ff466-q7vhp", "kube-proxy-2xhzq", "eureka-0")]
    ['order-service', 'kube-proxy', 'eureka']
    """
    suffix = r"(-[bcdf-hj-np-tv-z2-9]{8,10})?-[bcdf-hj-np-tv-z2-9]{5}|-\d+"
    return re.sub(rf"({suffix}|-mambogo-control-plane)$", "", pod)


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
