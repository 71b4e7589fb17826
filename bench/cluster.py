"""The cluster, measured: how long its phases take, what it costs when idle, whether it comes up every time.

    python bench/cluster.py phases [--profile full] [--runs 5]   # minikube's timeToK8s, `up` again, `down`
    python bench/cluster.py idle [--seconds 120]                 # CPU and memory of the idle one-node cluster
    python bench/cluster.py repeat [--times 20]                  # `cluster up` and `down` again and again

Each makes the clusters that it needs and removes a cluster that is there; supplies must have been built. The
tables go into docs/benchmarks/. Numbers of a machine that does other things at the same time mean little.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from ground import idle, peer, tables
from ground.app import App, push_image
from ground.measuring import ROOT, CommandFailedError, Run, Spent, commit, machine, rehearsal, until
from rehearsal.cluster import record
from rehearsal.core import catalogue, paths
from rehearsal.core.catalogue import Catalogue

_PAGE = ROOT / "docs/benchmarks/ground.md"
_LOG = ROOT / "docs/benchmarks/up-down-log.ndjson"
_LOG_PAGE = ROOT / "docs/benchmarks/up-down-log.md"
_TO_ANSWER = ("command", "API server", "app", "DNS", "Service", "NodePort")
_AFTERWARDS = ("first metrics", "`up` again", "`down`")
_TARGETS = {  # of issue "The ground": wall seconds, and CPU seconds where there is a target
    "light": {"from nothing to answering": "20 s, 11 CPU-s", "`up` again": "3 s", "`down`": "8 s"},
    "full": {"from nothing to answering": "45 s", "`up` again": "3 s", "`down`": "8 s"},
}


def phases(profile: str, runs: int) -> None:
    """Measure a cluster from nothing to an answering app, `up` again and `down`, and write the table."""
    settings, kubeconfig = catalogue.load(ROOT), paths.for_checkout(ROOT).kubeconfig
    about = machine()
    rehearsal("cluster", "down")
    rehearsal("cluster", "up", "--profile", profile)
    made = record.load(paths.for_checkout(ROOT).state)
    push_image(settings)
    rehearsal("cluster", "down")
    # In turns, so that a busy minute of the machine falls on both.
    measured, alone = [], []
    for _ in range(runs):
        measured.append(_measure(settings, kubeconfig, profile))
        if profile == "light" and made is not None:
            alone.append(peer.kind_alone(made.spec.node_image))
    rows = [_row(name, [run.phases[name] for run in measured], profile) for name in _TO_ANSWER]
    rows.append(_row("from nothing to answering", [run.total(_TO_ANSWER) for run in measured], profile))
    rows += [_row(name, [run.phases[name] for run in measured], profile) for name in _AFTERWARDS]
    if alone:
        rows.append(_row("peer: `kind create cluster` alone", alone, profile))
    header = ("phase", "median", "slowest", "CPU, ours", "CPU, machine", "target")
    text = f"{about}; {runs} runs.\n\n{tables.markdown(header, rows)}"
    tables.refresh(_PAGE, f"phases {profile}", text)


def _measure(settings: Catalogue, kubeconfig: Path, profile: str) -> Run:
    run = Run(settings.cluster.name)
    with run.phase("command"):
        rehearsal("cluster", "up", "--profile", profile)
    with closing(App(settings, kubeconfig)) as app:
        with run.phase("API server"):
            until("the API server", app.api_answers)
        with run.phase("app"):
            app.deploy()
            until("the app", app.runs)
        with run.phase("DNS"):
            until("DNS", app.name_resolves)
        with run.phase("Service"):
            until("the Service", app.service_answers)
        with run.phase("NodePort"):
            until("the NodePort", app.node_port_answers)
        with run.phase("first metrics"):
            until("metrics", app.metrics_are_served)
    with run.phase("`up` again"):
        rehearsal("cluster", "up", "--profile", profile)
    with run.phase("`down`"):
        rehearsal("cluster", "down")
    return run


def _row(name: str, spent: list[Spent], profile: str) -> list[str]:
    wall = [one.wall for one in spent]
    cpu = [
        statistics.median(group) for group in ([one.ours for one in spent], [one.machine for one in spent])
    ]
    times = [f"{statistics.median(wall):.2f} s", f"{max(wall):.2f} s", *(f"{one:.1f} s" for one in cpu)]
    return [name, *times, _TARGETS.get(profile, {}).get(name, "")]


def measure_idle(settle_seconds: float, seconds: float) -> None:
    """Measure what the idle one-node cluster costs, and write the table."""
    rehearsal("cluster", "down")
    rehearsal("cluster", "up", "--profile", "light")
    time.sleep(settle_seconds)
    about = machine()
    cost = idle.measure(catalogue.load(ROOT).cluster.name, seconds)
    rows = [[one.name, f"{one.millicores:.0f} m", f"{one.mebibytes:.0f} MiB"] for one in cost]
    when = f"over {seconds:.0f} s, {settle_seconds:.0f} s after it was made"
    text = f"{about}; {when}. Target: 150 m, 700 MiB.\n\n"
    tables.refresh(_PAGE, "idle", text + tables.markdown(("what", "CPU", "memory"), rows))


def repeat(times: int, profile: str) -> None:
    """Make and remove the cluster again and again; each pair is a line of the log before the next begins."""
    cluster = catalogue.load(ROOT).cluster.name
    rehearsal("cluster", "down")
    for number in range(1, times + 1):
        run = Run(cluster)
        failed = ""
        try:
            with run.phase("up"):
                rehearsal("cluster", "up", "--profile", profile)
            with run.phase("down"):
                rehearsal("cluster", "down")
        except CommandFailedError as error:
            failed = str(error)
        _log(profile, run, failed)
        print(f"{number} of {times}: {failed or 'well'}", flush=True)
        if failed:
            raise SystemExit(f"kept as it is for a look: {failed}")


def _log(profile: str, run: Run, failed: str) -> None:
    record = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "profile": profile,
        "load": round(os.getloadavg()[0], 1),
        **{name: round(spent.wall, 1) for name, spent in run.phases.items()},
        "failed": failed,
    }
    with _LOG.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
    records = [json.loads(line) for line in _LOG.read_text(encoding="utf-8").splitlines()]
    well = [one for one in records if not one["failed"]]
    # The rule of three: the upper 95 % bound of a rate of which nothing was seen in so many tries.
    bound = f"; the rate of failures is below {3 / len(well):.0%} (95 %)" if len(well) == len(records) else ""
    rows = [
        [str(number), one["at"], one["commit"], one["profile"], f"{one['load']:.1f}"]
        + [f"{one[name]:.1f} s" if name in one else "" for name in ("up", "down")]
        + [one["failed"].partition("\n")[0] or "well"]
        for number, one in enumerate(records, 1)
    ]
    header = ("run", "at", "commit", "profile", "load", "up", "down", "end")
    summary = f"{len(records)} runs, {len(records) - len(well)} failed{bound}."
    text = f"{summary}\n\n{tables.markdown(header, rows)}"
    tables.refresh(_LOG_PAGE, "log", text, quiet=True)


def main() -> None:
    """Run one of the benchmarks."""
    parser = argparse.ArgumentParser(description="Measures the cluster; see the tables in docs/benchmarks/.")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("phases")
    one.add_argument("--profile", default="light")
    one.add_argument("--runs", type=int, default=5)
    two = commands.add_parser("idle")
    two.add_argument("--settle", type=float, default=90.0, help="seconds to wait before")
    two.add_argument("--seconds", type=float, default=120.0)
    three = commands.add_parser("repeat")
    three.add_argument("--times", type=int, default=20)
    three.add_argument("--profile", default="light")
    options = parser.parse_args()
    if options.command == "phases":
        phases(options.profile, options.runs)
    elif options.command == "idle":
        measure_idle(options.settle, options.seconds)
    else:
        repeat(options.times, options.profile)


if __name__ == "__main__":
    main()
