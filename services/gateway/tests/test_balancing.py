"""The choice between pods."""

from __future__ import annotations

from collections import Counter

from mambogo_gateway.balancing import Pod, Upstream
from mambogo_gateway.config import UpstreamConfig
from mambogo_gateway.instances import Instance

CONFIG = UpstreamConfig(failures_to_eject=3)


def upstream(pods: int) -> Upstream:
    """A service with some pods."""
    made = Upstream("s", CONFIG)
    made.update(Instance("s", "127.0.0.1", 1000 + number, f"pod-{number}") for number in range(pods))
    return made


def drawn(service: Upstream, times: int = 4000) -> Counter[str]:
    """How often each pod is picked when nothing is ever in flight."""
    picks = (service.pick() for _ in range(times))
    return Counter(pod.name for pod in picks if pod is not None)


def pods_of(service: Upstream) -> list[Pod]:
    """The pods in a fixed order."""
    return sorted(service.pods.values(), key=lambda pod: pod.name)


def test_idle_pods_get_equal_shares() -> None:
    shares = drawn(upstream(5))
    assert len(shares) == 5
    assert min(shares.values()) > 4000 / 5 * 0.75


def test_a_busy_pod_gets_less_and_the_busiest_nothing_against_others() -> None:
    service = upstream(2)
    busy, free = pods_of(service)
    busy.in_flight = 5
    assert drawn(service).keys() == {free.name}


def test_the_in_flight_counts_stay_within_one_step_of_each_other() -> None:
    service = upstream(10)
    for _ in range(1000):
        pod = service.pick()
        assert pod is not None
        pod.in_flight += 1
    loads = [pod.in_flight for pod in service.pods.values()]
    # Power of two choices: the gap is O(log log n), against dozens for one random choice.
    assert max(loads) - min(loads) <= 10


def test_a_new_pod_is_chosen_at_once() -> None:
    service = upstream(2)
    instances = [*service.pods, Instance("s", "127.0.0.1", 9999, "new")]
    assert service.update(instances)
    assert drawn(service)["new"] > 0
    assert not service.update(instances)


def test_a_retry_avoids_the_pods_that_were_tried() -> None:
    service = upstream(3)
    tried = pods_of(service)[:2]
    assert {service.pick(tried) for _ in range(50)} == {pods_of(service)[2]}


def test_an_ejected_pod_is_not_chosen_unless_all_are() -> None:
    service = upstream(2)
    first, second = pods_of(service)
    service.eject(first, 0.0)
    assert drawn(service).keys() == {second.name}
    service.eject(second, 0.0)
    assert len(drawn(service)) == 2
    service.reinstate(first)
    assert drawn(service).keys() == {first.name}


def test_broken_answers_in_a_row_eject() -> None:
    service = upstream(2)
    first, second = pods_of(service)
    for _ in range(3):
        service.attempt_failed(first, 0.0)
    assert drawn(service).keys() == {second.name}


def test_ejections_grow_longer_up_to_a_bound() -> None:
    pod = pods_of(upstream(1))[0]
    waits = []
    for _ in range(10):
        pod.eject(0.0)
        waits.append(pod.retry_at)
    assert waits == sorted(waits)
    assert waits[0] == CONFIG.ejection_seconds
    assert waits[-1] == CONFIG.max_ejection_seconds


def test_a_service_without_pods_has_no_pick() -> None:
    assert upstream(0).pick() is None
