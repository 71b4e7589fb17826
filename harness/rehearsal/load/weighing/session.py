"""Weighing all services, one after the other, each at a pod of its earlier image and one of those there now.

One shopper asks, whose orders nobody audits. Nothing is judged here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Final

import httpx

from rehearsal.cluster.usage import (
    CounterGoneError,
    Counters,
    Nodes,
    PodOnNode,
    Reader,
    reading,
    ready_pods,
)
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.waiting import NotYet, wait_until
from rehearsal.load.weighing import operations
from rehearsal.load.weighing.baseline import Baseline
from rehearsal.load.weighing.goods import filled_cart
from rehearsal.load.weighing.judging import Measured
from rehearsal.load.weighing.measuring import MOST_IDLE, Enough, Scale, Side
from rehearsal.load.weighing.operations import Goods
from rehearsal.load.weighing.pods import AskedPods, client

RECORDS: Final = "weighed.ndjson"
_IDLE_SECONDS: Final = 2.0  # has two heartbeats in it
_SETTLED_SECONDS: Final = 60.0  # in which a pod that has just started comes to rest
_NANOSECONDS: Final = 1e9
_CART: Final = "cart-service"


@dataclass(frozen=True, slots=True)
class Weighing:
    """Where the services' pods are, and who asks them for what."""

    reader: Reader
    nodes: Nodes
    namespace: str
    way: Callable[[str, Path], AbstractContextManager[str]]  # to a pod; the file is its log
    earlier: Callable[[str, str], AbstractContextManager[PodOnNode]]  # a pod of a service by its image
    bearer: Callable[[], str]  # a fresh token of the shopper's
    goods: Callable[[], Goods]
    idle_seconds: float = _IDLE_SECONDS
    settled_seconds: float = _SETTLED_SECONDS

    def __call__(
        self, baseline: Baseline, folder: Path, enough: Enough, say: Callable[[str], None]
    ) -> list[Measured]:
        """Weigh every operation against the baseline's images; what was measured is in `folder`, too.

        Raises EnvironmentNotReadyError when there is nothing to ask, or nobody to be asked, and
        WaitTimeoutError when no pod of an earlier image becomes ready.
        """
        goods = self.goods()
        measured: list[Measured] = []
        with reading(self.nodes) as counters:
            for service in operations.SERVICES:
                say(service)
                with self.earlier(service, baseline.images[service]) as before:
                    measured += self._service(service, before, goods, counters, folder, enough)
        (folder / RECORDS).write_text("".join(_records(measured)), encoding="utf-8")
        return measured

    def _service(
        self,
        service: str,
        before: PodOnNode,
        goods: Goods,
        counters: Counters,
        folder: Path,
        enough: Enough,
    ) -> list[Measured]:
        ready = partial(self._ready, service)
        # The oldest of those now: the last that an autoscaler would take away.
        after = next((one for one in ready() if one.name != before.name), None)
        if after is None:
            raise _nobody(self.namespace, service)
        both = (before, after)
        idle = _settled(counters, both, self.idle_seconds, self.settled_seconds)
        with self._client(before, goods, folder) as old, self._client(after, goods, folder) as new:
            scale = Scale(
                Side(AskedPods(old, goods, counters, before, ready), idle[0]),
                Side(AskedPods(new, goods, counters, after, ready), idle[1]),
            )
            with filled_cart(new, goods) if service == _CART else nullcontext():
                measured = scale.weigh(operations.of(service), enough)
        return list(_doubted(measured, max(_idle(counters, both, self.idle_seconds))))

    @contextmanager
    def _client(self, pod: PodOnNode, goods: Goods, folder: Path) -> Iterator[httpx.Client]:
        headers = {"Authorization": f"Bearer {self.bearer()}"}
        log = folder / f"weigh-{pod.name}.way.txt"
        with self.way(pod.name, log) as url, client(url, headers) as http:
            yield http

    def _ready(self, service: str) -> Sequence[PodOnNode]:
        found = ready_pods(self.reader, self.namespace, service)
        if not found:
            raise _nobody(self.namespace, service)
        return found


def _nobody(namespace: str, service: str) -> EnvironmentNotReadyError:
    return EnvironmentNotReadyError(
        "NO_POD_TO_WEIGH",
        f"no pod of {service} is ready",
        hint=f"`kubectl get pods -n {namespace}` shows why.",
    )


def _settled(
    counters: Counters, pods: Sequence[PodOnNode], seconds: float, most_seconds: float
) -> Sequence[float]:
    """Return what each pod uses of a core while nobody asks: as soon as that is little, or after a while."""
    until = monotonic() + most_seconds
    while max(idle := _idle(counters, pods, seconds)) > MOST_IDLE and monotonic() < until:
        pass
    return idle


def _idle(counters: Counters, pods: Sequence[PodOnNode], seconds: float) -> Sequence[float]:
    """Return what each pod uses of a core while nobody asks it; one that has ended uses nothing."""
    began = [(monotonic(), _used(counters, pod)) for pod in pods]
    until = monotonic() + seconds

    def passed() -> bool:
        if monotonic() < until:
            raise NotYet(f"{until - monotonic():.1f} s left")
        return True

    wait_until("idle pods", passed, timeout_seconds=2 * seconds, hint="Run it again.")
    return [
        (_used(counters, pod) - before) / _NANOSECONDS / (monotonic() - then)
        for pod, (then, before) in zip(pods, began, strict=True)
    ]


def _used(counters: Counters, pod: PodOnNode) -> int:
    try:
        return counters.nanoseconds((pod,))
    except CounterGoneError:
        return 0


def _doubted(measured: Iterable[Measured], idle: float) -> Iterator[Measured]:
    """Yield what was measured; nothing can be said of a pod that was busy with something else afterwards."""
    busy = f"its pod used {1000 * idle:.0f} m of CPU when it was not asked any more: another load ran"
    for one in measured:
        yield replace(one, trouble=one.trouble or (busy if idle > MOST_IDLE else ""))


def _records(measured: Iterable[Measured]) -> Iterator[str]:
    for one in measured:
        record = {
            "operation": one.operation.name,
            "ms": round(one.milliseconds, 4),
            "ratios": [round(ratio, 4) for ratio in one.ratios],
            "trouble": one.trouble,
        }
        yield json.dumps(record) + "\n"
