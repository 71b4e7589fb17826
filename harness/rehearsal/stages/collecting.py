"""Collecting what explains a stage that did not pass: events, objects and logs since it began.

The namespaces of the shop come first, then those that it stands on: of these the logs are kept of what HPAs
ask and of pods that are not well. Everything has a bound, because a run's folder is kept and shared. What
cannot be had does not keep the rest from being collected: it is named in a file of its own. What is said of
objects is left to `describing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import quote

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.redaction import redact
from rehearsal.stages.describing import (
    Item,
    describe_autoscaler,
    describe_events,
    describe_node,
    describe_pod,
    describe_workload,
    is_well,
)
from rehearsal.stages.room import Room

AROUND = ("mambogo-monitoring", "kube-system")  # what the shop stands on
AROUND_ELSEWHERE = AROUND[:1]  # what else runs on a cluster of others is not for this project's reports
MISSING = "missing.txt"
_FOLDER = "diagnosis"  # in the stage's
_LOG_LINES = 500
_LOG_BYTES = 1 << 18
_ALL_LOG_BYTES = 15 << 20  # of a stage, over all namespaces
_MOST_LOGS = 200  # each takes a request, and all together a minute
_MOST_CHARACTERS = 1 << 20  # of any other file
# So many questions without a single answer: nobody is there, and each further one may take its whole time.
_ENOUGH_UNANSWERED = 3
_ALWAYS = "metrics-server"  # without its numbers no HPA moves, and it may look well
_CORE, _APPS = "/api/v1", "/apis/apps/v1"
_HPAS = "/apis/autoscaling/v2"
_NODE_NAMESPACE = "default"  # where Kubernetes keeps the events of nodes


class ClusterReader(Protocol):
    """The part of a Kubernetes API client that is needed here."""

    def get(self, path: str) -> Mapping[str, Any] | None:
        """Return what a path answers, parsed; None for 404."""

    def tail(self, path: str, most_bytes: int) -> str:
        """Return the end of what a path answers that is no JSON."""


def collect(
    api: ClusterReader, namespaces: Sequence[str], room: Room, since: datetime, around: Sequence[str] = AROUND
) -> Iterator[str]:
    """Write what there is below the stage's folder and yield the files.

    Raises EnvironmentNotReadyError when the cluster does not answer at all.
    """
    return _Collection(api, room, since).of(namespaces, around)


@dataclass(slots=True)
class _Collection:
    api: ClusterReader
    room: Room
    since: datetime
    missing: list[str] = field(default_factory=list)
    answers: int = 0
    logs: int = 0
    log_bytes: int = 0

    def of(self, namespaces: Sequence[str], around: Sequence[str]) -> Iterator[str]:
        """Yield the files; what is missing is written down also when the time for all of it is over."""
        pods: dict[str, list[Item]] = {}
        try:
            for namespace in (*namespaces, *around):
                yield from self._objects(namespace, pods)
            yield from self._part("nodes", self._nodes)
            # Last, because they are the most.
            for namespace in namespaces:
                self._logs(pods.get(namespace, ()))
            for namespace in around:
                known = pods.get(namespace, ())
                self._logs([one for one in known if not is_well(one) or _name(one).startswith(_ALWAYS)])
        finally:
            if self.missing:
                self._write(MISSING, self.missing)
        if self.missing:
            yield self._path(MISSING)

    def _objects(self, namespace: str, pods: dict[str, list[Item]]) -> Iterator[str]:
        def of_pods() -> Iterator[str]:
            pods[namespace] = self._items(f"{_CORE}/namespaces/{namespace}/pods")
            return map(describe_pod, pods[namespace])

        def of_workloads() -> Iterator[str]:
            for kind in ("Deployment", "StatefulSet", "DaemonSet"):
                for one in self._items(f"{_APPS}/namespaces/{namespace}/{kind.lower()}s"):
                    yield describe_workload(kind, one)

        def of_autoscalers() -> Iterator[str]:
            path = f"{_HPAS}/namespaces/{namespace}/horizontalpodautoscalers"
            return map(describe_autoscaler, self._items(path))

        def of_events() -> Iterator[str]:
            return describe_events(self._items(f"{_CORE}/namespaces/{namespace}/events"), self.since)

        parts = {"events": of_events, "pods": of_pods, "workloads": of_workloads, "hpas": of_autoscalers}
        for name, part in parts.items():
            yield from self._part(f"{namespace}-{name}", part)

    def _nodes(self) -> Iterator[str]:
        yield from map(describe_node, self._items(f"{_CORE}/nodes"))
        events = self._items(f"{_CORE}/namespaces/{_NODE_NAMESPACE}/events")
        of_nodes = [one for one in events if one.get("involvedObject", {}).get("kind") == "Node"]
        yield from describe_events(of_nodes, self.since)

    def _part(self, name: str, part: Callable[[], Iterator[str]]) -> Iterator[str]:
        """Yield the file of a part; none when there is nothing to say, or it cannot be had."""
        try:
            lines = list(part())
        except EnvironmentNotReadyError as error:
            self.missing.append(f"{name}: {error}")
            if not self.answers and len(self.missing) >= _ENOUGH_UNANSWERED:
                raise
            return
        except Exception as error:
            # An object of a form that nobody knew: the other parts must have their turn.
            self.missing.append(f"{name}: {error!r}")
            return
        if lines:
            self._write(f"{name}.txt", lines)
            yield self._path(f"{name}.txt")

    def _items(self, path: str) -> list[Item]:
        answer = self.api.get(path) or {}
        self.answers += 1
        return list(answer.get("items") or ())

    def _logs(self, pods: Sequence[Item]) -> None:
        """Keep the logs of pods; what is not well comes first, in case there are too many."""
        for pod in sorted(pods, key=is_well):
            for container, previous, from_its_begin in _containers(pod):
                self._log(pod, container, previous=previous, from_its_begin=from_its_begin)

    def _log(self, pod: Item, container: str, *, previous: bool, from_its_begin: bool) -> None:
        name = f"{_name(pod)}-{container}{'-previous' if previous else ''}"
        left = min(_LOG_BYTES, _ALL_LOG_BYTES - self.log_bytes)
        if self.logs >= _MOST_LOGS or left <= 0:
            self.missing.append(f"the log of {name}: there are too many")
            return
        # No `limitBytes`: the kubelet counts it from the beginning, and the newest lines would be cut off.
        query = f"container={quote(container)}&tailLines={_LOG_LINES}"
        if previous:
            query += "&previous=true"
        elif not from_its_begin:
            query += f"&sinceTime={quote(self.since.strftime('%Y-%m-%dT%H:%M:%SZ'))}"
        path = f"{_CORE}/namespaces/{pod['metadata']['namespace']}/pods/{_name(pod)}/log?{query}"
        try:
            text = self.api.tail(path, left)
        except EnvironmentNotReadyError as error:
            text = str(error)
            self.missing.append(f"the log of {name}: {text}")
        self.logs += 1
        self.log_bytes += len(text.encode())
        self._write(f"logs/{name}.log", [text])

    def _path(self, name: str) -> str:
        return f"{self.room.stage}/{_FOLDER}/{name}"

    def _write(self, name: str, lines: Sequence[str]) -> None:
        path = self.room.folder / _FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = redact("\n".join(lines))
        if (more := len(text) - _MOST_CHARACTERS) > 0:
            text = f"... the first {more} characters were left out\n{text[more:]}"
        path.write_text(text + "\n", encoding="utf-8")


def _name(item: Item) -> str:
    return str(item["metadata"]["name"])


def _containers(pod: Item) -> Iterator[tuple[str, bool, bool]]:
    """Yield whose logs there are: the container, whether it is the one before, whether from its beginning."""
    status = pod.get("status", {})
    for kind in ("initContainerStatuses", "containerStatuses"):
        for one in status.get(kind, ()):
            # What ended before the stage began may be why it failed; so may what a pod began with.
            yield one["name"], False, kind == "initContainerStatuses"
            if one.get("restartCount", 0):
                yield one["name"], True, True
