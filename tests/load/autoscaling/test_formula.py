"""The formula against vectors of Kubernetes' own tests (`replica_calculator_test.go`), and its properties."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rehearsal.load.autoscaling.facts import Autoscaler, Behaviour, Controller, Pod, Rules, Target, Usage
from rehearsal.load.autoscaling.formula import propose, recommend

NOW = 10_000.0
# What Kubernetes' tests set: two minutes of start, ten seconds to the first readiness.
CONTROLLER = Controller(cpu_initialization_seconds=120.0, initial_readiness_seconds=10.0)
OLD, YOUNG = NOW - 3600.0, NOW - 10.0


def _pod(number: int, used: int | None, request: int = 1000, **said: object) -> Pod:
    usage = None if used is None else Usage(NOW, 60.0, {"cpu": used})
    facts: dict[str, object] = {"started": OLD, "ready": True, "ready_changed": OLD} | said
    return Pod(f"pod-{number}", requests={"cpu": request}, usage=usage, **facts)  # type: ignore[arg-type]  # fields by name


def _autoscaler(percent: int, least: int = 1, most: int = 100, **more: int) -> Autoscaler:
    targets = (Target("cpu", percent), *(Target(name, share) for name, share in more.items()))
    return Autoscaler("hpa", "shop", least, most, targets)


def _replicas(
    percent: int, pods: Sequence[Pod], current: int, controller: Controller = CONTROLLER
) -> int | None:
    autoscaler = _autoscaler(percent)
    return propose(autoscaler, autoscaler.targets[0], pods, current, controller, NOW).replicas


def _used(*levels: int | None) -> list[Pod]:
    return [_pod(number, level) for number, level in enumerate(levels)]


def _unready(number: int, used: int) -> Pod:
    return _pod(number, used, ready=False, ready_changed=OLD + 1.0)


def _hot(number: int, used: int) -> Pod:
    return _pod(number, used, started=YOUNG, ready_changed=YOUNG)


@pytest.mark.parametrize(
    ("target", "pods", "current", "replicas"),
    [
        pytest.param(30, _used(300, 500, 700), 3, 5, id="scale up"),
        pytest.param(30, [_unready(0, 300), *_used(None, 500, 700)[1:]], 3, 4, id="unready, less"),
        pytest.param(30, [_hot(0, 300), *_used(None, 500, 700)[1:]], 3, 4, id="hot cpu, less"),
        pytest.param(30, [_pod(0, 400), _unready(1, 500), _unready(2, 700)], 3, 3, id="unready, no change"),
        pytest.param(
            30, [*_used(500, 700), _pod(2, None, phase="Failed")], 2, 4, id="failed pods are ignored"
        ),
        pytest.param(30, [*_used(500, 700), _pod(2, 900, deleted=True)], 2, 4, id="deleted pods are ignored"),
        pytest.param(50, _used(100, 300, 500, 250, 250), 5, 3, id="scale down"),
        pytest.param(
            100, [_pod(0, 1010, 900), _pod(1, 1030, 1000), _pod(2, 1020, 1100)], 3, 3, id="tolerance"
        ),
        pytest.param(100, _used(400, 95, None, None), 4, 3, id="missing metrics"),
        pytest.param(100, _used(1000, None), 2, 2, id="missing, no change, equal"),
        pytest.param(100, _used(1900, None), 2, 2, id="missing, no change, greater"),
        pytest.param(100, _used(600, None), 2, 2, id="missing, no change, less"),
        pytest.param(50, [_unready(0, 100), *_used(None, 450, None)[1:]], 3, 3, id="both, change"),
        pytest.param(50, [_unready(0, 100), *_used(None, 2000, None)[1:]], 3, 4, id="both, scale up"),
        pytest.param(50, [_unready(0, 100), *_used(None, 100, 100, None)[1:]], 4, 3, id="both, scale down"),
        # Not among Kubernetes' own, whose results stay the same without these rules.
        pytest.param(
            30, [*_used(630, 630), _unready(2, 900), _unready(3, 900)], 4, 4, id="unready, tolerated"
        ),
        pytest.param(150, _used(100, 100, None), 3, 2, id="missing, target over 100"),
        pytest.param(50, _used(200, 200, 200, None), 2, 2, id="more pods than replicas, never the other way"),
    ],
)
def test_formula_gives_what_kubernetes_tests_want(
    target: int, pods: list[Pod], current: int, replicas: int
) -> None:
    assert _replicas(target, pods, current) == replicas


@pytest.mark.parametrize(("used", "replicas"), [(200, 4), (50, 1)], ids=["doubled", "halved"])
def test_examples_of_the_documentation(used: int, replicas: int) -> None:
    pods = [_pod(number, used, request=100) for number in range(2)]

    assert _replicas(100, pods, 2) == replicas


def test_percent_is_cut_off_as_the_controller_does_it() -> None:
    autoscaler = _autoscaler(70)
    proposal = propose(autoscaler, autoscaler.targets[0], [_pod(0, 779)], 1, CONTROLLER, NOW)

    assert (proposal.percent, proposal.replicas) == (77, 1)  # 77.9 would lie outside of the tolerance


def test_most_of_all_metrics_counts() -> None:
    usage = Usage(NOW, 60.0, {"cpu": 100, "memory": 900})
    pods = [
        Pod(
            f"p{n}",
            started=OLD,
            ready=True,
            ready_changed=OLD,
            requests={"cpu": 1000, "memory": 1000},
            usage=usage,
        )
        for n in range(2)
    ]
    found = recommend(_autoscaler(50, memory=50), pods, 2, CONTROLLER, NOW)

    assert found.replicas == 4
    assert found.leading is not None
    assert found.leading.target.resource == "memory"


def test_metric_that_cannot_be_had_forbids_to_go_down() -> None:
    assert recommend(_autoscaler(50, memory=50), _used(10, 10), 2, CONTROLLER, NOW).replicas is None


def test_metric_that_cannot_be_had_lets_it_go_up() -> None:
    assert recommend(_autoscaler(50, memory=50), _used(900, 900), 2, CONTROLLER, NOW).replicas == 4


def test_pod_without_a_request_is_named() -> None:
    found = recommend(_autoscaler(50), [_pod(7, 900, request=0)], 1, CONTROLLER, NOW)

    assert found.replicas is None
    assert "no request in pod-7" in str(found)


@pytest.mark.parametrize(("replicas", "wanted"), [(0, 0), (1, 2), (9, 6)])
def test_number_outside_of_its_bounds_is_brought_back(replicas: int, wanted: int) -> None:
    assert (
        recommend(_autoscaler(50, least=2, most=6), _used(500), replicas, CONTROLLER, NOW).replicas == wanted
    )


def test_tolerance_of_the_hpa_counts_before_the_controllers() -> None:
    rules = Rules((), tolerance=0.5)
    autoscaler = Autoscaler("hpa", "shop", 1, 100, (Target("cpu", 50),), Behaviour(up=rules))

    assert propose(autoscaler, autoscaler.targets[0], _used(700), 1, CONTROLLER, NOW).replicas == 1


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=20), st.integers(1, 100))
def test_enough_pods_would_bring_the_average_to_the_target(levels: list[int], target: int) -> None:
    """With all pods ready and measured: the result holds the target, and one pod fewer would not."""
    wanted = _replicas(target, _used(*levels), len(levels))
    percent = sum(levels) * 100 // (1000 * len(levels))

    assert wanted is not None
    if 0.9 <= percent / target <= 1.1:
        assert wanted == len(levels)
    else:
        assert wanted == math.ceil(percent / target * len(levels))


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 3000)), min_size=1, max_size=12),
    st.lists(st.booleans(), min_size=12, max_size=12),
    st.integers(10, 100),
)
def test_pods_of_which_nothing_is_known_never_make_it_go_further(
    levels: list[int | None], ready: list[bool], target: int
) -> None:
    """Missing and unready pods damp: they bring the result towards the number that is there."""
    pods = [_pod(n, level) if ready[n] else _unready(n, level or 0) for n, level in enumerate(levels)]
    known = [pod for n, pod in enumerate(pods) if levels[n] is not None and ready[n]]
    wanted, plain = _replicas(target, pods, len(pods)), _replicas(target, known, len(known))

    if wanted is None or plain is None:
        assert not known
    elif sum(pod.usage.milli["cpu"] for pod in known if pod.usage) * 100 // (1000 * len(known)) > target:
        assert len(pods) <= wanted or wanted == plain
        assert wanted <= max(plain, len(pods))
    else:
        assert wanted <= len(pods)


def test_more_load_never_asks_for_less() -> None:
    asked = [_replicas(70, _used(level, level), 2) or 0 for level in range(0, 3000, 7)]

    assert asked == sorted(asked)
