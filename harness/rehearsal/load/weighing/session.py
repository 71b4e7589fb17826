"""Weighing all services, one after the other, at one pod each; what was measured is written down.

One shopper asks, whose orders nobody audits. Nothing is judged here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
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
from rehearsal.load.weighing.goods import filled_cart
from rehearsal.load.weighing.judging import Measured
from rehearsal.load.weighing.measuring import MOST_IDLE, Enough, Scale
from rehearsal.load.weighing.operations import Goods
from rehearsal.load.weighing.pods import AskedPods, client

RECORDS: Final = "weighed.ndjson"
_IDLE_SECONDS: Final = 2.0  # has two heartbeats in it
_NANOSECONDS: Final = 1e9
_CART: Final = "cart-service"


@dataclass(frozen=True, slots=True)
class Weighing:
    """Where the services' pods are, and who asks them for what."""

    reader: Reader
    nodes: Nodes
    namespace: str
    way: Callable[[str, Path], AbstractContextManager[str]]  # to a pod; the file is its log
    bearer: Callable[[], str]  # a fresh token of the shopper's
    goods: Callable[[], Goods]
    idle_seconds: float = _IDLE_SECONDS

    def __call__(self, folder: Path, enough: Enough, say: Callable[[str], None]) -> list[Measured]:
        """Weigh every operation; what was measured is in `folder`, too.

        Raises EnvironmentNotReadyError when there is nothing to ask, or nobody to be asked.
        """
        goods = self.goods()
        with reading(self.nodes) as counters:
            asked = {service: self._ready(service)[0] for service in operations.SERVICES}
            say("looking at pods that nobody asks")
            idle = _idle(counters, asked, self.idle_seconds)
            measured: list[Measured] = []
            for service, pod in asked.items():
                say(service)
                ready = partial(self._ready, service)
                with self._client(pod, goods, folder) as http:
                    scale = Scale(AskedPods(http, goods, counters, pod, ready), idle[service])
                    measured += scale.weigh(operations.of(service), enough)
            say("looking at them again")
            measured = list(_doubted(measured, _idle(counters, asked, self.idle_seconds)))
        (folder / RECORDS).write_text("".join(_records(measured)), encoding="utf-8")
        return measured

    @contextmanager
    def _client(self, pod: PodOnNode, goods: Goods, folder: Path) -> Iterator[httpx.Client]:
        headers = {"Authorization": f"Bearer {self.bearer()}"}
        log = folder / f"weigh-{pod.name}.way.txt"
        with ExitStack() as stack:
            http = stack.enter_context(client(stack.enter_context(self.way(pod.name, log)), headers))
            if pod.name.startswith(_CART):
                stack.enter_context(filled_cart(http, goods))
            yield http

    def _ready(self, service: str) -> Sequence[PodOnNode]:
        found = ready_pods(self.reader, self.namespace, service)
        if not found:
            raise EnvironmentNotReadyError(
                "NO_POD_TO_WEIGH",
                f"no pod of {service} is ready",
                hint=f"`kubectl get pods -n {self.namespace}` shows why.",
            )
        return found


def _idle(counters: Counters, asked: Mapping[str, PodOnNode], seconds: float) -> Mapping[str, float]:
    """Return what each service's pod uses of a core while nobody asks it; one that has ended uses nothing."""
    began = {service: (monotonic(), _used(counters, pod)) for service, pod in asked.items()}
    until = monotonic() + seconds

    def passed() -> bool:
        if monotonic() < until:
            raise NotYet(f"{until - monotonic():.1f} s left")
        return True

    wait_until("idle pods", passed, timeout_seconds=2 * seconds, hint="Run it again.")
    return {
        service: (_used(counters, pod) - began[service][1]) / _NANOSECONDS / (monotonic() - began[service][0])
        for service, pod in asked.items()
    }


def _used(counters: Counters, pod: PodOnNode) -> int:
    try:
        return counters.nanoseconds((pod,))
    except CounterGoneError:
        return 0


def _doubted(measured: Iterable[Measured], idle: Mapping[str, float]) -> Iterator[Measured]:
    """Yield what was measured; nothing can be said of a pod that was busy with something else afterwards."""
    for one in measured:
        share = idle[one.operation.service]
        busy = f"its pod used {1000 * share:.0f} m of CPU when it was not asked any more: another load ran"
        yield replace(one, trouble=one.trouble or (busy if share > MOST_IDLE else ""))


def _records(measured: Iterable[Measured]) -> Iterator[str]:
    for one in measured:
        record = {
            "operation": one.operation.name,
            "ms": round(one.milliseconds, 4),
            "ratios": [round(ratio, 4) for ratio in one.ratios],
            "trouble": one.trouble,
        }
        yield json.dumps(record) + "\n"
