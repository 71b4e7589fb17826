"""What is wrong with objects of the cluster, in a few lines each, for a person. Pure.

Less than `kubectl describe`: what is as it should be is left out, and so are specifications, which the tree
holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

Item = Mapping[str, Any]

_MOST_EVENTS = 500  # the newest, of a namespace
_LONGEST_MESSAGE = 2000  # characters; a probe's may hold a whole page
# A node's conditions that are bad when they hold; only Ready is good.
_GOOD_CONDITIONS = ("Ready",)


def describe_events(items: Sequence[Item], since: datetime) -> Iterator[str]:
    """Yield a line for each event since a time, the newest last."""
    begin = since.strftime("%Y-%m-%dT%H:%M:%S")
    stamped = sorted(((_time_of(item), item) for item in items), key=lambda pair: pair[0])
    for at, item in [pair for pair in stamped if pair[0] >= begin][-_MOST_EVENTS:]:
        thing = item.get("involvedObject", {})
        where = f"{thing.get('kind')}/{thing.get('name')}"
        count = item.get("count") or (item.get("series") or {}).get("count") or 1
        often = f" ({count} times)" if count > 1 else ""
        message = str(item.get("message", ""))[:_LONGEST_MESSAGE]
        yield f"{at} {item.get('type')} {item.get('reason')} {where}: {message}{often}"


def describe_pod(pod: Item) -> str:
    """Return where a pod is and what is not true of it."""
    status = pod.get("status", {})
    phase = " ".join(filter(None, (status.get("phase"), status.get("reason"), status.get("message"))))
    lines = [f"{_name(pod)}: {phase} on {pod.get('spec', {}).get('nodeName')}"]
    lines += _untrue(status)
    for one in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        states = {
            **one.get("state", {}),
            **{f"last {key}": value for key, value in one.get("lastState", {}).items()},
        }
        said = "; ".join(f"{key} {_state(value)}".strip() for key, value in states.items())
        lines.append(f"  {one['name']}: {one.get('restartCount', 0)} restarts; {said}")
    return "\n".join(lines)


def describe_workload(kind: str, item: Item) -> str:
    """Return how many replicas a workload has of those that it wants, and what is not true of it."""
    status = item.get("status", {})
    wanted = item.get("spec", {}).get("replicas", status.get("desiredNumberScheduled"))
    ready = status.get("readyReplicas", status.get("numberReady", 0))
    updated = status.get("updatedReplicas", status.get("updatedNumberScheduled", 0))
    behind = status.get("observedGeneration", 0) < item["metadata"].get("generation", 0)
    lines = [
        f"{kind} {_name(item)}: {ready} of {wanted} ready, {updated} updated"
        f"{', its newest form not seen yet' if behind else ''}"
    ]
    bad = [one for one in status.get("conditions", ()) if one["type"] == "ReplicaFailure"]
    return "\n".join([*lines, *_untrue(status), *map(_condition, bad)])


def describe_autoscaler(item: Item) -> str:
    """Return what an HPA sees, wants and may, and every condition: each may be why it stands still."""
    spec, status = item.get("spec", {}), item.get("status", {})
    workload = spec.get("scaleTargetRef", {}).get("name")
    lines = [
        f"{_name(item)} of {workload}: {status.get('currentReplicas')} replicas, wants"
        f" {status.get('desiredReplicas')}, of {spec.get('minReplicas', 1)}..{spec.get('maxReplicas')}"
        f"; last scaled {status.get('lastScaleTime', 'never')}"
    ]
    seen = {
        name: value for one in status.get("currentMetrics") or () for name, value in _metric(one, "current")
    }
    for one in spec.get("metrics", ()):
        for name, target in _metric(one, "target"):
            lines.append(f"  {name}: {seen.get(name, 'unknown')}, target {target}")
    lines += [f"  {one['type']} is {one['status']}{_because(one)}" for one in status.get("conditions", ())]
    return "\n".join(lines)


def describe_node(item: Item) -> str:
    """Return what a node has for pods, and what is wrong with it."""
    spec, status = item.get("spec", {}), item.get("status", {})
    room = ", ".join(f"{key} {value}" for key, value in sorted(status.get("allocatable", {}).items()))
    lines = [f"{_name(item)}: {room}"]
    if spec.get("unschedulable"):
        lines.append("  takes no pods")
    for one in spec.get("taints", ()):
        lines.append(f"  taint {one.get('key')}={one.get('value', '')}:{one.get('effect')}")
    for one in status.get("conditions", ()):
        good = "True" if one["type"] in _GOOD_CONDITIONS else "False"
        if one["status"] != good:
            lines.append(f"  {one['type']} is {one['status']}{_because(one)}")
    return "\n".join(lines)


def is_well(pod: Item) -> bool:
    """Whether a pod is ready or has done its work, and nothing of it has restarted."""
    status = pod.get("status", {})
    if status.get("phase") == "Succeeded":
        return True
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", ()))
    return ready and not any(
        one.get("restartCount", 0)
        for kind in ("initContainerStatuses", "containerStatuses")
        for one in status.get(kind, ())
    )


def _name(item: Item) -> str:
    return str(item["metadata"]["name"])


def _time_of(item: Item) -> str:
    # Old and new ways to write events differ in where they keep their time.
    series = (item.get("series") or {}).get("lastObservedTime")
    once = item.get("lastTimestamp") or item.get("eventTime") or item["metadata"]["creationTimestamp"]
    return str(series or once)


def _untrue(status: Item) -> list[str]:
    bad = [one for one in status.get("conditions", ()) if one["status"] != "True"]
    return [f"  not {one['type']}:{_because(one)}" for one in bad if one["type"] != "ReplicaFailure"]


def _condition(one: Item) -> str:
    return f"  {one['type']}:{_because(one)}"


def _because(one: Item) -> str:
    return f" {one.get('reason', '')} {one.get('message', '')}".rstrip()


def _state(content: Item) -> str:
    keys = ("reason", "message", "exitCode", "startedAt", "finishedAt")
    return " ".join(f"{key}={content[key]}" for key in keys if key in content)


def _metric(one: Item, which: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the value of an HPA's metric, wherever its type keeps them."""
    for part in one.values():
        if isinstance(part, Mapping) and which in part:
            name = str(part.get("name") or part.get("metric", {}).get("name") or one.get("type"))
            yield name, ", ".join(f"{key} {value}" for key, value in part[which].items() if key != "type")
