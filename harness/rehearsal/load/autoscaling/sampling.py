"""Sampling: one look a second at an HPA, its pods and what they use, in a thread of its own.

It keeps what it saw, how long it was blind, and what it cost. Each look is on disk before the next one: a
killed run must leave what it saw. Nothing is judged here.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import quote

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.load.autoscaling.facts import Autoscaler, Sample
from rehearsal.load.autoscaling.parsing import autoscaler_of, sample_of

INTERVAL_SECONDS = 1.0
_AUTOSCALERS = "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers/{}"
_SCALE = "/apis/apps/v1/namespaces/{}/deployments/{}/scale"
# From the API server's cache: the controller looks at a cache, too.
_PODS = "/api/v1/namespaces/{}/pods?labelSelector={}&resourceVersion=0"
_METRICS = "/apis/metrics.k8s.io/v1beta1/namespaces/{}/pods?labelSelector={}"


class Reader(Protocol):
    """What is asked of Kubernetes."""

    def get(self, path: str) -> Mapping[str, Any] | None:
        """Return what a path answers, parsed; None for 404."""


@dataclass(frozen=True, slots=True)
class Lookout:
    """Where one autoscaler is looked at."""

    reader: Reader
    namespace: str
    name: str
    workload: str

    def autoscaler(self) -> Autoscaler:
        """Return the specification as it is on the cluster."""
        return autoscaler_of(self._get(_AUTOSCALERS.format(self.namespace, self.name)))

    def look(self, t: float) -> Sample:
        """Return what is there now. Raises EnvironmentNotReadyError when the API does not say."""
        autoscaler = self._get(_AUTOSCALERS.format(self.namespace, self.name))
        scale = self._get(_SCALE.format(self.namespace, self.workload))
        selector = quote(str(scale["status"]["selector"]), safe="")
        pods = self._get(_PODS.format(self.namespace, selector))
        return sample_of(t, autoscaler, scale, pods["items"], self._metrics(selector))

    def _metrics(self, selector: str) -> list[Mapping[str, Any]]:
        try:
            return list(self._get(_METRICS.format(self.namespace, selector))["items"])
        except EnvironmentNotReadyError:
            return []  # that nothing is measured is itself something seen

    def _get(self, path: str) -> Mapping[str, Any]:
        found = self.reader.get(path)
        if found is None:
            raise EnvironmentNotReadyError(
                "AUTOSCALER_GONE",
                f"the cluster has no {path}",
                hint="`rehearsal up --ci` deploys the stack; `kubectl get hpa -A` shows its autoscalers.",
            )
        return found


@dataclass(slots=True)
class Watch:
    """What a sampler saw, and what it cost."""

    samples: list[Sample] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    began: float = 0.0
    ended: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def longest_gap_seconds(self) -> float:
        """For how long nothing was seen at most, from the beginning to the end."""
        times = [self.began, *(one.t for one in self.samples), self.ended]
        return max(after - before for before, after in pairwise(times))

    @property
    def cpu_share(self) -> float:
        """How much of one core the sampler took."""
        return self.cpu_seconds / max(INTERVAL_SECONDS, self.ended - self.began)


class Sampler:
    """Looks once a second as long as it is entered, and appends what it saw to a file, if it has one."""

    def __init__(
        self,
        look: Callable[[float], Sample],
        interval_seconds: float = INTERVAL_SECONDS,
        *,
        file: Path | None = None,
    ) -> None:
        self._look = look
        self._file = file
        self._interval = interval_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self.watch = Watch()

    def latest(self) -> Sample | None:
        """Return what was seen last."""
        return self.watch.samples[-1] if self.watch.samples else None

    def __enter__(self) -> Self:
        self.watch.began = self.watch.ended = time.time()
        self._take()  # whoever enters finds what is there
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.watch.ended = time.time()

    def _run(self) -> None:
        due = time.monotonic()
        while True:
            # A look that took too long is not made up for: the next one is due in the future.
            due = max(due + self._interval, time.monotonic())
            if self._stop.wait(due - time.monotonic()):
                return
            self._take()
            self.watch.cpu_seconds = time.thread_time()

    def _take(self) -> None:
        try:
            seen = self._look(time.time())
        except EnvironmentNotReadyError as error:
            self.watch.errors.append(error.message)
            return
        self.watch.samples.append(seen)
        if self._file is None:
            return
        try:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(seen)) + "\n")
        except OSError as error:
            # On a disk that is full it is looked on: what stops a run for that is the guard.
            self.watch.errors.append(f"a look was not written down: {error}")
