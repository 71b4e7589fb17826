"""From objects of the Kubernetes API to the facts that the formula needs. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from fractions import Fraction
from typing import Any

from rehearsal.core.errors import HarnessError
from rehearsal.load.autoscaling.facts import (
    DEFAULT_DOWN,
    DEFAULT_UP,
    Autoscaler,
    Behaviour,
    Controller,
    Pod,
    Policy,
    PolicyKind,
    Rules,
    Sample,
    Select,
    Target,
    Usage,
)

Object = Mapping[str, Any]

_QUANTITY = re.compile(r"^([0-9.]+)([a-zA-Z]*)$")
_FACTORS = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    **{unit: Fraction(1000**power) for power, unit in enumerate(("k", "M", "G", "T"), 1)},
    **{unit: Fraction(1024**power) for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti"), 1)},
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_FLAGS = {
    "sync_seconds": "horizontal-pod-autoscaler-sync-period",
    "down_window_seconds": "horizontal-pod-autoscaler-downscale-stabilization",
    "cpu_initialization_seconds": "horizontal-pod-autoscaler-cpu-initialization-period",
    "initial_readiness_seconds": "horizontal-pod-autoscaler-initial-readiness-delay",
}
_TOLERANCE = "horizontal-pod-autoscaler-tolerance"
# Conditions that are false when an autoscaler cannot work.
_NEEDED_CONDITIONS = ("AbleToScale", "ScalingActive")


def milli(quantity: str | int) -> int:
    """Return a quantity in thousandths, rounded up as the controller does it."""
    found = _QUANTITY.match(str(quantity))
    if found is None or found.group(2) not in _FACTORS:
        raise HarnessError("QUANTITY", f"{quantity!r} is no quantity", hint="Look at the pod's resources.")
    return math.ceil(Fraction(found.group(1)) * _FACTORS[found.group(2)] * 1000)


def seconds(duration: str) -> float:
    """Return a Go duration, such as 1m30s, in seconds."""
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(duration))


def controller_of(flags: Mapping[str, str]) -> Controller:
    """Return the controller with these flags, Kubernetes' own values for those that are not there."""
    given = {name: seconds(flags[flag]) for name, flag in _FLAGS.items() if flag in flags}
    if _TOLERANCE in flags:
        given["tolerance"] = float(flags[_TOLERANCE])
    return Controller(**given)


def autoscaler_of(one: Object) -> Autoscaler:
    """Return an HPA's specification. Raises HarnessError for a metric that is no share of a request."""
    spec = one["spec"]
    return Autoscaler(
        name=one["metadata"]["name"],
        workload=spec["scaleTargetRef"]["name"],
        least=int(spec.get("minReplicas", 1)),
        most=int(spec["maxReplicas"]),
        targets=tuple(_target(metric, one["metadata"]["name"]) for metric in spec["metrics"]),
        behaviour=_behaviour(spec["behavior"]) if spec.get("behavior") else None,
    )


def _target(metric: Object, name: str) -> Target:
    resource = metric.get("resource", {})
    percent = resource.get("target", {}).get("averageUtilization")
    if percent is None:
        raise HarnessError(
            "METRIC_UNKNOWN",
            f"{name} has a metric that is no share of a request: {metric}",
            hint="The scale model knows Resource metrics with averageUtilization.",
        )
    return Target(resource["name"], int(percent))


def _behaviour(given: Object) -> Behaviour:
    return Behaviour(_rules(given.get("scaleUp"), DEFAULT_UP), _rules(given.get("scaleDown"), DEFAULT_DOWN))


def _rules(given: Object | None, default: Rules) -> Rules:
    if not given:
        return default
    window, tolerance = given.get("stabilizationWindowSeconds"), given.get("tolerance")
    return Rules(
        policies=tuple(_policies(given.get("policies", ()))) or default.policies,
        select=Select(given.get("selectPolicy", Select.MAX)),
        window_seconds=default.window_seconds if window is None else float(window),
        tolerance=None if tolerance is None else milli(tolerance) / 1000,
    )


def _policies(given: Iterable[Object]) -> Iterator[Policy]:
    for one in given:
        yield Policy(PolicyKind(one["type"]), int(one["value"]), float(one["periodSeconds"]))


def sample_of(
    t: float, autoscaler: Object, scale: Object, pods: Iterable[Object], metrics: Iterable[Object]
) -> Sample:
    """Return one look: an HPA, its workload's scale, its pods and what they use."""
    usages = {one["metadata"]["name"]: _usage(one) for one in metrics}
    status = autoscaler.get("status", {})
    return Sample(
        t=t,
        replicas=int(scale["spec"].get("replicas", 0)),
        desired=int(status.get("desiredReplicas", 0)),
        pods=tuple(_pod(one, usages.get(one["metadata"]["name"])) for one in pods),
        trouble=_trouble(status.get("conditions") or ()),
    )


def _trouble(conditions: Iterable[Object]) -> str:
    for one in conditions:
        if one["type"] in _NEEDED_CONDITIONS and one["status"] == "False":
            return f"{one.get('reason', '')}: {one.get('message', '')}"
    return ""


def _pod(one: Object, usage: Usage | None) -> Pod:
    status = one.get("status", {})
    condition = next((each for each in status.get("conditions", ()) if each["type"] == "Ready"), None)
    started = status.get("startTime")
    return Pod(
        name=one["metadata"]["name"],
        phase=status.get("phase", ""),
        deleted="deletionTimestamp" in one["metadata"],
        started=_time(started) if started else None,
        ready=None if condition is None else condition["status"] == "True",
        ready_changed=_time(condition["lastTransitionTime"]) if condition else 0.0,
        address=status.get("podIP", ""),
        requests=_requests(one["spec"]),
        usage=usage,
    )


def _requests(spec: Object) -> dict[str, int]:
    """Return a pod's requests; a resource that one container does not request is not there at all."""
    sidecars = [one for one in spec.get("initContainers", ()) if one.get("restartPolicy") == "Always"]
    every = [one.get("resources", {}).get("requests", {}) for one in (*spec["containers"], *sidecars)]
    common = set.intersection(*(set(one) for one in every))
    return {name: sum(milli(one[name]) for one in every) for name in sorted(common)}


def _usage(one: Object) -> Usage:
    containers = [each["usage"] for each in one["containers"]]
    common = set.intersection(*(set(each) for each in containers)) if containers else set()
    return Usage(
        at=_time(one["timestamp"]),
        window_seconds=seconds(one["window"]),
        milli={name: sum(milli(each[name]) for each in containers) for name in sorted(common)},
    )


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
