"""A way to a service of the deployed shop outlives the pod that it leads to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from rehearsal.cli.composition import Workshop, workshop
from rehearsal.cli.judging_assembly import NAMESPACE, forwarding
from rehearsal.cluster.api import KubernetesApi
from rehearsal.cluster.record import Record
from rehearsal.core.waiting import wait_until

pytestmark = pytest.mark.cluster

SERVICE = "order-service"
LIVE = "/actuator/health/liveness"
# From preStop to SIGKILL (terminationGracePeriodSeconds) a pod takes less than this, and so does a new one.
WITHIN_SECONDS = 60.0


@pytest.fixture
def shop(made: Record) -> Iterator[Workshop]:
    with workshop("live-tests", announce=False) as opened:
        yield opened


def test_no_request_fails_when_the_pod_is_taken_away(shop: Workshop, tmp_path: Path) -> None:
    api = shop.api()
    wait_until("two pods", lambda: len(_pods(api)) > 1, timeout_seconds=WITHIN_SECONDS, hint="")
    with (
        forwarding(shop).to(SERVICE, tmp_path / "way.txt") as address,
        httpx.Client(base_url=address, trust_env=False) as kept,
    ):
        (pod,) = _led_to(_pods(api))
        api.delete(f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}")
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}"
        until, gone = time.monotonic() + WITHIN_SECONDS, False
        while not gone and time.monotonic() < until:
            gone = api.get(path) is None
            for _ in range(10):
                kept.get(LIVE).raise_for_status()
                httpx.get(f"{address}{LIVE}", trust_env=False).raise_for_status()
        assert gone
    wait_until("two pods", lambda: len(_pods(api)) > 1, timeout_seconds=WITHIN_SECONDS, hint="")


def _pods(api: KubernetesApi) -> set[str]:
    return {one.name for one in api.pods([NAMESPACE]) if one.name.startswith(SERVICE) and one.ready}


def _led_to(pods: set[str]) -> set[str]:
    """Return the pods that a kubectl of this machine leads to."""
    found = set()
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = one.read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        found |= {pod for pod in pods if f"pod/{pod}".encode() in words}
    return found
