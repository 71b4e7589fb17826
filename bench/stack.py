"""The whole stack, measured: how long it takes to come up, and what it costs when nobody uses it.

    python bench/stack.py start [--profile standard] [--runs 3]     # from nothing, and `up --ci` again
    python bench/stack.py idle [--profile light] [--seconds 180]    # CPU and memory of each workload

Supplies must have been built, and images as well for a time that means something: `rehearsal up --ci` once.
`start` removes the cluster that is there. The tables go into docs/benchmarks/stack.md.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Mapping
from typing import Any

from ground import idle, tables
from ground.measuring import ROOT, Run, Spent, machine, rehearsal
from kubernetes import client, config
from rehearsal.cluster.api import KubernetesApi
from rehearsal.core import catalogue, paths

_PAGE = ROOT / "docs/benchmarks/stack.md"
_NOTHING, _AGAIN = "from nothing", "`up --ci` again, nothing changed"
_TARGETS = {  # of issue "Production's whole stack"
    ("standard", _NOTHING): "110 s",
    ("light", _NOTHING): "70 s",
    ("standard", _AGAIN): "10 s",
    ("light", _AGAIN): "10 s",
}
# ext4 without a journal keeps the inode of a deleted file from reuse for a minute, and for six where its
# block is dirty; it looks at each such one for every file that it creates nearby: 10 s of CPU for a cluster.
_DELETED_SECONDS = 361.0
_IDLE_TARGETS = {"standard": "600 m, 6.5 GiB", "light": "350 m, 4 GiB"}


def start(profile: str, runs: int) -> None:
    """Bring the stack up from nothing again and again, and write the table."""
    about, measured, pods = machine(), [], []
    for _ in range(runs):
        rehearsal("down")
        os.sync()
        print(f"waiting {_DELETED_SECONDS:.0f} s until deleted inodes are free again", flush=True)
        time.sleep(_DELETED_SECONDS)
        run = Run(catalogue.load(ROOT).cluster.name)
        with run.phase(_NOTHING):
            rehearsal("up", "--ci", "--profile", profile)
        pods.append(_pods_ready())
        with run.phase(_AGAIN):
            rehearsal("up", "--ci", "--profile", profile)
        measured.append(run)
        print(", ".join(f"{name}: {spent.wall:.1f} s" for name, spent in run.phases.items()), flush=True)
    rows = [_row(profile, name, [run.phases[name] for run in measured]) for name in (_NOTHING, _AGAIN)]
    header = ("to all pods ready", "fastest", "median", "slowest", "CPU, machine", "target")
    text = f"{about}; {runs} runs; {pods[-1]} pods ready, no container restarted.\n\n"
    tables.refresh(_PAGE, f"start {profile}", text + tables.markdown(header, rows))


def _row(profile: str, name: str, spent: list[Spent]) -> list[str]:
    wall = [one.wall for one in spent]
    times = [f"{one:.1f} s" for one in (min(wall), statistics.median(wall), max(wall))]
    cpu = statistics.median(one.machine for one in spent)
    return [name, *times, f"{cpu:.0f} s", _TARGETS.get((profile, name), "")]


def _pods_ready() -> int:
    """Return how many pods are ready; ends the benchmark when one is not, or a container has restarted."""
    ready = 0
    for pod in _core().list_pod_for_all_namespaces().items:
        restarts = sum(one.restart_count for one in pod.status.container_statuses or ())
        if restarts:
            raise SystemExit(f"{pod.metadata.name} has restarted {restarts} times")
        if pod.status.phase == "Succeeded":
            continue
        if not any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions or ()):
            raise SystemExit(f"{pod.metadata.name} is not ready")
        ready += 1
    return ready


def measure_idle(profile: str, settle_seconds: float, seconds: float) -> None:
    """Measure what the stack costs when nobody uses it, and write the table."""
    rehearsal("up", "--ci", "--profile", profile)
    time.sleep(settle_seconds)
    about, cluster = machine(), catalogue.load(ROOT).cluster
    api = KubernetesApi(paths.for_checkout(ROOT).kubeconfig, cluster.context)
    nodes = [one.name for one in api.nodes()]

    def summaries() -> list[Mapping[str, Any]]:
        return [api.get(f"/api/v1/nodes/{node}/proxy/stats/summary") or {"pods": ()} for node in nodes]

    costs = idle.measure_pods(summaries, cluster.name, nodes, seconds)
    rows = [[one.name, f"{one.millicores:.0f} m", f"{one.mebibytes:.0f} MiB"] for one in costs]
    when = f"over {seconds:.0f} s, {settle_seconds:.0f} s after `up`"
    text = f"{about}; {when}. Target: {_IDLE_TARGETS.get(profile, 'none')}.\n\n"
    tables.refresh(
        _PAGE, f"idle {profile}", text + tables.markdown(("workload (pods)", "CPU", "memory"), rows)
    )


def _core() -> client.CoreV1Api:
    kubeconfig = paths.for_checkout(ROOT).kubeconfig
    return client.CoreV1Api(
        config.new_client_from_config(str(kubeconfig), catalogue.load(ROOT).cluster.context)
    )


def main() -> None:
    """Run one of the benchmarks."""
    parser = argparse.ArgumentParser(description="Measures the stack; see the tables in docs/benchmarks/.")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("start")
    one.add_argument("--profile", default="standard")
    one.add_argument("--runs", type=int, default=3)
    two = commands.add_parser("idle")
    two.add_argument("--profile", default="light")
    two.add_argument("--settle", type=float, default=180.0, help="seconds to wait before")
    two.add_argument("--seconds", type=float, default=180.0)
    options = parser.parse_args()
    if options.command == "start":
        start(options.profile, options.runs)
    else:
        measure_idle(options.profile, options.settle, options.seconds)


if __name__ == "__main__":
    main()
