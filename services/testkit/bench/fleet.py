"""How long the whole fleet of dependencies takes until every one of them answers, all starting at once.

    python bench/fleet.py [KIND...]     # all six by default

What makes the first time longer (images that are not built, Keycloak's database that is not baked) is done
before the clock starts. The load of the host is printed beside: times mean nothing without it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mambogo_testkit import baking
from mambogo_testkit.dependencies import keycloak
from mambogo_testkit.engine import connect
from mambogo_testkit.fleet import KINDS, Fleet
from mambogo_testkit.images import ensure_image
from mambogo_testkit.running import Running


@dataclass(frozen=True, slots=True)
class Start:
    """One dependency: how long until it answered, and what its containers used until then."""

    kind: str
    seconds: float
    cpu_seconds: float


def main(kinds: list[str]) -> None:
    """Print a row per dependency, slowest last, and the whole."""
    prepare(kinds)
    load = os.getloadavg()[0]
    starts, seconds = start_all(kinds)
    print(f"| dependency (host load {load:.1f}) | ready after s | CPU s |\n|---|---|---|")
    for one in sorted(starts, key=lambda start: start.seconds):
        print(f"| {one.kind} | {one.seconds:.1f} | {one.cpu_seconds:.1f} |")
    print(f"| all | {seconds:.1f} | {sum(one.cpu_seconds for one in starts):.1f} |")


def prepare(kinds: list[str]) -> None:
    """Build the images and bake Keycloak's database, where they are missing."""
    with contextlib.closing(connect()) as client:
        for kind in kinds:
            ensure_image(client, kind.replace("_", "-"))
        baked = baking.find(client, (ensure_image(client, "postgres"), ensure_image(client, keycloak.KIND)))
    if keycloak.KIND in kinds and baked is None:
        with contextlib.closing(Fleet()) as fleet:
            fleet.release(fleet.own(keycloak.KIND))


def start_all(kinds: list[str]) -> tuple[list[Start], float]:
    """Start all at once, as a run of tests does."""
    with contextlib.closing(Fleet()) as fleet, ThreadPoolExecutor(len(kinds)) as pool:
        began = time.monotonic()
        fleet.want(kinds)
        starts = list(pool.map(lambda kind: watch(fleet, kind, began), kinds))
        return starts, time.monotonic() - began


def watch(fleet: Fleet, kind: str, began: float) -> Start:
    """Wait for one."""
    running = fleet.get(kind)
    return Start(kind, time.monotonic() - began, cpu_seconds(running))


def cpu_seconds(running: Running) -> float:
    """What the engine counted for the containers of a dependency so far."""
    with contextlib.closing(connect()) as client:
        readings = [
            client.api.stats(container, stream=False, one_shot=True) for container in running.containers
        ]
    return sum(int(one["cpu_stats"]["cpu_usage"]["total_usage"]) for one in readings) / 1e9


if __name__ == "__main__":
    main(sys.argv[1:] or list(KINDS))
