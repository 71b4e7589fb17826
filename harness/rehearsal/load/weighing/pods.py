"""Adapter: a service's pods, of which one is asked by HTTP and all have counters of their CPU time."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import httpx

from rehearsal.cluster.usage import CounterGoneError, Counters, PodOnNode
from rehearsal.core.waiting import NotYet, WaitTimeoutError, wait_until
from rehearsal.load.weighing.measuring import TroubleError, VoidError
from rehearsal.load.weighing.operations import Goods, Operation

T = TypeVar("T")
AT_ONCE: Final = 6  # keep a pod busy, not overrun: it answers each within its usual time
_TIMEOUT_SECONDS: Final = 12.0  # as the shop's clients wait
_END_SECONDS: Final = 20.0  # orders that are rejected take a second
_LOOK_SECONDS: Final = 0.25
_UNDER_WAY: Final = frozenset(("PENDING", "RESERVED"))


@dataclass(frozen=True, slots=True)
class AskedPods:
    """The ready pods of a service as `measuring` knows them; `client` asks the oldest of them as one user."""

    client: httpx.Client
    goods: Goods
    counters: Counters
    asked: PodOnNode
    ready: Callable[[], Sequence[PodOnNode]]

    def counted(self, operation: Operation) -> Sequence[PodOnNode]:
        """Return the pods in which an operation's work is: the asked one, or all that are ready now."""
        return self.ready() if operation.places_orders else (self.asked,)

    def used(self, pods: Sequence[PodOnNode]) -> int:
        """Return the nanoseconds of CPU that pods have used. Raises VoidError when one of them has ended."""
        try:
            return self.counters.nanoseconds(pods)
        except CounterGoneError as error:
            raise VoidError(str(error)) from error

    def ask(self, operation: Operation) -> None:
        """Ask for one batch and wait for what follows from it. Raises TroubleError."""
        if operation.places_orders:
            self._await_ends(operation, self._together(operation, lambda: self._place(operation)))
            return
        url = operation.url(self.goods)
        self._together(operation, lambda: self._request(operation.key, operation.method, url))

    def _together(self, operation: Operation, ask: Callable[[], T]) -> list[T]:
        """Ask as often as a batch wants, a few at once: a pod that waits between requests has cold caches."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            asked = [pool.submit(ask) for _ in range(operation.times)]
        return [one.result() for one in asked]

    def _place(self, operation: Operation) -> str:
        lines = [{"product_id": self.goods.sold_out_id, "quantity": 1}]
        headers = {"Idempotency-Key": f"weigh-{uuid.uuid4()}"}
        placed = self._request(
            operation.key, operation.method, operation.path, json={"lines": lines}, headers=headers
        )
        return str(placed.json()["order_id"])

    def _await_ends(self, operation: Operation, order_ids: Sequence[str]) -> None:
        """Wait until all orders have ended; the list shows all of them at once, the newest first."""
        wanted, url = set(order_ids), f"{operation.path}?limit={len(order_ids)}"

        def ended() -> bool:
            items = self._request(operation.key, "GET", url).json()["items"]
            states = {one["order_id"]: one["state"] for one in items}
            under_way = [one for one in wanted if states.get(one, "PENDING") in _UNDER_WAY]
            if under_way:
                raise NotYet(f"{len(under_way)} of {len(wanted)} orders under way")
            return True

        try:
            wait_until(
                "the end of orders without stock",
                ended,
                timeout_seconds=_END_SECONDS,
                interval_seconds=_LOOK_SECONDS,
                hint="`rehearsal shop` follows one order.",
            )
        except WaitTimeoutError as error:
            raise TroubleError(error.message) from error

    def _request(self, key: str, method: str, url: str, **content: Any) -> httpx.Response:
        try:
            answer = self.client.request(method, url, **content)
        except httpx.HTTPError as error:
            raise TroubleError(
                f"a request of {key} was not answered: {type(error).__name__}: {error}"
            ) from error
        if not answer.is_success:
            raise TroubleError(f"a request of {key} was answered {answer.status_code}")
        return answer


def client(url: str, headers: Mapping[str, str]) -> httpx.Client:
    """Return a client with few connections, as one user; no proxy of this machine stands between."""
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    return httpx.Client(
        base_url=url, headers=headers, timeout=_TIMEOUT_SECONDS, limits=limits, trust_env=False
    )
