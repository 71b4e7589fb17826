"""From the API's objects, and from our own manifests, to facts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from rehearsal.core.errors import HarnessError
from rehearsal.load.autoscaling.facts import (
    DEFAULT_DOWN,
    DEFAULT_UP,
    Autoscaler,
    Behaviour,
    Controller,
    Policy,
    PolicyKind,
    Rules,
    Select,
    Target,
)
from rehearsal.load.autoscaling.parsing import autoscaler_of, controller_of, milli, sample_of, seconds

from tests.load.autoscaling.objects import AUTOSCALER, metrics, pod

MANIFESTS = sorted((Path(__file__).parents[3] / "k8s" / "base" / "hpa").glob("*.yaml"))
SCALE = {"spec": {"replicas": 3}, "status": {"selector": "app=order-service"}}


@pytest.mark.parametrize(
    ("quantity", "value"),
    [("20m", 20), ("1", 1000), ("0.5", 500), (2, 2000), ("4500001n", 5), ("4000000n", 4), ("1500u", 2)],
)
def test_cpu_is_counted_in_thousandths_and_rounded_up(quantity: str | int, value: int) -> None:
    assert milli(quantity) == value


@pytest.mark.parametrize(
    ("quantity", "value"), [("1Ki", 1_024_000), ("1k", 1_000_000), ("2Mi", 2_097_152_000)]
)
def test_memory_is_counted_in_thousandths_of_a_byte(quantity: str, value: int) -> None:
    assert milli(quantity) == value


def test_what_is_no_quantity_is_refused() -> None:
    with pytest.raises(HarnessError, match="no quantity"):
        milli("much")


@pytest.mark.parametrize(
    ("duration", "value"), [("5s", 5.0), ("1m30s", 90.0), ("500ms", 0.5), ("1h", 3600.0)]
)
def test_durations_are_gos(duration: str, value: float) -> None:
    assert seconds(duration) == value


def test_flags_that_are_not_given_are_kubernetes_own() -> None:
    flags = {"horizontal-pod-autoscaler-sync-period": "5s", "horizontal-pod-autoscaler-tolerance": "0.2"}

    assert controller_of(flags) == Controller(sync_seconds=5.0, tolerance=0.2)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_every_hpa_of_the_manifests_is_understood(path: Path) -> None:
    autoscaler = autoscaler_of(yaml.safe_load(path.read_text(encoding="utf-8")))

    assert autoscaler.workload == path.stem
    assert 1 <= autoscaler.least <= autoscaler.most
    assert "cpu" in {one.resource for one in autoscaler.targets}


def test_targets_and_bounds_are_read() -> None:
    wanted = Autoscaler("order-service-hpa", "order-service", 2, 6, (Target("cpu", 70), Target("memory", 80)))

    assert autoscaler_of(AUTOSCALER) == wanted


def test_behaviour_is_read_and_filled_in() -> None:
    down = {
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
        "selectPolicy": "Min",
        "tolerance": "50m",
    }
    given = {**AUTOSCALER, "spec": AUTOSCALER["spec"] | {"behavior": {"scaleDown": down}}}
    rules = Rules((Policy(PolicyKind.PODS, 1, 60.0),), Select.MIN, None, 0.05)

    assert autoscaler_of(given).behaviour == Behaviour(DEFAULT_UP, rules)


def test_direction_that_is_not_written_has_the_defaults() -> None:
    given = {**AUTOSCALER, "spec": AUTOSCALER["spec"] | {"behavior": {"scaleUp": {"selectPolicy": "Max"}}}}

    assert autoscaler_of(given).behaviour == Behaviour(DEFAULT_UP, DEFAULT_DOWN)


def test_metric_that_is_no_share_of_a_request_is_refused() -> None:
    given = {**AUTOSCALER, "spec": AUTOSCALER["spec"] | {"metrics": [{"type": "Pods", "pods": {}}]}}

    with pytest.raises(HarnessError, match="no share of a request"):
        autoscaler_of(given)


def _one(given: dict[str, Any], *measured: dict[str, Any]) -> Any:
    (found,) = sample_of(1.0, AUTOSCALER, SCALE, [given], measured).pods
    return found


def test_sample_holds_what_was_asked_for_and_what_is_there() -> None:
    sample = sample_of(1.0, AUTOSCALER, SCALE, [pod("a"), pod("b")], [metrics("a")])

    assert (sample.replicas, sample.desired, sample.ready, sample.trouble) == (3, 2, 2, "")


def test_pod_has_what_it_requests_and_uses() -> None:
    found = _one(pod("a"), metrics("a"))

    assert (found.requests["cpu"], found.usage.milli["cpu"], found.usage.window_seconds) == (20, 5, 10.05)
    assert found.usage.at - found.started == 600.0


def test_pod_without_a_sample_has_no_usage() -> None:
    assert _one(pod("a"), metrics("b")).usage is None


def test_request_that_one_container_lacks_is_no_request() -> None:
    given = pod("a")
    given["spec"]["containers"].append({"resources": {"requests": {"memory": "1Mi"}}})

    assert set(_one(given).requests) == {"memory"}


def test_sidecar_counts_and_other_init_containers_do_not() -> None:
    given = pod("a")
    resources = {"requests": {"cpu": "5m", "memory": "1Mi"}}
    given["spec"]["initContainers"] = [{"restartPolicy": "Always", "resources": resources}, {}]

    assert _one(given).requests["cpu"] == 25


def test_pod_that_is_going_is_not_ready() -> None:
    given = pod("a")
    given["metadata"]["deletionTimestamp"] = "2026-01-02T03:14:05Z"

    assert sample_of(1.0, AUTOSCALER, SCALE, [given], []).ready == 0


def test_pod_without_a_condition_is_not_known_to_be_ready() -> None:
    assert _one(pod("a", conditions=[])).ready is None


def test_condition_that_is_false_is_trouble() -> None:
    condition = {
        "type": "ScalingActive",
        "status": "False",
        "reason": "FailedGetResourceMetric",
        "message": "why",
    }
    given = AUTOSCALER | {"status": {"conditions": [condition]}}

    assert sample_of(1.0, given, SCALE, [], []).trouble == "FailedGetResourceMetric: why"
