"""Collecting what explains a stage that did not pass: events, pods and logs since the stage began.

Secrets are taken out, and everything has a bound: a run's folder is kept and shared. What cannot be had from
a pod stands in its place as the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import quote

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.redaction import redact
from rehearsal.stages.room import Room

_MOST_EVENTS = 500
_LOG_LINES = 500
_LOG_BYTES = 1 << 18
_MOST_LOGS = 60  # with the bound of each: at most 15 MiB a stage


class ClusterReader(Protocol):
    """The part of a Kubernetes API client that is needed here."""

    def get(self, path: str) -> Mapping[str, Any] | None:
        """Return what a path answers, parsed; None for 404."""

    def text(self, path: str) -> str:
        """Return what a path answers that is no JSON."""


def collect(api: ClusterReader, namespaces: Sequence[str], room: Room, since: datetime) -> Iterator[str]:
    """Write what there is below the stage's folder and yield the files.

    Raises EnvironmentNotReadyError when the cluster does not answer at all.
    """
    for namespace in namespaces:
        events = _items(api, f"/api/v1/namespaces/{namespace}/events")
        yield _write(room, f"{namespace}-events.txt", "\n".join(_events(events, since)))
        pods = _items(api, f"/api/v1/namespaces/{namespace}/pods")
        yield _write(room, f"{namespace}-pods.txt", "\n".join(map(_described, pods)))
        for name, text in _logs(api, pods, since):
            _write(room, name, text)


def _items(api: ClusterReader, path: str) -> list[Mapping[str, Any]]:
    return list((api.get(path) or {}).get("items", ()))


def _events(items: Sequence[Mapping[str, Any]], since: datetime) -> Iterator[str]:
    stamped = sorted(((_time_of(item), item) for item in items), key=lambda pair: pair[0])
    for at, item in [pair for pair in stamped if pair[0] >= since.strftime("%Y-%m-%dT%H:%M:%S")][
        -_MOST_EVENTS:
    ]:
        thing = item.get("involvedObject", {})
        where = f"{thing.get('kind')}/{thing.get('name')}"
        yield f"{at} {item.get('type')} {item.get('reason')} {where}: {item.get('message', '')}"


def _time_of(item: Mapping[str, Any]) -> str:
    # Old and new ways to write events differ in where they keep their time.
    return str(item.get("lastTimestamp") or item.get("eventTime") or item["metadata"]["creationTimestamp"])


def _described(pod: Mapping[str, Any]) -> str:
    status = pod.get("status", {})
    lines = [f"{pod['metadata']['name']}: {status.get('phase')} on {pod.get('spec', {}).get('nodeName')}"]
    for one in status.get("conditions", ()):
        if one["status"] != "True":
            lines.append(f"  not {one['type']}: {one.get('reason', '')} {one.get('message', '')}".rstrip())
    for one in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        states = {
            **one.get("state", {}),
            **{f"last {key}": value for key, value in one.get("lastState", {}).items()},
        }
        said = "; ".join(f"{key} {_state(value)}".strip() for key, value in states.items())
        lines.append(f"  {one['name']}: {one.get('restartCount', 0)} restarts; {said}")
    return "\n".join(lines)


def _state(content: Mapping[str, Any]) -> str:
    keys = ("reason", "message", "exitCode", "startedAt", "finishedAt")
    return " ".join(f"{key}={content[key]}" for key in keys if key in content)


def _logs(
    api: ClusterReader, pods: Sequence[Mapping[str, Any]], since: datetime
) -> Iterator[tuple[str, str]]:
    wanted = [
        (pod, one["name"], previous)
        for pod in pods
        for one in pod.get("status", {}).get("containerStatuses", ())
        for previous in ((False, True) if one.get("restartCount", 0) else (False,))
    ]
    for pod, container, previous in wanted[:_MOST_LOGS]:
        metadata = pod["metadata"]
        query = f"container={quote(container)}&tailLines={_LOG_LINES}&limitBytes={_LOG_BYTES}"
        # What ended before the stage began may be why it failed.
        query += "&previous=true" if previous else f"&sinceTime={quote(since.strftime('%Y-%m-%dT%H:%M:%SZ'))}"
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/log?{query}"
        try:
            text = api.text(path)
        except EnvironmentNotReadyError as error:
            text = str(error)
        yield f"logs/{metadata['name']}-{container}{'-previous' if previous else ''}.log", text


def _write(room: Room, name: str, text: str) -> str:
    path = room.folder / "diagnosis" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(redact(text) + "\n", encoding="utf-8")
    return str(path.relative_to(room.run))
